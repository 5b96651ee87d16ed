// Cancels the tasks of event loops that modules run themselves, by asyncio.run() or trio.run(). A loop may
// swallow an exception that is raised in its thread, so that alone does not end it.
#pragma once

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Returns the asyncio loop that the thread runs, also one written in C such as uvloop; null if it runs none.
/// From Python 3.13 on, only the loop of the current thread is known. Runs no Python code. The caller holds
/// the GIL.
PyObject* running_asyncio_loop(const CurrentRun::Thread& thread);

/// Returns an object for cancel_tasks() and wake_event_loop(), if the thread runs an event loop of asyncio or
/// trio. Returns null if it runs none, or if that is `except`, the loop that the run itself was called from.
/// The caller holds the GIL, which may be released.
py::object find_event_loop(const CurrentRun::Thread& thread, PyObject* except);

/// The first function cancels the tasks of the loop, in its own thread. The second one only wakes the loop,
/// so that an exception that was raised in its thread arrives. The caller holds the GIL, which may be
/// released.
void cancel_tasks(const py::object& loop);
void wake_event_loop(const py::object& loop);

}  // namespace pyhost::detail
