// Awaits coroutines, and takes the items of generators.
#pragma once

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// The form in which `run` returns its result.
enum class ResultForm { Result, Awaitable, Items, AsyncItems };

inline ResultForm result_form_of(PyObject* returned) {
  PyTypeObject* const type = Py_TYPE(returned);
  const PyAsyncMethods* const async = type->tp_as_async;  // null for None and for all types of JSON values
#if PY_VERSION_HEX < 0x030A0000
  if (type == &PyGen_Type) return ResultForm::Items;  // later, generators have am_send
#endif
  if (async == nullptr) [[likely]]
    return ResultForm::Result;
  if (type == &PyCoro_Type) return ResultForm::Awaitable;
  if (type == &PyGen_Type) return ResultForm::Items;
  if (type == &PyAsyncGen_Type) return ResultForm::AsyncItems;
  return async->am_await != nullptr ? ResultForm::Awaitable : ResultForm::Result;
}

// These functions may run the module's code. They return null with Python's error set if it raises. Each
// thread has one event loop, which is kept between calls.

/// Returns the result of a coroutine or another awaitable object.
py::object await(const CurrentRun& run, PyObject* awaitable);

/// Returns a list of all items.
py::object collect(const CurrentRun& run, PyObject* items, ResultForm form);

/// Wraps an async generator, so that one task takes all of its items. For next_item() and close_items().
py::object in_one_task(PyObject* items);

/// Returns the next item; null without an error at the end.
py::object next_item(const CurrentRun& run, PyObject* items, ResultForm form);

/// Closes a generator early. Returns false with Python's error set if that raises.
bool close_items(const CurrentRun& run, PyObject* items, ResultForm form);

/// Whether any thread may have an event loop.
bool has_loops();

/// Cancels the tasks of the event loops of all threads, and closes the loops. Returns false with Python's
/// error set if a loop was not done in time, or if a task or a generator raised.
bool close_loops(const CurrentRun& run);

}  // namespace pyhost::detail
