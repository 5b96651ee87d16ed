"""The Python side of pyhost: what a module or its test may import. A module needs none of it.

from pyhost import Factory, Module      # what create and its result look like, for type checkers
from pyhost import cancelled, Stopped   # whether this run is to stop, and what is raised in it then
from pyhost.testing import run_module   # runs a module without a host
"""

# Not typing.TYPE_CHECKING: a host pays for every import that is made here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyhost._running import Stopped as Stopped
    from pyhost._running import cancelled as cancelled
    from pyhost.contract import Factory as Factory
    from pyhost.contract import Module as Module

__all__ = ["Factory", "Module", "Stopped", "cancelled"]
_HOMES = {
    "Factory": "contract",
    "Module": "contract",
    "Stopped": "_running",
    "cancelled": "_running",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pyhost.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
