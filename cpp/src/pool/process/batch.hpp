// Runs that are sent to a worker process together, and their outcomes.
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

/// The first `delivered` jobs have had their outcomes, and are null.
struct Batch {
  using OnStop = std::stop_callback<std::function<void()>>;

  /// A batch of up to this size is copied. A larger state is sent alone, without a copy.
  static constexpr std::size_t max_copied_bytes = std::size_t{48} * 1024;

  std::uint64_t number = 0;
  Jobs jobs = {};
  std::size_t delivered = 0;
  std::size_t read = 0;  ///< Bytes of its area that have been read.
  std::chrono::steady_clock::time_point sent = {};
  /// The frames of outcomes that are too large for the area, by index.
  std::map<std::size_t, std::string> large = {};
  std::vector<std::unique_ptr<OnStop>> stops = {};

  /// Called with the SpanRecords of each run before its outcome is delivered; empty if there is no on_span.
  std::function<void(const Job&, std::string_view)> on_spans = {};

  BatchSlot& slot(SharedPage& page) const noexcept { return page.slots[number % 2]; }

  /// Returns the number of bytes that the job takes in the frame.
  static std::size_t size_of(const Job& job) noexcept;

  /// Sends the batch. Its states must live until the link has sent them.
  void send(ProcessLink& link) const;

  /// Passes the outcomes of the first `finished` runs to their jobs. Throws BrokenFrame or an exception of
  /// Json if the shared memory or a frame has content that no worker writes.
  void deliver(SharedPage& page, std::size_t finished);

 private:
  void deliver_large(std::string frame);
  void deliver_small(const SharedPage& page);
  void finish_next(const OutcomeHead& head, std::string text, std::string_view spans);
};

}  // namespace pyhost::detail
