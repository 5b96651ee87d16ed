// Tells where the time of runs goes, if anybody wants to know.
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

/// What the spans of a thread have in common: those of a worker say which, and of which run.
struct SpanPlace {
  std::uint64_t worker = 0;
  std::uint64_t submission = 0;
  std::vector<Span>* kept = nullptr;  ///< Where they are put, if they are not to be told at once.
};
inline constinit thread_local SpanPlace span_place = {};

/// Tells of it as one of this thread's. Does no harm: what the function throws is dropped, and spans of what
/// it runs itself are not told. Lets the GIL go if this thread holds it.
void notify_span(const OnSpan& on_span, Span span) noexcept;

/// What this thread is in, from its making to its end: told if there is a function.
class SpanTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// Function and name have to outlive it.
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

  std::optional<Begun> begun_;  // nothing of it is written if nobody wants to know
};

}  // namespace pyhost::detail
