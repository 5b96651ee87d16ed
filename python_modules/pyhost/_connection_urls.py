"""Replaces the variables in the URLs of connections, and finds their secrets."""

import os
import re
import sys
from typing import Optional
from urllib.parse import quote, unquote

from pyhost.errors import ConnectionFailed

# `$${` stands for a literal `${`. Any other `${` begins a variable.
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*(?=@)")
_HOST = re.compile(r"(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d*)?")
_SHORTEST_SECRET = 4  # masking a shorter text would mangle the messages of drivers
_LONGEST_LOCK_TIMEOUT = 1e6  # SQLite counts milliseconds in an int
_SHORTEST_IN_TEXTS = 8  # masking a shorter text would make errors and logs unreadable


DEFAULT_LOCK_TIMEOUT = 30.0  # of SQLite, in seconds


def split_sqlite(name: str, rest: str, as_written: str) -> tuple[str, float]:
    """Splits the part after sqlite:// into the path and the lock timeout in seconds.

    The path is empty for a database in memory. A '?' that is not in `as_written` comes from a variable, and is part of
    the path.
    """
    timeout = DEFAULT_LOCK_TIMEOUT
    if "?" in as_written.rpartition("/")[2]:
        rest, _, parameter = rest.rpartition("?")
        key, _, value = parameter.partition("=")
        try:
            timeout = float(value)
        except ValueError:
            timeout = -1
        if key != "timeout" or not 0 <= timeout <= _LONGEST_LOCK_TIMEOUT:
            raise ConnectionFailed(
                f"connection {name!r}: the only parameter of an sqlite URL is timeout, in seconds, as in "
                "sqlite:///data.db?timeout=60"
            )
    path = rest[1:]
    if rest and not (rest.startswith("/") and path):
        raise ConnectionFailed(
            f"connection {name!r}: write a file after three slashes, as in sqlite:///data.db, or after four if its "
            "path is absolute; sqlite:// is a database in memory"
        )
    return ("" if path == ":memory:" else path), timeout


def fill_in(name: str, url: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Returns the URL with its variables replaced, and each value with its begin and end in the URL."""
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
            f"connection {name!r} has a '${{' that does not begin a variable: write a variable as ${{NAME}}, with "
            "letters, digits and _, and a literal '${' as '$${'"
        )
    value = _environment_variable(variable)
    if value is None:
        raise ConnectionFailed(
            f"connection {name!r} needs the environment variable {variable}, which is not set"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConnectionFailed(
            f"connection {name!r} needs the environment variable {variable}, but its value is not UTF-8"
        ) from None
    return value


def _environment_variable(name: str) -> Optional[str]:
    # os.environ is a copy. It does not show variables that a C++ application sets after the start of Python.
    host = sys.modules.get("_pyhost")
    read = getattr(host, "environment_variable", os.environ.get)
    value: Optional[str] = read(name)
    return value


def _end_of(text: str, marks: str, begin: int) -> int:
    return min(
        (at for at in (text.find(mark, begin) for mark in marks) if at >= 0), default=len(text)
    )


def find_secrets(url: str, values: list[tuple[int, int, str]]) -> set[str]:
    """Returns the secrets of a URL: its password, and the values of its variables.

    A value is not secret in the scheme, in the host and port, or in the path of a file. A value that spans several parts
    of the URL is also split, because drivers show these parts alone.
    """
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
    # The user of a server may be a token, but the user of a database is not a secret.
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


def hide(secret: str) -> None:
    """Masks a secret in all errors and logs of modules, in any form that a URL, repr() or JSON may give it."""
    if len(secret) >= _SHORTEST_IN_TEXTS:
        sys.modules["_pyhost"].hide(secret)


def without_secrets(secrets: set[str], text: str) -> str:
    """Returns a driver's message with the secrets masked."""
    for secret in secrets:
        if len(secret) < _SHORTEST_SECRET and secret in text:
            return "(message hidden, because it may contain a secret)"
    shown: str = sys.modules["_pyhost"].without(text, list(secrets))
    return shown
