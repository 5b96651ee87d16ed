// Turns notifications of the observers into events.
#include "run/events.hpp"

#include <array>
#include <utility>

#include "python/gil.hpp"

namespace pyhost {

std::string_view to_string(EventKind kind) noexcept {
  constexpr std::array<std::string_view, 8> names{"Found",    "Imported", "Created", "RunStarted",
                                                  "RunEnded", "Failed",   "Closed",  "Unloaded"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

Event event_of(EventKind kind, std::string_view module, RunId run,
               std::chrono::steady_clock::time_point begun, const Error* error) {
  using std::chrono::system_clock;
  const auto took = std::chrono::steady_clock::now() - begun;
  return {.kind = kind,
          .module = module,
          .run = run,
          .start = system_clock::now() - std::chrono::duration_cast<system_clock::duration>(took),
          .seconds = took,
          .error = error};
}

void call_on_event(const std::function<void(const Event&)>& function, const Event& event) noexcept {
  try {
    function(event);
  } catch (...) {
    // Exceptions from on_event are ignored.
  }
}

void forward_events(Observers& observers, std::function<void(const Event&)> function) {
  observers.add([function = std::move(function)](const Happening& happening) {
    static thread_local bool in_on_event = false;
    if (!happening.kind || in_on_event) return;
    const Event event =
        event_of(*happening.kind, happening.module, happening.run, happening.begun, happening.error);
    const GilReleaseIfHeld no_gil;
    in_on_event = true;
    call_on_event(function, event);
    in_on_event = false;
  });
}

}  // namespace detail

}  // namespace pyhost
