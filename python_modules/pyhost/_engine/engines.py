"""Opens engines by their URL, and runs chunks with any concurrent.futures.Executor."""

from __future__ import annotations

import concurrent.futures
import importlib
import os
from typing import Any, Callable, Protocol

from . import remote
from .errors import BadEngine
from .remote import run_chunk

Done = Callable[[Any], None]


class Engine(Protocol):
    """The functions of an engine that pyhost needs. Thread: any, one at a time; `done` may be called on any thread."""

    def slots(self) -> int:
        """Returns how many chunks run at once now."""

    def submit(self, name: str, arguments: tuple[Any, ...], done: Done, alone: bool) -> Any:
        """Begins run_chunk(*arguments), and calls `done` with its result or exception. Returns a handle. If `alone`,
        other chunks must not cause the loss of this one, as far as the engine can ensure that."""

    def is_cut(self, error: BaseException) -> bool:
        """Returns whether the error means that the connection was lost. Then the chunk is not to blame."""

    def is_lost(self, error: BaseException) -> bool:
        """Returns whether the error means that the worker was lost, so that another one may run the chunk."""

    def is_given_up(self, error: BaseException) -> bool:
        """Returns whether the engine itself has already repeated the lost chunk as often as it can."""

    def silent(self) -> list[Any]:
        """Returns the handles of chunks whose workers do not respond."""

    def cancel(self, handle: Any) -> None:
        """Cancels the chunk. Its outcome is not needed any more."""

    def end_runs(self, orders: list[str]) -> None:
        """Calls remote.end_runs() on the workers, if cancel() does not end the runs."""

    def close(self) -> None: ...


class ExecutorEngine:
    """Uses the concurrent.futures.Executor that the factory returns. Calls the factory again if the executor breaks."""

    def __init__(self, name: str, factory: Callable[[], concurrent.futures.Executor]) -> None:
        self._name = name
        self._factory = factory
        self._executor = self._open()

    def _open(self) -> concurrent.futures.Executor:
        executor = self._factory()
        if not callable(getattr(executor, "submit", None)):
            raise BadEngine(f"{self._name}() must return a concurrent.futures.Executor")
        return executor

    def slots(self) -> int:
        return int(getattr(self._executor, "_max_workers", None) or os.cpu_count() or 1)

    def _width(self) -> int:
        has_threads = isinstance(self._executor, concurrent.futures.ThreadPoolExecutor)
        return self.slots() if has_threads else 1

    def submit(self, name: str, arguments: tuple[Any, ...], done: Done, alone: bool) -> Any:
        executor = self._open() if alone else self._executor
        try:
            future = executor.submit(run_chunk, *arguments, width=self._width())
        except concurrent.futures.BrokenExecutor:
            executor = self._executor = self._open()
            future = executor.submit(run_chunk, *arguments, width=self._width())
        future.add_done_callback(lambda ended: done(_outcome(ended)))
        if alone:  # an executor that breaks loses all its chunks, so this one has its own
            executor.shutdown(wait=False)
        return future

    def is_cut(self, error: BaseException) -> bool:
        return False

    def is_lost(self, error: BaseException) -> bool:
        return isinstance(error, concurrent.futures.BrokenExecutor)

    def is_given_up(self, error: BaseException) -> bool:
        return False

    def silent(self) -> list[Any]:
        return []

    def cancel(self, handle: Any) -> None:
        handle.cancel()

    def end_runs(self, orders: list[str]) -> None:
        remote.end_runs(orders)  # for an executor with threads
        processes = getattr(self._executor, "_processes", None) or {}
        for process in list(processes.values()):
            process.kill()

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        remote.close()  # for an executor with threads


def _outcome(future: concurrent.futures.Future[bytes]) -> Any:
    if future.cancelled():
        return concurrent.futures.CancelledError()
    return future.exception() or future.result()


def _factory(path: str) -> Callable[[], concurrent.futures.Executor]:
    module, _, function = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BadEngine(
            f"the engine {path!r} cannot be imported: {error}",
            "write package.module:function for a function of a package in the virtual environment, or "
            "modules.NAME:function for one in a module path",
        ) from None
    if not callable(found):
        raise BadEngine(f"the engine {path!r} is not a function")
    factory: Callable[[], concurrent.futures.Executor] = found
    return factory


def open_engine(url: str, resources: dict[str, float]) -> Engine:
    """Connects to the engine. Raises EngineError."""
    scheme, separator, address = url.partition("://")
    if separator and scheme == "dask":
        from .dask_engine import DaskEngine

        return DaskEngine(address, resources)
    if separator and scheme == "ray":
        from .ray_engine import RayEngine

        return RayEngine(address, resources)
    if not separator and ":" in url:
        if resources:
            raise BadEngine("an executor does not have resources: leave out --engine-resources")
        return ExecutorEngine(url, _factory(url))
    raise BadEngine(
        f"unknown engine {url!r}",
        "an engine is dask://HOST:PORT, ray://HOST:PORT, or package.module:function, which returns a "
        "concurrent.futures.Executor",
    )
