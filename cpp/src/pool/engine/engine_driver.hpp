// Calls the Python code that submits chunks of runs to an engine.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/host_internals.hpp"
#include "pyhost/pool.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Wraps a Driver of pyhost._engine. Its functions throw InvalidEngine and Unreachable.
/// Thread: any, one at a time, without the GIL.
class EngineDriver {
 public:
  EngineDriver(const HostInternals& host, const PoolOptions& options);
  ~EngineDriver();
  EngineDriver(const EngineDriver&) = delete;
  EngineDriver& operator=(const EngineDriver&) = delete;

  /// Returns how many runs the engine can make at once now.
  std::size_t slots();

  /// Submits a chunk of states, one per line. `order` is the JSON text of their order.
  void submit(std::uint64_t chunk, const std::string& order, const std::string& states);

  /// Waits until a chunk is done, at most for `patience`. Returns the chunks that are done, each with the
  /// output of its workers.
  std::vector<std::pair<std::uint64_t, std::string>> wait(std::chrono::milliseconds patience);

  /// Cancels all chunks. wait() does not return them any more.
  void cancel();

  /// Returns the messages for the user since the last call, one line each.
  std::vector<std::string> notices();

 private:
  py::object driver_;
};

}  // namespace pyhost::detail
