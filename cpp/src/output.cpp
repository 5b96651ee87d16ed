// The writer that notes whether it holds something back, and the raw stream that ends in a function.
#include "output.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "current_run.hpp"
#include "enter.hpp"

namespace pyhost::detail {

using StreamName = Output::Stream;

struct Sink {
  std::function<void(const Output&)> function;
  std::recursive_mutex calling;  ///< Held during a call, which may run a module that writes again.

  struct Held {
    std::string module;
    std::string text;
  };
  std::mutex holding;
  std::map<std::pair<std::thread::id, StreamName>, Held> held;  ///< Each thread's line that is not yet whole.
};

namespace {

constexpr std::string_view making = "making a stream";

// io.BufferedWriter.write, which this type overrides to note that it was called.
PyObject* write_and_note(PyObject* self, PyTypeObject* writer, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
  written.store(true, std::memory_order_relaxed);
  const py::object write = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(writer->tp_base), "write"));
  if (!write || count != 1)
    return count == 1 ? nullptr : PyErr_Format(PyExc_TypeError, "write() takes one argument");
  PyObject* both[] = {self, arguments[0]};
  return PyObject_Vectorcall(write.ptr(), both, 2, names);
}

py::object derived_type(const char* base, const char* name, PyMethodDef* methods) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, nullptr}};
  PyType_Spec spec{name, 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  // The types of C: those of the module io have a metaclass, which Python 3.14 does not derive from here.
  const py::object io = must(PyImport_ImportModule("_io"), making);
  const py::object bases =
      must(Py_BuildValue("(N)", PyObject_GetAttrString(io.ptr(), base)), "finding io's types");
  return must(PyType_FromSpecWithBases(&spec, bases.ptr()), making);
}

// A text stream that holds nothing back itself, made as CPython makes its own (Python/pylifecycle.c,
// create_stdio); `by_lines` also flushes what is beneath it at each line's end.
py::object text_stream(PyObject* binary, const char* errors, bool by_lines) {
  const py::object io = must(PyImport_ImportModule("io"), making);
  py::object text = must(PyObject_CallMethod(io.ptr(), "TextIOWrapper", "OsssOO", binary, "utf-8", errors,
                                             "\n", by_lines ? Py_True : Py_False, Py_True),
                         making);
  const py::object mode = must(PyUnicode_FromString("w"), making);
  if (PyObject_SetAttrString(text.ptr(), "mode", mode.ptr()) != 0) must(nullptr, making);
  return text;
}

py::object noting_writer(PyObject* raw) {
  static PyMethodDef methods[] = {
      {"write", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(write_and_note)),
       METH_METHOD | METH_FASTCALL | METH_KEYWORDS, nullptr},
      {}};
  return must(
      PyObject_CallOneArg(derived_type("BufferedWriter", "pyhost.BufferedWriter", methods).ptr(), raw),
      making);
}

void replace_stream(const char* name, const char* dunder, const char* errors) {
  const py::object before = share(PySys_GetObject(name));
  if (!before || before.is_none()) return;  // it was closed when the process began
  const py::object buffer = must(PyObject_CallMethod(before.ptr(), "detach", nullptr), making);
  const bool buffered = PyObject_HasAttrString(buffer.ptr(), "detach") != 0;
  const py::object raw =
      buffered ? must(PyObject_CallMethod(buffer.ptr(), "detach", nullptr), making) : buffer;
  const py::object text = text_stream(noting_writer(raw.ptr()).ptr(), errors, true);
  PySys_SetObject(name, text.ptr());
  PySys_SetObject(dunder, text.ptr());
}

}  // namespace

std::string running_module() {
  if (const CurrentRun* run = CurrentRun::here()) return std::string(run->module());
  std::string found;
  const auto back_of = [](PyFrameObject* frame) {
    return own(reinterpret_cast<PyObject*>(PyFrame_GetBack(frame)));
  };
  for (py::object frame = own(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
       frame; frame = back_of(reinterpret_cast<PyFrameObject*>(frame.ptr()))) {
    const py::object globals = own(PyObject_GetAttrString(frame.ptr(), "f_globals"));
    PyObject* name = globals ? PyDict_GetItemString(globals.ptr(), "__name__") : nullptr;
    constexpr std::string_view package = "modules.";
    if (view(name).starts_with(package)) found = view(name).substr(package.size());
  }
  return found;
}

namespace {

using SharedSink = std::shared_ptr<Sink>;

SharedSink sink_of(PyObject* capsule) {
  return *static_cast<SharedSink*>(PyCapsule_GetPointer(capsule, nullptr));
}

// The same for who holds the GIL. False, with Python's error set, if it throws.
bool give(Sink& sink, StreamName stream, const Sink::Held& said) {
  std::string failure;
  {
    const Leave leave;
    try {
      give(sink, {said.module, stream, said.text});
      return true;
    } catch (const std::exception& thrown) {
      failure = std::string("on_output threw: ") + thrown.what();
    } catch (...) {
      failure = "on_output threw what is no std::exception";
    }
  }
  PyErr_SetString(PyExc_OSError, failure.c_str());
  return false;
}

// What this thread's text comes to with more at its end, up to the end of its last whole line.
Sink::Held take_lines(Sink& sink, StreamName stream, std::string_view more, const std::string& module) {
  const std::lock_guard lock(sink.holding);
  const auto at = sink.held.try_emplace({std::this_thread::get_id(), stream}).first;
  Sink::Held& held = at->second;
  if (held.text.empty()) held.module = module;
  held.text += more;
  const std::size_t whole = held.text.rfind('\n') + 1;
  Sink::Held lines{held.module, held.text.substr(0, whole)};
  held.text.erase(0, whole);
  holds_line = !held.text.empty();
  if (!holds_line) sink.held.erase(at);
  return lines;
}

Sink::Held take_all(Sink& sink, StreamName stream) {
  const std::lock_guard lock(sink.holding);
  const auto node = sink.held.extract({std::this_thread::get_id(), stream});
  return node.empty() ? Sink::Held() : node.mapped();
}

// write() and flush() of a raw stream that ends in a sink; `self` is a capsule that shares it.
template <StreamName stream>
PyObject* write_to_sink(PyObject* self, PyObject* bytes) {
  Py_buffer view;
  if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) != 0) return nullptr;
  const SharedSink sink = sink_of(self);
  const auto size = static_cast<std::size_t>(view.len);
  const Sink::Held lines =
      take_lines(*sink, stream, {static_cast<const char*>(view.buf), size}, running_module());
  PyBuffer_Release(&view);
  if (!lines.text.empty() && !give(*sink, stream, lines)) return nullptr;
  return PyLong_FromSize_t(size);
}

template <StreamName stream>
PyObject* flush_sink(PyObject* self, PyObject* /*arguments*/) {
  const SharedSink sink = sink_of(self);
  const Sink::Held rest = take_all(*sink, stream);
  if (!rest.text.empty() && !give(*sink, stream, rest)) return nullptr;
  return share(Py_None).release().ptr();
}

template <StreamName stream>
py::object sink_stream(const SharedSink& sink, const char* errors) {
  static PyMethodDef functions[] = {{"write", write_to_sink<stream>, METH_O, nullptr},
                                    {"flush", flush_sink<stream>, METH_NOARGS, nullptr}};
  static PyMethodDef methods[] = {
      {"writable", [](PyObject*, PyObject*) { return share(Py_True).release().ptr(); }, METH_NOARGS, nullptr},
      {}};
  const py::object type = derived_type("_RawIOBase", "pyhost.RawOutput", methods);
  const py::object raw = must(PyObject_CallNoArgs(type.ptr()), making);
  const auto destroy = [](PyObject* capsule) {
    delete static_cast<SharedSink*>(PyCapsule_GetPointer(capsule, nullptr));
  };
  auto shared = std::make_unique<SharedSink>(sink);
  const py::object capsule = must(PyCapsule_New(shared.get(), nullptr, destroy), making);
  static_cast<void>(shared.release());
  for (PyMethodDef& each : functions) {
    const py::object function = must(PyCFunction_New(&each, capsule.ptr()), making);
    if (PyObject_SetAttrString(raw.ptr(), each.ml_name, function.ptr()) != 0) must(nullptr, making);
  }
  return text_stream(raw.ptr(), errors, false);  // the sink itself holds lines together
}

bool flush(const char* name) {
  const py::object stream = share(PySys_GetObject(name));
  if (!stream || stream.is_none()) return true;
  if (own(PyObject_CallMethod(stream.ptr(), "flush", nullptr))) return true;
  if (PyErr_ExceptionMatches(PyExc_OSError) != 0) return false;
  PyErr_Clear();  // a module closed the stream, or put something else in its place
  return true;
}

bool flush_all() {
  holds_line = false;
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) written.store(false, std::memory_order_relaxed);
  if (!flush("stdout") || !flush("stderr")) return false;
  if (std::fflush(stdout) == 0) return true;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

}  // namespace

void order_output() {
  // The error handlers of CPython's UTF-8 mode, which is always on here.
  replace_stream("stdout", "__stdout__", "surrogateescape");
  replace_stream("stderr", "__stderr__", "backslashreplace");
}

py::object flushed(py::object returned) {
  if (returned) {
    if (!flush_all()) returned = py::object();
  } else {
    const py::error_scope raised;  // is still to be told
    if (!flush_all()) PyErr_Clear();
  }
  return returned;
}

void flush_output() noexcept {
  const py::error_scope kept;
  if (!flush_all()) PyErr_WriteUnraisable(nullptr);
}

std::shared_ptr<Sink> make_sink(std::function<void(const Output&)> function) {
  auto sink = std::make_shared<Sink>();
  sink->function = std::move(function);
  return sink;
}

void give(Sink& sink, const Output& output) {
  const std::lock_guard lock(sink.calling);
  if (sink.function) return sink.function(output);
  // Also if the host is closed, and a thread of a module's still writes.
  const int fd = output.stream == StreamName::Stdout ? STDOUT_FILENO : STDERR_FILENO;
  static_cast<void>(!write(fd, output.text.data(), output.text.size()));
}

void close_sink(Sink& sink) {
  const Outside outside;
  const std::lock_guard lock(sink.calling);
  sink.function = nullptr;
}

Redirection::Redirection(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {
  const py::object out = sink_stream<StreamName::Stdout>(sink_, "surrogateescape");
  const py::object err = sink_stream<StreamName::Stderr>(sink_, "backslashreplace");
  for (Stream* stream : {&stdout_, &stderr_}) {
    stream->before = share(PySys_GetObject(stream->name));
    PySys_SetObject(stream->name, (stream == &stdout_ ? out : err).ptr());
  }
}

Redirection::~Redirection() {
  const py::error_scope kept;
  if (!flush_all()) PyErr_Clear();
  for (Stream* stream : {&stdout_, &stderr_}) {
    PySys_SetObject(stream->name, stream->before ? stream->before.ptr() : Py_None);
    stream->before = py::object();
  }
}

}  // namespace pyhost::detail
