// The spans of a worker that makes runs on its own thread.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "pool/run_queue.hpp"
#include "python/gil.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// Keeps them for a while: to tell each at once would give the GIL away in the midst of a run. Made, used and
/// destroyed on that thread.
class KeptSpans {
 public:
  explicit KeptSpans(const OnSpan& on_span) : on_span_(on_span) {
    if (on_span_) span_place.buffer = &spans_;
  }
  ~KeptSpans() {
    tell();
    span_place.buffer = nullptr;
  }
  KeptSpans(const KeptSpans&) = delete;
  KeptSpans& operator=(const KeptSpans&) = delete;

  /// Tells them once there are many.
  void make_room() noexcept {
    constexpr std::size_t many = 512;
    if (spans_.size() >= many) tell();
  }

  /// The job begins. Does not let the GIL go.
  void begin(const Job& job, std::chrono::steady_clock::time_point now) noexcept {
    if (!on_span_) return;
    span_place.submission = job.number;
    notify_span(on_span_, job.waited(now));
  }

  /// Tells all there are.
  void tell() noexcept {
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
