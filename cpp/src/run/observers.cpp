// Calls the observers. Only an Error where a run is about to end goes on to the caller.
#include "run/observers.hpp"

namespace pyhost::detail {

void Observers::notify_each(const Happening& happening) const {
  for (const Observer& observer : observers_) {
    try {
      observer(happening);
    } catch (const Error&) {
      if (!happening.kind) throw;
    } catch (...) {
      // Exceptions from observers are ignored.
    }
  }
}

}  // namespace pyhost::detail
