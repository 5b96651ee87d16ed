"""The contract between a host and a module, as types. Modules need not inherit from them."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Module(Protocol):
    """The object that a module's create(state) returns."""

    def run(self) -> Any:
        """Does the work and returns the result: None, bool, int, float, str, list, tuple or dict.

        It may be async. It may also be a generator: then each item is such a result.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A Module that must be closed. It may be a context manager instead."""

    def close(self) -> Any:
        """Called once, when the host releases the object, also if the run failed.

        If the application has no handle to the object, that is after the run. Otherwise it is when the last handle is
        destroyed, or when the module is unloaded.

        For a context manager, the host calls __enter__ after create, and __exit__ instead of close, with the exception
        of the last run. The return value of __exit__ is ignored.
        """
        ...


@runtime_checkable
class Living(Protocol):
    """A Python module with functions to call when it is loaded and unloaded. Both are optional."""

    def on_load(self) -> Any:
        """Called once, after the import. If it raises, the module is not loaded."""
        ...

    def on_unload(self) -> Any:
        """Called once, when the module is unloaded or the host is closed.

        A host that is closed unloads its modules in the reverse order of loading.
        """
        ...


@runtime_checkable
class Factory(Protocol):
    """A module's create: called with a new dict, returns an object with a run()."""

    def __call__(self, state: dict[str, Any], /) -> Module: ...
