// Notifies other parts of the library of what happens to modules and their runs.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/event.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// The content of a notification. Valid during the call of the observer.
struct Happening {
  /// Empty if a run is about to end. This is notified once per run, by its outermost call, if there was no
  /// error and nothing else is left to do.
  std::optional<EventKind> kind;
  std::string_view module;
  RunId run;                                    ///< 0 outside of a run.
  std::chrono::steady_clock::time_point begun;  ///< The start of the step that has ended.
  const Error* error = nullptr;                 ///< For Failed. Its phase names the step.
};

/// The observers of a host, in the order in which they were added. They are called on the thread of the run,
/// with the GIL, and with no Python error set.
class Observers {
 public:
  using Observer = std::function<void(const Happening&)>;

  /// Must be called only while the host is being opened: later, the observers are read without a lock.
  void add(Observer observer) { observers_.push_back(std::move(observer)); }

  bool empty() const noexcept { return observers_.empty(); }

  /// Returns the time, for a notification at the end of the step that begins now. Costs nothing without
  /// observers.
  std::chrono::steady_clock::time_point begin() const noexcept {
    if (empty()) [[likely]]
      return {};
    return std::chrono::steady_clock::now();
  }

  /// Notifies the observers. Exceptions from them are ignored.
  void notify(EventKind kind, std::string_view module, RunId run, std::chrono::steady_clock::time_point begun,
              const Error* error = nullptr) const {
    if (!empty()) [[unlikely]]
      notify_each({kind, module, run, begun, error});
  }

  /// Notifies that the run is about to end without an error. If an observer throws an Error, the caller gets
  /// it as an error of the run. Other exceptions from observers are ignored.
  void notify_ending(std::string_view module, RunId run) const {
    if (!empty()) [[unlikely]]
      notify_each({std::nullopt, module, run, {}});
  }

  /// Notifies that a step of a run has ended. If it was the last step, first notifies that the run is about
  /// to end.
  void notify_end(EventKind kind, std::string_view module, const CurrentRun& run,
                  std::chrono::steady_clock::time_point begun, bool is_last) const {
    if (empty()) [[likely]]
      return;
    if (is_last) notify_ending(module, run.id());
    notify_each({kind, module, run.id(), begun});
  }

 private:
  void notify_each(const Happening& happening) const;
  std::vector<Observer> observers_;
};

/// Calls the action. If it throws an Error, notifies the observers of Failed. The caller holds the GIL.
template <class Action>
auto notify_failure_of(const Observers& observers, std::string_view module, Action action) {
  const auto begun = observers.begin();
  try {
    return action();
  } catch (const Error& error) {
    const CurrentRun* run = CurrentRun::here();
    observers.notify(EventKind::Failed, module, run != nullptr ? run->id() : 0, begun, &error);
    throw;
  }
}

}  // namespace pyhost::detail
