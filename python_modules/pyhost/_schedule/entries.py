"""Checks the entries of a schedule: converts raw dicts to entries, or to problems if they are invalid."""

import json
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from difflib import get_close_matches
from keyword import iskeyword
from typing import Any, NoReturn, Optional
from zoneinfo import available_timezones

from .zones import instant, open_zone, to_us

KEYS = (
    "name", "module", "state", "cron", "every", "at", "after", "zone", "overlap", "late", "missed", "timeout",
    "retries", "enabled",
)  # fmt: skip
RULES = ("cron", "every", "at", "after")
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# The names of cron's five fields, and the values that they may have.
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
)
_FORMS = "*, a number, a range such as 1-5, steps such as */15, and lists of these such as 1,15"
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(ms|s|m|h|d)?", re.ASCII | re.IGNORECASE)
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_LONGEST = 10**15  # 30 years
_TIME = re.compile(
    r"([12]\d{3}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True)
class Entry:
    """A checked entry. Durations are in microseconds, `at` in microseconds since 1970 UTC."""

    name: str
    module: str
    state: str  # JSON text of an object
    cron: Optional[str]  # five fields; aliases are replaced
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
    rule: str  # the time rule and its zone; if it changes, the entry counts as new


@dataclass(frozen=True)
class Problem:
    """Why an entry was refused. `message` does not contain the entry's name or place."""

    message: str
    entry: str = ""
    place: str = ""
    hint: str = ""


class _Refused(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def check_entries(raw: Sequence[dict[str, Any]]) -> tuple[list[Entry], list[Problem]]:
    """Returns the valid entries, and one problem for each invalid one."""
    names = [each["name"] for each in raw if isinstance(each.get("name"), str)]
    firsts: dict[str, str] = {}  # the place of the first entry of each name
    entries: list[Entry] = []
    problems: list[Problem] = []
    for each in raw:
        name = each["name"] if isinstance(each.get("name"), str) else ""
        place = each.get("place") or ""
        try:
            if name and name in firsts:
                raise _Refused(
                    f"the name {_shown(name)} is already used"
                    + (firsts[name] and f" by {firsts[name]}"),
                    "give each entry a unique name",
                )
            firsts[name] = place
            entries.append(_checked(each, names, place))
        except _Refused as refused:
            problems.append(Problem(refused.message, name, place, refused.hint))
    cycles = _cycles(entries)
    problems += (
        Problem(
            f"'after' forms a cycle: {' after '.join(cycles[entry.name])}",
            entry.name,
            entry.place,
            "give one entry of the cycle 'cron', 'every' or 'at' instead of 'after'",
        )
        for entry in entries
        if entry.name in cycles
    )
    return [entry for entry in entries if entry.name not in cycles], problems


def _cycles(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Returns the cycle of each entry that, through 'after', waits for itself."""
    after = {entry.name: entry.after for entry in entries}
    cycles = {}
    for name in after:
        path = {name: None}  # used as an ordered set
        before = after[name]
        while before is not None and before not in path:
            path[before] = None
            before = after.get(before)
        if before == name:
            cycles[name] = [*path, name]
    return cycles


def _checked(raw: dict[str, Any], names: Collection[str], place: str) -> Entry:
    given = {key: value for key, value in raw.items() if value is not None and key != "place"}
    for key in given:
        if key not in KEYS:
            raise _Refused(f"there is no key {_shown(key)}", _close(key, KEYS))
    name = _name(given)
    module = _module(given)
    zone_name = given.get("zone", "UTC")
    zone = _zone(zone_name)
    rules = [key for key in RULES if key in given]
    if len(rules) != 1:
        raise _Refused(
            f"it has more than one time rule: {_joined(rules)}"
            if rules
            else "it does not say when to run",
            "give it exactly one of 'cron', 'every', 'at' and 'after'",
        )
    cron = _cron(given["cron"]) if "cron" in given else None
    every = _duration(given, "every", least=1_000_000)
    at = _at(given["at"], zone) if "at" in given else None
    after = _after(given["after"], names) if "after" in given else None
    late = _duration(given, "late")
    return Entry(
        name=name,
        module=module,
        state=_state(given.get("state", {})),
        cron=cron,
        every=every,
        at=at,
        after=after,
        zone=zone_name,
        overlap=_word(given, "overlap", ("skip", "queue", "allow")),
        late=600_000_000 if late is None else late,
        missed=_word(given, "missed", ("latest", "none", "all")),
        timeout=_duration(given, "timeout", least=1),
        retries=_retries(given.get("retries", 0)),
        enabled=_enabled(given.get("enabled", True)),
        place=place,
        # `every` and `after` do not depend on the zone.
        rule=f"cron {cron.upper()} {zone_name}" if cron else f"{rules[0]} {every or at or after}",
    )


# --- the checks of single keys


def _name(given: dict[str, Any]) -> str:
    name = given.get("name", "")
    if not isinstance(name, str) or not name.strip():
        raise _Refused("it has no name", "give it a 'name', a string")
    if len(name) > 200:
        raise _Refused(f"its name has {len(name)} characters", "a name has at most 200")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        raise _Refused(f"its name {_shown(name)} has control characters", "leave them out")
    return name


def _module(given: dict[str, Any]) -> str:
    module = given.get("module")
    if module is None:
        raise _Refused("it has no 'module'", "name the module that it runs")
    if not isinstance(module, str) or not all(map(_can_be_a_name, module.split("."))):
        raise _Refused(
            f"'module' cannot be {_shown(module)}",
            "a module's name is one or more ASCII identifiers joined by dots",
        )
    return module


def _can_be_a_name(part: str) -> bool:
    dunder = part.startswith("__") and part.endswith("__")
    return part.isascii() and part.isidentifier() and not iskeyword(part) and not dunder


def _state(state: Any) -> str:
    try:
        if isinstance(state, dict):
            return json.dumps(state, allow_nan=False)
        if not isinstance(state, str):
            return _refuse_state(state)
        # Reads numbers as text, because Python refuses to convert integers of many digits.
        read: Any = json.loads(state, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise _Refused(
            f"'state' is not JSON: {error}", 'it must be an object such as {"days": 1}'
        ) from None
    return state if isinstance(read, dict) else _refuse_state(state)


def _refuse_state(state: Any) -> NoReturn:
    raise _Refused(f"'state' cannot be {_shown(state)}", 'it must be an object such as {"days": 1}')


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _zone(name: Any) -> tzinfo:
    try:
        return open_zone(name)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        zones = available_timezones()
    if not zones:
        raise _Refused(
            "the database of time zones is missing", f"{sys.executable} -m pip install tzdata"
        )
    # Also finds the zone that is meant by "paris" or "europe/paris".
    known = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(zones)}
    known.update({zone.casefold(): zone for zone in zones})
    close = get_close_matches(str(name).casefold(), known, 1)
    raise _Refused(
        f"there is no time zone {_shown(name)}",
        f"did you mean {known[close[0]]!r}?"
        if close
        else "a zone has a name such as 'Europe/Paris'",
    )


def _cron(expression: Any) -> str:
    text = expression.strip() if isinstance(expression, str) else ""
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise _Refused(f"'cron' cannot be {_shown(expression)}", _close(text.lower(), ALIASES))
        return ALIASES[text.lower()]
    fields = text.split()
    if len(fields) != 5:
        raise _Refused(
            f"'cron' must be a string of five fields, not {_shown(expression)}",
            f"they are {', '.join(title for title, _ in _FIELDS)}; seconds are not supported",
        )
    if not _is_cron(fields):
        for i, (title, range_) in enumerate(_FIELDS):
            if not _is_cron(["*"] * i + [fields[i]] + ["*"] * (4 - i)):
                raise _Refused(
                    f"'cron' has an invalid {title}: {_shown(fields[i])}",
                    f"the values are {range_}, written as {_FORMS}",
                )
        raise _Refused(
            f"'cron' has a day that does not exist: {_shown(text)}",
            "choose a day that one of its months has",
        )
    return " ".join(fields)


def _is_cron(fields: Iterable[str]) -> bool:
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise _Refused(
            "'cron' needs the Python package cronsim, which is not installed",
            f"{sys.executable} -m pip install cronsim",
        ) from None
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1))
    except (CronSimError, ValueError):
        return False
    return True


def _duration(given: dict[str, Any], key: str, least: int = 0) -> Optional[int]:
    if key not in given:
        return None
    value = given[key]
    found = None if isinstance(value, bool) else _DURATION.fullmatch(str(value))
    us: float = float(found[1] + (found[2] or "")) * _UNITS[found[3] or "s"] if found else -1.0
    if not 0 <= us <= _LONGEST:
        raise _Refused(
            f"'{key}' cannot be {_shown(value)}",
            "a duration is a number with a unit, such as '500ms', '30s', '15m', '1h' or '7d', or a number of seconds",
        )
    if round(us) < least:
        raise _Refused(
            f"'{key}' is too short: {_shown(value)}",
            "it must be at least 1s" if least > 1 else "it must be more than 0",
        )
    return round(us)


def _at(value: Any, zone: tzinfo) -> int:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if found:
            offset = (found[4] or "").upper().replace("Z", "+00:00")
            time = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}{offset}")
            return instant(time, zone) if time.tzinfo is None else to_us(time)
    except (ValueError, OverflowError):
        pass
    raise _Refused(
        f"'at' cannot be {_shown(value)}",
        "it must be a date with a time, such as '2026-12-24T18:00' or '2026-12-24T18:00+01:00'",
    )


def _after(value: Any, names: Collection[str]) -> str:
    if not isinstance(value, str) or value not in names:
        raise _Refused(
            f"'after' is not the name of an entry: {_shown(value)}", _close(value, names)
        )
    return value


def _word(given: dict[str, Any], key: str, words: Sequence[str]) -> str:
    value = given.get(key, words[0])
    if value not in words:
        raise _Refused(f"'{key}' cannot be {_shown(value)}", _close(value, words))
    return str(value)


def _retries(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 100:  # not isinstance(): True is an int
        raise _Refused(f"'retries' cannot be {_shown(value)}", "it must be a number from 0 to 100")
    return int(value)


def _enabled(value: Any) -> bool:
    if not isinstance(value, int) or value not in (0, 1):  # 0 and 1 come from a table of SQLite
        raise _Refused(f"'enabled' cannot be {_shown(value)}", "it must be true or false")
    return bool(value)


# --- texts for messages


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _close(value: Any, known: Collection[str]) -> str:
    close = get_close_matches(str(value), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"it must be one of {_joined(known)}"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(map(repr, words))
