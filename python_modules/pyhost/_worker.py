"""Prepares Python in a worker process of a pool, before it runs modules."""

import builtins
import faulthandler
import getpass
import os
import sys
from typing import Any, NoReturn


def begin(trace: int, dump_signal: int) -> None:
    """Makes crashes, and the signal `dump_signal`, write the stacks of the threads to the descriptor `trace`."""
    options: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(trace, all_threads=False, **options)
    faulthandler.register(dump_signal, trace, all_threads=True)
    sys.setprofile = _guarded(sys.setprofile, "profile")
    sys.settrace = _guarded(sys.settrace, "trace")
    _refuse_input()


def _refuse_input() -> None:
    """Makes functions that read from the user raise an EOFError with the reason."""
    read_line, break_here = builtins.input, sys.breakpointhook

    def refuse(function: str) -> NoReturn:
        raise EOFError(
            f"{function} cannot read an answer: stdin of a worker process is /dev/null; "
            "use `pyhost run` without --isolation process, or the isolation `shared`"
        )

    def input(prompt: object = "", /) -> str:
        try:
            return read_line(prompt)
        except EOFError:
            if sys.stdin is not sys.__stdin__:  # the module has replaced stdin
                raise
        refuse("input()")

    def breakpointhook(*args: Any, **kwargs: Any) -> Any:
        named = not sys.flags.ignore_environment and os.environ.get("PYTHONBREAKPOINT")
        if named:  # it may be a debugger that does not need stdin
            return break_here(*args, **kwargs)
        refuse("breakpoint()")

    # The original would open the terminal, which a worker, as a background process, cannot read.
    def ask_password(*args: Any, **kwargs: Any) -> str:
        refuse("getpass.getpass()")

    builtins.input, sys.breakpointhook, getpass.getpass = input, breakpointhook, ask_password


def _guarded(setter: Any, kind: str) -> Any:
    """Guards the profile or trace function: if it raises, it is reported and removed, and the run keeps its result."""

    def safe(function: Any) -> Any:
        def call(frame: Any, event: str, argument: Any) -> Any:
            try:
                next_one = function(frame, event, argument)
            except Exception as error:
                setter(None)
                sys.stderr.write(f"a {kind} function raised {error!r}, and was removed\n")
                return None
            if next_one is function:
                return call
            return safe(next_one) if callable(next_one) else next_one

        return call

    def guarded(function: Any) -> None:
        setter(safe(function) if callable(function) else function)

    guarded.__doc__ = setter.__doc__
    return guarded
