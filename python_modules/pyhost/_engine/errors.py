"""The errors of engines. C++ turns them into an Error."""

from __future__ import annotations


class EngineError(Exception):
    """`kind` is "usage" if the caller must change something, or "unreachable" if another attempt may succeed."""

    kind = "usage"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)  # both, so that the exception can be pickled by a worker
        self.message = message
        self.hint = hint


class BadEngine(EngineError):
    """The engine or its options cannot be used."""


class Unreachable(EngineError):
    """The engine does not answer, or has no workers."""

    kind = "unreachable"
