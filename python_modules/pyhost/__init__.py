"""The Python side of pyhost: what a module or its test may import. Modules work without it.

from pyhost import services             # functions that the host provides: services.quote(symbol="ABC")
from pyhost import ServiceError         # raised if a service fails
from pyhost import connection, store    # connections of the host, and data that outlives a run
from pyhost import Factory, Module      # types of create and of the object that it returns, for type checkers
from pyhost import cancelled, Stopped   # whether this run was cancelled, and the exception that then ends it
from pyhost import current_run          # the module and id of this run, and its schedule
from pyhost.testing import run_module   # runs a module without a host
"""

# typing is not imported, because each import here delays the start of a host.
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
