// Calls the observers. Only an Error at the end of a run goes on to the caller.
#include "run/observers.hpp"

namespace pyhost::detail {

void Observers::notify_each(const Happening& happening) const {
  for (const Observer& observer : observers_) {
    try {
      observer(happening);
    } catch (const Error&) {
      if (happening.moment == Moment::Ending) throw;
    } catch (...) {
      // Exceptions from observers are ignored.
    }
  }
}

}  // namespace pyhost::detail
