"""The keys and values of schedule entries, and the problem that is reported for each mistake."""

from __future__ import annotations

import sys
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest
from conftest import ROOT, needs_package

sys.path.append(str(ROOT / "python_modules"))
needs_package("cronsim")

from pyhost._schedule import entries as checks  # noqa: E402
from pyhost._schedule import zones  # noqa: E402
from pyhost._schedule.entries import Entry, Problem, check_entries  # noqa: E402

SECOND = 1_000_000
NIGHTLY = {
    "name": "nightly", "module": "reports.daily", "cron": "30 2 * * *", "place": "pyhost.toml:12"
}  # fmt: skip
OTHER = {"name": "other", "module": "mod1", "every": "1h"}


def checked(**keys: Any) -> Entry:
    entries, problems = check_entries([{"name": "it", "module": "mod1", **keys}])
    assert problems == []
    return entries[0]


def problem(*, without: str = "", **keys: Any) -> Problem:
    """The problem of the entry `nightly` with these keys. Asserts that another entry is still accepted."""
    raw = {key: value for key, value in {**NIGHTLY, **keys}.items() if key != without}
    entries, problems = check_entries([raw, OTHER])
    assert [entry.name for entry in entries] == ["other"]
    assert len(problems) == 1
    assert problems[0].place == "pyhost.toml:12"
    return problems[0]


# --- valid entries


def test_an_entry_has_defaults() -> None:
    (entry,), problems = check_entries([NIGHTLY])
    assert problems == []
    assert entry == Entry(
        name="nightly", module="reports.daily", state="{}", cron="30 2 * * *", every=None, at=None, after=None,
        zone="UTC", overlap="skip", late=600 * SECOND, missed="latest", timeout=None, retries=0, enabled=True,
        place="pyhost.toml:12", rule="cron 30 2 * * * UTC",
    )  # fmt: skip


def test_a_null_value_is_replaced_by_the_default() -> None:
    row = {key: None for key in checks.KEYS} | NIGHTLY
    assert check_entries([row]) == check_entries([NIGHTLY])


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("500ms", SECOND // 2), ("30s", 30 * SECOND), ("15m", 900 * SECOND), ("1.5h", 5400 * SECOND), (".5s", SECOND // 2),
        ("7d", 7 * 86_400 * SECOND), ("90", 90 * SECOND), (90, 90 * SECOND), (0.25, SECOND // 4), ("1e1s", 10 * SECOND),
        (0, 0), ("0s", 0),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_of_seconds_or_a_number_with_a_unit(text: Any, us: int) -> None:
    assert checked(every="1s", late=text).late == us


def test_a_state_may_be_an_object_or_its_text() -> None:
    assert checked(every=1, state={"days": 1}).state == '{"days": 1}'
    text = '{"n": 1' + "0" * 5000 + ', "f": 1.50}'
    assert checked(every=1, state=text).state == text


def test_enabled_may_be_0_or_1_as_in_sqlite() -> None:
    assert checked(every=1, enabled=0).enabled is False
    assert checked(every=1, enabled=1).enabled is True


def test_names_of_entries_may_be_in_any_script() -> None:
    assert checked(name="Übersicht täglich 日次", every=1).name == "Übersicht täglich 日次"
    assert checked(name="n" * 200, every=1).name == "n" * 200


def test_the_rule_depends_only_on_when_the_entry_runs() -> None:
    first = checked(cron="0 6 * * mon", zone="Europe/Paris")
    assert (
        checked(cron="0  6 * * MON", zone="Europe/Paris", retries=3, state={"a": 1}).rule
        == first.rule
    )
    assert checked(cron="0 7 * * mon", zone="Europe/Paris").rule != first.rule
    assert checked(cron="0 6 * * mon", zone="Europe/Berlin").rule != first.rule
    assert checked(every="1h").rule == checked(every=3600, zone="Europe/Paris").rule
    assert checked(every="1h").rule != checked(every="2h").rule
    assert (
        checked(at="2026-12-24T18:00Z").rule
        == checked(at="2026-12-24T19:00", zone="Europe/Paris").rule
    )


# --- refused entries


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ({"crom": "1"}, "there is no key 'crom'", "did you mean 'cron'?"),
        ({"zzz": "1"}, "there is no key 'zzz'", "it must be one of 'name', 'module'"),
        ({"without": "name"}, "it has no name", "give it a 'name'"),
        ({"name": " "}, "it has no name", "give it a 'name'"),
        ({"name": 5}, "it has no name", "give it a 'name'"),
        ({"name": "n" * 201}, "its name has 201 characters", "at most 200"),
        ({"name": "a\nb"}, "its name 'a\\nb' has control characters", "leave them out"),
        ({"without": "module"}, "it has no 'module'", "name the module"),
        ({"module": "reports/daily"}, "'module' cannot be 'reports/daily'", "ASCII identifiers joined by dots"),
        ({"module": "a..b"}, "'module' cannot be 'a..b'", "ASCII identifiers joined by dots"),
        ({"module": "été"}, "'module' cannot be 'été'", "ASCII identifiers joined by dots"),
        ({"module": "import"}, "'module' cannot be 'import'", "ASCII identifiers joined by dots"),
        ({"state": [1]}, "'state' cannot be [1]", 'an object such as {"days": 1}'),
        ({"state": "[1]"}, "'state' cannot be '[1]'", 'an object such as {"days": 1}'),
        ({"state": "{'a': 1}"}, "'state' is not JSON: Expecting property name", "an object such as"),
        ({"state": '{"a": NaN}'}, "'state' is not JSON: NaN is not a JSON value", "an object such as"),
        ({"state": {"a": float("inf")}}, "'state' is not JSON: Out of range", "an object such as"),
        ({"state": '{"a":' * 100_000}, "'state' is not JSON: ", "an object such as"),
        ({"without": "cron"}, "it does not say when to run", "exactly one of 'cron', 'every', 'at' and 'after'"),
        ({"every": "1h"}, "it has more than one time rule: 'cron', 'every'", "exactly one of"),
        ({"zone": "Europe/Pariss"}, "there is no time zone 'Europe/Pariss'", "did you mean 'Europe/Paris'?"),
        ({"zone": "paris"}, "there is no time zone 'paris'", "did you mean 'Europe/Paris'?"),
        ({"zone": "../../etc/passwd"}, "there is no time zone '../../etc/passwd'", ""),
        ({"zone": "Europe"}, "there is no time zone 'Europe'", ""),
        ({"zone": "/etc/localtime"}, "there is no time zone '/etc/localtime'", ""),
        ({"zone": ""}, "there is no time zone ''", "'Europe/Paris'"),
        ({"zone": 1}, "there is no time zone 1", "'Europe/Paris'"),
        ({"zone": {}}, "there is no time zone {}", "'Europe/Paris'"),
        ({"overlap": "Skip"}, "'overlap' cannot be 'Skip'", "did you mean 'skip'?"),
        ({"overlap": []}, "'overlap' cannot be []", "it must be one of 'skip', 'queue', 'allow'"),
        ({"missed": "last"}, "'missed' cannot be 'last'", "did you mean 'latest'?"),
        ({"late": "soon"}, "'late' cannot be 'soon'", "'500ms', '30s', '15m', '1h' or '7d'"),
        ({"late": -1}, "'late' cannot be -1", "a duration is"),
        ({"late": "1h30m"}, "'late' cannot be '1h30m'", "a duration is"),
        ({"late": "5 m"}, "'late' cannot be '5 m'", "a duration is"),
        ({"late": True}, "'late' cannot be True", "a duration is"),
        ({"late": "nan"}, "'late' cannot be 'nan'", "a duration is"),
        ({"late": "1e400"}, "'late' cannot be '1e400'", "a duration is"),
        ({"late": "٣s"}, "'late' cannot be '٣s'", "a duration is"),
        ({"timeout": "0s"}, "'timeout' is too short: '0s'", "more than 0"),
        ({"timeout": "x"}, "'timeout' cannot be 'x'", "a duration is"),
        ({"retries": 101}, "'retries' cannot be 101", "a number from 0 to 100"),
        ({"retries": -1}, "'retries' cannot be -1", "a number from 0 to 100"),
        ({"retries": True}, "'retries' cannot be True", "a number from 0 to 100"),
        ({"retries": "2"}, "'retries' cannot be '2'", "a number from 0 to 100"),
        ({"enabled": "yes"}, "'enabled' cannot be 'yes'", "true or false"),
        ({"enabled": 2}, "'enabled' cannot be 2", "true or false"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_own_problem(keys: Any, message: str, hint: str) -> None:
    found = problem(**keys)
    assert found.message.startswith(message), found
    assert hint in found.hint, found
    assert len(found.message) < 250


@pytest.mark.parametrize(
    ("cron", "message", "hint"),
    [
        ("61 * * * *", "'cron' has an invalid minute: '61'", "0 to 59"),
        ("* 24 * * *", "'cron' has an invalid hour: '24'", "0 to 23"),
        ("* * 0 * *", "'cron' has an invalid day of the month: '0'", "1 to 31"),
        ("* * * 13 *", "'cron' has an invalid month: '13'", "JAN to DEC"),
        ("* * * * 8", "'cron' has an invalid day of the week: '8'", "0 and 7 are Sunday"),
        ("* * * * FRI-MON", "'cron' has an invalid day of the week: 'FRI-MON'", "a range such as 1-5"),
        ("*/0 * * * *", "'cron' has an invalid minute: '*/0'", "steps such as */15"),
        ("1, * * * *", "'cron' has an invalid minute: '1,'", "lists of these"),
        ("x * * * *", "'cron' has an invalid minute: 'x'", "0 to 59"),
        ("9" * 5000 + " * * * *", "'cron' has an invalid minute: '99", "0 to 59"),
        ("0 0 30 2 *", "'cron' has a day that does not exist: '0 0 30 2 *'", "a day that one of its months has"),
        ("* * * *", "'cron' must be a string of five fields, not '* * * *'", "they are minute, hour,"),
        ("0 30 2 * * *", "'cron' must be a string of five fields, not '0 30 2 * * *'", "seconds are not supported"),
        ("", "'cron' must be a string of five fields, not ''", "they are minute, hour,"),
        (5, "'cron' must be a string of five fields, not 5", "they are minute, hour,"),
        ("@dayly", "'cron' cannot be '@dayly'", "did you mean '@daily'?"),
        ("@reboot", "'cron' cannot be '@reboot'", "it must be one of '@hourly', "),
    ],
)  # fmt: skip
def test_a_bad_cron_names_its_field(cron: Any, message: str, hint: str) -> None:
    found = problem(cron=cron)
    assert found.message.startswith(message), found
    assert hint in found.hint, found


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"every": "500ms"}, "'every' is too short: '500ms'"),
        ({"every": "0"}, "'every' is too short: '0'"),
        ({"every": "often"}, "'every' cannot be 'often'"),
        ({"every": "99999d"}, "'every' cannot be '99999d'"),
        ({"at": "tomorrow"}, "'at' cannot be 'tomorrow'"),
        ({"at": "2026-12-24"}, "'at' cannot be '2026-12-24'"),
        ({"at": "2026-02-30T12:00"}, "'at' cannot be '2026-02-30T12:00'"),
        ({"at": "2026-12-24T18:00+25:00"}, "'at' cannot be '2026-12-24T18:00+25:00'"),
        ({"at": "9999-12-31T23:59-14:00"}, "'at' cannot be '9999-12-31T23:59-14:00'"),
        ({"at": "9999-12-31T23:59", "zone": "America/New_York"}, "'at' cannot be '9999-12-31T23:59'"),
        ({"at": 5}, "'at' cannot be 5"),
        ({"after": "othr"}, "'after' is not the name of an entry: 'othr'"),
        ({"after": ["other"]}, "'after' is not the name of an entry: ['other']"),
    ],
)  # fmt: skip
def test_a_bad_time_is_refused(keys: Any, message: str) -> None:
    found = problem(without="cron", **keys)
    assert found.message == message
    assert found.hint


def test_a_second_entry_with_the_same_name_is_refused() -> None:
    again = {**OTHER, "name": "nightly", "place": "pyhost.toml:30"}
    entries, problems = check_entries([NIGHTLY, again, {**again, "place": ""}])
    assert [entry.place for entry in entries] == ["pyhost.toml:12"]
    assert [(each.message, each.entry, each.place) for each in problems] == [
        ("the name 'nightly' is already used by pyhost.toml:12", "nightly", "pyhost.toml:30"),
        ("the name 'nightly' is already used by pyhost.toml:12", "nightly", ""),
    ]


def test_several_entries_without_a_name_are_not_reported_as_duplicates() -> None:
    _, problems = check_entries([{"module": "m", "every": 1}, {"module": "m", "every": 1}])
    assert [each.message for each in problems] == ["it has no name", "it has no name"]


def follows(name: str, after: str) -> dict[str, Any]:
    return {"name": name, "module": "mod1", "after": after}


def test_all_entries_of_a_cycle_of_after_are_refused() -> None:
    raw = [
        follows("a", "b"),
        follows("b", "c"),
        follows("c", "a"),
        follows("d", "a"),
        follows("e", "e"),
    ]
    entries, problems = check_entries([*raw, OTHER, follows("f", "other"), follows("g", "f")])
    assert [entry.name for entry in entries] == ["d", "other", "f", "g"]
    assert [(each.entry, each.message.partition(": ")[2]) for each in problems] == [
        ("a", "a after b after c after a"),
        ("b", "b after c after a after b"),
        ("c", "c after a after b after c"),
        ("e", "e after e"),
    ]


def test_an_entry_after_a_broken_one_is_kept() -> None:
    entries, problems = check_entries([{**NIGHTLY, "cron": "x"}, follows("next", "nightly")])
    assert [entry.name for entry in entries] == ["next"]
    assert [each.entry for each in problems] == ["nightly"]


def test_a_long_chain_of_after_is_checked() -> None:
    chain = [follows(f"e{n}", f"e{n + 1}") for n in range(2000)]
    assert len(check_entries([*chain, {**OTHER, "name": "e2000"}])[0]) == 2001


# --- missing packages


def test_only_cron_entries_are_refused_without_cronsim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    assert problem() == Problem(
        "'cron' needs the Python package cronsim, which is not installed",
        "nightly",
        "pyhost.toml:12",
        f"{sys.executable} -m pip install cronsim",
    )
    assert checked(every="1h").every == 3600 * SECOND


def test_utc_is_accepted_without_a_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_timezones", set)
    monkeypatch.setattr(zones, "ZoneInfo", without_zones)
    zones.open_zone.cache_clear()
    assert problem(zone="Europe/Paris") == Problem(
        "the database of time zones is missing",
        "nightly",
        "pyhost.toml:12",
        f"{sys.executable} -m pip install tzdata",
    )
    assert checked(cron="@daily").zone == "UTC"


def without_zones(name: str) -> None:
    raise ZoneInfoNotFoundError(name)
