"""`pyhost.store`: a dict of JSON values that belongs to a module, and that its next run finds again.

It lies in an SQLite file, a row a module. A run has the file to itself from its first use of the store until it
ends, so that nothing is lost between reading and writing; others wait. What the run leaves is written in one
transaction if it ends well. In a test without a host, a dict takes its place:
`monkeypatch.setattr("pyhost.store", {}, raising=False)`.
"""

import json
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any, Optional

PATIENCE = 60.0  # seconds that a run waits for another one to end

_MAKE = "CREATE TABLE IF NOT EXISTS store (module TEXT PRIMARY KEY, value TEXT NOT NULL)"


class _File:
    """The file as one thread has it open. Runs on it may be nested, and share one transaction."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.users = 0
        try:
            # Only this thread uses it, but the host closes it.
            self.connection = sqlite3.connect(
                name, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OSError(f"the store {name} cannot be opened: {error}") from None

    def enter(self) -> None:
        if self.users == 0:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                self.connection.execute(_MAKE)
            except sqlite3.Error as error:
                if "locked" in str(error):
                    raise TimeoutError(
                        f"the store {self.name} has been in use by another run for {PATIENCE:g} s"
                    ) from None
                raise OSError(f"the store {self.name} cannot be used: {error}") from None
        self.users += 1

    def leave(self) -> None:
        self.users -= 1
        if self.users > 0:
            return
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error:
            self.connection.execute("ROLLBACK")
            raise


class _Use:
    """What a run has of the store."""

    def __init__(self, file: _File, module: str) -> None:
        self.file = file
        self.module = module
        file.enter()
        row = file.connection.execute(
            "SELECT value FROM store WHERE module = ?", (module,)
        ).fetchone()
        self.text: Optional[str] = row[0] if row else None
        self.values: dict[str, Any] = json.loads(self.text) if self.text else {}


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
            "pyhost.store is a host's, and there is none; a test can put a dict there"
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
    return use.values


def left_by(run: int) -> Optional[dict[str, Any]]:
    """What the run has put into the store; None if it has not used it. For the host."""
    use = _uses.get(run)
    return use.values if use else None


def end(run: int, text: Optional[str]) -> None:
    """Ends the run's use of the store, and keeps this text if there is one. For the host."""
    use = _uses.pop(run, None)
    if use is None:
        return
    try:
        if text is not None and text != use.text:
            use.file.connection.execute(
                "INSERT OR REPLACE INTO store VALUES (?, ?)", (use.module, text)
            )
    finally:
        use.file.leave()


def close_all() -> None:
    """Closes the file on all threads. For the host, which no run is in any more."""
    _uses.clear()
    for file in list(_files):
        file.connection.close()
    _files.clear()
    _thread.__dict__.clear()
