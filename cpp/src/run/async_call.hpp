// What is async, and what yields: awaited, collected, or taken item by item.
#pragma once

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// How `run` gives what it gives.
enum class ResultForm { Result, Awaitable, Items, AsyncItems };

inline ResultForm result_form_of(PyObject* returned) {
  PyTypeObject* const type = Py_TYPE(returned);
  if (type == &PyCoro_Type) return ResultForm::Awaitable;
  if (type == &PyGen_Type) return ResultForm::Items;
  if (type == &PyAsyncGen_Type) return ResultForm::AsyncItems;
  const PyAsyncMethods* const async = type->tp_as_async;  // none has null, and so have what JSON has
  return async != nullptr && async->am_await != nullptr ? ResultForm::Awaitable : ResultForm::Result;
}

// Each of these is called inside of a module's code and may run it. Each gives null with Python's error set
// if that raises. Each thread has one event loop, which stays from one call to the next.

/// What comes of a coroutine, or of what else can be awaited.
py::object await(const CurrentRun& run, PyObject* awaitable);

/// A list of all items.
py::object collect(const CurrentRun& run, PyObject* items, ResultForm form);

/// An async generator whose items are taken by one task; for next_item() and close_items().
py::object in_one_task(PyObject* items);

/// The next item; null without an error at the end.
py::object next_item(const CurrentRun& run, PyObject* items, ResultForm form);

/// Ends a generator early. False with Python's error set if it raises.
bool close_items(const CurrentRun& run, PyObject* items, ResultForm form);

/// Whether any thread may have an event loop.
bool has_loops();

/// Closes the event loops of all threads, once their tasks have been cancelled. False with Python's error set
/// if a loop was not done in time, or what it ran in the end raised.
bool close_loops(const CurrentRun& run);

}  // namespace pyhost::detail
