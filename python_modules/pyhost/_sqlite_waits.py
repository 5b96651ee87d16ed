"""SQLite connections whose waits for locks do not count towards the deadline of a run."""

import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Callable

# Seconds of one wait inside SQLite. Python code runs between waits, so that a run can be cancelled.
_ONE_WAIT = 0.1


def _is_lock(error: sqlite3.OperationalError) -> bool:
    return "locked" in str(error)


class WaitingConnection(sqlite3.Connection):
    """Waits for locks for up to `patience` seconds. Any thread may use it.

    A statement that fails because of a lock has changed nothing, so it is retried.
    """

    def __init__(self, path: str, patience: float) -> None:
        # The host closes it from its own thread.
        super().__init__(path, timeout=min(_ONE_WAIT, patience), check_same_thread=False)
        self._patience = patience

    def _attempt(self, call: Callable[..., Any], *arguments: Any) -> Any:
        begun = last = time.monotonic()
        while True:
            try:
                return call(*arguments)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                # SQLite fails immediately if waiting cannot help.
                has_waited = now - last >= _ONE_WAIT / 2
                if not has_waited or now - begun >= self._patience or not _is_lock(error):
                    raise
                sys.modules["_pyhost"].postpone_deadline(now - last)
                last = now

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)

    def commit(self) -> None:
        self._attempt(super().commit)

    # The base class would use its own cursors and commit.
    def execute(self, *arguments: Any) -> Any:
        return self.cursor().execute(*arguments)

    def executemany(self, statement: str, rows: Iterable[Any]) -> Any:
        return self.cursor().executemany(statement, rows)

    def executescript(self, script: str) -> Any:
        return self.cursor().executescript(script)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        if kind is None:
            try:
                self.commit()
            except BaseException:
                self.rollback()
                raise
        return super().__exit__(kind, error, traceback)


class _Cursor(sqlite3.Cursor):
    connection: WaitingConnection

    def execute(self, *arguments: Any) -> Any:
        return self.connection._attempt(super().execute, *arguments)

    def executemany(self, statement: str, rows: Iterable[Any]) -> Any:
        left: Iterator[Any] = iter(rows)
        taken: list[Any] = []  # the row that is being written

        def remember() -> Iterator[Any]:
            for taken[:] in ([row] for row in left):
                yield taken[0]

        def go_on() -> Any:
            return super(_Cursor, self).executemany(statement, chain(list(taken), remember()))

        return self.connection._attempt(go_on)

    def executescript(self, script: str) -> Any:
        # A retry would repeat the first statements, so SQLite itself waits for the whole time.
        patience = self.connection._patience
        self._set_wait(patience)
        try:
            return super().executescript(script)
        finally:
            self._set_wait(min(_ONE_WAIT, patience))

    def _set_wait(self, seconds: float) -> None:
        super().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
