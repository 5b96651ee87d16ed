// Enter, and how an exception is read without trusting it.
#include "enter.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>

namespace pyhost::detail {

namespace {

std::atomic<Door> door = Door::Open;

constexpr std::size_t message_limit = std::size_t{64} * 1024;
constexpr std::size_t frames_kept_at_each_end = 50;

// UTF-8 whatever the str holds: lone surrogates come out as \udXXX. Empty if even that fails.
std::string text_of(PyObject* str, std::size_t limit) {
  if (str == nullptr || !PyUnicode_Check(str)) return {};
  const auto length = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  // Cut before encoding: a message of gigabytes must not be copied.
  py::object head =
      length > limit ? own(PyUnicode_Substring(str, 0, static_cast<Py_ssize_t>(limit))) : share(str);
  const py::object bytes =
      head ? own(PyUnicode_AsEncodedString(head.ptr(), "utf-8", "backslashreplace")) : py::object();
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  std::string text(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  if (length > limit) text += "… (cut, " + std::to_string(length) + " characters in all)";
  return text;
}

// Read from the type object itself, because a metaclass may lie about __name__ or raise.
std::string qualified_name(PyTypeObject* type) {
  if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0) return type->tp_name;
  const std::string name = text_of(reinterpret_cast<PyHeapTypeObject*>(type)->ht_qualname, 1000);
  PyObject* module = type->tp_dict != nullptr ? PyDict_GetItemString(type->tp_dict, "__module__") : nullptr;
  const std::string home = text_of(module, 1000);
  return home.empty() || home == "builtins" ? name : home + "." + name;
}

std::string message_of(PyObject* exception) {
  const py::object str = own(PyObject_Str(exception));
  if (str) return text_of(str.ptr(), message_limit);
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  const py::object owners[] = {own(type), own(value), own(traceback)};
  return "(no message: its __str__ raised " + qualified_name(reinterpret_cast<PyTypeObject*>(type)) + ")";
}

int int_attribute(PyObject* object, const char* name) {
  const py::object value = own(PyObject_GetAttrString(object, name));
  const long number = value && PyLong_Check(value.ptr()) ? PyLong_AsLong(value.ptr()) : 0;
  PyErr_Clear();
  return number > 0 && number < (1L << 30) ? static_cast<int>(number) : 0;
}

std::string text_attribute(PyObject* object, const char* name) {
  const py::object value = own(PyObject_GetAttrString(object, name));
  if (!value) PyErr_Clear();
  return text_of(value.ptr(), 4096);
}

// Read by C++, so that nothing a module did to Python's own reading can get in the way.
std::string source_line(const std::string& file, int line) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(file, failed)) return {};
  std::ifstream stream(file);
  std::string text;
  for (int i = 0; i < line; ++i) {
    if (!std::getline(stream, text)) return {};
  }
  const std::size_t begin = text.find_first_not_of(" \t\f");
  if (begin == std::string::npos) return {};
  text = text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
  const auto size = static_cast<Py_ssize_t>(text.size());
  const py::object str = own(PyUnicode_DecodeUTF8(text.data(), size, "replace"));
  if (!str) PyErr_Clear();
  return text_of(str.ptr(), 200);
}

Frame frame_of(PyObject* traceback) {
  const py::object frame = own(PyObject_GetAttrString(traceback, "tb_frame"));
  const py::object code = frame ? own(PyObject_GetAttrString(frame.ptr(), "f_code")) : py::object();
  PyErr_Clear();
  if (!code) return {};
  Frame read{text_attribute(code.ptr(), "co_filename"),
             int_attribute(traceback, "tb_lineno"),
             text_attribute(code.ptr(), "co_name"),
             {}};
  read.source = source_line(read.file, read.line);
  return read;
}

std::vector<Frame> frames_of(PyObject* traceback) {
  std::vector<py::object> all;
  for (py::object at = share(traceback); at && !at.is_none();) {
    all.push_back(at);
    at = own(PyObject_GetAttrString(at.ptr(), "tb_next"));
  }
  PyErr_Clear();
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == frames_kept_at_each_end && all.size() > 2 * frames_kept_at_each_end) {
      i = all.size() - frames_kept_at_each_end;
    }
    frames.push_back(frame_of(all[i].ptr()));
  }
  return frames;
}

// A syntax error's place is no frame of Python's; for people it is one.
void add_syntax_error_place(PyObject* exception, std::vector<Frame>& frames) {
  Frame place{text_attribute(exception, "filename"), int_attribute(exception, "lineno"), {}, {}};
  if (place.file.empty()) return;
  place.source = source_line(place.file, place.line);
  frames.push_back(std::move(place));
}

[[noreturn]] void turn_away() {
  if (door == Door::Forked) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "this process was forked from one that runs Python, and cannot run it itself",
                 .hint = "call exec in the child, or open the host after the fork"});
  }
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .message = "the process is ending: Python takes no more calls"});
}

bool python_runs() {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ends = Py_IsFinalizing() != 0;
#else
  const bool ends = _Py_IsFinalizing() != 0;
#endif
  return Py_IsInitialized() != 0 && !ends;
}

// The thread state of a C++ thread, kept until the thread ends: else one would be made and thrown away at
// each call. It is PyGILState_Ensure's own, with one entry that is never left, so that pybind11 and every
// other user of that function find the same. Threads that have one anyway (the one that started Python, and
// those of Python's own) are left as they are.
class KeptThreadState {
 public:
  KeptThreadState() = default;
  KeptThreadState(const KeptThreadState&) = delete;
  KeptThreadState& operator=(const KeptThreadState&) = delete;

  PyThreadState* make() {
    PyGILState_Ensure();
    made_ = PyEval_SaveThread();
    return made_;
  }

  ~KeptThreadState() {
    if (made_ == nullptr || door != Door::Open || !python_runs() || PyGILState_GetThisThreadState() != made_) return;
    PyGILState_Ensure();
    PyGILState_Release(PyGILState_LOCKED);    // this destructor's entry
    PyGILState_Release(PyGILState_UNLOCKED);  // the one that was kept: it ends the thread state
  }

 private:
  PyThreadState* made_ = nullptr;
};

thread_local KeptThreadState kept;

// Null without the GIL; any other thread's, on Pythons before 3.12, if that one holds it.
PyThreadState* current_thread_state() {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#else
  return _PyThreadState_UncheckedGet();
#endif
}

}  // namespace

Enter::Enter() {
  if (door != Door::Open) turn_away();
  take_gil();
}

void Enter::take_gil() {
  // Asked each time: some other entry may have lent this thread a thread state for a while.
  PyThreadState* here = PyGILState_GetThisThreadState();
  if (here == nullptr) here = kept.make();
  if (current_thread_state() == here) return;
  PyEval_RestoreThread(here);
  took_gil_ = true;
}

Enter::~Enter() {
  if (took_gil_) PyEval_SaveThread();
}

void set_door(Door to) noexcept { door = to; }

PythonException take_exception() {
  PyObject *raw_type = nullptr, *raw_value = nullptr, *raw_traceback = nullptr;
  PyErr_Fetch(&raw_type, &raw_value, &raw_traceback);
  PyErr_NormalizeException(&raw_type, &raw_value, &raw_traceback);
  const py::object type = own(raw_type), value = own(raw_value), traceback = own(raw_traceback);
  if (!value) return {"SystemError", "Python reported a failure without an exception", {}};
  PythonException taken{type_of(value.ptr()), message_of(value.ptr()), frames_of(traceback.ptr())};
  if (PyErr_GivenExceptionMatches(type.ptr(), PyExc_SyntaxError) != 0) {
    add_syntax_error_place(value.ptr(), taken.frames);
  }
  return taken;
}

std::string type_of(PyObject* object) { return qualified_name(Py_TYPE(object)); }

std::string one_line(const PythonException& exception) {
  return exception.message.empty() ? exception.type : exception.type + ": " + exception.message;
}

void throw_raised(ErrorKind kind, Phase phase, std::string_view module, std::string_view happened) {
  PythonException exception = take_exception();
  throw Error({.kind = kind,
               .phase = phase,
               .module = std::string(module),
               .message = std::string(happened) + one_line(exception),
               .exception = std::move(exception)});
}

py::object must(PyObject* object, std::string_view doing) {
  if (object == nullptr) {
    throw_raised(ErrorKind::StartupFailed, Phase::Start, {}, std::string(doing) + " failed: ");
  }
  return own(object);
}

}  // namespace pyhost::detail
