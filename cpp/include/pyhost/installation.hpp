// Registers the installed files of pyhost. find_package(pyhost) sets the two macros, so that pyhost can be
// installed with any prefix, and moved.
#pragma once

namespace pyhost::detail {

/// Registers the folders of pyhost's programs and of its Python files. Always returns true.
/// Ownership: the strings must stay valid until the process ends.
bool note_installation(const char* programs, const char* python_modules) noexcept;

#ifdef PYHOST_FOUND_PYTHON_MODULES
[[maybe_unused]] static const bool installation_is_noted =
    note_installation(PYHOST_FOUND_PROGRAMS, PYHOST_FOUND_PYTHON_MODULES);
#endif

}  // namespace pyhost::detail
