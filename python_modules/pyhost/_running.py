"""What a run can learn of itself, as the package pyhost shows it; without a host it learns nothing."""

import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from datetime import datetime

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


class Scheduled(NamedTuple):
    """What a scheduled run is for. All attempts for the same due time have the same entry and due."""

    entry: str  # of the schedule
    due: "datetime"  # in UTC
    attempt: int = 1  # more for a retry


class Run(NamedTuple):
    """A run of a module. `scheduled` is None unless a schedule asked for it."""

    module: str
    id: int
    scheduled: Optional[Scheduled] = None


class _StandIn(threading.local):
    run: Optional[Run] = None


stand_in = _StandIn()  # for pyhost.testing: what current_run() returns on this thread


def current_run() -> Optional[Run]:
    """The run that this thread is in; None if it is in none, as a thread that a module starts."""
    if stand_in.run is not None:
        return stand_in.run
    here = _host.current_run() if _host is not None else None
    if here is None:
        return None
    id, module, _, scheduled = here
    if scheduled is None:
        return Run(module, id)
    from datetime import datetime, timedelta, timezone

    entry, microseconds, attempt = scheduled
    due = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
    return Run(module, id, Scheduled(entry, due, attempt))
