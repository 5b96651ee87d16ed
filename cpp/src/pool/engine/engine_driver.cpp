// Calls the driver, and converts its exceptions to errors.
#include "pool/engine/engine_driver.hpp"

#include "convert/convert.hpp"
#include "python/exception.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

std::string text_attribute(const py::object& object, const char* name) {
  const py::object value = steal(PyObject_GetAttrString(object.ptr(), name));
  if (!value) PyErr_Clear();
  return std::string(view(value.ptr()));
}

// Converts the raised Python exception. An EngineError has a `kind`, and may have a hint.
[[noreturn]] void throw_engine_error() {
  const py::object raised = take_raised();
  const std::string kind = text_attribute(raised, "kind");
  std::string message = kind.empty() ? "the engine failed: " + describe(raised.ptr()).message
                                     : text_attribute(raised, "message");
  throw Error({.kind = kind == "unreachable" ? ErrorKind::Unreachable : ErrorKind::InvalidEngine,
               .phase = Phase::Start,
               .message = std::move(message),
               .hint = kind.empty() ? "" : text_attribute(raised, "hint")});
}

py::object checked(PyObject* result) {
  if (result == nullptr) throw_engine_error();
  return steal(result);
}

std::string bytes_of(PyObject* object) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(object, &data, &size) != 0) throw_engine_error();
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

EngineDriver::EngineDriver(const HostInternals& host, const PoolOptions& options) {
  Json paths = Json::array();
  for (const auto& path : host.paths) paths.push_back(path.string());
  const Json request{{"url", options.engine},
                     {"resources", options.engine_resources},
                     {"retries", options.engine_retries},
                     {"module_paths", std::move(paths)}};
  const GilAcquire gil;
  const py::object package = require(PyImport_ImportModule("pyhost._engine"), "importing pyhost's own files");
  driver_ = checked(PyObject_CallMethod(package.ptr(), "open_driver", "s", request.dump().c_str()));
}

EngineDriver::~EngineDriver() {
  try {
    const GilAcquire gil;
    if (!steal(PyObject_CallMethod(driver_.ptr(), "close", nullptr))) PyErr_Clear();
    driver_ = {};
  } catch (const Error&) {
    static_cast<void>(driver_.release());  // the process is ending
  }
}

std::size_t EngineDriver::slots() {
  const GilAcquire gil;
  const py::object slots = checked(PyObject_CallMethod(driver_.ptr(), "slots", nullptr));
  const std::size_t count = PyLong_AsSize_t(slots.ptr());
  if (PyErr_Occurred() != nullptr) throw_engine_error();
  return count;
}

void EngineDriver::submit(std::uint64_t chunk, const std::string& order, const std::string& states) {
  const GilAcquire gil;
  const py::object bytes =
      checked(PyBytes_FromStringAndSize(states.data(), static_cast<Py_ssize_t>(states.size())));
  checked(PyObject_CallMethod(driver_.ptr(), "submit", "KsO", static_cast<unsigned long long>(chunk),
                              order.c_str(), bytes.ptr()));
}

std::vector<std::pair<std::uint64_t, std::string>> EngineDriver::wait(std::chrono::milliseconds patience) {
  const GilAcquire gil;
  const double seconds = std::chrono::duration<double>(patience).count();
  const py::object done = checked(PyObject_CallMethod(driver_.ptr(), "wait", "d", seconds));
  std::vector<std::pair<std::uint64_t, std::string>> chunks;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(done.ptr()); ++i) {
    PyObject* const each = PyList_GET_ITEM(done.ptr(), i);
    const unsigned long long chunk = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(each, 0));
    chunks.emplace_back(chunk, bytes_of(PyTuple_GET_ITEM(each, 1)));
  }
  return chunks;
}

void EngineDriver::cancel() {
  const GilAcquire gil;
  checked(PyObject_CallMethod(driver_.ptr(), "cancel", nullptr));
}

std::vector<std::string> EngineDriver::notices() {
  const GilAcquire gil;
  const py::object list = checked(PyObject_CallMethod(driver_.ptr(), "notices", nullptr));
  return Conversions().to_json(list.ptr()).get<std::vector<std::string>>();
}

}  // namespace pyhost::detail
