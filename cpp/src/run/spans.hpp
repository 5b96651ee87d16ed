// Reports where the time of runs goes, if the application has an on_span.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "pyhost/event.hpp"
#include "pyhost/span.hpp"

namespace pyhost::detail {

using OnSpan = std::function<void(const Span&)>;

/// The data that all spans of a thread share: its worker, and the submission that it runs.
struct SpanPlace {
  std::uint64_t worker = 0;
  std::uint64_t submission = 0;
  std::vector<Span>* buffer = nullptr;  ///< Where spans are collected instead of being reported at once.
};
inline constinit thread_local SpanPlace span_place = {};

/// Reports a span of this thread. Exceptions from on_span are ignored, and so are spans of runs that on_span
/// starts. Releases the GIL if this thread holds it.
void notify_span(const OnSpan& on_span, Span span) noexcept;

/// Reports the time from its construction to its destruction as a span, if there is an on_span. Empty if
/// `observed` is false.
template <bool observed = true>
class SpanTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// `on_span` and `module` must outlive it.
  SpanTimer(const OnSpan& on_span, SpanKind kind, std::string_view module, RunId run) {
    if (on_span) [[unlikely]]
      begun_.emplace(Begun{on_span, kind, module, run, std::uncaught_exceptions(), Clock::now()});
  }
  ~SpanTimer() {
    if (begun_) [[unlikely]]
      end();
  }
  SpanTimer(const SpanTimer&) = delete;
  SpanTimer& operator=(const SpanTimer&) = delete;

 private:
  struct Begun {
    const OnSpan& on_span;
    SpanKind kind;
    std::string_view module;
    RunId run;
    int exceptions;
    Clock::time_point at;
  };
  void end() noexcept;

  std::optional<Begun> begun_;  // empty without an on_span
};

template <>
class SpanTimer<false> {
 public:
  SpanTimer(const OnSpan& /*on_span*/, SpanKind /*kind*/, std::string_view /*module*/, RunId /*run*/) {}
};

}  // namespace pyhost::detail
