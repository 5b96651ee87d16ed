"""Runs chunks as tasks of Ray, through Ray's client. A driver of Ray within this process would need a node of the
cluster on this machine, handle signals, print to stdout, and end this process when its node ends."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

from .engines import Done
from .errors import BadEngine, Unreachable

CONNECT_SECONDS = 10
WORKERS_SECONDS = 60  # for a node to join that has room for a task
LOCAL = "ray://127.0.0.1:10001"  # where `ray start --head` listens by default


def _address(given: str) -> tuple[str, int]:
    """Returns host and port. Without an address, uses the variable RAY_ADDRESS, otherwise a head on this machine."""
    url = f"ray://{given}" if given else os.environ.get("RAY_ADDRESS", LOCAL)
    scheme, _, address = url.rpartition("://")
    host, _, port = address.rpartition(":")
    if scheme != "ray" or not host or not port.isdecimal():
        raise BadEngine(
            f"the address of a Ray cluster must be ray://HOST:PORT, not {url!r}",
            "" if given else "change the variable RAY_ADDRESS, or set the address with --engine",
        )
    return host, int(port)


class RayEngine:
    """`address` is the HOST:PORT at which the head of the cluster listens for clients, or empty."""

    def __init__(self, address: str, resources: dict[str, float]) -> None:
        try:
            import grpc  # Ray's client needs it, and the package ray does not install it
            import ray
        except ImportError as error:
            raise BadEngine(
                f"Ray cannot be imported: {error}",
                "install the package ray[client] where pyhost runs",
            ) from None
        # Otherwise Ray logs errors that are handled here. This logger ignores `logging_level`.
        logging.getLogger("ray.util.client.logsclient").addHandler(logging.NullHandler())
        warnings.filterwarnings("ignore", module=r"ray\.")
        self._ray: Any = ray
        self._rpc_error: Any = grpc.RpcError
        self._needs = {"CPU": 1.0, **resources}
        self._connect(*_address(address))
        self._slots = 0
        self._last_slots = time.monotonic()
        try:
            self._task = self._make_task()
            while not self.slots():
                time.sleep(0.5)
        except BaseException:
            self.close()
            raise

    def _connect(self, host: str, port: int) -> None:
        if self._ray.is_initialized():
            raise BadEngine("this process is already connected to Ray, which allows one connection")
        try:
            socket.create_connection((host.strip("[]"), port), CONNECT_SECONDS).close()
            # On the main thread, Ray would set a handler for SIGTERM.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(
                    self._ray.init,
                    f"ray://{host}:{port}",
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                ).result()
        except OSError as error:
            raise Unreachable(
                f"the Ray cluster at {host}:{port} does not answer: {error}",
                "its head needs the package ray[client] and GRPC_ENABLE_FORK_SUPPORT=0, and this process needs the "
                "RAY_AUTH_MODE of the head",
            ) from None
        except RuntimeError as error:  # for example, another version
            raise BadEngine(f"the Ray cluster at {host}:{port} cannot be used: {error}") from None

    def _make_task(self) -> Any:
        def run_chunk(*arguments: Any) -> bytes:
            # A nested function is sent as code, so that the head does not need pyhost.
            import pyhost._engine.remote as remote

            return remote.run_chunk(*arguments)

        needs = dict(self._needs)
        return self._ray.remote(
            num_cpus=needs.pop("CPU"),
            num_gpus=needs.pop("GPU", 0),
            memory=needs.pop("memory", None),
            resources=needs,
            max_retries=0,  # the driver repeats lost tasks itself
            max_calls=0,  # the worker and its coprocess stay, even if tasks need a GPU
        )(run_chunk)

    def slots(self) -> int:
        try:
            nodes = self._call(self._ray.nodes)
        except (self._rpc_error, ValueError):  # the client is reconnecting
            return self._slots
        self._slots = sum(
            min(
                int(node["Resources"].get(name, 0) / count)
                for name, count in self._needs.items()
                if count
            )
            for node in nodes
            if node["Alive"]
        )
        now = time.monotonic()
        if self._slots:
            self._last_slots = now
        elif now - self._last_slots > WORKERS_SECONDS:
            needs = ", ".join(f"{name}={count:g}" for name, count in self._needs.items())
            raise Unreachable(
                f"no node of the Ray cluster has had room for a task with {needs} for {WORKERS_SECONDS} s",
                "add one with `ray start --address=ADDRESS`, or change --engine-resources",
            )
        return self._slots

    def _call(self, function: Callable[[], Any]) -> Any:
        """Calls a function of Ray, if there is a connection. Otherwise Ray would start a cluster of its own."""
        try:
            if self._ray.is_initialized():
                return function()
        except ConnectionError:
            pass
        raise _lost()

    def submit(self, name: str, arguments: tuple[Any, ...], done: Done, alone: bool) -> Any:
        def begin() -> Any:
            reference = self._task.options(name=f"pyhost-{name}").remote(*arguments)
            reference.future().add_done_callback(lambda ended: done(_outcome(ended)))
            return reference

        return self._call(begin)

    def is_cut(self, error: BaseException) -> bool:
        return False

    def is_lost(self, error: BaseException) -> bool:
        errors = self._ray.exceptions
        return isinstance(
            error,
            (
                errors.WorkerCrashedError,
                errors.NodeDiedError,
                errors.LocalRayletDiedError,
                errors.OutOfMemoryError,
                errors.ObjectLostError,
            ),
        )

    def is_given_up(self, error: BaseException) -> bool:
        return False

    def silent(self) -> list[Any]:
        return []  # Ray itself detects nodes that do not respond

    def cancel(self, handle: Any) -> None:
        # With force, because an exception in the worker could interrupt it between a state and its index.
        with contextlib.suppress(Exception):
            self._call(lambda: self._ray.cancel(handle, force=True))

    def end_runs(self, orders: list[str]) -> None:
        pass  # cancel() has ended them

    def close(self) -> None:
        self._ray.shutdown()


def _outcome(future: Future[bytes]) -> Any:
    error = future.exception()
    if isinstance(error, ConnectionError):
        return _lost()
    # An exception that the task has raised is the cause of Ray's own exception.
    return getattr(error, "cause", None) or error or future.result()


def _lost() -> Unreachable:
    return Unreachable("the connection to the Ray cluster was lost")
