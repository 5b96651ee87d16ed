// A type of our own exports C++ memory to Python. A memoryview keeps Python's memory alive for C++.
#include "convert/buffer_protocol.hpp"

#include <new>
#include <string>
#include <utility>

#include "convert/buffer_data.hpp"
#include "convert/refusals.hpp"
#include "python/gil.hpp"
#include "python/py_string.hpp"

namespace pyhost::detail {

namespace {

using Shared = std::shared_ptr<BufferData>;

constexpr const char* type_key = "pyhost.buffer type";  // in the interpreter's own dict

struct Exporter {
  PyObject_HEAD Shared data;
};

// A view keeps the data alive, and holds the arrays that Py_buffer points to.
struct View {
  Shared data;
  std::vector<Py_ssize_t> shape;
  std::vector<Py_ssize_t> strides;

  explicit View(Shared of)
      : data(std::move(of)),
        shape(data->layout.shape.begin(), data->layout.shape.end()),
        strides(data->layout.strides.begin(), data->layout.strides.end()) {}
};

int refuse_view(Py_buffer* view, const char* problem) {
  view->obj = nullptr;
  PyErr_SetString(PyExc_BufferError, problem);
  return -1;
}

// Returns why the requested view is impossible; null if it is possible.
const char* problem_of(const Py_buffer& view, int flags, bool writable) {
  const auto asks = [flags](int wanted) { return (flags & wanted) == wanted; };
  if (asks(PyBUF_WRITABLE) && !writable) return "this buffer of the host is read-only";
  if (asks(PyBUF_C_CONTIGUOUS) && PyBuffer_IsContiguous(&view, 'C') == 0)
    return "the buffer is not contiguous";
  if (asks(PyBUF_F_CONTIGUOUS) && PyBuffer_IsContiguous(&view, 'F') == 0)
    return "the buffer is in row-major order";
  if (asks(PyBUF_ANY_CONTIGUOUS) && PyBuffer_IsContiguous(&view, 'A') == 0)
    return "the buffer is not contiguous";
  if (!asks(PyBUF_STRIDES) && PyBuffer_IsContiguous(&view, 'C') == 0) return "the buffer is not contiguous";
  return nullptr;
}

int get_view(PyObject* self, Py_buffer* view, int flags) {
  auto* const exporter = reinterpret_cast<Exporter*>(self);
  BufferData& data = *exporter->data;
  auto content = std::make_unique<View>(exporter->data);
  view->buf = const_cast<void*>(data.data);
  view->len = static_cast<Py_ssize_t>(data.size);
  view->itemsize = static_cast<Py_ssize_t>(data.layout.item_size);
  view->readonly = data.layout.writable ? 0 : 1;
  view->ndim = static_cast<int>(content->shape.size());
  view->format = data.layout.format.data();
  view->shape = content->shape.data();
  view->strides = content->strides.data();
  view->suboffsets = nullptr;
  if (const char* problem = problem_of(*view, flags, data.layout.writable)) return refuse_view(view, problem);
  if ((flags & PyBUF_FORMAT) == 0) view->format = nullptr;
  if ((flags & PyBUF_ND) == 0) {  // then the view is a flat sequence of bytes
    view->ndim = 1;
    view->shape = nullptr;
  }
  if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES) view->strides = nullptr;
  {
    const std::lock_guard lock(data.mutex);
    if (data.revoked) return refuse_view(view, "the host has revoked this buffer");
    ++data.views;
  }
  Py_INCREF(self);
  view->obj = self;
  view->internal = content.release();
  return 0;
}

void end_view(PyObject* /*self*/, Py_buffer* view) {
  const std::unique_ptr<View> content(static_cast<View*>(view->internal));
  {
    const std::lock_guard lock(content->data->mutex);
    --content->data->views;
  }
  content->data->view_ended.notify_all();
}

void destroy(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  reinterpret_cast<Exporter*>(self)->data.~Shared();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  const BufferData& data = *reinterpret_cast<Exporter*>(self)->data;
  std::string shape;
  for (const std::size_t count : data.layout.shape) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(count);
  }
  return PyUnicode_FromFormat("<buffer of the host, format '%s', shape (%s)%s>", data.layout.format.c_str(),
                              shape.c_str(), data.layout.writable ? ", writable" : "");
}

// Returns the type, which is created once per interpreter.
py::object exporter_type() {
  PyObject* const dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
  py::object type = borrow(dict != nullptr ? PyDict_GetItemString(dict, type_key) : nullptr);
  if (type) return type;
  PyType_Slot slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_view)},
                         {Py_bf_releasebuffer, reinterpret_cast<void*>(end_view)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                         {Py_tp_repr, reinterpret_cast<void*>(repr)},
                         {0, nullptr}};
  PyType_Spec spec{"pyhost.Buffer", sizeof(Exporter), 0, Py_TPFLAGS_DEFAULT, slots};
  type = require(PyType_FromSpec(&spec), "making the type of buffers");
  // Python code must not create objects of this type: they would have no memory.
  reinterpret_cast<PyTypeObject*>(type.ptr())->tp_new = nullptr;
  if (dict == nullptr || PyDict_SetItemString(dict, type_key, type.ptr()) != 0) {
    require(nullptr, "making the type of buffers");
  }
  return type;
}

py::object exporter_of(const Buffer& buffer) {
  const py::object type = exporter_type();
  auto* const python_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  py::object object = require(PyType_GenericAlloc(python_type, 0), "making a buffer");
  new (&reinterpret_cast<Exporter*>(object.ptr())->data) Shared(BufferData::of(buffer));
  return object;
}

[[noreturn]] void refuse_key(const std::string& key, const std::string& problem) {
  const JsonPlace top;
  throw Error({.kind = ErrorKind::InvalidState,
               .phase = Phase::Create,
               .message = "the buffer '" + terminal_safe(key) + "' " + problem,
               .pointer = pointer(top.in_object(key))});
}

// Returns an owner that releases the object when C++ is done with it, on any thread.
std::shared_ptr<const void> owner_of_object(py::object object) {
  const auto release_object = [interpreter = PyInterpreterState_Get()](PyObject* last) {
    py::object mine = steal(last);
    release(interpreter, mine);
  };
  return {object.release().ptr(), release_object};
}

[[noreturn]] void refuse_result(const std::string& problem, std::string hint) {
  throw Error({.kind = ErrorKind::InvalidResult,
               .phase = Phase::Result,
               .message = "the result " + problem,
               .hint = std::move(hint)});
}

}  // namespace

void put_buffers(PyObject* dict, const Buffers& buffers) {
  for (const auto& [key, buffer] : buffers) {
    const JsonPlace top;
    if (!is_valid_utf8(key)) refuse_not_utf8(top.in_object(key));
    if (!BufferData::of(buffer)) refuse_key(key, "has no memory");
    const py::object name = checked(str_from_valid(key), top.in_object(key));
    if (PyDict_Contains(dict, name.ptr()) != 0) refuse_key(key, "has a key that is already in the state");
    if (PyDict_SetItem(dict, name.ptr(), exporter_of(buffer).ptr()) != 0) require(nullptr, "making a state");
  }
}

Buffer buffer_from(PyObject* object) {
  if (PyObject_CheckBuffer(object) == 0) {
    refuse_result("is of type " + type_of(object) + ", which is not a buffer",
                  "return bytes, a bytearray, a memoryview or an array");
  }
  // A memoryview fills in what some objects leave out, such as the strides of ctypes objects.
  py::object memoryview = steal(PyMemoryView_FromObject(object));
  if (!memoryview) refuse_result("cannot be viewed as memory: " + one_line(take_exception()), {});
  const Py_buffer& view = *PyMemoryView_GET_BUFFER(memoryview.ptr());
  if (view.suboffsets != nullptr) refuse_result("is not one block of memory", "return a copy of it");
  auto data = std::make_shared<BufferData>();
  data->data = view.buf;
  data->size = static_cast<std::size_t>(view.len);
  data->of_python = true;
  data->layout.format = view.format != nullptr ? view.format : "B";
  data->layout.item_size = static_cast<std::size_t>(view.itemsize);
  data->layout.shape.assign(view.shape, view.shape + view.ndim);
  data->layout.strides.assign(view.strides, view.strides + view.ndim);
  data->layout.writable = view.readonly == 0;
  data->owner = owner_of_object(std::move(memoryview));
  return BufferData::share(std::move(data));
}

}  // namespace pyhost::detail
