// The writer that notes whether it holds something back, and the flushing of all streams.
#include "interpreter/output.hpp"

#include "interpreter/text_stream.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

// io.BufferedWriter.write, which this type overrides to note that it was called.
PyObject* write_and_note(PyObject* self, PyTypeObject* writer, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
  written.store(true, std::memory_order_relaxed);
  const py::object write =
      steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(writer->tp_base), "write"));
  if (!write || count != 1)
    return count == 1 ? nullptr : PyErr_Format(PyExc_TypeError, "write() takes one argument");
  PyObject* both[] = {self, arguments[0]};
  return PyObject_Vectorcall(write.ptr(), both, 2, names);
}

py::object noting_writer(PyObject* raw) {
  static PyMethodDef methods[] = {
      {"write", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(write_and_note)),
       METH_METHOD | METH_FASTCALL | METH_KEYWORDS, nullptr},
      {}};
  return require(
      PyObject_CallOneArg(derive_io_type("BufferedWriter", "pyhost.BufferedWriter", methods).ptr(), raw),
      making_stream);
}

void replace_stream(const char* name, const char* dunder, const char* errors) {
  const py::object before = borrow(PySys_GetObject(name));
  if (!before || before.is_none()) return;  // it was closed when the process began
  const py::object buffer = require(PyObject_CallMethod(before.ptr(), "detach", nullptr), making_stream);
  const bool buffered = PyObject_HasAttrString(buffer.ptr(), "detach") != 0;
  const py::object raw =
      buffered ? require(PyObject_CallMethod(buffer.ptr(), "detach", nullptr), making_stream) : buffer;
  const py::object text = make_text_stream(noting_writer(raw.ptr()).ptr(), errors, true);
  PySys_SetObject(name, text.ptr());
  PySys_SetObject(dunder, text.ptr());
}

bool flush(const char* name) {
  const py::object stream = borrow(PySys_GetObject(name));
  if (!stream || stream.is_none()) return true;
  if (steal(PyObject_CallMethod(stream.ptr(), "flush", nullptr))) return true;
  if (PyErr_ExceptionMatches(PyExc_OSError) != 0) return false;
  PyErr_Clear();  // a module closed the stream, or put something else in its place
  return true;
}

}  // namespace

bool flush_streams() {
  holds_line = false;
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) written.store(false, std::memory_order_relaxed);
  if (!flush("stdout") || !flush("stderr")) return false;
  if (std::fflush(stdout) == 0) return true;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

void order_output() {
  // The error handlers of CPython's UTF-8 mode, which is always on here.
  replace_stream("stdout", "__stdout__", "surrogateescape");
  replace_stream("stderr", "__stderr__", "backslashreplace");
}

py::object flushed(py::object returned) {
  if (returned) {
    if (!flush_streams()) returned = py::object();
  } else {
    const py::error_scope raised;  // is still to be told
    if (!flush_streams()) PyErr_Clear();
  }
  return returned;
}

void flush_output() noexcept {
  const py::error_scope kept;
  if (!flush_streams()) PyErr_WriteUnraisable(nullptr);
}

}  // namespace pyhost::detail
