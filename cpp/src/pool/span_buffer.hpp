// Collects the spans of a worker that makes runs on its own thread.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "pool/run_queue.hpp"
#include "python/gil.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// Collects spans, because to report each one at once would release the GIL in the middle of a run.
/// Thread: the worker's.
class SpanBuffer {
 public:
  explicit SpanBuffer(const OnSpan& on_span) : on_span_(on_span) {
    if (on_span_) span_place.buffer = &spans_;
  }
  ~SpanBuffer() {
    flush();
    span_place.buffer = nullptr;
  }
  SpanBuffer(const SpanBuffer&) = delete;
  SpanBuffer& operator=(const SpanBuffer&) = delete;

  /// Reports the spans if there are many.
  void make_room() noexcept {
    constexpr std::size_t many = 512;
    if (spans_.size() >= many) flush();
  }

  /// Adds the span that the job waited in the queue. The following spans belong to this job. Does not release
  /// the GIL.
  void begin(const Job& job, std::chrono::steady_clock::time_point now) noexcept {
    if (!on_span_) return;
    span_place.submission = job.number;
    notify_span(on_span_, job.waited(now));
  }

  /// Reports all spans, without the GIL.
  void flush() noexcept {
    if (spans_.empty()) return;
    const GilReleaseIfHeld no_gil;
    span_place.buffer = nullptr;
    for (Span& span : std::exchange(spans_, {})) notify_span(on_span_, std::move(span));
    span_place.buffer = &spans_;
  }

 private:
  const OnSpan& on_span_;
  std::vector<Span> spans_;
};

}  // namespace pyhost::detail
