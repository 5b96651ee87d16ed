// Writes the outcomes of a batch in a worker: into the shared memory, or as frames if they are too large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pool/process/shared_memory.hpp"
#include "pool/process/worker_channel.hpp"
#include "pyhost/error.hpp"
#include "pyhost/span.hpp"

namespace pyhost::detail {

/// The result of a run as JSON text, or its Error as CBOR.
struct Outcome {
  bool failed = false;
  std::string content = {};
};

Outcome outcome_of(const Error& error);

/// For one batch. Used by the main thread of the worker.
class OutcomeWriter {
 public:
  OutcomeWriter(SharedPage& page, WorkerChannel& channel, std::uint64_t batch)
      : area_(page.areas[batch % 2]), channel_(channel), batch_(batch) {}

  /// Writes the outcome of a run, its duration, and its spans.
  void write(std::uint32_t index, const Outcome& outcome, std::int64_t nanoseconds,
             const std::vector<Span>& spans);

 private:
  SharedPage::Area& area_;
  WorkerChannel& channel_;
  std::uint64_t batch_;
  std::size_t used_ = 0;  // bytes of the area
};

}  // namespace pyhost::detail
