"""Information for a run about itself, exported by the package pyhost. Without a host there is none."""

import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from datetime import datetime

_host: Any = sys.modules.get("_pyhost")  # None if there is no host in this process


class Stopped(BaseException):
    """Raised in a run that was cancelled or timed out. Clean up if necessary, and let it propagate.

    It is not an Exception, so `except Exception` does not catch it. It is raised again until the run ends.
    """

    __module__ = "pyhost"


if _host is not None:
    Stopped = _host.Stopped  # type: ignore[misc]


class Cancelled:
    """Like a threading.Event that is set when the run of this thread is cancelled or times out.

    A run that checks it has half of the grace time (`RunOptions::grace`) to return. Then Stopped is raised in the run.
    It is never set in threads that a module has started, and without a host.
    """

    def is_set(self) -> bool:
        return _host is not None and bool(_host.is_set())

    __bool__ = is_set

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until it is set, for at most `timeout` seconds; None means no limit. Returns whether it is set."""
        if _host is not None:
            return bool(_host.wait(timeout))
        return threading.Event().wait(timeout)


cancelled = Cancelled()


class Scheduled(NamedTuple):
    """The reason of a scheduled run. All attempts for one due time have the same entry and due time."""

    entry: str  # the name of the entry in the schedule
    due: "datetime"  # the due time, in UTC
    attempt: int = 1  # from 1; larger for a retry


class Run(NamedTuple):
    """A run of a module. `scheduled` is None unless a schedule started the run."""

    module: str
    id: int
    scheduled: Optional[Scheduled] = None


class _StandIn(threading.local):
    run: Optional[Run] = None


stand_in = _StandIn()  # pyhost.testing sets this as the current run of a thread


def current_run() -> Optional[Run]:
    """Returns the run of this thread. Returns None outside a run, and in threads that a module has started."""
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
