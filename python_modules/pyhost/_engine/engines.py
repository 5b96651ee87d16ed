"""The engines, by their URL."""

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
    """The part of an engine that pyhost needs. Thread: one, but `done` may be called on any."""

    def slots(self) -> int:
        """How many chunks run at once now."""

    def submit(self, name: str, arguments: tuple[Any, ...], done: Done, alone: bool) -> Any:
        """Begins run_chunk(*arguments), and calls `done` with what it returned, or with an exception. Returns a handle.
        A chunk that runs `alone` is not lost because of the chunks that run beside it, if the engine can do that."""

    def is_cut(self, error: BaseException) -> bool:
        """Whether the error says that the connection was lost, which is the fault of no chunk."""

    def is_lost(self, error: BaseException) -> bool:
        """Whether the error says that the worker was lost, so that the chunk may run elsewhere."""

    def is_given_up(self, error: BaseException) -> bool:
        """Whether the engine itself has tried such a chunk again, as often as it does."""

    def silent(self) -> list[Any]:
        """The handles whose workers have said nothing for a while."""

    def cancel(self, handle: Any) -> None:
        """The outcome is not needed any more."""

    def end_runs(self, orders: list[str]) -> None:
        """Calls remote.end_runs() where chunks run, if cancel() does not end them."""

    def close(self) -> None: ...


class ExecutorEngine:
    """Any concurrent.futures.Executor that the factory returns. One that breaks is made again."""

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
        if alone:  # an executor that breaks loses all its chunks
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
        remote.end_runs(orders)  # of an executor with threads
        processes = getattr(self._executor, "_processes", None) or {}
        for process in list(processes.values()):
            process.kill()

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        remote.close()  # of an executor with threads


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
            "it names a function as package.module:function, of a package in the virtual environment, or as "
            "modules.NAME:function, of a module path",
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
            raise BadEngine("an executor knows no resources: leave out --engine-resources")
        return ExecutorEngine(url, _factory(url))
    raise BadEngine(
        f"the engine {url!r} is not known",
        "an engine is dask://HOST:PORT, ray://HOST:PORT, or package.module:function, which returns a "
        "concurrent.futures.Executor",
    )
