"""`pyhost.connection("main")`: what the host was told to connect to, opened when it is first asked for.

    sqlite:///file, sqlite://       a sqlite3.Connection, one for each thread; the second is in memory, for all
    http://…, https://host/base     an httpx.Client with this base URL
    postgresql://…, or any other    an sqlalchemy.Engine

All runs of a host share them, and the host closes them. What a run has not committed to SQLite's file is undone at
its end. `${NAME}` in a URL is a variable of the environment. In a test without a host: `monkeypatch.setattr("pyhost.connection", lambda name: sqlite3.connect(":memory:"), raising=False)`.
"""

import importlib.util
import os
import re
import sys
import threading
import warnings
import weakref
from difflib import get_close_matches
from typing import Any, Callable, Optional
from urllib.parse import quote, unquote, urlsplit

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*(?=@)")
_SHORTEST_SECRET = 4  # the words of a driver would be mangled by hiding a shorter one
_SHORTEST_IN_TEXTS = 8  # nor would any error or log be of use
_POSTGRESQL = ("psycopg", "psycopg2", "pg8000")  # the drivers, the preferred first


class ConnectionFailed(Exception):
    """A connection is not there or could not be opened. No secret of its URL stands in the message."""

    __module__ = "pyhost"


class _OfThread:
    """What one thread has open; closed when the thread ends and lets it go."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class _Sqlite:
    """A connection for each thread, as sqlite3 wants it; in memory there is one for all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = threading.local()
        self._all: weakref.WeakSet[_OfThread] = weakref.WeakSet()
        self._in_memory = None if path else self._connect()
        self.get()

    def _connect(self) -> _OfThread:
        import sqlite3

        # The host closes it, on its own thread.
        made = _OfThread(sqlite3.connect(self._path or ":memory:", check_same_thread=False))
        self._all.add(made)
        return made

    def get(self) -> Any:
        if self._in_memory is not None:
            return self._in_memory.connection
        found: Optional[_OfThread] = getattr(self._thread, "opened", None)
        if found is None:
            found = self._thread.opened = self._connect()
        return found.connection

    def undo(self) -> bool:
        """Undoes what this thread has not committed; False if there is nothing."""
        # In memory it may be another thread's.
        found: Optional[_OfThread] = getattr(self._thread, "opened", None)
        if found is None or not found.connection.in_transaction:
            return False
        found.connection.rollback()
        return True

    def close(self) -> None:
        for each in list(self._all):
            each.connection.close()


class _Shared:
    """One object for all threads."""

    def __init__(self, opened: Any, close: Callable[[], None]) -> None:
        self._opened = opened
        self.close = close

    def get(self) -> Any:
        return self._opened

    def undo(self) -> bool:
        return False  # what a pool hands out comes back clean


_open: dict[str, Any] = {}
_opening: dict[str, threading.Lock] = {}


def connection(name: str) -> Any:
    """Opens the connection of this name, or gives what is open. Raises ConnectionFailed."""
    found = _open.get(name)
    if found is None:
        url = _url(name)
        with _opening.setdefault(name, threading.Lock()):
            found = _open.get(name)
            if found is None:
                found = _open[name] = _opened(name, url)
    return found.get()


def end_run(module: str, failed: bool) -> None:
    """Undoes what the run that ends on this thread has not committed. For the host."""
    for name, each in list(_open.items()):
        try:
            if each.undo() and not failed:
                warnings.warn(
                    f"module {module!r} did not commit what it changed by connection {name!r}, and it was undone at "
                    f"the end of the run: call commit(), or use `with connection({name!r}) as database:`",
                    RuntimeWarning,
                    stacklevel=2,
                )
        except Exception as error:
            print(f"pyhost: connection {name!r}: {error}", file=sys.stderr)


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
            f"there is no connection {name!r}, because "
            + (
                "there is no host; a test can put a function in the place of pyhost.connection"
                if host is None
                else "the host is closed"
            )
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
    full = _filled_in(name, url, secrets)
    try:
        return _open_url(name, full, url)
    except ConnectionFailed:
        raise
    except Exception as error:
        secrets.update(_passwords(full))
        raise ConnectionFailed(
            f"connection {name!r} could not be opened: {type(error).__name__}: "
            + _without(secrets, str(error))
        ) from None


def _filled_in(name: str, url: str, secrets: set[str]) -> str:
    """The URL with its variables, whose values are added to the secrets; any value can be a user or a password."""

    def variable(found: "re.Match[str]") -> str:
        value = os.environ.get(found[1])
        if value is None:
            raise ConnectionFailed(
                f"connection {name!r} needs the environment variable {found[1]}, which is not set"
            )
        secrets.update((value, quote(value), quote(value, safe="")))
        return value

    def quoted(part: "re.Match[str]") -> str:
        return _VARIABLE.sub(lambda found: quote(variable(found), safe=""), part[0])

    return _VARIABLE.sub(variable, _USER_INFO.sub(quoted, url, count=1))


def _passwords(url: str) -> set[str]:
    """The password of a URL, and if it spoils the URL, the parts that others may take for something else."""
    before_host = url.partition("://")[2].rpartition("@")[0]
    password = before_host.partition(":")[2]
    return {password, unquote(password), *re.split("[/?#@:&=]", password)}


def _without(secrets: set[str], text: str) -> str:
    """Not for our own words, which show none."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) < _SHORTEST_SECRET and secret in text:
            return "(what it says is not shown, because it might show a secret)"
        text = text.replace(secret, "***")
    return text


def _open_url(name: str, url: str, as_written: str) -> Any:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConnectionFailed(f"connection {name!r} is no URL: write it as in sqlite:///data.db")
    if scheme == "sqlite":
        if rest and not rest.startswith("/"):
            raise ConnectionFailed(
                f"connection {name!r}: a file follows three slashes, as in sqlite:///data.db, or four if its path is "
                "absolute"
            )
        if "?" in as_written:
            raise ConnectionFailed(
                f"connection {name!r}: an sqlite URL takes no parameters, and has some after its '?'"
            )
        return _Sqlite("" if rest[1:] == ":memory:" else rest[1:])
    if scheme in ("http", "https"):
        _hide_after_host(as_written)
        return _http(name, url)
    return _sql(name, url)


def _hide_after_host(url: str) -> None:
    """httpx logs whole URLs, and names them in what it raises."""
    host: Any = sys.modules["_pyhost"]
    after = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[1:]
    for variable in _VARIABLE.findall("".join(after)):
        value = os.environ[variable]
        if len(value) >= _SHORTEST_IN_TEXTS:
            for each in dict.fromkeys((value, quote(value), quote(value, safe=""))):
                host.hide(each)


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
