// Finds the file that holds this copy of the library.
#include "interpreter/library_copy.hpp"

#include <dlfcn.h>

namespace pyhost::detail {

namespace {

// The name under which this copy was loaded, or null.
const char* library_file() noexcept {
  Dl_info info{};
  return dladdr(reinterpret_cast<const void*>(&pin_library), &info) != 0 ? info.dli_fname : nullptr;
}

}  // namespace

void pin_library() noexcept {
  const char* const file = library_file();
  void* const handle = file != nullptr ? dlopen(file, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) : nullptr;
  if (handle != nullptr) dlclose(handle);  // it counts as one more user, and the pin stays
}

}  // namespace pyhost::detail
