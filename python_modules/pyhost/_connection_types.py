"""Opens a connection. The scheme of its URL selects the type."""

import importlib.util
import os
import re
import sys
import threading
from base64 import b64encode
from difflib import get_close_matches
from typing import Any, Callable, Union
from urllib.parse import unquote, urlsplit

from pyhost._connection_urls import hide, split_sqlite
from pyhost._sqlite_connections import SqliteConnections
from pyhost.errors import ConnectionFailed

_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mariadb", "mssql", "oracle")
_POSTGRESQL = ("psycopg", "psycopg2", "pg8000")  # the drivers, in order of preference
_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
}


class SharedConnection:
    """One object for all threads. If a module has closed it, it is opened again."""

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
        return False  # the pool of the client or engine resets its connections

    def close(self) -> None:
        getattr(self._opened, self._close)()


def open_url(name: str, url: str, as_written: str) -> Union[SqliteConnections, SharedConnection]:
    """Opens a connection. `as_written` is the URL before its variables are replaced.

    Raises ConnectionFailed, or an exception of the driver.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+._-]*", scheme):
        raise ConnectionFailed(f"connection {name!r} is not a URL such as sqlite:///data.db")
    if scheme == "sqlite":
        return open_sqlite(name, rest, as_written)
    if scheme in ("http", "https"):
        return open_http(name, url)
    return open_sql(name, url)


def open_sqlite(name: str, rest: str, as_written: str) -> SqliteConnections:
    path, timeout = split_sqlite(name, rest, as_written)
    store = getattr(sys.modules["_pyhost"], "store_file", None)
    if path and store and os.path.realpath(path) == os.path.realpath(store):
        raise ConnectionFailed(
            f"connection {name!r} uses the file of pyhost.store, {store}, so they would block each other: use a "
            "separate file for each"
        )
    return SqliteConnections(name, path, timeout)


def open_http(name: str, url: str) -> SharedConnection:
    if "?" in url or "#" in url:
        raise ConnectionFailed(
            f"connection {name!r}: the URL of a server must not have parameters after a '?' or '#'; pass them with "
            "each request, as in get('/a', params={...})"
        )
    if importlib.util.find_spec("httpx") is None:
        raise _missing_package(name, "httpx")
    httpx: Any = importlib.import_module("httpx")

    class Client(httpx.Client):  # type: ignore[misc]
        """All runs share this client, so a with-statement does not close it."""

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *raised: object) -> None:
            pass

    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    auth = (user, password) if user or password else None
    if auth:
        hide(b64encode(":".join(auth).encode()).decode())
    return SharedConnection(lambda: Client(base_url=plain, auth=auth), "close")


def open_sql(name: str, url: str) -> SharedConnection:
    scheme = url.partition("://")[0]
    close = get_close_matches(scheme, _SCHEMES, 1)
    known = (
        f"did you mean {close[0]}://?"
        if close
        else "use sqlite://, http://, https:// or a dialect of SQLAlchemy"
    )
    unknown = ConnectionFailed(f"connection {name!r}: unknown scheme {scheme}://; {known}")
    if importlib.util.find_spec("sqlalchemy") is None:
        raise unknown if close and scheme not in _SCHEMES else _missing_package(name, "sqlalchemy")
    sqlalchemy: Any = importlib.import_module("sqlalchemy")

    made = sqlalchemy.engine.make_url(url)
    if made.drivername == "postgresql":
        drivers = [each for each in _POSTGRESQL if importlib.util.find_spec(each)]
        if not drivers:
            raise _missing_package(name, _POSTGRESQL[0])
        made = made.set(drivername=f"postgresql+{drivers[0]}")
    try:
        # Connections that were broken by a restart of the server are replaced before they are used.
        engine = sqlalchemy.create_engine(made, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise _missing_package(name, str(error.name)) from None
    except sqlalchemy.exc.NoSuchModuleError:
        raise unknown from None
    with engine.connect():
        pass  # fails now if the server cannot be reached
    return SharedConnection(lambda: engine, "dispose")


def _missing_package(name: str, module: str) -> ConnectionFailed:
    package = _PACKAGES.get(module, module)
    return ConnectionFailed(
        f"connection {name!r} needs {module}, which is not installed: `{sys.executable} -m pip install {package}`"
    )
