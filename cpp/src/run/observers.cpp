// Calls the observers. Of their exceptions, the caller gets only an Error at the end of a run.
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
