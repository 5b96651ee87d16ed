// The event loops, one for each thread that awaits something. What asyncio asks of its users is written in
// Python, as asyncio's own Runner is.
#include "awaiting.hpp"

#include <utility>

#include "enter.hpp"
#include "stopping.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* source = R"(
import asyncio, functools, threading, weakref

_here = threading.local()
_loops = weakref.WeakSet()

def _loop():
    if getattr(_here, "loop", None) is None or _here.loop.is_closed():
        _here.loop = asyncio.new_event_loop()
        _loops.add(_here.loop)
    return _here.loop

def run(coroutine, waiting):
    around = asyncio._get_running_loop()
    if around is None:
        return _run(_loop, coroutine, waiting)
    # From within what a loop of this thread runs: by a loop of its own, and that one is not to see it.
    task = asyncio.current_task()
    swap = getattr(asyncio.tasks, "_swap_current_task", lambda loop, task: None)
    swap(around, None)
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:
        return _run(lambda: loop, coroutine, waiting)
    finally:
        loop.close()
        asyncio._set_running_loop(around)
        swap(around, task)

def _run(make_loop, coroutine, waiting):
    try:
        loop = make_loop()
        task = loop.create_task(coroutine)
    except BaseException:
        coroutine.close()
        raise
    waiting(functools.partial(loop.call_soon_threadsafe, task.cancel))
    try:
        return loop.run_until_complete(task)
    except BaseException:
        _cancel(loop, [task])
        raise

def _cancel(loop, tasks):
    tasks = [task for task in tasks if not task.done()]
    for task in tasks:
        task.cancel()
    if tasks and not loop.is_running():
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

async def collect(items):
    return [item async for item in items]

async def step(items):
    try:
        return (await items.__anext__(),)
    except StopAsyncIteration:
        return None

async def close(items):
    await items.aclose()

def close_loops():
    for loop in list(_loops):
        if loop.is_running() or loop.is_closed():
            continue
        _cancel(loop, asyncio.all_tasks(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
)";

// A module of its own, made by the first that needs it: asyncio is a large import.
py::object room() {
  PyObject* modules = PyImport_GetModuleDict();
  if (PyObject* made = PyDict_GetItemString(modules, "_pyhost.awaiting")) return share(made);
  py::object module = own(PyModule_New("_pyhost.awaiting"));
  const py::object code = own(Py_CompileString(source, "<pyhost>", Py_file_input));
  if (!module || !code) return {};
  PyObject* names = PyModule_GetDict(module.ptr());
  if (PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) != 0) return {};
  if (!own(PyEval_EvalCode(code.ptr(), names, names))) return {};
  if (PyDict_SetItemString(modules, "_pyhost.awaiting", module.ptr()) != 0) return {};
  return module;
}

// Notes what would cancel the task that this thread waits for, for a stop to call.
PyObject* note_waiting(PyObject* /*self*/, PyObject* cancel) {
  CurrentRun::this_thread().cancel_task = cancel == Py_None ? py::object() : share(cancel);
  return share(Py_None).release().ptr();
}

py::object run_coroutine(const CurrentRun& run, const py::object& room, PyObject* coroutine) {
  static PyMethodDef waiting{"waiting", note_waiting, METH_O, nullptr};
  const py::object note = own(PyCFunction_New(&waiting, nullptr));
  if (!note) return {};
  py::object before = run.thread().cancel_task;
  py::object result =
      call_inside(run, [&] { return PyObject_CallMethod(room.ptr(), "run", "OO", coroutine, note.ptr()); });
  run.thread().cancel_task = std::move(before);
  return result;
}

py::object run_function(const CurrentRun& run, const char* name, PyObject* items) {
  const py::object from = room();
  const py::object coroutine = from ? own(PyObject_CallMethod(from.ptr(), name, "O", items)) : py::object();
  return coroutine ? run_coroutine(run, from, coroutine.ptr()) : py::object();
}

}  // namespace

py::object await(const CurrentRun& run, PyObject* coroutine) {
  const py::object from = room();
  return from ? run_coroutine(run, from, coroutine) : py::object();
}

py::object collect(const CurrentRun& run, PyObject* items, Giving giving) {
  if (giving == Giving::AsyncItems) return run_function(run, "collect", items);
  return call_inside(run, [&] { return PySequence_List(items); });
}

py::object next_item(const CurrentRun& run, PyObject* items, Giving giving) {
  if (giving == Giving::Items) return call_inside(run, [&] { return PyIter_Next(items); });
  const py::object one = run_function(run, "step", items);
  return one && PyTuple_Check(one.ptr()) ? share(PyTuple_GET_ITEM(one.ptr(), 0)) : py::object();
}

bool close_items(const CurrentRun& run, PyObject* items, Giving giving) {
  if (giving == Giving::AsyncItems) return static_cast<bool>(run_function(run, "close", items));
  return static_cast<bool>(call_inside(run, [&] { return PyObject_CallMethod(items, "close", nullptr); }));
}

void close_loops() noexcept {
  PyObject* made = PyDict_GetItemString(PyImport_GetModuleDict(), "_pyhost.awaiting");
  if (made != nullptr && !own(PyObject_CallMethod(made, "close_loops", nullptr))) PyErr_Clear();
}

}  // namespace pyhost::detail
