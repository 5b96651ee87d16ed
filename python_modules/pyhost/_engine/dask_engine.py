"""Runs chunks as tasks of Dask."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
import uuid
from typing import Any

from .engines import Done
from .errors import BadEngine, Unreachable
from .remote import end_runs, run_chunk

CONNECT_SECONDS = 10
CHECK_SECONDS = 5  # for a call on all workers, because one of them may be stopped
WORKERS_SECONDS = 60  # for the first worker to join, and for a lost scheduler to come back
START_WORKERS = "start workers with `dask worker ADDRESS`"
SILENT_SECONDS = 20  # without a heartbeat, until a worker counts as lost


def _rooms(nthreads: int, has: dict[str, float], needs: dict[str, float]) -> int:
    """Returns how many chunks a worker runs at once."""
    return min([nthreads, *(int(has.get(name, 0) / need) for name, need in needs.items() if need)])


def run_chunk_of_dask(needs: dict[str, float], *arguments: Any) -> bytes:
    """Called on a worker."""
    import distributed

    state: Any = distributed.get_worker().state
    width = _rooms(state.nthreads, state.total_resources, needs)
    return run_chunk(*arguments, width=width)


def _version_of_pyhost() -> str:
    """Called on the workers. Raises ImportError if pyhost is not installed there."""
    import pyhost._engine.remote as remote

    return remote.worker_name()


class DaskEngine:
    """`address` is HOST:PORT, the path of a scheduler file, or empty for what Dask is configured to use."""

    def __init__(self, address: str, resources: dict[str, float]) -> None:
        try:
            import dask.config
            import distributed
        except ImportError as error:
            raise BadEngine(
                f"Dask cannot be imported: {error}",
                "install the packages dask and distributed where pyhost runs",
            ) from None
        # Otherwise it logs tracebacks of errors that are handled here.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._config: Any = dask.config
        self._distributed: Any = distributed
        self._resources = resources
        self._run = uuid.uuid4().hex[:8]
        self._last = 0
        self._checked = 0.0
        self._slots = 0
        self._last_seen = time.monotonic()  # when there was a worker the last time
        self._stopped: set[str] = set()  # workers without heartbeats, which get no more chunks
        self._address = address
        self._client: Any = self._connect()
        self._await_workers()
        self._check_workers()

    def _connect(self) -> Any:
        address = self._address
        where: dict[str, Any] = {"address": f"tcp://{address}"} if address else {}
        if address.startswith("/"):
            self._await_file(address)
            where = {"scheduler_file": address}
        elif address and not re.fullmatch(r"([^\s/:]+|\[[0-9A-Fa-f:.]+\]):\d+", address):
            raise BadEngine(
                f"the address of a Dask scheduler must be dask://HOST:PORT, not 'dask://{address}'"
            )
        try:
            # Otherwise the client keeps the last 1,000 messages that it has sent, including the states.
            with self._config.set({"distributed.admin.low-level-log-length": 0}):
                return self._distributed.Client(
                    **where, timeout=CONNECT_SECONDS, set_as_default=False, name="pyhost"
                )
        except (OSError, TimeoutError, ValueError) as error:
            raise Unreachable(
                f"the Dask scheduler at {address or 'the configured address'} does not answer: {error}",
                "start it with `dask scheduler`, or check the address",
            ) from None

    @staticmethod
    def _await_file(path: str) -> None:
        until = time.monotonic() + CONNECT_SECONDS
        while not os.path.exists(path):  # Dask would wait without a timeout
            if time.monotonic() >= until:
                raise Unreachable(
                    f"the scheduler file {path} does not exist",
                    "start the scheduler with `dask scheduler --scheduler-file FILE`, or check the path",
                )
            time.sleep(0.1)

    def _await_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except (TimeoutError, self._distributed.TimeoutError):
            self._client.close()
            raise Unreachable(
                f"no worker has joined the Dask scheduler within {WORKERS_SECONDS} s",
                START_WORKERS,
            ) from None

    def _check_workers(self) -> None:
        client = self._client
        try:
            # This is client.run(), which has no timeout.
            answers = client.sync(
                client._run, _version_of_pyhost, on_error="return", callback_timeout=CHECK_SECONDS
            )
        except (TimeoutError, self._distributed.TimeoutError):
            return  # chunks on these workers fail later
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                raise BadEngine(
                    f"the worker {worker} cannot import pyhost: {answer}",
                    "install the same version of pyhost on each machine",
                )

    def _workers(self) -> dict[str, Any]:
        try:
            info = self._client.scheduler_info(n_workers=-1)
        except TypeError:  # an older version, which always returns all workers
            info = self._client.scheduler_info()
        workers: dict[str, Any] = info["workers"]
        return workers

    def slots(self) -> int:
        if self._client.status != "running":
            return self._slots
        self._slots = sum(
            _rooms(int(worker["nthreads"]), worker["resources"], self._resources)
            for worker in self._workers().values()
        )
        now = time.monotonic()
        if self._slots:
            self._last_seen = now
        elif now - self._last_seen > WORKERS_SECONDS:
            needs = ", ".join(f"{name}={need:g}" for name, need in self._resources.items())
            raise Unreachable(
                f"the Dask scheduler has had no worker{needs and ' with '}{needs} for {WORKERS_SECONDS} s",
                START_WORKERS,
            )
        return self._slots

    def submit(self, name: str, arguments: tuple[Any, ...], done: Done, alone: bool) -> Any:
        self._await_connection()
        self._last += 1
        running = self._running() if self._stopped else []
        future = self._client.submit(
            run_chunk_of_dask,
            self._resources,
            *arguments,
            key=f"pyhost-{name}-{self._run}-{self._last}",
            pure=False,
            resources=self._resources or None,
            workers=running or None,
            allow_other_workers=bool(running),  # the running ones may end before the chunk begins
        )
        # Dask calls all callbacks on one thread. To read a result that a stopped worker holds would block it.
        future.add_done_callback(
            lambda ended: threading.Thread(
                target=lambda: done(self._outcome(ended)), daemon=True
            ).start()
        )
        return future

    @staticmethod
    def _outcome(future: Any) -> Any:
        try:
            return future.result()
        except BaseException as error:  # also the CancelledError of a lost connection
            return error

    def _await_connection(self) -> None:
        """Waits until the client is connected. The client itself reconnects within some seconds, or closes."""
        until = time.monotonic() + WORKERS_SECONDS
        while self._client.status != "running":
            if time.monotonic() >= until:
                raise Unreachable(
                    f"the Dask scheduler could not be reached for {WORKERS_SECONDS} s"
                )
            if self._client.status == "closed":
                with contextlib.suppress(Unreachable):
                    self._client = self._connect()
            else:
                time.sleep(0.1)

    def is_cut(self, error: BaseException) -> bool:
        # If the connection to the scheduler is lost, the client cancels its futures.
        names = {
            "CancelledError",
            "FutureCancelledError",
            "FuturesCancelledError",
            "CommClosedError",
        }
        return type(error).__name__ in names

    def is_lost(self, error: BaseException) -> bool:
        return type(error).__name__ == "KilledWorker"  # Dask itself repeats tasks before

    def is_given_up(self, error: BaseException) -> bool:
        return self.is_lost(error)

    def _running(self) -> list[str]:
        return [name for name in self._workers() if name not in self._stopped]

    def silent(self) -> list[Any]:
        now = time.monotonic()
        if now - self._checked < SILENT_SECONDS / 4 or self._client.status != "running":
            return []
        self._checked = now
        workers = self._workers()
        if not workers:
            return []
        newest = max(worker["last_seen"] for worker in workers.values())
        self._stopped = {
            name
            for name, worker in workers.items()
            if newest - worker["last_seen"] > SILENT_SECONDS
        }
        if not self._stopped:
            return []
        stopped = list(self._stopped)
        at_work, results = self._client.processing(stopped), self._client.has_what(stopped)
        keys = {str(key) for name in stopped for held in (at_work, results) for key in held[name]}
        futures: dict[str, Any] = dict(self._client.futures)
        return [key for key in keys if key in futures]

    def cancel(self, handle: Any) -> None:
        handle.cancel()

    def end_runs(self, orders: list[str]) -> None:
        client = self._client
        with contextlib.suppress(OSError, TimeoutError, self._distributed.TimeoutError):
            client.sync(
                client._run, end_runs, orders, on_error="ignore", callback_timeout=CHECK_SECONDS
            )

    def close(self) -> None:
        self._client.close(timeout=5)
