"""`pyhost.connection("main")`: what the host was told to connect to, opened when it is first asked for.

    sqlite:///file, sqlite://       a sqlite3.Connection, one for each thread; the second is in memory, for all
    http://…, https://host/base     an httpx.Client with this base URL
    postgresql://…, or any other    an sqlalchemy.Engine

All runs of a host share them, and the host closes them. `${NAME}` in a URL is a variable of the environment. In a
test without a host: `monkeypatch.setattr("pyhost.connection", lambda name: sqlite3.connect(":memory:"), raising=False)`.
"""

import importlib.util
import os
import re
import sys
import threading
from difflib import get_close_matches
from typing import Any, Callable, Optional
from urllib.parse import unquote, urlsplit

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_POSTGRESQL = ("psycopg", "psycopg2", "pg8000")  # the drivers, the preferred first


class ConnectionFailed(Exception):
    """A connection is not there or could not be opened. No secret of its URL stands in the message."""


class _Sqlite:
    """A connection for each thread, as sqlite3 wants it."""

    def __init__(self, path: str) -> None:
        self._path = path or ":memory:"
        self._thread = threading.local()
        self._all: list[Any] = []
        self.get()

    def get(self) -> Any:
        import sqlite3

        if self._path == ":memory:" and self._all:
            return self._all[0]
        found = getattr(self._thread, "connection", None)
        if found is None:
            # The host closes it, on its own thread.
            found = sqlite3.connect(self._path, check_same_thread=False)
            self._thread.connection = found
            self._all.append(found)
        return found

    def close(self) -> None:
        for each in self._all:
            each.close()


class _Shared:
    """One object for all threads."""

    def __init__(self, opened: Any, close: Callable[[], None]) -> None:
        self._opened = opened
        self.close = close

    def get(self) -> Any:
        return self._opened


_open: dict[str, Any] = {}
_opening = threading.Lock()


def connection(name: str) -> Any:
    """Opens the connection of this name, or gives what is open. Raises ConnectionFailed."""
    with _opening:
        found = _open.get(name)
        if found is None:
            found = _open[name] = _opened(name, _url(name))
    return found.get()


def close_all() -> None:
    """Closes all that is open. For the host."""
    while _open:
        _, each = _open.popitem()
        try:
            each.close()
        except Exception as error:
            print(f"pyhost: a connection was not closed: {error}", file=sys.stderr)


def _url(name: str) -> str:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    urls: Optional[dict[str, str]] = getattr(host, "connections", None)
    if urls is None:
        raise ConnectionFailed(
            f"there is no connection {name!r}, because there is no host; a test can put a function in the place of "
            "pyhost.connection"
        )
    if name in urls:
        return urls[name]
    close = get_close_matches(str(name), urls, 1)
    known = (
        f"did you mean {close[0]!r}?"
        if close
        else "there is " + (", ".join(map(repr, urls)) or "none")
    )
    raise ConnectionFailed(
        f"there is no connection {name!r}; {known} Connections are named in pyhost.toml under [connections], or in "
        "Options::connections"
    )


def _opened(name: str, url: str) -> Any:
    secrets: set[str] = set()

    def variable(found: "re.Match[str]") -> str:
        value = os.environ.get(found[1])
        if value is None:
            raise ConnectionFailed(
                f"connection {name!r} needs the environment variable {found[1]}, which is not set"
            )
        secrets.add(value)
        return value

    full = _VARIABLE.sub(variable, url)
    try:
        password = urlsplit(full).password
        secrets.update({password, unquote(password)} if password else ())
        return _open_url(name, full)
    except ConnectionFailed as error:
        raise ConnectionFailed(_without(secrets, str(error))) from None
    except Exception as error:
        what = f"connection {name!r} could not be opened: {type(error).__name__}: {error}"
        raise ConnectionFailed(_without(secrets, what)) from None


def _without(secrets: set[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return text


def _open_url(name: str, url: str) -> Any:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConnectionFailed(f"connection {name!r} is no URL: write it as in sqlite:///data.db")
    if scheme == "sqlite":
        if rest and not rest.startswith("/"):
            raise ConnectionFailed(
                f"connection {name!r}: a file follows three slashes, as in sqlite:///{rest}, or four if its path is absolute"
            )
        return _Sqlite(unquote(rest[1:]))
    return (_http if scheme in ("http", "https") else _sql)(name, url)


def _http(name: str, url: str) -> Any:
    if importlib.util.find_spec("httpx") is None:
        raise _missing(name, "httpx")
    httpx: Any = importlib.import_module("httpx")

    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    client = httpx.Client(base_url=plain, auth=(user, password) if user or password else None)
    return _Shared(client, client.close)


def _sql(name: str, url: str) -> Any:
    if importlib.util.find_spec("sqlalchemy") is None:
        raise _missing(name, "sqlalchemy")
    sqlalchemy: Any = importlib.import_module("sqlalchemy")

    made = sqlalchemy.engine.make_url(url)
    if made.drivername == "postgresql":
        drivers = [each for each in _POSTGRESQL if importlib.util.find_spec(each)]
        if not drivers:
            raise _missing(name, _POSTGRESQL[0])
        made = made.set(drivername=f"postgresql+{drivers[0]}")
    try:
        engine = sqlalchemy.create_engine(made)
    except ModuleNotFoundError as error:
        raise _missing(name, str(error.name)) from None
    with engine.connect():
        pass  # what is wrong with it is told here and now
    return _Shared(engine, engine.dispose)


def _missing(name: str, package: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"connection {name!r} needs {package}, which is not installed: `{sys.executable} -m pip install {package}`"
    )
