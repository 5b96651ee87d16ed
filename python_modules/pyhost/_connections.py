"""`pyhost.connection("main")` returns a connection that the host is configured with. It is opened at its first use.

    sqlite:///file, sqlite://       a sqlite3.Connection, one per thread; without a file, one database in memory for all
                                    threads; `?timeout=60` sets how long it waits for locks, in seconds (default 30)
    http://…, https://host/base     an httpx.Client with this base URL
    postgresql://…, or any other    an sqlalchemy.Engine

All runs of a host share the connections, and the host closes them. Changes in an SQLite file that a run has not
committed are rolled back when the run ends, including changes that it made in asyncio.to_thread. `${NAME}` in a URL is
replaced by an environment variable.
In a test without a host: `monkeypatch.setattr("pyhost.connection", lambda name: sqlite3.connect(":memory:"), raising=False)`.
"""

import os
import sys
import threading
import warnings
from difflib import get_close_matches
from typing import Any, Optional

from pyhost import _connection_types, _sqlite_connections
from pyhost._connection_urls import fill_in, find_secrets, hide, without_secrets
from pyhost.errors import ConnectionFailed

_open: dict[str, Any] = {}
_opening: dict[str, threading.Lock] = {}
# Connections that a forked child has from its parent. Using or closing them there would break those of the parent.
_of_parent: list[Any] = []


def _begin_child() -> None:
    _of_parent.extend(_open.values())
    _open.clear()
    _opening.clear()


os.register_at_fork(after_in_child=_begin_child)


def connection(name: str) -> Any:
    """Returns the connection of this name, and opens it if it is not open.

    Raises ConnectionFailed if there is no such connection, if it cannot be opened, or if there is no host. Thread: any
    thread of a run.
    """
    found = _open.get(name)
    if found is None:
        urls = _urls(name)
        with _opening.setdefault(name, threading.Lock()):
            found = _open.get(name)
            if found is None:
                found = _open[name] = _open_connection(name, _url(name, urls))
                is_open = getattr(sys.modules["_pyhost"], "connections", None) is urls
                if not is_open or _open.get(name) is not found:
                    # The host was closed meanwhile. The next host must not find this connection.
                    _open.pop(name, None)
                    found.close()
                    _urls(name)
                    raise ConnectionFailed(f"there is no connection {name!r}: its host was closed")
    return found.get()


def begin_run(run: int) -> None:
    """Records the outermost run of this thread. Called by the host."""
    _sqlite_connections.begin_run(run)


def end_run(run: int, module: str, failed: bool, is_outermost: bool) -> None:
    """Rolls back what the ending run has not committed. Called by the host."""
    _sqlite_connections.forget_run(run)
    for name, each in list(_open.items()):
        try:
            if each.undo(run, is_outermost) and not failed:
                warnings.warn(
                    f"module {module!r} did not commit its changes on connection {name!r}, so they were rolled back at "
                    f"the end of the run: call commit(), or use `with connection({name!r}) as database:`",
                    RuntimeWarning,
                    stacklevel=2,
                )
        except Exception as error:
            print(f"pyhost: connection {name!r}: {error}", file=sys.stderr)


def close_all() -> None:
    """Closes all connections. Called by the host."""
    _sqlite_connections.forget_all_runs()
    while _open:
        _, each = _open.popitem()
        try:
            each.close()
        except Exception as error:
            print(f"pyhost: a connection could not be closed: {error}", file=sys.stderr)


def _urls(name: str) -> dict[str, str]:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    urls: Optional[dict[str, str]] = getattr(host, "connections", None)
    if urls is not None:
        return urls
    raise ConnectionFailed(
        f"there is no connection {name!r}, because "
        + (
            "there is no host; a test can replace pyhost.connection by a function"
            if host is None
            else "the host is closed"
        )
    )


def _url(name: str, urls: dict[str, str]) -> str:
    if name in urls:
        return urls[name]
    close = get_close_matches(str(name), urls, 1)
    known = (
        f"did you mean {close[0]!r}?"
        if close
        else "known connections: " + (", ".join(map(repr, urls)) or "none") + "."
    )
    raise ConnectionFailed(
        f"there is no connection {name!r}; {known} Add it to pyhost.toml under [connections], or to "
        "Options::connections"
    )


def find_url(name: str) -> tuple[str, set[str]]:
    """Returns the URL of this connection with its variables replaced, and its secrets. Raises ConnectionFailed."""
    return _fill_in(name, _url(name, _urls(name)))


def _fill_in(name: str, url: str) -> tuple[str, set[str]]:
    full, values = fill_in(name, url)
    secrets = find_secrets(full, values)
    for each in secrets:
        hide(each)
    return full, secrets


def _open_connection(name: str, url: str) -> Any:
    full, secrets = _fill_in(name, url)
    try:
        return _connection_types.open_url(name, full, url)
    except ConnectionFailed:
        raise
    except Exception as error:
        raise ConnectionFailed(
            f"connection {name!r} could not be opened: {type(error).__name__}: "
            + without_secrets(secrets, str(error))
        ) from None
