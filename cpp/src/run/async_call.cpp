// The event loops: one for each thread that awaits something. They are driven in Python, because asyncio's
// API is made for that.
#include "run/async_call.hpp"

#include <utility>

#include "python/gil.hpp"
#include "run/module_code.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* source = R"(
import asyncio, functools, threading, weakref

_here = threading.local()
_loops = weakref.WeakSet()

def _new_loop():
    loop = asyncio.new_event_loop()
    _loops.add(loop)
    return loop

def _loop():
    if getattr(_here, "loop", None) is None or _here.loop.is_closed():
        _here.loop = _new_loop()
    return _here.loop

# Hides the loop that this thread is running already, so that another loop can run within it.
class _OuterLoopHidden:
    swap = getattr(asyncio.tasks, "_swap_current_task", lambda loop, task: None)

    def __enter__(self):
        self.outer = asyncio._get_running_loop()
        if self.outer is not None:
            self.task = asyncio.current_task()
            _OuterLoopHidden.swap(self.outer, None)
            asyncio._set_running_loop(None)
        return self

    def __exit__(self, *raised):
        if self.outer is not None:
            asyncio._set_running_loop(self.outer)
            _OuterLoopHidden.swap(self.outer, self.task)

    def loop(self):
        return _loop() if self.outer is None else _new_loop()

    def close_if_new(self, loop):
        if self.outer is not None:
            _close(loop)

async def _awaited(awaitable):
    return await awaitable

def run(awaitable, waiting):
    coroutine = awaitable if asyncio.iscoroutine(awaitable) else _awaited(awaitable)
    with _OuterLoopHidden() as hidden:
        try:
            loop = hidden.loop()
            task = loop.create_task(coroutine)
        except BaseException:
            coroutine.close()
            raise
        try:
            return _finish(loop, task, task, waiting)
        finally:
            hidden.close_if_new(loop)

# Runs the loop until the future is done. The task completes the future.
def _finish(loop, future, task, waiting, on_error=lambda: None):
    try:
        waiting(functools.partial(loop.call_soon_threadsafe, task.cancel))
        return loop.run_until_complete(future)
    except BaseException:
        on_error()
        _cancel(loop, [task])
        if future.done() and not future.cancelled():
            future.exception()  # otherwise asyncio logs that it was never retrieved
        raise

def _cancel(loop, tasks):
    tasks = [task for task in tasks if not task.done()]
    for task in tasks:
        task.cancel()
    if tasks and not loop.is_running():
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

def _close(loop):
    try:
        _cancel(loop, asyncio.all_tasks(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()

async def _collect(items):
    return [item async for item in items]

def collect(items, waiting):
    return run(_collect(items), waiting)

# Lets one task take all items of an async generator. So everything that the generator sets around a yield
# (context variables, timeouts, task groups) stays in force. The loop is that of the thread that takes the
# first item, because objects that the module opened there belong to that loop.
class Items:
    def __init__(self, items):
        self.items = items
        self.task = None
        self.ending = False

    async def _take(self):
        wanted = True
        while wanted:
            wanted, result = await self.request
            self.request = self.loop.create_future()
            try:
                if wanted:
                    result.set_result((await self.items.__anext__(),))
                    wanted = not self.ending
                if not wanted:
                    await self.items.aclose()
                    if not result.done():
                        result.set_result(None)
            except StopAsyncIteration:
                return result.set_result(None)
            except BaseException as error:
                return None if result.done() else result.set_exception(error)

    def _end_after_item(self):
        self.ending = True

    def _request(self, wanted, waiting):
        with _OuterLoopHidden() as hidden:
            if self.task is None:
                self.loop = hidden.loop()
                self.request = self.loop.create_future()
                self.task = self.loop.create_task(self._take())
                self.hidden = hidden
            if self.loop.is_running():
                raise RuntimeError(
                    "an async stream runs in the event loop of the thread that took its first item, and that "
                    "loop is running something else now"
                )
            result = self.loop.create_future()
            self.request.set_result((wanted, result))
            try:
                return _finish(self.loop, result, self.task, waiting, self._end_after_item)
            finally:
                if self.task.done():
                    self.hidden.close_if_new(self.loop)

def next_of(items, waiting):
    return items._request(True, waiting)

def close(items, waiting):
    if items.task is None or not items.task.done():
        items._request(False, waiting)

# A loop that does not finish in time is stopped.
def close_loops(none, waiting):
    failed = None
    for loop in list(_loops):
        if loop.is_running() or loop.is_closed():
            continue
        try:
            waiting(functools.partial(loop.call_soon_threadsafe, loop.stop))
            _close(loop)
        except BaseException as error:
            failed = failed or error
    waiting(None)
    if failed is not None:
        raise failed
)";

constexpr const char* async_module_name = "_pyhost.awaiting";

// Returns the Python module with the code above. It is made when it is first needed, because asyncio is a
// large import.
py::object async_module() {
  PyObject* modules = PyImport_GetModuleDict();
  if (PyObject* made = PyDict_GetItemString(modules, async_module_name)) return borrow(made);
  py::object module = steal(PyModule_New(async_module_name));
  const py::object code = steal(Py_CompileString(source, "<pyhost>", Py_file_input));
  if (!module || !code) return {};
  PyObject* names = PyModule_GetDict(module.ptr());
  if (PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) != 0) return {};
  if (!steal(PyEval_EvalCode(code.ptr(), names, names))) return {};
  if (PyDict_SetItemString(modules, async_module_name, module.ptr()) != 0) return {};
  return module;
}

// Stores the function that cancels the task that this thread waits for. A cancellation calls it.
PyObject* note_waiting(PyObject* /*self*/, PyObject* cancel) {
  CurrentRun::this_thread().cancel_task = cancel == Py_None ? py::object() : borrow(cancel);
  return borrow(Py_None).release().ptr();
}

// Calls this function of the Python module with the object and note_waiting.
py::object run_function(const CurrentRun& run, const char* name, PyObject* object) {
  static PyMethodDef waiting{"waiting", note_waiting, METH_O, nullptr};
  const py::object from = async_module();
  const py::object note = from ? steal(PyCFunction_New(&waiting, nullptr)) : py::object();
  if (!note) return {};
  py::object before = run.thread().cancel_task;
  py::object result = steal(call_module_code(
      run.thread(), [&] { return PyObject_CallMethod(from.ptr(), name, "OO", object, note.ptr()); }));
  run.thread().cancel_task = std::move(before);
  return result;
}

}  // namespace

py::object await(const CurrentRun& run, PyObject* awaitable) { return run_function(run, "run", awaitable); }

py::object collect(const CurrentRun& run, PyObject* items, ResultForm form) {
  if (form == ResultForm::AsyncItems) return run_function(run, "collect", items);
  return steal(call_module_code(run.thread(), [&] { return PySequence_List(items); }));
}

py::object in_one_task(PyObject* items) {
  const py::object from = async_module();
  return from ? steal(PyObject_CallMethod(from.ptr(), "Items", "O", items)) : py::object();
}

py::object next_item(const CurrentRun& run, PyObject* items, ResultForm form) {
  if (form == ResultForm::Items)
    return steal(call_module_code(run.thread(), [&] { return PyIter_Next(items); }));
  const py::object one = run_function(run, "next_of", items);
  return one && PyTuple_Check(one.ptr()) ? borrow(PyTuple_GET_ITEM(one.ptr(), 0)) : py::object();
}

bool close_items(const CurrentRun& run, PyObject* items, ResultForm form) {
  if (form == ResultForm::AsyncItems) return static_cast<bool>(run_function(run, "close", items));
  return static_cast<bool>(
      steal(call_module_code(run.thread(), [&] { return PyObject_CallMethod(items, "close", nullptr); })));
}

bool has_loops() { return PyDict_GetItemString(PyImport_GetModuleDict(), async_module_name) != nullptr; }

bool close_loops(const CurrentRun& run) {
  return static_cast<bool>(run_function(run, "close_loops", Py_None));
}

}  // namespace pyhost::detail
