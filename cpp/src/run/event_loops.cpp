// An asyncio loop is found in the state of its thread. From Python 3.13 on, it is found by the frames of its
// thread, as a trio loop is. The calls to loops are written in Python, because they use the loops' Python
// API.
#include "run/event_loops.hpp"

#include <string_view>

#include "python/native_module.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* event_loops_source = R"(
class Asyncio:
    def __init__(self, loop):
        self.loop = loop

    def cancel(self):
        self.loop.call_soon_threadsafe(self.cancel_here)

    def cancel_here(self):
        import asyncio
        for task in asyncio.all_tasks(self.loop):
            task.cancel()

    def wake(self):
        self.loop.call_soon_threadsafe(bool)

class Trio:
    def __init__(self, runner):
        self.runner = runner

    def cancel(self):
        self.runner.entry_queue.run_sync_soon(self.cancel_here)

    def cancel_here(self):
        nursery = getattr(self.runner.main_task, "parent_nursery", None)
        if nursery is not None:
            nursery.cancel_scope.cancel()

    def wake(self):
        self.runner.entry_queue.run_sync_soon(bool)

# From Python 3.13 on, the thread of a uvloop is not known, because the loop has no frames. Each callback
# checks its thread.
class Uvloops:
    def __init__(self, loops, thread):
        self.loops = [Asyncio(loop) for loop in loops]
        self.thread = thread

    def cancel(self):
        for each in self.loops:
            each.loop.call_soon_threadsafe(self.cancel_here, each)

    def cancel_here(self, each):
        import threading
        if threading.get_ident() == self.thread:
            each.cancel_here()

    def wake(self):
        for each in self.loops:
            each.wake()

def running_uvloops(excluded):
    import gc, sys
    kind = getattr(sys.modules.get("uvloop"), "Loop", None)
    if kind is None or sys.version_info < (3, 13):
        return []
    loops = [each for each in gc.get_objects() if issubclass(type(each), kind)]
    return [each for each in loops if each is not excluded and each.is_running()]

def find(frame, loop, excluded, thread):
    if loop is not None:
        return Asyncio(loop)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name == "trio._core._run":
            runner = frame.f_locals.get("runner")
            if hasattr(runner, "entry_queue"):
                return Trio(runner)
        elif name in ("asyncio.base_events", "asyncio.runners"):
            loop = frame.f_locals.get("self")
            loop = getattr(loop, "_loop", loop)
            if hasattr(loop, "call_soon_threadsafe") and loop.is_running():
                return None if loop is excluded else Asyncio(loop)
        frame = frame.f_back
    loops = running_uvloops(excluded)
    return Uvloops(loops, thread) if loops else None
)";

// The object that `_asyncio` stores in the state of a thread up to Python 3.11. Python 3.12 stores the loop
// itself.
struct RunningLoopHolder {
  PyObject ob_base;
  PyObject* loop;
};

bool is_imported(const char* module) {
  return PyDict_GetItemString(PyImport_GetModuleDict(), module) != nullptr;
}

// Returns `find` of the Python code above; null with Python's error set on failure.
py::object find_function() {
  if (py::object kept = native_attribute("find_event_loop")) return kept;
  const py::object names =
      steal(Py_BuildValue("{sOss}", "__builtins__", PyEval_GetBuiltins(), "__name__", "_pyhost.event_loops"));
  const py::object done =
      names ? steal(PyRun_String(event_loops_source, Py_file_input, names.ptr(), names.ptr())) : py::object();
  if (!done) return {};
  py::object find = borrow(PyDict_GetItemString(names.ptr(), "find"));
  set_native_attribute("find_event_loop", find);
  return find;
}

void call_on_loop(const py::object& loop, const char* method) {
  if (!steal(PyObject_CallMethod(loop.ptr(), method, nullptr))) PyErr_Clear();  // the loop is closed by now
}

}  // namespace

PyObject* running_asyncio_loop(const CurrentRun::Thread& thread) {
#if PY_VERSION_HEX < 0x030D0000
  PyObject* const kept = thread.state != nullptr ? thread.state->dict : nullptr;
  PyObject* const held =
      kept != nullptr ? PyDict_GetItemString(kept, "__asyncio_running_event_loop__") : nullptr;
  if (held == nullptr) return nullptr;
  const bool is_holder = std::string_view(Py_TYPE(held)->tp_name).ends_with("RunningLoopHolder");
  PyObject* const loop = is_holder ? reinterpret_cast<const RunningLoopHolder*>(held)->loop : held;
  return loop != Py_None ? loop : nullptr;
#else
  if (thread.identity != PyThread_get_thread_ident() || !is_imported("_asyncio")) return nullptr;
  PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "_asyncio");
  const py::object loop = steal(PyObject_CallMethod(module, "_get_running_loop", nullptr));
  PyErr_Clear();
  return loop && !loop.is_none() ? loop.ptr() : nullptr;  // borrowed; alive for as long as it runs
#endif
}

py::object find_event_loop(const CurrentRun::Thread& thread, PyObject* except) {
  if (!is_imported("asyncio.events") && !is_imported("trio")) return {};
  PyObject* const running = running_asyncio_loop(thread);
  if (running != nullptr && running == except) return {};
  const py::object loop = borrow(running != nullptr ? running : Py_None);
  const py::object frame = steal(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(thread.state)));
  const py::object find = frame ? find_function() : py::object();
  const py::object excluded = borrow(except != nullptr ? except : Py_None);
  py::object found = find ? steal(PyObject_CallFunction(find.ptr(), "OOOk", frame.ptr(), loop.ptr(),
                                                        excluded.ptr(), thread.identity))
                          : py::object();
  PyErr_Clear();
  return found && !found.is_none() ? found : py::object();
}

void cancel_tasks(const py::object& loop) { call_on_loop(loop, "cancel"); }

void wake_event_loop(const py::object& loop) { call_on_loop(loop, "wake"); }

}  // namespace pyhost::detail
