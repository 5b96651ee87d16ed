"""Due times of `cron` (compared with a simulation of cron(8)), `every` and `at`, and their descriptions in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import ROOT, needs_package

sys.path.append(str(ROOT / "python_modules"))
needs_package("cronsim")

from pyhost._schedule.entries import ALIASES, Entry, check_entries  # noqa: E402
from pyhost._schedule.times import due_between, in_words, local_text, next_due  # noqa: E402

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE


def entry(**keys: Any) -> Entry:
    entries, problems = check_entries([{"name": "it", "module": "mod1", "after": None, **keys}])
    assert problems == []
    return entries[0]


def us(text: str) -> int:
    """A time as microseconds since the epoch. It is in UTC unless it has an offset."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def dues_after(entry: Entry, after: int, count: int) -> list[str]:
    dues = []
    for _ in range(count):
        due = next_due(entry, 0, after)
        assert due is not None
        after = due
        dues.append(local_text(due, entry.zone))
    return dues


# --- cron compared with the simulation

# Clocks change by an hour at 2:00 or 3:00, by half an hour, at midnight, by two hours, and from 0:01 back to 23:01.
ZONES = {
    "Europe/Paris": 2026,
    "America/New_York": 2026,
    "Australia/Lord_Howe": 2026,
    "America/Santiago": 2026,
    "Antarctica/Troll": 2026,
    "America/St_Johns": 2006,
}
EXPRESSIONS = (
    "* * * * *",
    "*/15 * * * *",
    "7,37 * * * *",
    "0 */3 * * *",
    "* 2 * * *",
    "*/20 0-3 * * SUN",
    "30 2 * * *",
    "0,30 1-2 * * *",
    "59 23 * * *",
    "0 0 * * 0,1",
    "15 0-4/2 * * SUN",
    "45 1 1-31/2 * 7",
)


def values(field: str, least: int, most: int) -> set[int]:
    """The numbers that a field of a cron expression matches."""
    found = set()
    for part in field.replace("SUN", "0").split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        found |= {*range(int(first), int(last or first) + 1, int(step or 1))}
    return found


def matcher(expression: str) -> Any:
    minute, hour, day, month, weekday = expression.split()
    minutes, hours, days = values(minute, 0, 59), values(hour, 0, 23), values(day, 1, 31)
    months, weekdays = values(month, 1, 12), {n % 7 for n in values(weekday, 0, 7)}
    combined = all if day[0] == "*" or weekday[0] == "*" else any

    def matches(time: datetime) -> bool:
        return (
            time.minute in minutes
            and time.hour in hours
            and time.month in months
            and combined((time.day in days, time.isoweekday() % 7 in weekdays))
        )

    return matches


@cache
def minutes_around(zone: str, change: int) -> list[tuple[int, datetime]]:
    """Each minute of eight days around a change, with the local time that clocks show."""
    tz = ZoneInfo(zone)
    begin = change - 4 * DAY
    return [
        (at, datetime.fromtimestamp(at // SECOND, tz).replace(tzinfo=None, fold=0))
        for at in range(begin, begin + 8 * DAY, MINUTE)
    ]


def changes(zone: str) -> list[int]:
    """The two times of a year at which the UTC offset of the zone changes."""
    tz = ZoneInfo(zone)

    def offset(at: int) -> Any:
        return datetime.fromtimestamp(at // SECOND, tz).utcoffset()

    found = []
    for day in range(us(f"{ZONES[zone]}-01-01"), us(f"{ZONES[zone]}-12-31"), DAY):
        if offset(day) != offset(day + DAY):
            found += [
                at
                for at in range(day + MINUTE, day + DAY + 1, MINUTE)
                if offset(at - MINUTE) != offset(at)
            ]
    assert len(found) == 2
    return found


def oracle(expression: str, zone: str, change: int) -> Iterator[int]:
    """The times at which Debian's cron runs a command. It wakes up each minute and compares the clock with its own
    count of minutes."""
    matches = matcher(expression)
    minute, hour = expression.split()[:2]
    wild = minute[0] == "*" or hour[0] == "*"
    counted: datetime | None = None
    for at, shown in minutes_around(zone, change):
        ahead = 1 if counted is None else (shown - counted) // timedelta(minutes=1)
        if (
            ahead < 1
        ):  # clocks went back: only wildcard expressions match until the count is reached
            if wild and matches(shown):
                yield at
            continue
        skipped = [shown - timedelta(minutes=n) for n in range(1, ahead)]
        if matches(shown) or not wild and any(map(matches, skipped)):
            yield at
        counted = shown


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_cron_times_match_debian_cron_around_clock_changes(expression: str, zone: str) -> None:
    cron = entry(cron=expression, zone=zone)
    for change in changes(zone):
        expected = [*oracle(expression, zone, change)]
        # Start long before the change, within the hour before it, and shortly after it.
        for start in (change - 3 * DAY, change - 31 * MINUTE, change + 17 * MINUTE):
            for until in (change + 10 * MINUTE, change + 3 * DAY):
                wanted = [due for due in expected if start < due <= until]
                assert due_between(cron, 0, start, until, most=100_000) == (wanted, 0)
            at = start
            for due in wanted[:300]:
                assert next_due(cron, 0, at) == due, local_text(at, zone)
                at = due


# --- cron with known times


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # docs/schedule.md describes these two nights in Paris. The two tests below check them, too.
        ("30 2 * * *", "Europe/Paris", "2026-03-28T12:00", "2026-03-29T03:00+02:00"),
        ("*/30 * * * *", "Europe/Paris", "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"),
        ("30 2 * * *", "Europe/Paris", "2026-10-24T12:00", "2026-10-25T02:30+02:00"),
        ("*/30 * * * *", "Europe/Paris", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"),
        # Monday at nine, although clocks change on Sunday.
        ("0 9 * * 1-5", "America/New_York", "2026-03-06T15:00", "2026-03-09T13:00+00:00"),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", "2026-11-01T05:30+00:00"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T15:30+00:00"),
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", "2026-09-06T01:00-03:00"),
        ("0 0 1 * *", "Asia/Kolkata", "2026-01-15T00:00", "2026-01-31T18:30+00:00"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", "2028-02-29T00:00+00:00"),
        # Each 13th and each Friday. If the day begins with a star, both must match: a Friday with an odd day.
        ("0 12 13 * 5", "UTC", "2026-02-01T00:00", "2026-02-06T12:00+00:00"),
        ("0 12 */2 * 5", "UTC", "2026-02-01T00:00", "2026-02-13T12:00+00:00"),
    ],
)
def test_a_cron_expression_is_next_due_at_a_known_time(
    expression: str, zone: str, after: str, expected: str
) -> None:
    assert next_due(entry(cron=expression, zone=zone), 0, us(after)) == us(expected)


def test_only_cron_entries_with_fixed_times_run_after_a_skipped_hour() -> None:
    night = us("2026-03-29T00:00+01:00"), us("2026-03-29T06:00+02:00")
    found = {
        cron: [local_text(due, "Europe/Paris")[11:] for due in due_between(
            entry(cron=cron, zone="Europe/Paris"), 0, *night)[0]]
        for cron in ("30 2 * * *", "0,30 2-3 * * *", "*/30 2 * * *", "30 * * * *")
    }  # fmt: skip
    assert found == {
        "30 2 * * *": ["03:00 CEST"],
        "0,30 2-3 * * *": ["03:00 CEST", "03:30 CEST"],
        "*/30 2 * * *": [],
        "30 * * * *": ["00:30 CET", "01:30 CET", "03:30 CEST", "04:30 CEST", "05:30 CEST"],
    }


def test_only_cron_entries_with_wildcards_run_twice_in_a_repeated_hour() -> None:
    night = us("2026-10-25T01:00+02:00"), us("2026-10-25T04:00+01:00")
    found = {
        cron: [local_text(due, "Europe/Paris")[11:] for due in due_between(
            entry(cron=cron, zone="Europe/Paris"), 0, *night)[0]]
        for cron in ("30 2 * * *", "*/30 2 * * *", "30 * * * *")
    }  # fmt: skip
    assert found == {
        "30 2 * * *": ["02:30 CEST"],
        "*/30 2 * * *": ["02:00 CEST", "02:30 CEST", "02:00 CET", "02:30 CET"],
        "30 * * * *": ["01:30 CEST", "02:30 CEST", "02:30 CET", "03:30 CET"],
    }


def test_aliases_are_due_like_their_expressions() -> None:
    expected = {
        "@hourly": "2026-06-15 13:00",
        "@daily": "2026-06-16 00:00",
        "@midnight": "2026-06-16 00:00",
        "@weekly": "2026-06-21 00:00",
        "@monthly": "2026-07-01 00:00",
        "@yearly": "2027-01-01 00:00",
        "@annually": "2027-01-01 00:00",
    }
    assert expected.keys() == ALIASES.keys()
    for alias, due in expected.items():
        assert dues_after(entry(cron=alias), us("2026-06-15T12:30"), 1) == [f"{due} UTC"]
    assert entry(cron=" @Daily ").cron == entry(cron="0  0 * * *").cron


def test_nothing_is_due_before_the_entry_was_created() -> None:
    cron = entry(cron="0 * * * *")
    created = us("2026-06-15T12:00")
    assert next_due(cron, created, 0) == created + 60 * MINUTE
    assert due_between(cron, created, 0, created) == ([], 0)
    assert due_between(cron, created, 0, created + 60 * MINUTE) == ([created + 60 * MINUTE], 0)


def test_only_the_newest_due_times_are_returned_and_the_others_are_counted() -> None:
    now = us("2026-06-15T12:00")
    for rule, length in ({"cron": "* * * * *"}, MINUTE), ({"every": "1s"}, SECOND):
        dues, left_out = due_between(entry(**rule), now - 30 * DAY, 0, now)
        assert dues == [now - n * length for n in range(999, -1, -1)]
        assert left_out == 30 * DAY // length - 1000
        assert due_between(entry(**rule), 0, now - 3 * length, now, most=2)[1] == 1


# --- every, at, after


def test_every_is_due_at_multiples_of_its_period_since_the_creation() -> None:
    grid = entry(every="90s", zone="Europe/Paris")
    created = us("2026-10-24T23:59") + 5
    length = 90 * SECOND
    assert next_due(grid, created, 0) == created + length
    assert next_due(grid, created, created + length - 1) == created + length
    assert next_due(grid, created, created + length) == created + 2 * length
    assert due_between(grid, created, 0, created + 3 * length - 1) == (
        [created + length, created + 2 * length], 0,
    )  # fmt: skip
    assert due_between(grid, created, created + length, created + length) == ([], 0)
    assert due_between(grid, created, created + length, created) == ([], 0)
    # `every` counts elapsed time, so the repeated hour in Paris does not matter.
    assert next_due(entry(every="1d"), created, created) == created + DAY


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2026-12-24T18:00", "UTC", "2026-12-24T18:00+00:00"),
        ("2026-12-24 18:00:30", "Europe/Paris", "2026-12-24T18:00:30+01:00"),
        ("2026-12-24T18:00Z", "Europe/Paris", "2026-12-24T18:00+00:00"),
        ("2026-12-24T18:00-05:00", "Europe/Paris", "2026-12-24T23:00+00:00"),
        ("2026-03-29T02:30:15", "Europe/Paris", "2026-03-29T03:00+02:00"),  # clocks skip this time
        (
            "2026-10-25T02:30",
            "Europe/Paris",
            "2026-10-25T02:30+02:00",
        ),  # clocks show this time twice
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-04T02:30+11:00"),
    ],
)
def test_at_is_due_once(at: str, zone: str, expected: str) -> None:
    once = entry(at=at, zone=zone)
    due = us(expected)
    assert next_due(once, 0, due - 1) == due
    assert next_due(once, 0, due) is None
    assert next_due(once, due, 0) is None, "the time is already past when the entry is first seen"
    assert due_between(once, 0, due - 1, due) == ([due], 0)
    assert due_between(once, 0, due - 2, due - 1) == ([], 0)
    assert due_between(once, 0, due, due + DAY) == ([], 0)


def test_after_has_no_due_times() -> None:
    entries, _ = check_entries(
        [{"name": "a", "module": "m", "every": 1}, {"name": "b", "module": "m", "after": "a"}]
    )
    assert next_due(entries[1], 0, 0) is None
    assert due_between(entries[1], 0, 0, us("2026-01-01")) == ([], 0)


# --- descriptions in words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"cron": "30 2 * * 1-5"}, "at 02:30 on Monday to Friday"),
        ({"cron": "30 2 * * *"}, "at 02:30 every day"),
        ({"cron": "0 8,20 * * *"}, "at 08:00 and 20:00 every day"),
        ({"cron": "0,30 8-9 * * *"}, "cron 0,30 8-9 * * *"),
        ({"cron": "0 6 * * mon,thu,0"}, "at 06:00 on Monday, Thursday and Sunday"),
        ({"cron": "0 6 1,15 * *"}, "at 06:00 on days 1 and 15 of every month"),
        ({"cron": "0 6 1-7 JAN-MAR *"}, "at 06:00 on days 1 to 7 of January to March"),
        ({"cron": "0 6 L 2 *"}, "at 06:00 on the last day of February"),
        ({"cron": "0 6 * 12 *"}, "at 06:00 every day in December"),
        ({"cron": "0 6 13 * 5"}, "cron 0 6 13 * 5"),
        ({"cron": "* * * * *"}, "every minute"),
        ({"cron": "*/15 * * * 6-7"}, "every 15 minutes on Saturday to Sunday"),
        ({"cron": "*/7 * * * *"}, "cron */7 * * * *"),
        ({"cron": "*/15,3 * * * *"}, "cron */15,3 * * * *"),
        ({"cron": "1-59/7 * * * *"}, "cron 1-59/7 * * * *"),
        ({"cron": "0 6 * * 5#1"}, "cron 0 6 * * 5#1"),
        ({"cron": "@hourly"}, "every hour"),
        ({"cron": "5 * * * *"}, "every hour at minute 5"),
        ({"cron": "5,35 */6 * * *"}, "every 6 hours at minutes 5 and 35"),
        ({"cron": "@yearly"}, "at 00:00 on day 1 of January"),
        ({"every": "15m"}, "every 15 minutes"),
        ({"every": 60}, "every minute"),
        ({"every": "90s"}, "every 90 seconds"),
        ({"every": "36h"}, "every 36 hours"),
        ({"every": "7d"}, "every 7 days"),
        ({"every": "1.5s"}, "every 1.5 seconds"),
        ({"at": "2026-12-24T18:00", "zone": "Europe/Paris"}, "once, 2026-12-24 18:00"),
    ],
)
def test_a_rule_is_described_in_words(rule: dict[str, Any], words: str) -> None:
    assert in_words(entry(**rule)) == words


def test_after_is_described_in_words() -> None:
    raw = [{"name": "a", "module": "m", "after": "b"}, {"name": "b", "module": "m", "every": 1}]
    assert in_words(check_entries(raw)[0][0]) == "after b"


def test_local_text_has_the_zone_and_omits_zero_seconds() -> None:
    due = us("2026-12-24T17:00")
    assert local_text(due, "Europe/Paris") == "2026-12-24 18:00 CET"
    assert local_text(due + 5 * SECOND, "UTC") == "2026-12-24 17:00:05 UTC"
