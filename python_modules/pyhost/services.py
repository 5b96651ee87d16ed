"""The functions that the host provides: `from pyhost import services; services.quote(symbol="ABC")`.

A service takes one dict, keyword arguments, or nothing, and returns any JSON value. It runs on the thread of the module,
without the GIL. It raises ServiceError if the C++ function throws, ServiceNotFound if the host has no such service, and
HostClosed if there is no open host. A test can replace a service:
`monkeypatch.setattr("pyhost.services.quote", lambda symbol: 1.5, raising=False)`.
"""

# Under names that a service cannot have.
import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any as _Any

from pyhost.errors import HostClosed as _HostClosed


class _Service:
    """One service. A call goes to the host that is open at that time."""

    def __init__(self, name: str, doc: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc or None

    def __call__(self, /, *arguments: _Any, **named: _Any) -> _Any:
        return _host(self.__name__).call_service(self.__name__, arguments, named)

    def __repr__(self) -> str:
        return f"<service {self.__name__!r} of the host>"


def __getattr__(name: str) -> _Service:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return _Service(name, _host(name).service_doc(name))
    except _HostClosed:
        return _Service(name, "")  # its call raises HostClosed


def __dir__() -> list[str]:
    return list(_host("").service_names())


def _host(service: str) -> _ModuleType:
    host = _sys.modules.get("_pyhost")  # a builtin module that exists only with a host
    if host is None:
        raise _HostClosed(service, "", "there is no host in this process")
    return host
