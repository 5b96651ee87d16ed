// The writer that keeps lines whole, and the flush of all streams.
#include "interpreter/output.hpp"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "error/whole_text.hpp"
#include "interpreter/text_stream.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

// The unfinished lines of all threads, by thread and descriptor. A line is kept until its thread finishes it,
// so the lines of several threads do not mix.
struct UnfinishedLines {
  std::mutex mutex = {};
  std::map<std::pair<std::thread::id, int>, std::string> lines = {};
};

UnfinishedLines& unfinished_lines() {
  // Never destroyed, because threads may print while the process ends.
  static auto* const all = new UnfinishedLines;
  return *all;
}

// Returns what can be written now of this text and of the earlier text of this thread, and keeps the rest. A
// text with a carriage return is written at once, because it overwrites a line that is not finished.
std::string take_finished(int descriptor, std::string_view text) {
  const std::size_t end = text.find('\r') != std::string_view::npos ? text.size() : text.rfind('\n') + 1;
  if (end == text.size() && !holds_line) return std::string(text);
  UnfinishedLines& all = unfinished_lines();
  const std::lock_guard lock(all.mutex);
  std::string& line = all.lines[{std::this_thread::get_id(), descriptor}];
  holds_line = true;
  std::string finished;
  if (end > 0) finished = std::exchange(line, {}).append(text.substr(0, end));
  line += text.substr(end);
  return finished;
}

std::string take_unfinished(int descriptor) {
  UnfinishedLines& all = unfinished_lines();
  const std::lock_guard lock(all.mutex);
  const auto line = all.lines.extract({std::this_thread::get_id(), descriptor});
  return line.empty() ? std::string() : line.mapped();
}

// Writes the text. Returns false with Python's error set if that fails.
bool write_without_gil(int descriptor, std::string_view text) {
  while (!text.empty()) {
    int failed = 0;
    {
      const GilRelease no_gil;
      failed = write_whole(descriptor, text);
    }
    if (failed == 0) return true;
    if (failed == EINTR && PyErr_CheckSignals() == 0) continue;
    if (failed != EINTR) {
      errno = failed;
      PyErr_SetFromErrno(PyExc_OSError);
    }
    return false;
  }
  return true;
}

// Calls a method of io.BufferedWriter. Both overridden methods use it for descriptors other than stdout and
// stderr.
py::object call_base(PyTypeObject* writer, const char* method, PyObject* self, PyObject* argument) {
  const py::object function =
      steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(writer->tp_base), method));
  return steal(function ? PyObject_CallFunctionObjArgs(function.ptr(), self, argument, nullptr) : nullptr);
}

// Returns the descriptor, or -1 with Python's error set if the stream is closed.
int descriptor_of(PyObject* stream) {
  const py::object number = steal(PyObject_CallMethod(stream, "fileno", nullptr));
  return number ? static_cast<int>(PyLong_AsLong(number.ptr())) : -1;
}

bool is_standard(int descriptor) { return descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO; }

PyObject* write_lines(PyObject* self, PyTypeObject* writer, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* /*names*/) {
  if (count != 1) return PyErr_Format(PyExc_TypeError, "write() takes one argument");
  const int descriptor = descriptor_of(self);
  if (descriptor < 0) return nullptr;
  if (!is_standard(descriptor)) return call_base(writer, "write", self, arguments[0]).release().ptr();
  Py_buffer view;
  if (PyObject_GetBuffer(arguments[0], &view, PyBUF_SIMPLE) != 0) return nullptr;
  const std::string_view text(static_cast<const char*>(view.buf), static_cast<std::size_t>(view.len));
  const std::string finished = take_finished(descriptor, text);
  PyBuffer_Release(&view);
  return write_without_gil(descriptor, finished) ? PyLong_FromSsize_t(view.len) : nullptr;
}

PyObject* flush_line(PyObject* self, PyTypeObject* writer, PyObject* const* /*arguments*/,
                     Py_ssize_t /*count*/, PyObject* /*names*/) {
  const int descriptor = descriptor_of(self);
  if (descriptor < 0) return nullptr;
  if (is_standard(descriptor) && !write_without_gil(descriptor, take_unfinished(descriptor))) return nullptr;
  return call_base(writer, "flush", self, nullptr).release().ptr();
}

py::object line_writer(PyObject* raw) {
  const auto function = [](auto method) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method));
  };
  constexpr int flags = METH_METHOD | METH_FASTCALL | METH_KEYWORDS;
  static PyMethodDef methods[] = {
      {"write", function(write_lines), flags, nullptr}, {"flush", function(flush_line), flags, nullptr}, {}};
  return require(
      PyObject_CallOneArg(derive_io_type("BufferedWriter", "pyhost.BufferedWriter", methods).ptr(), raw),
      making_stream);
}

void replace_stream(const char* name, const char* dunder, const char* errors) {
  const py::object before = borrow(PySys_GetObject(name));
  if (!before || before.is_none()) return;  // stdout or stderr was closed when the process began
  const py::object buffer = require(PyObject_CallMethod(before.ptr(), "detach", nullptr), making_stream);
  const bool buffered = PyObject_HasAttrString(buffer.ptr(), "detach") != 0;
  const py::object raw =
      buffered ? require(PyObject_CallMethod(buffer.ptr(), "detach", nullptr), making_stream) : buffer;
  const py::object text = make_text_stream(line_writer(raw.ptr()).ptr(), errors);
  PySys_SetObject(name, text.ptr());
  PySys_SetObject(dunder, text.ptr());
}

bool flush(const char* name) {
  const py::object stream = borrow(PySys_GetObject(name));
  if (!stream || stream.is_none()) return true;
  if (steal(PyObject_CallMethod(stream.ptr(), "flush", nullptr))) return true;
  if (PyErr_ExceptionMatches(PyExc_OSError) != 0) return false;
  PyErr_Clear();  // a module closed or replaced the stream
  return true;
}

}  // namespace

bool flush_streams() {
  holds_line = false;
  // Also if a module has replaced sys.stdout.
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    if (!write_without_gil(descriptor, take_unfinished(descriptor))) return false;
  }
  if (!flush("stdout") || !flush("stderr")) return false;
  if (std::fflush(stdout) == 0) return true;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

void order_output() {
  // These are the error handlers of CPython's UTF-8 mode, which is always enabled here.
  replace_stream("stdout", "__stdout__", "surrogateescape");
  replace_stream("stderr", "__stderr__", "backslashreplace");
}

PyObject* flushed(PyObject* returned) {
  if (returned != nullptr) {
    if (!flush_streams()) Py_CLEAR(returned);
  } else {
    const py::error_scope raised;  // is reported later
    if (!flush_streams()) PyErr_Clear();
  }
  return returned;
}

void flush_output() noexcept {
  const py::error_scope preserved;
  if (!flush_streams()) PyErr_WriteUnraisable(nullptr);
}

void flush_output_of_all_threads() noexcept {
  UnfinishedLines& all = unfinished_lines();
  decltype(all.lines) lines;
  if (!is_forked_child) {  // a child would write the lines of its parent's threads again
    const std::lock_guard lock(all.mutex);
    lines.swap(all.lines);
  }
  flush_output();
  for (const auto& [place, line] : lines) {
    if (!write_without_gil(place.second, line)) PyErr_WriteUnraisable(nullptr);
  }
}

}  // namespace pyhost::detail
