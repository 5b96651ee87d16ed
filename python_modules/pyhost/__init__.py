"""The Python side of pyhost: what a module or its test may import. A module needs none of it.

from pyhost import services             # what the host provides: services.quote(symbol="ABC")
from pyhost import ServiceError         # what they raise
from pyhost import connection, store    # what the host connects to, and what lasts from run to run
from pyhost import Factory, Module      # what create and its result look like, for type checkers
from pyhost import cancelled, Stopped   # whether this run was cancelled, and what is raised in it then
from pyhost import current_run          # its module and number, and what a schedule runs it for
from pyhost.testing import run_module   # runs a module without a host
"""

# Not typing.TYPE_CHECKING: each import here delays the start of a host.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyhost import services as services
    from pyhost._connections import connection as connection
    from pyhost._running import Run as Run
    from pyhost._running import Scheduled as Scheduled
    from pyhost._running import Stopped as Stopped
    from pyhost._running import cancelled as cancelled
    from pyhost._running import current_run as current_run
    from pyhost._store import store as store
    from pyhost.contract import Factory as Factory
    from pyhost.contract import Module as Module
    from pyhost.errors import ConnectionFailed as ConnectionFailed
    from pyhost.errors import HostClosed as HostClosed
    from pyhost.errors import ServiceError as ServiceError
    from pyhost.errors import ServiceNotFound as ServiceNotFound

_HOMES = {
    "ConnectionFailed": "errors",
    "Factory": "contract",
    "HostClosed": "errors",
    "Module": "contract",
    "Run": "_running",
    "Scheduled": "_running",
    "ServiceError": "errors",
    "ServiceNotFound": "errors",
    "Stopped": "_running",
    "cancelled": "_running",
    "connection": "_connections",
    "current_run": "_running",
    "store": "_store",
}

__all__ = [*_HOMES, "services"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "services":
        return import_module("pyhost.services")
    if name in _HOMES:
        return getattr(import_module(f"pyhost.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
