// Handles several copies of the library in one process, as plug-ins may bring them.
#pragma once

namespace pyhost::detail {

/// Keeps this copy loaded until the process ends, because Python calls back into it. After this, dlclose() of
/// the plug-in that contains it unloads nothing.
void pin_library() noexcept;

/// Records in Python that this copy has an open host. All copies in the process share one Python, so the
/// other copies see it.
class OpenHostNote {
 public:
  /// Throws: StartupFailed if another copy has an open host. The caller holds the GIL.
  OpenHostNote();
  ~OpenHostNote();
  OpenHostNote(const OpenHostNote&) = delete;
  OpenHostNote& operator=(const OpenHostNote&) = delete;
};

}  // namespace pyhost::detail
