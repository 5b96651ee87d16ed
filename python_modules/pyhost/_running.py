"""What a run can learn of its host, as the package pyhost shows it; without a host it learns nothing."""

import sys
import threading
from typing import Any, Optional

_host: Any = sys.modules.get("_pyhost")  # None where no host runs this process


class Stopped(BaseException):
    """The host wants this run to stop: clean up, and let it pass."""

    __module__ = "pyhost"


if _host is not None:
    Stopped = _host.Stopped  # type: ignore[misc]


class Cancelled:
    """Like a threading.Event that is set when the run that this thread is in is to stop.

    Who asks it is given half of the grace time to end by itself; then Stopped is raised in it.
    """

    def is_set(self) -> bool:
        return _host is not None and bool(_host.is_set())

    __bool__ = is_set

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits so many seconds at most, and says whether the run is to stop."""
        if _host is not None:
            return bool(_host.wait(timeout))
        return threading.Event().wait(timeout)


cancelled = Cancelled()
