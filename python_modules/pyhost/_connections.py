"""`pyhost.connection("main")`: what the host was told to connect to, opened when it is first asked for.

    sqlite:///file, sqlite://       a sqlite3.Connection, one for each thread; the second is in memory, for all
    http://…, https://host/base     an httpx.Client with this base URL
    postgresql://…, or any other    an sqlalchemy.Engine

All runs of a host share them, and the host closes them. What a run has not committed to SQLite's file is undone at
its end, also what it did by asyncio.to_thread. `${NAME}` in a URL is a variable of the environment. In a test without a host: `monkeypatch.setattr("pyhost.connection", lambda name: sqlite3.connect(":memory:"), raising=False)`.
"""

import importlib.util
import os
import re
import sys
import threading
import warnings
import weakref
from base64 import b64encode
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any, Callable, Optional
from urllib.parse import quote, unquote, urlsplit

# `$${` is a `${` as such, and one that is neither is a mistake.
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*(?=@)")
_HOST = re.compile(r"(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d*)?")
_SHORTEST_SECRET = 4  # the words of a driver would be mangled by hiding a shorter one
_SHORTEST_IN_TEXTS = 8  # nor would any error or log be of use
_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mariadb", "mssql", "oracle")
_POSTGRESQL = ("psycopg", "psycopg2", "pg8000")  # the drivers, the preferred first
_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
}


class ConnectionFailed(Exception):
    """A connection is not there or could not be opened. No secret of its URL stands in the message."""

    __module__ = "pyhost"


# Which run code is part of that runs on another thread: asyncio.to_thread takes it along.
_run: ContextVar[int] = ContextVar("pyhost.run", default=0)
_live: set[int] = set()  # the runs that have not ended


def begin_run(run: int) -> None:
    """Notes the outermost run of this thread. For the host."""
    _live.add(run)
    _run.set(run)


def _current() -> int:
    """The run that this code is part of; 0 if that is not known."""
    here = sys.modules["_pyhost"].current_run()
    if here is not None:
        begin_run(here[2])
        return int(here[2])
    run = _run.get()
    return run if run in _live else 0


class _Sqlite3:
    """What one thread has open; closed when the thread ends and lets it go."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.runs: set[int] = (
            set()
        )  # that may have left work in it; empty if it was taken outside of all
        self.is_known = False  # or they are only those that went on when it was taken

    def __del__(self) -> None:
        self.connection.close()

    def is_taken(self) -> bool:
        return not self.runs.isdisjoint(_live)

    def is_closed(self) -> bool:
        try:
            return self.connection.in_transaction is None
        except Exception:
            return True

    def undo(self) -> bool:
        """Undoes what was not committed; False if there is nothing."""
        if self.is_closed() or not self.connection.in_transaction:
            return False
        self.connection.rollback()
        return True


class _Sqlite:
    """A connection for each thread, as sqlite3 wants it, and another one for a run that comes while a stream is open
    there; in memory there is one for all."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._thread = threading.local()
        self._all: weakref.WeakSet[_Sqlite3] = weakref.WeakSet()
        # Held by who takes a connection and by who undoes what an ended run has left in one.
        self._lock = threading.RLock()
        self._in_memory = None if path else self._connect()
        self.get()

    def _connect(self) -> _Sqlite3:
        import sqlite3

        try:
            # The host closes it, on its own thread.
            made = _Sqlite3(sqlite3.connect(self._path or ":memory:", check_same_thread=False))
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
        run = _current()
        with self._lock:
            return self._take(run).connection

    def _of_thread(self) -> list[_Sqlite3]:
        opened: list[_Sqlite3] = self._thread.__dict__.setdefault("opened", [])
        opened[:] = [each for each in opened if not each.is_closed()]
        return opened

    def _take(self, run: int) -> _Sqlite3:
        opened = self._of_thread()
        found = [each for each in opened if run in each.runs] if run else opened[:1]
        found += [each for each in opened if not each.is_taken()]
        if not found:
            found.append(self._connect())
            opened.append(found[0])
        taken = found[0]
        if not taken.is_taken():
            if taken.runs and taken.undo():
                print(
                    f"pyhost: a thread did not commit what it changed by connection {self._name!r}, and it was undone "
                    "after the end of the run",
                    file=sys.stderr,
                )
            taken.runs = {run} if run else set(_live)
            taken.is_known = bool(run)
        return taken

    def undo(self, run: int, is_outermost: bool) -> bool:
        """Undoes what the run that ends has not committed, also on other threads; False if there is nothing."""
        here = self._of_thread() if is_outermost else []
        undone = False
        with self._lock:
            for each in list(self._all):
                if each is self._in_memory or each.is_taken():
                    continue
                # Without other runs, it was this one that went on with what an earlier one had taken.
                is_of_run = each.is_known and (run in each.runs or not _live)
                if is_of_run or each in here:
                    undone = each.undo() or undone
        return undone

    def close(self) -> None:
        with self._lock:
            for each in list(self._all):
                each.connection.close()


class _Shared:
    """One object for all threads, opened anew if a module has closed it."""

    def __init__(self, opens: Callable[[], Any], close: str) -> None:
        self._opens = opens
        self._close = close
        self._opened = opens()
        self._lock = threading.Lock()

    def get(self) -> Any:
        with self._lock:
            if getattr(self._opened, "is_closed", False) is True:
                self._opened = self._opens()
            return self._opened

    def undo(self, run: int, is_outermost: bool) -> bool:
        return False  # what a pool hands out comes back clean

    def close(self) -> None:
        getattr(self._opened, self._close)()


_open: dict[str, Any] = {}
_opening: dict[str, threading.Lock] = {}


def connection(name: str) -> Any:
    """Opens the connection of this name, or gives what is open. Raises ConnectionFailed."""
    found = _open.get(name)
    if found is None:
        urls = _urls(name)
        with _opening.setdefault(name, threading.Lock()):
            found = _open.get(name)
            if found is None:
                found = _open[name] = _opened(name, _url(name, urls))
                is_open = getattr(sys.modules["_pyhost"], "connections", None) is urls
                if not is_open or _open.get(name) is not found:
                    # The host was closed meanwhile, and the next one is not to find it.
                    _open.pop(name, None)
                    found.close()
                    _urls(name)
                    raise ConnectionFailed(f"there is no connection {name!r}: its host was closed")
    return found.get()


def end_run(run: int, module: str, failed: bool, is_outermost: bool) -> None:
    """Undoes what the run that ends has not committed. For the host."""
    _live.discard(run)
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
    """Closes all that is open. For the host."""
    _live.clear()
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


def _opened(name: str, url: str) -> Any:
    full, values = _filled_in(name, url)
    secrets = _secrets(full, values)
    for each in secrets:
        _hide(each)
    try:
        return _open_url(name, full, url)
    except ConnectionFailed:
        raise
    except Exception as error:
        raise ConnectionFailed(
            f"connection {name!r} could not be opened: {type(error).__name__}: "
            + _without(secrets, str(error))
        ) from None


def _filled_in(name: str, url: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The URL with its variables, and where in it these stand; any value can be a user or a password."""
    user_info = _USER_INFO.search(url)
    full, values, at = "", [], 0
    for found in _VARIABLE.finditer(url):
        full += url[at : found.start()]
        at = found.end()
        if found[0] == "$${":
            full += "${"
            continue
        value = _value_of(name, found[1])
        in_user_info = user_info and user_info.start() <= found.start() < user_info.end()
        put = quote(value, safe="") if in_user_info else value
        values.append((len(full), len(full) + len(put), value))
        full += put
    return full + url[at:], values


def _value_of(name: str, variable: Optional[str]) -> str:
    if not variable:
        raise ConnectionFailed(
            f"connection {name!r} has a '${{' that begins no variable: a variable is written ${{NAME}}, with letters, "
            "digits and _, and a '${' as such is written '$${'"
        )
    value = os.environ.get(variable)
    if value is None:
        raise ConnectionFailed(
            f"connection {name!r} needs the environment variable {variable}, which is not set"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConnectionFailed(
            f"connection {name!r} needs the environment variable {variable}, and what that holds is no UTF-8"
        ) from None
    return value


def _end_of(text: str, marks: str, begin: int) -> int:
    return min(
        (at for at in (text.find(mark, begin) for mark in marks) if at >= 0), default=len(text)
    )


def _secrets(url: str, values: list[tuple[int, int, str]]) -> set[str]:
    """The password of a URL, and what variables have put anywhere but into its scheme, host and port, or a file's
    path. Parts of them, too, if they hold several things, or spoil the URL: others take these apart."""
    if url.startswith("sqlite"):
        return set()
    begin = url.find("://") + 3
    if begin < 3:
        return {value for _, _, value in values}
    host_of_all = _end_of(url, "/?#", begin)
    at = url.rfind("@", begin)
    if at >= host_of_all and not any(start <= at < end for start, end, _ in values):
        at = url.rfind("@", begin, host_of_all)
    host = max(at + 1, begin)
    after_host = _end_of(url, "/?#", host)
    if not url.startswith("http"):
        after_host = _end_of(url, "?#", after_host)  # the name of a database
    user, _, password = url[begin : max(at, begin)].partition(":")
    found = {password, unquote(password)}
    # A token may be the user of a server, but who uses a database is no secret as such.
    secret = begin if url.startswith("http") or not password else begin + len(user) + 1
    for start, end, value in values:
        if end <= begin or (host <= start and end <= after_host and _is_host(url, start, value)):
            continue
        found.add(value)
        holds_several = start < host < end or start < after_host < end
        first = max(start, secret) if holds_several else start
        for part in (url[first : min(end, max(at, begin))], url[max(start, after_host) : end]):
            found.update((part.strip("/?#"), unquote(part)))
            if holds_several:
                pieces = {
                    each for text in (part, unquote(part)) for each in re.split("[/?#@:&=]", text)
                }
                found.update(each for each in pieces if len(each) >= _SHORTEST_SECRET)
    return found - {""}


def _is_host(url: str, start: int, value: str) -> bool:
    if url[start - 1] == ":" and url[start - 3 : start] != "://":
        return value.isdigit()
    return _HOST.fullmatch(value) is not None


def _hide(secret: str) -> None:
    """From all errors and logs of modules, in any way that a URL, repr() or JSON may write it."""
    if len(secret) >= _SHORTEST_IN_TEXTS:
        sys.modules["_pyhost"].hide(secret)


def _without(secrets: set[str], text: str) -> str:
    """Not for our own words, which show none."""
    for secret in secrets:
        if len(secret) < _SHORTEST_SECRET and secret in text:
            return "(what it says is not shown, because it might show a secret)"
    shown: str = sys.modules["_pyhost"].without(text, list(secrets))
    return shown


def _open_url(name: str, url: str, as_written: str) -> Any:
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+._-]*", scheme):
        raise ConnectionFailed(f"connection {name!r} is no URL: write it as in sqlite:///data.db")
    if scheme == "sqlite":
        return _sqlite(name, rest, as_written)
    if scheme in ("http", "https"):
        return _http(name, url)
    return _sql(name, url)


def _sqlite(name: str, rest: str, as_written: str) -> _Sqlite:
    path = rest[1:]
    if rest and not (rest.startswith("/") and path):
        raise ConnectionFailed(
            f"connection {name!r}: a file follows three slashes, as in sqlite:///data.db, or four if its path is "
            "absolute; sqlite:// is one in memory"
        )
    if "?" in as_written.rpartition("/")[2]:
        raise ConnectionFailed(
            f"connection {name!r}: an sqlite URL takes no parameters, and has some after its '?'"
        )
    if path == ":memory:":
        path = ""
    store = getattr(sys.modules["_pyhost"], "store_file", None)
    if path and store and os.path.realpath(path) == os.path.realpath(store):
        raise ConnectionFailed(
            f"connection {name!r} is to the file of pyhost.store, {store}, and they would wait for each other: give "
            "each a file of its own"
        )
    return _Sqlite(name, path)


def _http(name: str, url: str) -> _Shared:
    if "?" in url or "#" in url:
        raise ConnectionFailed(
            f"connection {name!r}: the URL of a server takes no parameters, and has some after its '?' or '#'; give "
            "them with each request, as in get('/a', params={...})"
        )
    if importlib.util.find_spec("httpx") is None:
        raise _missing(name, "httpx")
    httpx: Any = importlib.import_module("httpx")

    class Client(httpx.Client):  # type: ignore[misc]
        """All runs share it, so the end of a with-statement leaves it open."""

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *raised: object) -> None:
            pass

    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    auth = (user, password) if user or password else None
    if auth:
        _hide(b64encode(":".join(auth).encode()).decode())
    return _Shared(lambda: Client(base_url=plain, auth=auth), "close")


def _sql(name: str, url: str) -> _Shared:
    scheme = url.partition("://")[0]
    close = get_close_matches(scheme, _SCHEMES, 1)
    known = (
        f"did you mean {close[0]}://?"
        if close
        else "sqlite://, http:// and https:// are known, and what SQLAlchemy or a package for it has a dialect for"
    )
    unknown = ConnectionFailed(f"connection {name!r}: there is no scheme {scheme}://; {known}")
    if importlib.util.find_spec("sqlalchemy") is None:
        raise unknown if close and scheme not in _SCHEMES else _missing(name, "sqlalchemy")
    sqlalchemy: Any = importlib.import_module("sqlalchemy")

    made = sqlalchemy.engine.make_url(url)
    if made.drivername == "postgresql":
        drivers = [each for each in _POSTGRESQL if importlib.util.find_spec(each)]
        if not drivers:
            raise _missing(name, _POSTGRESQL[0])
        made = made.set(drivername=f"postgresql+{drivers[0]}")
    try:
        # A server that was started anew is noticed before a run gets one of the connections to the old one.
        engine = sqlalchemy.create_engine(made, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise _missing(name, str(error.name)) from None
    except sqlalchemy.exc.NoSuchModuleError:
        raise unknown from None
    with engine.connect():
        pass  # what is wrong with it is told here and now
    return _Shared(lambda: engine, "dispose")


def _missing(name: str, module: str) -> ConnectionFailed:
    package = _PACKAGES.get(module, module)
    return ConnectionFailed(
        f"connection {name!r} needs {module}, which is not installed: `{sys.executable} -m pip install {package}`"
    )
