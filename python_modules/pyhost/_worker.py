"""What a worker process of a pool does to its Python before it runs modules."""

import faulthandler
import sys
from typing import Any


def begin(trace: int, tell_place: int) -> None:
    """Has crashes, and the signal, write to the descriptor where the threads are."""
    options: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(trace, all_threads=False, **options)
    faulthandler.register(tell_place, trace, all_threads=True)
    sys.setprofile = _guarded(sys.setprofile, "profile")
    sys.settrace = _guarded(sys.settrace, "trace")


def _guarded(setter: Any, kind: str) -> Any:
    """A function of that kind that raises is told of and dropped: it is not to take a run's result with it."""

    def safe(function: Any) -> Any:
        def call(frame: Any, event: str, argument: Any) -> Any:
            try:
                next_one = function(frame, event, argument)
            except Exception as error:
                setter(None)
                sys.stderr.write(f"a {kind} function raised {error!r}, and was dropped\n")
                return None
            if next_one is function:
                return call
            return safe(next_one) if callable(next_one) else next_one

        return call

    def guarded(function: Any) -> None:
        setter(safe(function) if callable(function) else function)

    guarded.__doc__ = setter.__doc__
    return guarded
