// This copy of the library among those that plug-ins may bring into one process.
#pragma once

namespace pyhost::detail {

/// Keeps this copy in the process, because Python calls back into it until the process ends: dlclose() of the
/// plug-in that holds it unloads nothing any more.
void pin_library() noexcept;

}  // namespace pyhost::detail
