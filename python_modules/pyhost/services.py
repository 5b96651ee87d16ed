"""What the host provides, by name: `from pyhost import services; services.quote(symbol="ABC")`.

A service takes one dict or keyword arguments, and gives any JSON value. A test puts its own in their
place: `monkeypatch.setattr("pyhost.services.quote", lambda symbol: 1.5, raising=False)`.
"""

import sys
from types import ModuleType
from typing import Any


class Service:
    """One service. It asks the host that is open when it is called."""

    def __init__(self, name: str, doc: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc or None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _host(self.__name__).call_service(self.__name__, arguments, named)

    def __repr__(self) -> str:
        return f"<service {self.__name__!r} of the host>"


def __getattr__(name: str) -> Service:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Service(name, _host(name).service_doc(name))


def __dir__() -> list[str]:
    return list(_host("").service_names())


def _host(service: str) -> ModuleType:
    host = sys.modules.get("_pyhost")  # the builtin module of a host
    if host is None:
        from pyhost.errors import HostClosed

        raise HostClosed(service, "", "there is no host in this process")
    return host
