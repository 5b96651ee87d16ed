// Finds the file that contains this copy of the library, and records it in Python.
#include "interpreter/library_copy.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "python/gil.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* note_name = "pyhost.open_host";

// Returns the name under which this copy was loaded, or null. dladdr() reads all symbols of the program.
const char* library_file() noexcept {
  static const char* const file = [] {
    Dl_info info{};
    return dladdr(reinterpret_cast<const void*>(&pin_library), &info) != 0 ? info.dli_fname : nullptr;
  }();
  return file;
}

PyObject* interpreter_dict() { return PyInterpreterState_GetDict(PyInterpreterState_Get()); }

}  // namespace

void pin_library() noexcept {
  const char* const file = library_file();
  void* const handle = file != nullptr ? dlopen(file, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) : nullptr;
  if (handle != nullptr) dlclose(handle);  // dlopen counted one more user; the pin stays
}

OpenHostNote::OpenHostNote() {
  PyObject* const notes = interpreter_dict();
  if (notes == nullptr) return;
  if (PyObject* const other = PyDict_GetItemString(notes, note_name)) {
    throw Error(
        {.kind = ErrorKind::StartupFailed,
         .phase = Phase::Start,
         .message = "another copy of pyhost has a host open in this process: the copy in " +
                    std::string(view(other)),
         .hint = "a process has one open host at a time: close that one first, or use another process"});
  }
  std::string file = library_file() != nullptr ? library_file() : "an unknown file";
  std::error_code failed;
  const std::filesystem::path canonical = std::filesystem::canonical(file, failed);
  if (!failed) file = canonical.string();
  const py::object name = steal(PyUnicode_DecodeFSDefault(file.c_str()));
  if (!name || PyDict_SetItemString(notes, note_name, name.ptr()) != 0) PyErr_Clear();
}

OpenHostNote::~OpenHostNote() {
  try {
    const GilAcquire gil;
    if (PyObject* const notes = interpreter_dict();
        notes != nullptr && PyDict_DelItemString(notes, note_name) != 0)
      PyErr_Clear();
  } catch (const Error&) {
    // Python has ended.
  }
}

}  // namespace pyhost::detail
