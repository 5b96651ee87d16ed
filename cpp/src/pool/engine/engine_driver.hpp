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

/// A pyhost._engine Driver. Its functions throw InvalidEngine and Unreachable. Thread: any, one at a time,
/// without the GIL.
class EngineDriver {
 public:
  EngineDriver(const HostInternals& host, const PoolOptions& options);
  ~EngineDriver();
  EngineDriver(const EngineDriver&) = delete;
  EngineDriver& operator=(const EngineDriver&) = delete;

  /// Returns how many runs the engine makes at once now.
  std::size_t slots();

  /// Submits states, one on each line. `order` is what their runs have in common, as JSON text.
  void submit(std::uint64_t chunk, const std::string& order, const std::string& states);

  /// Waits until a chunk is done, or for as long as `patience`. Returns the chunks that are done, each with
  /// what the workers wrote.
  std::vector<std::pair<std::uint64_t, std::string>> wait(std::chrono::milliseconds patience);

  /// Drops all chunks: none of them is returned any more.
  void cancel();

  /// Returns what the user should know since the last call, a line each.
  std::vector<std::string> notices();

 private:
  py::object driver_;
};

}  // namespace pyhost::detail
