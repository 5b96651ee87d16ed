"""The Python side of pyhost: what a module or its test may import. A module needs none of it.

from pyhost import Factory, Module      # what create and its result look like, for type checkers
from pyhost.testing import run_module   # runs a module without a host
"""

# Not typing.TYPE_CHECKING: a host pays for every import that is made here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyhost.contract import Factory as Factory
    from pyhost.contract import Module as Module

__all__ = ["Factory", "Module"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from pyhost import contract

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
