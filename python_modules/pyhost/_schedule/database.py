"""The database of a schedule: SQLite, or PostgreSQL through SQLAlchemy, with the same statements and parameters."""

import importlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Callable, Optional, Union

from pyhost import _connection_types
from pyhost._connection_urls import split_sqlite
from pyhost.errors import ConnectionFailed

Row = dict[str, Any]

_LOCK_SECONDS = 5
# The server ends statements and transactions of a stopped or disconnected process, so that others do not wait.
_SETTINGS = (
    "set statement_timeout = '10s'",
    f"set lock_timeout = '{_LOCK_SECONDS}s'",
    "set idle_in_transaction_session_timeout = '15s'",
)
_REFUSALS = ("ProgrammingError", "IntegrityError", "DataError", "NotSupportedError")


class ScheduleFailed(Exception):
    """An expected failure. Its kind is "unreachable" if the same call may work later, otherwise "refused"."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint

    def as_dict(self) -> Row:
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


class Database:
    """A connection, opened at its first use and again after each failure. A statement outside of transaction() is
    committed at once. Raises ScheduleFailed."""

    clock: str  # the SQL expression for microseconds since 1970 UTC
    begin: str
    lock = ""  # the end of a select that locks its rows
    _hints: tuple[
        tuple[str, str], ...
    ] = ()  # a part of the driver's error text, and the hint for it

    def __init__(self, title: str, shown: Callable[[str], str] = str) -> None:
        self.found_tables: set[str] = set()
        self._title = title
        self._shown = shown  # removes secrets from the driver's error texts
        self._connection: Any = None
        self._is_in_transaction = False

    def rows(self, sql: str, **values: Any) -> list[Row]:
        raise NotImplementedError

    def execute(self, sql: str, **values: Any) -> int:
        """Executes a statement, and returns how many rows it changed."""
        return int(self._run(sql, values).rowcount)

    def execute_all(self, sql: str, values: list[Row]) -> None:
        """Executes a statement once for each dict of values."""
        self._run(sql, values)

    @contextmanager
    def transaction(self, undo: bool = False) -> Iterator[None]:
        """Commits at the end, or rolls back if `undo` or after an exception. A nested one is part of the outer one."""
        if self._is_in_transaction:
            yield
            return
        self._run(self.begin, {})
        self._is_in_transaction = True
        try:
            yield
            self._run("rollback" if undo else "commit", {})
        except BaseException:
            self.close()  # rolls back, even if the connection is broken
            raise
        finally:
            self._is_in_transaction = False

    def has_table(self, name: str) -> bool:
        raise NotImplementedError

    def lock_tables(self) -> None:
        """Prevents other processes from creating tables until the end of the transaction."""

    def refresh(self) -> None:
        """Closes the connection if its file was removed or replaced."""

    def close(self) -> None:
        self.found_tables.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken
                self._disconnect(connection)

    def _run(self, sql: str, values: Union[Row, list[Row]]) -> Any:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._execute(sql, values)
        except Exception as error:
            kind = self._kind_of(error)
            self.close()
            if kind is None:
                raise
            text = self._shown(str(getattr(error, "orig", None) or error).strip())
            raise self._failure(kind, text) from None

    def _failure(self, kind: str, text: str) -> ScheduleFailed:
        hint = next((hint for part, hint in self._hints if part in text), "")
        return ScheduleFailed(kind, f"{self._title} cannot be used: {text}", hint)

    def _connect(self) -> Any:
        raise NotImplementedError

    def _disconnect(self, connection: Any) -> None:
        connection.close()

    def _execute(self, sql: str, values: Union[Row, list[Row]]) -> Any:
        raise NotImplementedError

    def _kind_of(self, error: Exception) -> Optional[str]:
        """Returns the kind of a ScheduleFailed, or None for an exception that does not come from the database."""
        raise NotImplementedError


class SqliteDatabase(Database):
    clock = "pyhost_clock()"
    begin = "begin immediate"
    _hints = (
        ("is full", "free space on its disk"),
        ("readonly", "make the file and its folder writable"),
        ("unable to open", "check that its folder exists and is writable"),
        ("is locked", "end the transaction of the other program that has it open"),
        ("not a database", "name another file, or move this one away"),
    )

    def __init__(self, path: str, title: str) -> None:
        super().__init__(title)
        self._path = path
        self._file: Optional[tuple[int, int]] = None

    def rows(self, sql: str, **values: Any) -> list[Row]:
        found = self._run(sql, values)
        try:
            names = [each[0] for each in found.description]
            return [dict(zip(names, row)) for row in found]
        except sqlite3.Error as error:  # rows are read lazily, so reading one may fail
            self.close()
            raise self._failure(str(self._kind_of(error)), str(error)) from None

    def has_table(self, name: str) -> bool:
        # A query would create the file.
        if not os.path.exists(self._path):
            return False
        return bool(self.rows("select 1 from sqlite_master where name = :name", name=name))

    def refresh(self) -> None:
        # Otherwise runs would still be written to the file that was removed or replaced, and be lost.
        if self._connection is not None and self._identity() != self._file:
            self.close()

    def _identity(self) -> Optional[tuple[int, int]]:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self) -> Any:
        # The calls of a process may come from different threads, one after the other.
        made = sqlite3.connect(
            self._path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        made.create_function("pyhost_clock", 0, lambda: time.time_ns() // 1000)
        self._file = self._identity()
        return made

    def _execute(self, sql: str, values: Union[Row, list[Row]]) -> Any:
        run = self._connection.executemany if isinstance(values, list) else self._connection.execute
        return run(sql, values)

    def _kind_of(self, error: Exception) -> Optional[str]:
        if isinstance(error, sqlite3.OperationalError):
            is_wrong = any(each in str(error) for each in ("no such", "no column", "syntax error"))
            return "refused" if is_wrong else "unreachable"
        return "refused" if isinstance(error, sqlite3.Error) else None


class PostgresqlDatabase(Database):
    clock = "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)"
    begin = "begin isolation level read committed"
    lock = " for update"
    _hints = (
        ("read-only", "connect to a server that accepts writes"),
        ("onnection", "check that the server runs and can be reached"),
        ("permission denied", "grant its user the right to create and change tables"),
    )

    def __init__(self, name: str, url: str, title: str, shown: Callable[[str], str]) -> None:
        super().__init__(title, shown)
        self._name = name
        self._url = url
        self._engine: Any = None

    def rows(self, sql: str, **values: Any) -> list[Row]:
        return [dict(each) for each in self._run(sql, values).mappings()]

    def has_table(self, name: str) -> bool:
        return bool(self.rows("select 1 where to_regclass(:name) is not null", name=name))

    def lock_tables(self) -> None:
        # `create table if not exists` fails in one of two concurrent sessions.
        self.execute("select pg_advisory_xact_lock(793042109)")

    def _connect(self) -> Any:
        if self._engine is None:
            self._engine = _connection_types.open_sql(self._name, self._url).get()
        made = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        for setting in _SETTINGS:
            made.exec_driver_sql(setting)
        return made

    def _disconnect(self, connection: Any) -> None:
        connection.invalidate()  # so that it does not return from the pool with an open transaction
        connection.close()

    def _execute(self, sql: str, values: Union[Row, list[Row]]) -> Any:
        return self._connection.execute(importlib.import_module("sqlalchemy").text(sql), values)

    def _kind_of(self, error: Exception) -> Optional[str]:
        if isinstance(error, (ConnectionFailed, ValueError)):  # an invalid URL
            return "refused"
        exc: Any = importlib.import_module("sqlalchemy.exc")
        if isinstance(error, exc.DBAPIError):
            return "refused" if type(error).__name__ in _REFUSALS else "unreachable"
        return "refused" if isinstance(error, exc.SQLAlchemyError) else None


def open_file(path: str) -> Database:
    """Opens the history of a schedule whose entries are not in a database."""
    return SqliteDatabase(path, f"the schedule's history {path}")


def open_connection(name: str, url: str, shown: Callable[[str], str] = str) -> Database:
    """Opens a separate connection to the database of this URL. Refuses databases other than SQLite and PostgreSQL."""
    title = f"the schedule's database, connection {name!r},"
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] == "postgresql":
        return PostgresqlDatabase(name, url, title, shown)
    if scheme != "sqlite":
        raise ScheduleFailed(
            "refused",
            f"{title} is not SQLite or PostgreSQL",
            "write its URL as in sqlite:///jobs.db or postgresql://user@host/database",
        )
    try:
        path, _ = split_sqlite(
            name, rest, url
        )  # ignores its timeout: leases limit how long a schedule waits
    except ConnectionFailed as error:
        raise ScheduleFailed("refused", str(error)) from None
    if not path:
        raise ScheduleFailed(
            "refused",
            f"{title} has no file, so each process would have a schedule of its own",
            "write its URL as in sqlite:///jobs.db",
        )
    return SqliteDatabase(path, title)
