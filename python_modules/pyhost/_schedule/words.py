"""Describes time rules in words, for lists."""

from collections.abc import Sequence
from itertools import product

_UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_DAYS = {n: str(n) for n in range(1, 32)}
_MONTHS = dict(
    enumerate(
        "January February March April May June July August September October November December".split(),
        1,
    )
)
_WEEKDAYS = dict(
    enumerate("Sunday Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
)


def of_every(every: int) -> str:
    for unit, seconds in _UNITS.items():
        count, rest = divmod(every, seconds * 1_000_000)
        if rest == 0:
            return _every(unit, count)
    return f"every {every / 1e6:.15g} seconds"


def of_cron(cron: str) -> str:
    """Returns a description, or an empty text if there is no short one."""
    minute, hour, day, month, weekday = cron.upper().split()
    times = _times(minute, hour)
    months = "every month" if month == "*" else _listed(month, _MONTHS)
    if not times or not months or (day != "*" and weekday != "*"):
        return ""
    if day == "L":
        return f"{times} on the last day of {months}"
    if day != "*":
        days = _listed(day, _DAYS)
        return f"{times} on day{'' if day.isdigit() else 's'} {days} of {months}" if days else ""
    within = "" if month == "*" else f" in {months}"
    if weekday != "*":
        weekdays = _listed(weekday, _WEEKDAYS)
        return f"{times} on {weekdays}{within}" if weekdays else ""
    return times + (" every day" if times.startswith("at ") else "") + within


def _times(minute: str, hour: str) -> str:
    minutes = [int(each) for each in minute.split(",") if each.isdigit()]
    hours = [int(each) for each in hour.split(",") if each.isdigit()]
    all_minutes = len(minutes) == minute.count(",") + 1
    if all_minutes and len(hours) == hour.count(",") + 1:
        times = [f"{h:02}:{m:02}" for h, m in sorted(product(set(hours), set(minutes)))]
        return f"at {_joined(times)}" if len(times) <= 4 else ""
    if all_minutes and _step(hour, 24):
        past = f" at minute{'s' if len(minutes) > 1 else ''} {_joined([str(m) for m in minutes])}"
        return _every("hour", _step(hour, 24)) + ("" if minutes == [0] else past)
    if hour == "*" and _step(minute, 60):
        return _every("minute", _step(minute, 60))
    return ""


def _step(field: str, whole: int) -> int:
    """Returns 15 for "*/15", 1 for "*", and 0 if the steps do not divide the whole."""
    text = "1" if field == "*" else field[2:] if field.startswith("*/") else ""
    return int(text) if text.isdigit() and whole % int(text) == 0 else 0


def _every(unit: str, count: int) -> str:
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _listed(field: str, names: dict[int, str]) -> str:
    """Describes a field such as "1-5" or "MON,THU". Returns an empty text for other forms."""
    parts = []
    for part in field.split(","):
        ends = [_name(end, names) for end in part.split("-")]
        if not all(ends) or len(ends) > 2:
            return ""
        parts.append(" to ".join(ends))
    return _joined(parts)


def _name(text: str, names: dict[int, str]) -> str:
    if text.isdigit():
        return names.get(int(text), "")
    return next((name for name in names.values() if name[:3].upper() == text), "")


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
