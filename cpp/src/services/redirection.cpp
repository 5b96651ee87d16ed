// A raw Python stream that passes whole lines to a function.
#include "services/redirection.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "error/whole_text.hpp"
#include "interpreter/output.hpp"
#include "interpreter/text_stream.hpp"
#include "python/gil.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

using StreamName = Output::Stream;

struct OutputSink {
  std::function<void(const Output&)> function;
  std::recursive_mutex calling;  ///< Held during a call, which may run a module that writes again.

  struct PartialLine {
    std::string module;
    std::string text;
  };
  std::mutex partial_mutex;
  std::map<std::pair<std::thread::id, StreamName>, PartialLine> partial;  ///< Each thread's unfinished line.
};

namespace {

using SharedSink = std::shared_ptr<OutputSink>;

SharedSink sink_of(PyObject* capsule) {
  return *static_cast<SharedSink*>(PyCapsule_GetPointer(capsule, nullptr));
}

// Releases the GIL, and calls the sink's function. Returns false with Python's error set if it throws.
bool deliver(OutputSink& sink, StreamName stream, const OutputSink::PartialLine& text) {
  std::string failure;
  {
    const GilRelease no_gil;
    try {
      deliver(sink, {text.module, stream, text.text});
      return true;
    } catch (const std::exception& thrown) {
      failure = std::string("on_output threw: ") + thrown.what();
    } catch (...) {
      failure = "on_output threw something that is not a std::exception";
    }
  }
  PyErr_SetString(PyExc_OSError, failure.c_str());
  return false;
}

// Appends to this thread's text, and removes and returns its whole lines.
OutputSink::PartialLine take_lines(OutputSink& sink, StreamName stream, std::string_view more,
                                   const std::string& module) {
  const std::lock_guard lock(sink.partial_mutex);
  const auto at = sink.partial.try_emplace({std::this_thread::get_id(), stream}).first;
  OutputSink::PartialLine& line = at->second;
  if (line.text.empty()) line.module = module;
  line.text += more;
  const std::size_t whole = line.text.rfind('\n') + 1;
  OutputSink::PartialLine lines{line.module, line.text.substr(0, whole)};
  line.text.erase(0, whole);
  if (line.text.empty())
    sink.partial.erase(at);
  else
    holds_line = true;
  return lines;
}

OutputSink::PartialLine take_all(OutputSink& sink, StreamName stream) {
  const std::lock_guard lock(sink.partial_mutex);
  const auto node = sink.partial.extract({std::this_thread::get_id(), stream});
  return node.empty() ? OutputSink::PartialLine() : node.mapped();
}

constexpr int descriptor_of(StreamName stream) {
  return stream == StreamName::Stdout ? STDOUT_FILENO : STDERR_FILENO;
}

// write() and flush() of a raw stream that writes to a sink. `self` is a capsule that shares the sink.
template <StreamName stream>
PyObject* write_to_sink(PyObject* self, PyObject* bytes) {
  Py_buffer view;
  if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) != 0) return nullptr;
  const SharedSink sink = sink_of(self);
  const auto size = static_cast<std::size_t>(view.len);
  if (is_forked_child) {  // a thread of the parent may hold the locks, and on_output belongs to the parent
    const bool is_written = write(descriptor_of(stream), view.buf, size) >= 0;
    PyBuffer_Release(&view);
    return is_written ? PyLong_FromSize_t(size) : PyErr_SetFromErrno(PyExc_OSError);
  }
  const OutputSink::PartialLine lines =
      take_lines(*sink, stream, {static_cast<const char*>(view.buf), size}, running_module());
  PyBuffer_Release(&view);
  if (!lines.text.empty() && !deliver(*sink, stream, lines)) return nullptr;
  return PyLong_FromSize_t(size);
}

template <StreamName stream>
PyObject* flush_sink(PyObject* self, PyObject* /*arguments*/) {
  if (is_forked_child) return borrow(Py_None).release().ptr();  // the parent writes its buffered text itself
  const SharedSink sink = sink_of(self);
  const OutputSink::PartialLine rest = take_all(*sink, stream);
  if (!rest.text.empty() && !deliver(*sink, stream, rest)) return nullptr;
  return borrow(Py_None).release().ptr();
}

// The process's own descriptor: child processes and C code that get the stream write to the same place as
// without a redirection.
template <StreamName stream>
PyObject* own_descriptor(PyObject* /*self*/, PyObject* /*arguments*/) {
  if (fcntl(descriptor_of(stream), F_GETFD) < 0) return PyErr_SetFromErrno(PyExc_OSError);
  return PyLong_FromLong(descriptor_of(stream));
}

template <StreamName stream>
py::object sink_stream(const SharedSink& sink, const char* errors) {
  static PyMethodDef functions[] = {{"write", write_to_sink<stream>, METH_O, nullptr},
                                    {"flush", flush_sink<stream>, METH_NOARGS, nullptr}};
  static PyMethodDef methods[] = {
      {"writable", [](PyObject*, PyObject*) { return borrow(Py_True).release().ptr(); }, METH_NOARGS,
       nullptr},
      {"fileno", own_descriptor<stream>, METH_NOARGS, nullptr},
      {}};
  const py::object type = derive_io_type("_RawIOBase", "pyhost.RawOutput", methods);
  const py::object raw = require(PyObject_CallNoArgs(type.ptr()), making_stream);
  const auto destroy = [](PyObject* capsule) {
    delete static_cast<SharedSink*>(PyCapsule_GetPointer(capsule, nullptr));
  };
  auto shared = std::make_unique<SharedSink>(sink);
  const py::object capsule = require(PyCapsule_New(shared.get(), nullptr, destroy), making_stream);
  static_cast<void>(shared.release());
  for (PyMethodDef& each : functions) {
    const py::object function = require(PyCFunction_New(&each, capsule.ptr()), making_stream);
    if (PyObject_SetAttrString(raw.ptr(), each.ml_name, function.ptr()) != 0) require(nullptr, making_stream);
  }
  return make_text_stream(raw.ptr(), errors);
}

}  // namespace

std::shared_ptr<OutputSink> make_sink(std::function<void(const Output&)> function) {
  auto sink = std::make_shared<OutputSink>();
  sink->function = std::move(function);
  return sink;
}

void deliver(OutputSink& sink, const Output& output) {
  const std::lock_guard lock(sink.calling);
  if (sink.function) return sink.function(output);
  // A thread of a module may still write after the host was closed.
  std::string_view text = output.text;
  while (write_whole(descriptor_of(output.stream), text) == EINTR) continue;
}

void close_sink(OutputSink& sink) {
  const GilReleaseIfHeld no_gil;
  const std::lock_guard lock(sink.calling);
  sink.function = nullptr;
}

Redirection::Redirection(std::shared_ptr<OutputSink> sink) : sink_(std::move(sink)) {
  const py::object out = sink_stream<StreamName::Stdout>(sink_, "surrogateescape");
  const py::object err = sink_stream<StreamName::Stderr>(sink_, "backslashreplace");
  for (Stream* stream : {&stdout_, &stderr_}) {
    stream->before = borrow(PySys_GetObject(stream->name));
    PySys_SetObject(stream->name, (stream == &stdout_ ? out : err).ptr());
  }
}

Redirection::~Redirection() {
  const py::error_scope kept;
  if (!flush_streams()) PyErr_Clear();
  for (Stream* stream : {&stdout_, &stderr_}) {
    PySys_SetObject(stream->name, stream->before ? stream->before.ptr() : Py_None);
    stream->before = py::object();
  }
}

}  // namespace pyhost::detail
