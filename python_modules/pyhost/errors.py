"""The exceptions that a module sees when its host cannot do what it asked for."""

from typing import Any, Optional


class ServiceError(Exception):
    """A service threw, in C++. If it leaves the module, it is that C++ exception again."""

    __module__ = "pyhost"

    def __init__(self, service: str, type: str, message: str, kind: Optional[str] = None) -> None:
        super().__init__(service, type, message, kind)
        self.service = service
        self.type = type  # of the C++ exception, as in "std::runtime_error"
        self.message = message
        self.kind = kind  # of a pyhost::Error, as in "ModuleRaised"

    def __str__(self) -> str:
        what = f"{self.type}: {self.message}" if self.type else self.message
        return f"service '{self.service}': {what}"

    def __reduce__(
        self,
    ) -> tuple[Any, ...]:  # without the C++ exception, which no other process has
        return type(self), (self.service, self.type, self.message, self.kind)


class ServiceNotFound(ServiceError, AttributeError):
    """The host provides no service of this name."""

    __module__ = "pyhost"


class HostClosed(ServiceError):
    """The host that provided the service is closed, or the process has none."""

    __module__ = "pyhost"


class ConnectionFailed(Exception):
    """A connection is not there or could not be opened. No secret of its URL is in the message."""

    __module__ = "pyhost"
