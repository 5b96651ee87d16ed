"""Prepares the Python of a pool's worker process before it runs modules."""

import faulthandler
import sys
from typing import Any


def begin(trace: int, dump_signal: int) -> None:
    """Crashes, and the signal, write the stacks of the threads to the descriptor."""
    options: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(trace, all_threads=False, **options)
    faulthandler.register(dump_signal, trace, all_threads=True)
    sys.setprofile = _guarded(sys.setprofile, "profile")
    sys.settrace = _guarded(sys.settrace, "trace")


def _guarded(setter: Any, kind: str) -> Any:
    """A profile or trace function that raises is reported and removed, so that the run keeps its result."""

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
