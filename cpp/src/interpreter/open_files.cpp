// Finds the open files in C++, because there may be many objects to check. Python code then closes them in
// the right order. Most processes never run that code.
#include "interpreter/open_files.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "python/python.hpp"

namespace pyhost::detail {

namespace {

// Text streams come first and raw files last. The others, such as archives and compressed files, may wrap
// each other: a wrapper comes before the file that it wraps.
constexpr const char* closing_code = R"python(
import gc
import io
import sys
import types

# The search for wrapped files does not follow these: they lead to most objects of the process.
ENDS = (type, types.ModuleType, types.FunctionType, types.CodeType, types.FrameType, str, bytes, int, float)
BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair, io.BytesIO)
NATIVE = (io.TextIOWrapper, io.FileIO, *BUFFERED)


def rank(file):
    if isinstance(file, io.TextIOBase):
        return 0
    if isinstance(file, io.RawIOBase):
        return 3
    return 2 if isinstance(file, BUFFERED) else 1


def is_standard(file):
    try:
        return type(file) in NATIVE and file.fileno() <= 2
    except Exception:
        return False


def wrapped(file, files):
    near, seen = [file], {id(file)}
    for _ in range(4):
        behind = []
        for each in gc.get_referents(*near):
            if id(each) in seen or isinstance(each, ENDS):
                continue
            seen.add(id(each))
            if id(each) in files:
                yield each
            else:
                behind.append(each)
        near = behind[:200]


def in_order(files):
    by_id = {id(file): file for file in files}
    done, order = set(), []

    def visit(file):
        done.add(id(file))
        for inner in wrapped(file, by_id):
            if id(inner) not in done:
                visit(inner)
        order.append(file)

    for file in files:
        if id(file) not in done:
            visit(file)
    return reversed(order)


def close(file):
    try:
        file.flush() if is_standard(file) else file.close()
    except BrokenPipeError:
        pass
    except OSError as error:
        name = getattr(file, "name", None) or getattr(file, "filename", None) or type(file).__name__
        print(f"pyhost: {name!r} was left open, and closing it failed: {error}", file=sys.stderr)
    except BaseException:
        pass  # such as a file that was detached


def close_all(files):
    # Daemon threads may still use these files. Their failures then are not errors of the module.
    if threading := sys.modules.get("threading"):
        threading.excepthook = lambda arguments: None
    if logging := sys.modules.get("logging"):
        logging.raiseExceptions = False
    for number in range(4):
        same = [file for file in files if rank(file) == number]
        for file in in_order(same) if number < 2 else same:
            close(file)
)python";

// Classes that are like an open file and have a close(), but do not derive from io.IOBase.
constexpr std::array<std::pair<const char*, const char*>, 7> more_classes{
    {{"zipfile", "ZipFile"},
     {"tarfile", "TarFile"},
     {"shelve", "Shelf"},
     {"dbm.dumb", "_Database"},
     {"dbm.sqlite3", "_Database"},
     {"tempfile", "SpooledTemporaryFile"},
     {"tempfile", "_TemporaryFileWrapper"}}};
// Classes that their extension modules do not export.
constexpr std::array<std::string_view, 2> more_type_names{"_dbm.dbm", "_gdbm.gdbm"};

class FileTypes {
 public:
  FileTypes() : io_(steal(PyImport_ImportModule("_io"))) {
    add_class(io_.ptr(), "_IOBase");
    for (const auto& [module, name] : more_classes)
      add_class(PyDict_GetItemString(PyImport_GetModuleDict(), module), name);
    // These hold only memory. A class that is derived from them may do more.
    for (const char* name : {"BytesIO", "StringIO"}) {
      const py::object in_memory = attribute_or_null(io_.ptr(), name);
      known_[reinterpret_cast<PyTypeObject*>(in_memory.ptr())] = false;
    }
  }

  /// Returns whether the object is an io.IOBase.
  bool is_io(PyObject* object) const {
    PyObject* const base = classes_.empty() ? nullptr : classes_.front().ptr();
    return base != nullptr && PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(base)) != 0;
  }

  bool has(PyTypeObject* type) {
    PyTypeObject*& recent = recent_[reinterpret_cast<std::uintptr_t>(type) / 64 % recent_.size()];
    if (recent == type) return false;
    const auto [known, added] = known_.try_emplace(type, false);
    if (added) known->second = is_file(type);
    if (!known->second) recent = type;
    return known->second;
  }

 private:
  static py::object attribute_or_null(PyObject* object, const char* name) {
    py::object value = steal(object != nullptr ? PyObject_GetAttrString(object, name) : nullptr);
    PyErr_Clear();
    return value;
  }

  void add_class(PyObject* module, const char* name) {
    py::object found = attribute_or_null(module, name);
    if (found && PyType_Check(found.ptr())) classes_.push_back(std::move(found));
  }

  bool is_file(PyTypeObject* type) const {
    for (const py::object& each : classes_) {
      if (PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(each.ptr())) != 0) return true;
    }
    for (const std::string_view name : more_type_names) {
      if (name == type->tp_name) return true;
    }
    return false;
  }

  py::object io_;
  std::vector<py::object> classes_;
  std::unordered_map<PyTypeObject*, bool> known_;
  std::array<PyTypeObject*, 64> recent_{};  // types of other objects, of which there are many more than files
};

// Returns whether the file is closed, or is a wrapper that was detached from its file.
bool is_closed(PyObject* file) {
  const py::object closed = steal(PyObject_GetAttrString(file, "closed"));
  const bool detached = !closed && PyErr_ExceptionMatches(PyExc_ValueError) != 0;
  PyErr_Clear();
  return detached || closed.ptr() == Py_True;
}

// Returns sys.stdin and the other standard streams, and the objects that they wrap.
std::unordered_set<PyObject*> standard_streams() {
  std::unordered_set<PyObject*> found;
  for (const char* name : {"stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"}) {
    py::object stream = borrow(PySys_GetObject(name));
    for (const char* inner : {"buffer", "raw"}) {
      if (!stream) break;
      found.insert(stream.ptr());
      stream = steal(PyObject_GetAttrString(stream.ptr(), inner));
    }
    if (stream) found.insert(stream.ptr());
    PyErr_Clear();
  }
  return found;
}

// A list of weak references to the open files among the frozen objects; null before freeze_objects(). Never
// released.
PyObject* frozen_files = nullptr;

// Appends the frozen files that still exist.
void append_frozen_files(PyObject* objects) {
  for (Py_ssize_t i = 0; frozen_files != nullptr && i < PyList_GET_SIZE(frozen_files); ++i) {
    const py::object file = steal(PyObject_CallNoArgs(PyList_GET_ITEM(frozen_files, i)));
    if (file && !file.is_none()) PyList_Append(objects, file.ptr());
  }
  PyErr_Clear();
}

py::object find_open_files() {
  const py::object gc = steal(PyImport_ImportModule("gc"));
  const py::object objects = steal(gc ? PyObject_CallMethod(gc.ptr(), "get_objects", nullptr) : nullptr);
  py::object files = steal(PyList_New(0));
  if (!objects || !files) return {};
  append_frozen_files(objects.ptr());
  FileTypes types;
  const std::unordered_set<PyObject*> standard = standard_streams();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects.ptr()); ++i) {
    PyObject* const object = PyList_GET_ITEM(objects.ptr(), i);
    if (!types.has(Py_TYPE(object)) || standard.contains(object)) continue;
    if (types.is_io(object) && is_closed(object)) continue;
    if (PyList_Append(files.ptr(), object) != 0) return {};
  }
  return files;
}

void flush_each(PyObject* files) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(files); ++i) {
    PyErr_Clear();
    steal(PyObject_CallMethod(PyList_GET_ITEM(files, i), "flush", nullptr));
  }
}

}  // namespace

void freeze_objects() {
  const py::object files = find_open_files();
  py::object references = steal(PyList_New(0));
  bool complete = files && references;
  for (Py_ssize_t i = 0; complete && i < PyList_GET_SIZE(files.ptr()); ++i) {
    const py::object reference = steal(PyWeakref_NewRef(PyList_GET_ITEM(files.ptr(), i), nullptr));
    complete = reference && PyList_Append(references.ptr(), reference.ptr()) == 0;
  }
  const py::object gc = steal(complete ? PyImport_ImportModule("gc") : nullptr);
  if (gc && steal(PyObject_CallMethod(gc.ptr(), "freeze", nullptr)))
    frozen_files = references.release().ptr();
  PyErr_Clear();
}

void close_open_files() {
  const py::object files = find_open_files();
  if (files && PyList_GET_SIZE(files.ptr()) > 0) {
    const py::object names = steal(Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins()));
    const py::object code = steal(Py_CompileString(closing_code, closing_code_name, Py_file_input));
    const py::object ready =
        steal(names && code ? PyEval_EvalCode(code.ptr(), names.ptr(), names.ptr()) : nullptr);
    PyObject* const close_all = ready ? PyDict_GetItemString(names.ptr(), "close_all") : nullptr;
    const py::object closed =
        steal(close_all != nullptr ? PyObject_CallOneArg(close_all, files.ptr()) : nullptr);
    if (!closed) flush_each(files.ptr());  // such as when an audit hook refuses the code
  }
  PyErr_Clear();
}

}  // namespace pyhost::detail
