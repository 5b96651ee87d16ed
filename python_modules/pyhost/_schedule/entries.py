"""Checks the entries of a schedule: from raw dicts to entries, and problems of those that are refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional


@dataclass(frozen=True)
class Entry:
    """A checked entry. Durations are in microseconds, `at` in microseconds since 1970 UTC."""

    name: str
    module: str
    state: str  # JSON text of an object
    cron: Optional[str]
    every: Optional[int]
    at: Optional[int]
    after: Optional[str]
    zone: str
    overlap: str
    late: int
    missed: str
    timeout: Optional[int]
    retries: int
    enabled: bool
    place: str
    rule: str  # the time rule and its zone; when it changes, the entry begins anew


@dataclass(frozen=True)
class Problem:
    """Why an entry was refused, or what is missing for it."""

    message: str
    entry: str = ""
    place: str = ""
    hint: str = ""


def check_entries(raw: Sequence[dict[str, Any]]) -> tuple[list[Entry], list[Problem]]:
    """The entries that can be used, and one problem for each that was refused."""
    raise NotImplementedError
