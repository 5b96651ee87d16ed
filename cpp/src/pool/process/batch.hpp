// Runs that go to a worker process together, and their outcomes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pool/process/process_link.hpp"
#include "pool/process/shared_memory.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/run_queue.hpp"

namespace pyhost::detail {

/// Of its jobs those before `told` have had their outcome.
struct Batch {
  using OnStop = std::stop_callback<std::function<void()>>;

  /// Bytes of a batch that is copied; a state beyond that goes alone, and as it is.
  static constexpr std::size_t most_bytes = std::size_t{48} * 1024;

  std::uint64_t number = 0;
  Jobs jobs = {};
  std::size_t told = 0;
  std::size_t read = 0;  ///< Bytes of its area.
  std::chrono::steady_clock::time_point sent = {};
  std::map<std::size_t, WireFrame> large = {};  ///< Outcomes that are too large for the area, by their index.
  std::map<std::size_t, std::string> large_spans = {};  ///< SpanRecords that go with them.
  std::vector<std::unique_ptr<OnStop>> stops = {};

  /// Gets the SpanRecords of each run before its outcome is given; empty if nobody wants them.
  std::function<void(const Job&, std::string_view)> on_spans = {};

  BatchSlot& slot(SharedPage& page) const noexcept { return page.slots[number % 2]; }

  /// Puts it on its way. Its states have to live until the link has sent them.
  void send(ProcessLink& link) const;

  /// Gives the runs before `finished` their outcomes. Throws BrokenFrame, and Json's exceptions, for what no
  /// worker of ours writes.
  void tell(SharedPage& page, std::size_t finished);

 private:
  void tell_record(const SharedPage& page);
  void outcome(bool failed, std::string content, std::chrono::duration<double> took);
};

}  // namespace pyhost::detail
