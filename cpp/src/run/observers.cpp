// Tells the observers, of whom only one that sees a run end may fail.
#include "run/observers.hpp"

namespace pyhost::detail {

void Observers::notify_each(const Happening& happening) const {
  for (const Observer& observer : observers_) {
    try {
      observer(happening);
    } catch (const Error&) {
      if (happening.moment == Moment::Ending) throw;
    } catch (...) {
      // Who watches does no harm to what is watched.
    }
  }
}

}  // namespace pyhost::detail
