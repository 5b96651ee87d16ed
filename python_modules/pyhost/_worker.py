"""What a worker process of a pool does to its Python before it runs modules."""

import faulthandler
import sys
from typing import Any


def begin(trace: int, tell_place: int) -> None:
    """Has crashes, and the signal, write to the descriptor where the threads are."""
    options: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(trace, all_threads=False, **options)
    faulthandler.register(tell_place, trace, all_threads=True)
    sys.setprofile = _guarded(sys.setprofile)


def _guarded(setprofile: Any) -> Any:
    """A profile function that raises is told of and dropped: it is not to take a run's result with it."""

    def guarded(function: Any) -> None:
        def profile(frame: Any, event: str, argument: Any) -> None:
            try:
                function(frame, event, argument)
            except Exception as error:
                setprofile(None)
                sys.stderr.write(f"a profile function raised {error!r}, and was dropped\n")

        setprofile(profile if callable(function) else function)

    guarded.__doc__ = setprofile.__doc__
    return guarded
