"""Time zones: converts local times to and from microseconds since 1970 UTC."""

from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


@cache
def open_zone(name: str) -> tzinfo:
    """Returns the zone of this name. UTC works even without a database of time zones."""
    return timezone.utc if name == "UTC" else ZoneInfo(name)


def to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def from_us(us: int, zone: tzinfo) -> datetime:
    return (_EPOCH + us * _MICROSECOND).astimezone(zone)


def instant(wall: datetime, zone: tzinfo) -> int:
    """Returns when clocks in the zone show this time. If they show it twice, returns the first time. If they skip it,
    returns the next time that they show."""
    while not is_shown(wall, zone):
        wall = wall.replace(second=0) + MINUTE
    return to_us(wall.replace(tzinfo=zone))


def is_shown(wall: datetime, zone: tzinfo) -> bool:
    """Returns whether clocks in the zone ever show this time."""
    return from_us(to_us(wall.replace(tzinfo=zone)), zone).replace(tzinfo=None) == wall
