"""The contract between a host and a module, as types. Nobody has to inherit from them."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Module(Protocol):
    """What a module's create(state) returns."""

    def run(self) -> Any:
        """Does the work. The result is made of None, bool, int, float, str, list, tuple and dict."""
        ...


@runtime_checkable
class Factory(Protocol):
    """A module's create: called with a fresh dict, gives something that has a run()."""

    def __call__(self, state: dict[str, Any], /) -> Module: ...
