// Makes events of what the watchers see.
#include "events.hpp"

#include <array>
#include <optional>
#include <utility>

#include "enter.hpp"

namespace pyhost {

std::string_view to_string(EventKind kind) noexcept {
  constexpr std::array<std::string_view, 8> names{"Found",    "Imported", "Created", "RunStarted",
                                                  "RunEnded", "Failed",   "Closed",  "Unloaded"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

namespace {

std::optional<EventKind> kind_of(Moment moment) {
  switch (moment) {
    case Moment::Found:
      return EventKind::Found;
    case Moment::Imported:
      return EventKind::Imported;
    case Moment::Created:
      return EventKind::Created;
    case Moment::RunStarted:
      return EventKind::RunStarted;
    case Moment::RunEnded:
      return EventKind::RunEnded;
    case Moment::Failed:
      return EventKind::Failed;
    case Moment::Closed:
      return EventKind::Closed;
    case Moment::Unloaded:
      return EventKind::Unloaded;
    case Moment::Ending:
      break;
  }
  return std::nullopt;
}

}  // namespace

void tell_events(Watchers& watchers, std::function<void(const Event&)> function) {
  watchers.add([function = std::move(function)](const Happening& happening) {
    static thread_local bool in_on_event = false;
    const std::optional<EventKind> kind = kind_of(happening.moment);
    if (!kind || in_on_event) return;
    const auto took = std::chrono::steady_clock::now() - happening.begun;
    const Event event{
        .kind = *kind,
        .module = happening.module,
        .run = happening.run,
        .start = std::chrono::system_clock::now() -
                 std::chrono::duration_cast<std::chrono::system_clock::duration>(took),
        .seconds = took,
        .error = happening.error,
    };
    const Outside outside;
    in_on_event = true;
    try {
      function(event);
    } catch (...) {
      // Who watches does no harm to what is watched.
    }
    in_on_event = false;
  });
}

}  // namespace detail

}  // namespace pyhost
