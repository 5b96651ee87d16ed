"""SQLite connections, one per thread, and the runs that use them."""

import os
import sys
import threading
import weakref
from contextvars import ContextVar
from typing import Any

from pyhost.errors import ConnectionFailed

# The run of this code. asyncio.to_thread passes it to the other thread.
_run: ContextVar[int] = ContextVar("pyhost.run", default=0)
_live: set[int] = set()  # the runs in progress
# Connections of the parent process after a fork. SQLite does not allow closing them here.
_of_parent: list[Any] = []


def begin_run(run: int) -> None:
    """Records the outermost run of this thread."""
    _live.add(run)
    _run.set(run)


def forget_run(run: int) -> None:
    """Records that a run has ended."""
    _live.discard(run)


def forget_all_runs() -> None:
    """Records that no run is in progress, because the host is being closed."""
    _live.clear()


def _current_run() -> int:
    """Returns the run of this code; 0 if it is unknown."""
    here = sys.modules["_pyhost"].current_run()
    if here is not None:
        begin_run(here[2])
        return int(here[2])
    run = _run.get()
    return run if run in _live else 0


class _ThreadConnection:
    """One connection of a thread. It is closed when the thread ends and releases it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.process = os.getpid()
        # The runs that may have uncommitted changes in it. Empty if it was taken outside of a run.
        self.runs: set[int] = set()
        # Whether exactly that run took it. Otherwise `runs` is all runs that were in progress then.
        self.is_known = False

    def __del__(self) -> None:
        if os.getpid() == self.process:
            self.connection.close()
        else:
            _of_parent.append(self.connection)

    def is_taken(self) -> bool:
        return not self.runs.isdisjoint(_live)

    def is_closed(self) -> bool:
        try:
            return self.connection.in_transaction is None
        except Exception:
            return True

    def undo(self) -> bool:
        """Rolls back uncommitted changes. Returns False if there are none."""
        if self.is_closed() or not self.connection.in_transaction:
            return False
        self.connection.rollback()
        return True


class SqliteConnections:
    """The connections to one database.

    Each thread has its own, because sqlite3 requires that. A run that begins while a stream of the same thread is open
    has another one. A database in memory has one connection for all threads.
    """

    def __init__(self, name: str, path: str, timeout: float) -> None:
        self._name = name
        self._path = path
        self._timeout = timeout
        self._thread = threading.local()
        self._all: weakref.WeakSet[_ThreadConnection] = weakref.WeakSet()
        # Held while a connection is taken, and while the changes of an ended run are rolled back.
        self._lock = threading.RLock()
        self._in_memory = None if path else self._connect()
        self.get()

    def _connect(self) -> _ThreadConnection:
        import sqlite3

        from pyhost._sqlite_waits import WaitingConnection

        try:
            made = _ThreadConnection(WaitingConnection(self._path or ":memory:", self._timeout))
        except sqlite3.Error as error:
            raise ConnectionFailed(
                f"connection {self._name!r} could not be opened: {error}"
            ) from None
        with self._lock:
            self._all.add(made)
        return made

    def get(self) -> Any:
        if not self._path:
            if self._in_memory is None or self._in_memory.is_closed():
                self._in_memory = self._connect()
            return self._in_memory.connection
        run = _current_run()
        with self._lock:
            return self._take(run).connection

    def _opened_here(self) -> list[_ThreadConnection]:
        opened: list[_ThreadConnection] = self._thread.__dict__.setdefault("opened", [])
        opened[:] = [each for each in opened if not each.is_closed()]
        return opened

    def _take(self, run: int) -> _ThreadConnection:
        opened = self._opened_here()
        found = [each for each in opened if run in each.runs] if run else opened[:1]
        found += [each for each in opened if not each.is_taken()]
        if not found:
            found.append(self._connect())
            opened.append(found[0])
        taken = found[0]
        if not taken.is_taken():
            if taken.runs and taken.undo():
                print(
                    f"pyhost: a thread did not commit its changes on connection {self._name!r}, so they were rolled "
                    "back after the end of the run",
                    file=sys.stderr,
                )
            taken.runs = {run} if run else set(_live)
            taken.is_known = bool(run)
        return taken

    def undo(self, run: int, is_outermost: bool) -> bool:
        """Rolls back what the ending run has not committed, on any thread. Returns False if there are no changes."""
        here = self._opened_here() if is_outermost else []
        undone = False
        with self._lock:
            for each in list(self._all):
                if each is self._in_memory or each.is_taken():
                    continue
                # If there is no other run, the ending run used a connection that an earlier run had taken.
                is_of_run = each.is_known and (run in each.runs or not _live)
                if is_of_run or each in here:
                    undone = each.undo() or undone
        return undone

    def close(self) -> None:
        with self._lock:
            for each in list(self._all):
                each.connection.close()
