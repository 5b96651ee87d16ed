// This copy of the library among those that plug-ins may bring into one process.
#pragma once

namespace pyhost::detail {

/// Keeps this copy in the process, because Python calls back into it until the process ends: dlclose() of the
/// plug-in that holds it unloads nothing any more.
void pin_library() noexcept;

/// Notes in Python itself that this copy has a host open. All copies in the process share one Python, so the
/// others see it.
class OpenHostNote {
 public:
  /// Throws StartupFailed if another copy has a host open. The caller holds the GIL.
  OpenHostNote();
  ~OpenHostNote();
  OpenHostNote(const OpenHostNote&) = delete;
  OpenHostNote& operator=(const OpenHostNote&) = delete;
};

}  // namespace pyhost::detail
