"""Computes the due times of entries, in microseconds since 1970 UTC, and formats them for lists.

Cron expressions work as in Debian's cron(8). cronsim parses them, and finds the days and the minutes of a day in local
time. This file converts these to UTC, because cronsim loses times if clocks change by half an hour.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Optional

from . import words
from .entries import Entry
from .zones import MINUTE, from_us, instant, is_shown, open_zone, to_us

_DAY = timedelta(days=1)


def next_due(entry: Entry, created: int, after: int) -> Optional[int]:
    """Returns the first due time later than `after` and `created`, or None if there is none."""
    after = max(after, created)
    if entry.at is not None:
        return entry.at if entry.at > after else None
    if entry.every is not None:
        return created + ((after - created) // entry.every + 1) * entry.every
    if entry.cron is None:
        return None
    zone = open_zone(entry.zone)
    later: list[int] = []
    for dues in _by_day(entry.cron, zone, from_us(after, zone)):
        last = later != []
        later += [due for due in dues if due > after]
        if last:  # one more day, because days overlap if clocks are put back across midnight
            break
    return min(later, default=None)


def due_between(
    entry: Entry, created: int, after: int, until: int, most: int = 1000
) -> tuple[list[int], int]:
    """Returns the newest due times in (after, until], oldest first, and how many older ones were left out."""
    after = max(after, created)
    if entry.every is not None:
        last = (until - created) // entry.every
        count = max(0, last - (after - created) // entry.every)
        kept = range(last - min(count, most) + 1, last + 1)
        return [created + n * entry.every for n in kept], count - len(kept)
    if entry.cron is None:
        due = next_due(entry, created, after)
        return ([] if due is None or due > until else [due]), 0
    zone = open_zone(entry.zone)
    newest: list[int] = []
    left_out = 0
    for dues in _by_day(entry.cron, zone, from_us(after, zone), from_us(until, zone)):
        found = sorted({*newest, *(due for due in dues if after < due <= until)})
        newest = found[-most:]
        left_out += len(found) - len(newest)
    return newest, left_out


def local_text(us: int, zone: str) -> str:
    """Returns a text such as "2026-12-24 18:00 CET", with seconds if they are not 0."""
    moment = from_us(us, open_zone(zone))
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z" if moment.second else "%Y-%m-%d %H:%M %Z")


def in_words(entry: Entry) -> str:
    """Returns the time rule in words, such as "at 02:30 on Monday to Friday"."""
    if entry.every is not None:
        return words.of_every(entry.every)
    if entry.at is not None:
        return "once, " + local_text(entry.at, entry.zone).rpartition(" ")[0]
    if entry.cron is not None:
        return words.of_cron(entry.cron) or f"cron {entry.cron}"
    return f"after {entry.after}"


# --- cron


def _by_day(
    cron: str, zone: tzinfo, first: datetime, last: Optional[datetime] = None
) -> Iterator[tuple[int, ...]]:
    """Yields the due times of each local day that has some, from the day before `first` to the day after `last`.

    The additional days are needed because days overlap if clocks are put back across midnight.
    """
    from cronsim import CronSim

    minute, hour, days = cron.split(None, 2)
    begin = datetime(first.year, first.month, first.day) - _DAY
    end = datetime.max if last is None else datetime(last.year, last.month, last.day) + _DAY
    for midnight in CronSim(f"0 0 {days}", begin - MINUTE):
        if midnight > end:
            return
        yield _dues_of_day(midnight, minute, hour, zone)


@lru_cache(maxsize=1000)
def _minutes_of_day(minute: str, hour: str) -> tuple[int, ...]:
    from cronsim import CronSim

    minutes = []
    day = datetime(2000, 1, 1)
    for time in CronSim(f"{minute} {hour} * * *", day - MINUTE):
        if time >= day + _DAY:
            break
        minutes.append((time - day) // MINUTE)
    return tuple(minutes)


@lru_cache(maxsize=500)
def _dues_of_day(midnight: datetime, minute: str, hour: str, zone: tzinfo) -> tuple[int, ...]:
    minutes = _minutes_of_day(minute, hour)
    begin = midnight.replace(tzinfo=zone)
    end = (midnight + _DAY).replace(tzinfo=zone, fold=1)
    if begin.utcoffset() == end.utcoffset():
        start = to_us(begin)
        return tuple(start + each * 60_000_000 for each in minutes)
    walls = [midnight + each * MINUTE for each in minutes]
    if minute.startswith("*") or hour.startswith("*"):
        both = [wall.replace(fold=fold) for wall in walls for fold in (0, 1)]
        return tuple(
            sorted({to_us(wall.replace(tzinfo=zone)) for wall in both if is_shown(wall, zone)})
        )
    return tuple(sorted({instant(wall, zone) for wall in walls}))
