// Tells the watchers, of whom only one that sees a run end may fail.
#include "run/watchers.hpp"

namespace pyhost::detail {

void Watchers::tell_each(const Happening& happening) const {
  for (const Watcher& watcher : watchers_) {
    try {
      watcher(happening);
    } catch (const Error&) {
      if (happening.moment == Moment::Ending) throw;
    } catch (...) {
      // Who watches does no harm to what is watched.
    }
  }
}

}  // namespace pyhost::detail
