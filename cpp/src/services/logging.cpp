// Turns Python's log records, which pyhost/_logging.py passes here, into plain data.
#include "services/logging.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "error/json_text.hpp"
#include "error/secrets.hpp"
#include "error/utf8.hpp"
#include "interpreter/output.hpp"
#include "pyhost/json.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/timers.hpp"
#include "python/traceback.hpp"
#include "run/current_run.hpp"
#include "services/log_queue.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_text = std::size_t{64} * 1024;  // of a message, and of all fields together
constexpr std::size_t longest_field = std::size_t{8} * 1024;  // of any other text

struct RecordTarget {
  std::shared_ptr<LogQueue> queue;
  std::shared_ptr<Conversions> conversions;
};

Json field_of(PyObject* value, Conversions& conversions) {
  try {
    return conversions.to_json(value);
  } catch (const Error&) {
    const py::object repr = steal(PyObject_Repr(value));
    if (repr) return text_of(repr.ptr(), longest_field);
    PyErr_Clear();
    return "<" + type_of(value) + " whose repr fails>";
  }
}

// Masks the secrets in it, and returns its approximate size in bytes.
std::size_t mask_and_measure(Json& json) {
  std::size_t size = 8;
  if (auto* const text = json.get_ptr<std::string*>()) {
    *text = mask_secrets(std::move(*text));
    size += text->size();
  } else if (auto* const object = json.get_ptr<Json::object_t*>()) {
    Json::object_t masked;
    for (auto& [key, value] : *object) {
      size += key.size() + mask_and_measure(value);
      masked.emplace(mask_secrets(key), std::move(value));
    }
    object->swap(masked);
  } else if (json.is_array()) {
    for (Json& item : json) size += mask_and_measure(item);
  }
  return size;
}

// Returns the beginning of a text that is too long.
std::string beginning_of(const Json& json, std::size_t limit) {
  const auto* const str = json.get_ptr<const std::string*>();
  const std::string text = str != nullptr ? *str : json_text_with_replacements(json);
  std::size_t end = std::min(limit, text.size());
  while (end > 0 && end < text.size() && !begins_character(text[end])) --end;
  return text.substr(0, end) + "… (cut, " + std::to_string(text.size()) + " bytes in all)";
}

Json fields_of(PyObject* extra, Conversions& conversions) {
  Json fields = Json::object();
  const py::object items = steal(PyDict_Items(extra));  // a repr may change the dict
  const Py_ssize_t count = items ? PyList_GET_SIZE(items.ptr()) : 0;
  std::size_t left = longest_text;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (left == 0) {
      fields["…"] = std::to_string(count - i) + " more omitted";
      break;
    }
    PyObject* const item = PyList_GET_ITEM(items.ptr(), i);
    const std::string name = text_of(PyTuple_GET_ITEM(item, 0), longest_field);
    Json value = field_of(PyTuple_GET_ITEM(item, 1), conversions);
    const std::size_t size = name.size() + mask_and_measure(value);
    fields[name] = size > left ? Json(beginning_of(value, left)) : std::move(value);
    left -= std::min(size, left);
  }
  return fields;
}

// A module may set any number as the time.
std::chrono::system_clock::time_point time_of(double seconds) {
  constexpr double end_of_time = 9e9;
  if (!(seconds >= 0 && seconds < end_of_time)) return std::chrono::system_clock::now();
  return std::chrono::system_clock::time_point(
      std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6)));
}

// The arguments: number, logger, message, seconds, file, line, function, extra, exception or None.
PyObject* take_record(PyObject* self, PyObject* arguments) {
  LogRecord record;
  PyObject *logger = nullptr, *message = nullptr, *file = nullptr, *function = nullptr, *extra = nullptr,
           *exception = nullptr;
  double seconds = 0;
  if (PyArg_ParseTuple(arguments, "iOOdOiOO!O", &record.number, &logger, &message, &seconds, &file,
                       &record.line, &function, &PyDict_Type, &extra, &exception) == 0) {
    return nullptr;
  }
  try {
    const auto target = owner_of<RecordTarget>(self);
    record.level = level_of(record.number);
    record.logger = text_of(logger, longest_field);
    record.message = text_of(message, longest_text);
    record.time = time_of(seconds);
    record.file = text_of(file, longest_field);
    record.function = text_of(function, longest_field);
    record.module = running_module();
    if (const CurrentRun* run = CurrentRun::here()) record.run = run->id();
    record.fields = fields_of(extra, *target->conversions);
    if (PyExceptionInstance_Check(exception)) record.error = logged_error(describe(exception), record.module);
    target->queue->put(std::move(record));
  } catch (const std::exception& failed) {
    PyErr_SetString(PyExc_RuntimeError, failed.what());
    return nullptr;
  }
  return borrow(Py_None).release().ptr();
}

}  // namespace

Logging::Logging(const Options& options)
    : queue_(std::make_shared<LogQueue>(options.logging.on_log, options.logging.queue_size,
                                        options.shutdown_timeout)),
      level_(options.logging.level) {}

py::object Logging::enter_python(std::shared_ptr<Conversions> conversions) {
  static PyMethodDef take{"take_log_record", take_record, METH_VARARGS, nullptr};
  add_native_function(take, std::make_shared<RecordTarget>(RecordTarget{queue_, std::move(conversions)}));
  py::object python = require(PyImport_ImportModule("pyhost._logging"), "importing pyhost's own files");
  require(PyObject_CallMethod(python.ptr(), "begin", "i", static_cast<int>(level_)),
          "starting to collect logs");
  return python;
}

// Uses the Python module that was entered: a module may have removed it from sys.modules, and a new one would
// not have its state.
void Logging::leave_python(const py::object& entered) noexcept {
  if (!steal(PyObject_CallMethod(entered.ptr(), "end", nullptr))) PyErr_Clear();
}

void Logging::close() noexcept {
  const GilReleaseIfHeld no_gil;
  const std::uint64_t dropped = queue_->close();
  if (dropped == 0) return;
  std::fprintf(stderr, "pyhost: %llu log records were dropped, because on_log did not take them in time\n",
               static_cast<unsigned long long>(dropped));
}

void Logging::put(LogRecord record) { queue_->put(std::move(record)); }

void Logging::add_dropped(std::uint64_t count) { queue_->add_dropped(count); }

bool Logging::flush(std::chrono::milliseconds patience) {
  const GilReleaseIfHeld no_gil;
  return queue_->flush(clamp_wait(patience));
}

std::uint64_t Logging::dropped() { return queue_->dropped(); }

}  // namespace pyhost::detail

namespace pyhost {

bool HostLogs::flush(std::chrono::milliseconds patience) const {
  return !logging_ || logging_->flush(patience);
}

std::uint64_t HostLogs::dropped() const { return logging_ ? logging_->dropped() : 0; }

}  // namespace pyhost
