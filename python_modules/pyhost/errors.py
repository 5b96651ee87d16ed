"""The exceptions that pyhost raises in a module if the host cannot do what the module requests."""

from typing import Any, Optional


class ServiceError(Exception):
    """Raised if a service throws a C++ exception.

    If it leaves the module, the host's caller gets the original C++ exception.
    """

    __module__ = "pyhost"

    def __init__(self, service: str, type: str, message: str, kind: Optional[str] = None) -> None:
        super().__init__(service, type, message, kind)
        self.service = service
        self.type = type  # the type of the C++ exception, as in "std::runtime_error"
        self.message = message
        self.kind = kind  # of a pyhost::Error, as in "ModuleRaised"; otherwise None

    def __str__(self) -> str:
        problem = f"{self.type}: {self.message}" if self.type else self.message
        return f"service '{self.service}': {problem}"

    # Without the C++ exception, which cannot be sent to another process.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.service, self.type, self.message, self.kind)


class ServiceNotFound(ServiceError, AttributeError):
    """Raised if the host does not provide a service of this name."""

    __module__ = "pyhost"


class HostClosed(ServiceError):
    """Raised if the host of the service is closed, or if this process has no host."""

    __module__ = "pyhost"


class ConnectionFailed(Exception):
    """Raised if a connection does not exist or cannot be opened. The message contains no secrets of its URL."""

    __module__ = "pyhost"
