"""`pyhost.store`: a dict of JSON values that belongs to a module, and that its next run finds again.

It lies in an SQLite file, a row a module. A run has the file to itself from its first use of the store until it
ends, so that nothing is lost between reading and writing; others wait. What the run leaves is written in one
transaction if it ends well. In a test without a host, a dict takes its place:
`monkeypatch.setattr("pyhost.store", {}, raising=False)`.
"""

import copy
import json
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any, Optional

PATIENCE = 60.0  # seconds that a run waits for another one to end

# SQLite itself waits only so long, since nobody can stop a run while it does.
_PATIENCE_IN_C = 0.05

_MAKE = "CREATE TABLE IF NOT EXISTS store (module TEXT PRIMARY KEY, value TEXT NOT NULL)"
_READ = "SELECT value FROM store WHERE module = ?"
_WRITE = "INSERT OR REPLACE INTO store VALUES (?, ?)"


class _Values:
    """What a module has in the file, for all of its runs that are within each other on a thread."""

    def __init__(self, text: Optional[str]) -> None:
        self.read = self.text = text
        self.values: dict[str, Any] = json.loads(text) if text else {}
        if not isinstance(self.values, dict):
            raise ValueError("it is no object")


class _File:
    """The file as one thread has it open. Runs on it may be nested, and share one transaction."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, _Values] = {}  # by module
        try:
            # Only this thread uses it, but the host closes it.
            self.connection = sqlite3.connect(
                name, timeout=_PATIENCE_IN_C, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OSError(f"the store {name} cannot be opened: {error}") from None

    def execute(self, statement: str, *values: Any) -> Any:
        """Waits for others who have the file; a run can be stopped meanwhile."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.connection.execute(statement, values)
            except sqlite3.Error as error:
                if "locked" not in str(error):
                    raise OSError(f"the store {self.name} cannot be used: {error}") from None
                if time.monotonic() >= until:
                    raise TimeoutError(
                        f"the store {self.name} has been in use by another run for {PATIENCE:g} s"
                    ) from None

    def values_of(self, module: str) -> _Values:
        if not self.connection.in_transaction:
            self.values.clear()
            self.execute("BEGIN IMMEDIATE")
            self.execute(_MAKE)
        found = self.values.get(module)
        if found is None:
            row = self.execute(_READ, module).fetchone()
            try:
                found = self.values[module] = _Values(row[0] if row else None)
            except ValueError as error:
                raise ValueError(
                    f"what the store {self.name} has for module {module!r} cannot be read: {error}"
                ) from None
        return found

    def leave(self) -> None:
        """Ends the transaction, also one that a stop came in the midst of."""
        if not self.connection.in_transaction:
            return
        try:
            self.execute("COMMIT")
        finally:
            self.values.clear()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


class _Use:
    """What a run has of the store. It is known before the file is locked, so that its end unlocks the file."""

    def __init__(self, file: _File, module: str) -> None:
        self.file = file
        self.module = module
        self.found: Optional[_Values] = None  # until it has the file
        self.before: tuple[Optional[str], dict[str, Any]] = (None, {})

    def values(self) -> dict[str, Any]:
        if self.found is None:
            found = self.file.values_of(self.module)
            # Others who have them go on with these if this run fails.
            self.before = (found.text, copy.deepcopy(found.values) if _has_users(found) else {})
            self.found = found
        return self.found.values

    def end(self, text: Optional[str]) -> None:
        try:
            if self.found is not None:
                self._leave(self.found, text)
        finally:
            if not any(use.file is self.file for use in list(_uses.values())):
                self.file.leave()

    def _leave(self, found: _Values, text: Optional[str]) -> None:
        goes_on = _has_users(found)
        if text is not None:
            found.text = text
        else:
            found.text, values = self.before
            if goes_on and found.values != values:
                found.values.clear()
                found.values.update(values)
        if goes_on:
            return
        self.file.values.pop(self.module, None)
        if found.text is not None and found.text != found.read:
            self.file.execute(_WRITE, self.module, found.text)


def _has_users(found: _Values) -> bool:
    return any(use.found is found for use in list(_uses.values()))


_uses: dict[int, _Use] = {}
_files: "weakref.WeakSet[_File]" = weakref.WeakSet()
_thread = threading.local()


class Store(MutableMapping[str, Any]):
    """The values of the module that runs. They may be changed in place; JSON has to have them at the end."""

    def __getitem__(self, key: str) -> Any:
        return _values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        _values()[key] = value

    def __delitem__(self, key: str) -> None:
        del _values()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_values())

    def __len__(self) -> int:
        return len(_values())

    def __repr__(self) -> str:
        return f"pyhost.store({_values()!r})"


store = Store()


def _values() -> dict[str, Any]:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    name = getattr(host, "store_file", None)
    if host is None or name is None:
        raise RuntimeError(
            "pyhost.store is a host's, and "
            + ("there is none; a test can put a dict there" if host is None else "it is closed")
        )
    if not name:
        raise RuntimeError(
            "this host has no store: name a file for it, by `--store FILE` or Options::store"
        )
    run = host.current_run()
    if run is None:
        raise RuntimeError(
            "pyhost.store belongs to a run: use it in create() or run(), on the thread that they are called on"
        )
    number, module = run
    use = _uses.get(number)
    if use is None:
        file: Optional[_File] = getattr(_thread, "file", None)
        if file is None or file.name != name:
            file = _thread.file = _File(name)
            _files.add(file)
        use = _uses[number] = _Use(file, module)
    return use.values()


def left_by(run: int) -> Optional[dict[str, Any]]:
    """What the run has put into the store; None if it has not used it. For the host."""
    use = _uses.get(run)
    return use.found.values if use and use.found else None


def end(run: int, text: Optional[str]) -> None:
    """Ends the run's use of the store, and keeps this text if there is one. For the host."""
    use = _uses.pop(run, None)
    if use is not None:
        use.end(text)


def close_all() -> None:
    """Closes the file on all threads. For the host, which no run is in any more."""
    _uses.clear()
    for file in list(_files):
        file.connection.close()
    _files.clear()
    _thread.__dict__.clear()
