"""The contract between a host and a module, as types. Nobody has to inherit from them."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Module(Protocol):
    """What a module's create(state) returns."""

    def run(self) -> Any:
        """Does the work. The result is made of None, bool, int, float, str, list, tuple and dict.

        It may be async, and it may yield: then each item is such a result.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A Module that has something to close. It may be a context manager instead."""

    def close(self) -> Any:
        """Called once, when the host gives the object up: after the run, also after one that failed, if
        nobody has a handle to it; else with the last handle, or when the module is unloaded.

        A context manager's __enter__ is called after create, and its __exit__ then, with what the last
        run raised. What it returns is not looked at.
        """
        ...


@runtime_checkable
class Living(Protocol):
    """A Python module that wants to know when it is loaded and unloaded; it may have either."""

    def on_load(self) -> Any:
        """Called once, after the import. If it raises, the module is not loaded."""
        ...

    def on_unload(self) -> Any:
        """Called once, when the module is unloaded or the host closed, the last loaded first."""
        ...


@runtime_checkable
class Factory(Protocol):
    """A module's create: called with a fresh dict, gives something that has a run()."""

    def __call__(self, state: dict[str, Any], /) -> Module: ...
