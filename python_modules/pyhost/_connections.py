"""`pyhost.connection("main")`: the connections that the host offers, opened at their first use.

    sqlite:///file, sqlite://       a sqlite3.Connection, one for each thread; the second is in memory, for all;
                                    `?timeout=60` sets how many seconds it waits for locks (30)
    http://…, https://host/base     an httpx.Client with this base URL
    postgresql://…, or any other    an sqlalchemy.Engine

All runs of a host share them, and the host closes them. Changes that a run has not committed to an SQLite file are
undone at its end, also those that it made by asyncio.to_thread. `${NAME}` in a URL is a variable of the environment.
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
# What a forked child has from its parent: to use or close it there would break the parent's.
_of_parent: list[Any] = []


def _begin_child() -> None:
    _of_parent.extend(_open.values())
    _open.clear()
    _opening.clear()


os.register_at_fork(after_in_child=_begin_child)


def connection(name: str) -> Any:
    """Returns the connection of this name, which is opened if it is not open. Raises ConnectionFailed."""
    found = _open.get(name)
    if found is None:
        urls = _urls(name)
        with _opening.setdefault(name, threading.Lock()):
            found = _open.get(name)
            if found is None:
                found = _open[name] = _open_connection(name, _url(name, urls))
                is_open = getattr(sys.modules["_pyhost"], "connections", None) is urls
                if not is_open or _open.get(name) is not found:
                    # The host was closed meanwhile, and the next host must not find this connection.
                    _open.pop(name, None)
                    found.close()
                    _urls(name)
                    raise ConnectionFailed(f"there is no connection {name!r}: its host was closed")
    return found.get()


def begin_run(run: int) -> None:
    """Notes the outermost run of this thread. The host calls it."""
    _sqlite_connections.begin_run(run)


def end_run(run: int, module: str, failed: bool, is_outermost: bool) -> None:
    """Undoes what the ending run has not committed. The host calls it."""
    _sqlite_connections.forget_run(run)
    for name, each in list(_open.items()):
        try:
            if each.undo(run, is_outermost) and not failed:
                warnings.warn(
                    f"module {module!r} did not commit what it changed by connection {name!r}, and it was undone at "
                    f"the end of the run: call commit(), or use `with connection({name!r}) as database:`",
                    RuntimeWarning,
                    stacklevel=2,
                )
        except Exception as error:
            print(f"pyhost: connection {name!r}: {error}", file=sys.stderr)


def close_all() -> None:
    """Closes all connections. The host calls it."""
    _sqlite_connections.forget_all_runs()
    while _open:
        _, each = _open.popitem()
        try:
            each.close()
        except Exception as error:
            print(f"pyhost: a connection was not closed: {error}", file=sys.stderr)


def _urls(name: str) -> dict[str, str]:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    urls: Optional[dict[str, str]] = getattr(host, "connections", None)
    if urls is not None:
        return urls
    raise ConnectionFailed(
        f"there is no connection {name!r}, because "
        + (
            "there is no host; a test can put a function in the place of pyhost.connection"
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
        else "there is " + (", ".join(map(repr, urls)) or "none") + "."
    )
    raise ConnectionFailed(
        f"there is no connection {name!r}; {known} Connections are named in pyhost.toml under [connections], or in "
        "Options::connections"
    )


def find_url(name: str) -> tuple[str, set[str]]:
    """Returns the URL of this connection with the values of its variables, and its secrets. Raises ConnectionFailed."""
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
