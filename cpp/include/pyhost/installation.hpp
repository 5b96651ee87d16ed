// Where the pyhost that a program links is installed. find_package(pyhost) tells it by two definitions, so
// that the tree may be installed with any prefix, and moved.
#pragma once

namespace pyhost::detail {

/// Notes the folders of pyhost's programs and of its Python files. The texts must live as long as the
/// process.
bool note_installation(const char* programs, const char* python_modules) noexcept;

#ifdef PYHOST_FOUND_PYTHON_MODULES
[[maybe_unused]] static const bool installation_is_noted =
    note_installation(PYHOST_FOUND_PROGRAMS, PYHOST_FOUND_PYTHON_MODULES);
#endif

}  // namespace pyhost::detail
