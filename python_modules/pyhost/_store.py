"""`pyhost.store`: a dict of JSON values that belongs to a module and that its next run sees again.

The data is in an SQLite file, with one row per module. A run has exclusive access to the row of its module from its
first use of the store until it ends, so no update is lost. Other runs of the module wait meanwhile. They use a lock on
an empty file beside the store, one file per module, because SQLite can only lock the whole store. If the run succeeds,
its changes are written in one transaction. In a test without a host, a dict can replace the store:
`monkeypatch.setattr("pyhost.store", {}, raising=False)`.
"""

import copy
import fcntl
import os
import sqlite3
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from typing import IO, Any, Optional

PATIENCE = 60.0  # the longest wait for another run to end, in seconds
_LONGEST_PAUSE = 0.05

_MAKE = "CREATE TABLE IF NOT EXISTS store (module TEXT PRIMARY KEY, value TEXT NOT NULL)"
_READ = "SELECT value FROM store WHERE module = ?"
_WRITE = "INSERT OR REPLACE INTO store (module, value) VALUES (?, ?)"


def _read(text: str) -> dict[str, Any]:
    # The host's parser, because the module json cannot read the 1,000 levels that can be written.
    values: dict[str, Any] = sys.modules["_pyhost"].read_object(text)
    return values


def _attempts() -> Iterator[None]:
    """Yields until it is no longer worth trying again.

    Each pause moves the deadline of the run. Otherwise a run that hangs would make all runs that wait for it time out.
    """
    postpone = sys.modules["_pyhost"].postpone_deadline
    until = time.monotonic() + PATIENCE
    pause = 0.0005
    while True:
        yield
        began = time.monotonic()
        if began >= until:
            return
        postpone(pause)
        time.sleep(pause)
        postpone(time.monotonic() - began - pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _lock_range(kind: int, begin: int = 0) -> bytes:
    """Returns a struct flock. A process locks from the byte of its own id on, so others can see the owner."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, begin, 0, 0)


class _Values:
    """The data of a module, shared by all nested runs of the module on a thread."""

    def __init__(self) -> None:
        self.lock: Optional[IO[bytes]] = None
        self.read: Optional[str] = None
        self.text: Optional[str] = None
        self.values: Optional[dict[str, Any]] = None  # None until it is read

    def unlock(self) -> None:
        if self.lock is not None:
            # A process that the module forked may have the file open, too.
            fcntl.fcntl(self.lock, fcntl.F_OFD_SETLK, _lock_range(fcntl.F_UNLCK))
            self.lock.close()


class _File:
    """The store file, opened by one thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, _Values] = {}  # by name of the module
        try:
            # Only this thread uses it, but the host closes it from its own thread.
            self.connection = sqlite3.connect(
                name, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OSError(f"the store {name} cannot be opened: {error}") from None

    def execute(self, statement: str, *values: Any) -> Any:
        """Executes a statement, and waits while others write to the file. A run can be cancelled meanwhile."""
        for _ in _attempts():
            try:
                return self.connection.execute(statement, values)
            except sqlite3.Error as error:
                if "no such column" in str(error) or "no column named" in str(error):
                    raise OSError(
                        f"the store {self.name} cannot be used: it has a table 'store' that is not pyhost's; use "
                        "another file"
                    ) from None
                if "locked" not in str(error):
                    raise OSError(f"the store {self.name} cannot be used: {error}") from None
        raise TimeoutError(
            f"the store {self.name} has been locked by another program for {PATIENCE:g} s"
        )

    def values_of(self, module: str) -> _Values:
        found = self.values.setdefault(module, _Values())
        if found.values is None:
            self._lock(module, found)
            self.execute(_MAKE)
            row = self.execute(_READ, module).fetchone()
            found.read = found.text = row[0] if row else None
            try:
                found.values = _read(found.text) if found.text else {}
            except ValueError as error:
                raise ValueError(
                    f"the data of module {module!r} in the store {self.name} cannot be read: {error}"
                ) from None
        return found

    def _lock(self, module: str, found: _Values) -> None:
        if found.lock is None:
            name = f"{self.name}.{module}.lock"
            try:
                found.lock = open(name, "ab")  # noqa: SIM115
            except OSError as error:
                raise OSError(
                    f"the store {self.name} cannot be used, because {name} cannot be created: {error.strerror}"
                ) from None
        for _ in _attempts():
            try:
                fcntl.fcntl(found.lock, fcntl.F_OFD_SETLK, _lock_range(fcntl.F_WRLCK, os.getpid()))
                return
            except BlockingIOError:
                if sys.modules["_pyhost"].is_store_held(module):
                    raise RuntimeError(
                        f"the data of module {module!r} in the store {self.name} is in use by a run of the module in "
                        "another process, which called a service and waits for this run: use the store in one of the "
                        "two runs, or run both in one process, where they share the data"
                    ) from None
        raise TimeoutError(
            f"the store {self.name} has been in use by another run of module {module!r} in {_holder(found.lock)} for "
            f"{PATIENCE:g} s"
        )


def _holder(lock: IO[bytes]) -> str:
    asked = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, _lock_range(fcntl.F_WRLCK))
    kind, _, process = struct.unpack_from("hhq", asked)
    return "another process" if kind == fcntl.F_UNLCK else f"process {process}"


class _Use:
    """The use of the store by one run. Registered before the row is locked, so that the end of the run unlocks it."""

    def __init__(self, file: _File, module: str) -> None:
        self.file = file
        self.module = module
        self.found: Optional[_Values] = None  # None until the row is locked
        self.before: tuple[Optional[str], Any] = (None, None)

    def values(self) -> dict[str, Any]:
        if self.found is None:
            found = self.file.values_of(self.module)
            if found.values and _has_users(found):
                # Outer runs continue with the data if this run fails.
                self.before = (found.text, _copied(found.values))
            else:
                self.before = (found.text, {})
            self.found = found
        values = self.found.values
        assert values is not None
        return values

    def end(self, text: Optional[str]) -> None:
        kept = self.file.values.get(self.module)
        try:
            if self.found is not None:
                self._leave(self.found, text)
        finally:
            # Also if the run was cancelled while it locked the row.
            others = [use for use in list(_uses.values()) if use.module == self.module]
            if kept is not None and not any(use.file is self.file for use in others):
                self.file.values.pop(self.module, None)
                kept.unlock()

    def _leave(self, found: _Values, text: Optional[str]) -> None:
        goes_on = _has_users(found)
        if text is not None:
            found.text = text
        else:
            found.text, values = self.before
            # Outer runs otherwise keep the same objects.
            if goes_on and found.values is not None and _copied(found.values) != values:
                found.values.clear()
                found.values.update(_read(values) if isinstance(values, str) else values)
        if not goes_on and found.text is not None and found.text != found.read:
            self.file.execute(_WRITE, self.module, found.text)


def _has_users(found: _Values) -> bool:
    return any(use.found is found for use in list(_uses.values()))


def _copied(values: dict[str, Any]) -> Any:
    """Returns a copy, as JSON text, because deepcopy() fails long before 1,000 levels.

    Values that are not valid JSON yet are copied by deepcopy().
    """
    try:
        return sys.modules["_pyhost"].write_object(values)
    except ValueError:
        return copy.deepcopy(values)


_uses: dict[int, _Use] = {}
_files: "weakref.WeakSet[_File]" = weakref.WeakSet()
_thread = threading.local()
_process = os.getpid()


class Store(MutableMapping[str, Any]):
    """The values of the module of the current run, as a dict.

    Values may be changed in place. They must be valid JSON when the run ends. Raises RuntimeError outside a run, without
    a host, or if the host has no store; OSError if the file cannot be used; TimeoutError if another run or program holds
    the store for 60 seconds. Thread: the thread that calls the module.
    """

    def __getitem__(self, key: str) -> Any:
        return _values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        _values()[key] = value

    def __delitem__(self, key: str) -> None:
        del _values()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_values())

    def __reversed__(self) -> Iterator[str]:
        return reversed(_values())

    def __len__(self) -> int:
        return len(_values())

    def copy(self) -> dict[str, Any]:
        return dict(_values())

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**_values(), **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **_values()}

    def __ior__(self, other: Mapping[str, Any]) -> "Store":
        _values().update(other)
        return self

    def __repr__(self) -> str:
        return f"pyhost.store({_values()!r})"


store = Store()


def _values() -> dict[str, Any]:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    name = getattr(host, "store_file", None)
    if host is None or name is None:
        raise RuntimeError(
            "pyhost.store needs a host, and "
            + (
                "there is none; a test can replace pyhost.store by a dict"
                if host is None
                else "the host is closed"
            )
        )
    if not name:
        raise RuntimeError(
            "this host has no store: set its file with `--store FILE` or Options::store"
        )
    run = host.current_run()
    if run is None or _is_imported(run[1]):
        raise RuntimeError(
            "pyhost.store can only be used during a run: use it in create(), run(), close(), on_load() or "
            "on_unload(), on the thread that calls them, and not while the module is imported"
        )
    if os.getpid() != _process:
        raise RuntimeError(
            "pyhost.store belongs to the process that forked this one: return the data to that process, and store it "
            "there"
        )
    number, module = run[:2]
    use = _uses.get(number)
    if use is None:
        file: Optional[_File] = getattr(_thread, "file", None)
        if file is None or file.name != name:
            file = _thread.file = _File(name)
            _files.add(file)
        use = _uses[number] = _Use(file, module)
    return use.values()


def _is_imported(module: str) -> bool:
    """Returns whether the module is being imported.

    Other runs of the module wait for the import, and could then never release the store.
    """
    spec = getattr(sys.modules.get(f"modules.{module}"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def held() -> list[str]:
    """Returns the modules whose data this thread holds. For services that it calls in another process."""
    file: Optional[_File] = getattr(_thread, "file", None)
    return list(file.values) if file is not None else []


def left_by(run: int) -> Optional[dict[str, Any]]:
    """Returns the values of the run, or None if it has not used the store. Called by the host."""
    use = _uses.get(run)
    return use.found.values if use and use.found else None


def end(run: int, text: Optional[str]) -> None:
    """Ends the run's use of the store, and stores `text` if it is not None. Called by the host."""
    use = _uses.pop(run, None)
    if use is not None:
        use.end(text)


def close_all() -> None:
    """Closes the file on all threads. Called by the host when no run is in progress."""
    global _thread
    _uses.clear()
    for file in list(_files):
        for values in file.values.values():
            values.unlock()
        file.connection.close()
    _files.clear()
    _thread = threading.local()  # also for threads that continue
