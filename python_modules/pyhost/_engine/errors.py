"""What goes wrong with an engine. C++ makes an Error of it."""

from __future__ import annotations


class EngineError(Exception):
    """`kind` says what the caller can do: mend the "usage", or try again later what is "unreachable"."""

    kind = "usage"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadEngine(EngineError):
    """The engine, or what it was asked for, cannot be used as it is."""


class Unreachable(EngineError):
    """The engine does not answer, or has no workers."""

    kind = "unreachable"
