"""The due times of entries, in microseconds since 1970 UTC, and the words for their time rules."""

from typing import Optional

from .entries import Entry


def next_due(entry: Entry, created: int, after: int) -> Optional[int]:
    """The first due time later than `after` and `created`; None if there is none."""
    raise NotImplementedError


def due_between(
    entry: Entry, created: int, after: int, until: int, most: int = 1000
) -> tuple[list[int], int]:
    """The newest due times in (after, until], oldest first, and how many older ones were left out."""
    raise NotImplementedError


def in_words(entry: Entry) -> str:
    """The time rule as a list shows it: "at 02:30 on Monday to Friday"."""
    raise NotImplementedError


def local_text(us: int, zone: str) -> str:
    """ "2026-12-24 18:00 CET", for lists."""
    raise NotImplementedError
