// What is async, and what yields: awaited, collected, or taken item by item.
#pragma once

#include "current_run.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// How `run` gives what it gives.
enum class Giving { Result, Awaitable, Items, AsyncItems };

inline Giving giving_of(PyObject* returned) {
  PyTypeObject* const type = Py_TYPE(returned);
  if (type == &PyCoro_Type) return Giving::Awaitable;
  if (type == &PyGen_Type) return Giving::Items;
  return type == &PyAsyncGen_Type ? Giving::AsyncItems : Giving::Result;
}

// Each of these is called inside of a module's code and may run it. Each gives null with Python's error set
// if that raises. Each thread has one event loop, which stays from one call to the next.

/// What comes of a coroutine.
py::object await(const CurrentRun& run, PyObject* coroutine);

/// A list of all items.
py::object collect(const CurrentRun& run, PyObject* items, Giving giving);

/// The next item; null without an error at the end.
py::object next_item(const CurrentRun& run, PyObject* items, Giving giving);

/// Ends a generator early. False with Python's error set if it raises.
bool close_items(const CurrentRun& run, PyObject* items, Giving giving);

/// Closes the event loops of all threads, once their tasks have been cancelled. The caller holds the GIL.
void close_loops() noexcept;

}  // namespace pyhost::detail
