// Passes spans to on_span, or to the buffer of a worker.
#include "run/spans.hpp"

#include <array>
#include <utility>

#include "python/gil.hpp"

namespace pyhost {

std::string_view to_string(SpanKind kind) noexcept {
  constexpr std::array<std::string_view, 7> names{"start",  "queue", "send",   "import",
                                                  "create", "run",   "convert"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

void notify_span(const OnSpan& on_span, Span span) noexcept {
  static thread_local bool in_on_span = false;
  if (!on_span || in_on_span) return;
  span.worker = span_place.worker;
  if (span.submission == 0 && span.run != 0) span.submission = span_place.submission;
  in_on_span = true;
  try {
    if (span_place.buffer != nullptr) {
      span_place.buffer->push_back(std::move(span));
    } else {
      const GilReleaseIfHeld no_gil;
      on_span(span);
    }
  } catch (...) {
    // Exceptions from on_span are ignored.
  }
  in_on_span = false;
}

template <>
void SpanTimer<true>::end() noexcept {
  const auto now = Clock::now();
  try {
    notify_span(begun_->on_span, {.kind = begun_->kind,
                                  .module = std::string(begun_->module),
                                  .run = begun_->run,
                                  .begin = begun_->at,
                                  .end = now,
                                  .failed = std::uncaught_exceptions() > begun_->exceptions});
  } catch (const std::bad_alloc&) {
    // The span is lost if there is no memory for it.
  }
}

}  // namespace detail

}  // namespace pyhost
