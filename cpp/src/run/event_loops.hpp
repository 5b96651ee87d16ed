// The event loops that modules run themselves, by asyncio.run() or trio.run(): what is raised inside of a
// loop may be swallowed by it, so a cancellation asks the loop.
#pragma once

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Returns the asyncio loop that the thread runs, which may be one written in C, such as uvloop; null if it
/// runs none. From Python 3.13 on it is known for the current thread only. Runs no Python code. The caller
/// holds the GIL.
PyObject* running_asyncio_loop(const CurrentRun::Thread& thread);

/// Returns what cancels the tasks of the event loop, of asyncio or trio, that the thread runs; null if it
/// runs none, or if that is `except`, the loop that the run itself was called from. The caller holds the GIL,
/// which may be released.
py::object find_event_loop(const CurrentRun::Thread& thread, PyObject* except);

/// Cancels the tasks of what find_event_loop() has returned, in their own thread, or only wakes the loop, so
/// that an exception that was raised in its thread arrives. The caller holds the GIL, which may be released.
void cancel_tasks(const py::object& loop);
void wake_event_loop(const py::object& loop);

}  // namespace pyhost::detail
