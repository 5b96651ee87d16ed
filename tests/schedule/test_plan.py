"""The plan of a schedule: claims, leases and history, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PATIENCE, ROOT, SECRET, needs_package

sys.path.insert(0, str(ROOT / "python_modules"))
from pyhost._schedule import database as databases  # noqa: E402
from pyhost._schedule.database import Database, ScheduleFailed, open_connection  # noqa: E402
from pyhost._schedule.entries import check_entries  # noqa: E402
from pyhost._schedule.plan import Plan  # noqa: E402

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
START = 1_780_000_000 * SECOND  # the time at which each test starts

Row = dict[str, Any]


class World:
    """A database with a clock that the test sets, and a Plan for each owner."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.raw: dict[str, Row] = {}
        self.plans: dict[str, Plan] = {}
        self.database = self.open()
        self.plan("one").tables.make(has_schedule=True)
        self.set(START)

    def open(self) -> Database:
        return open_connection("main", self.url)

    def plan(self, owner: str) -> Plan:
        if owner not in self.plans:
            self.plans[owner] = Plan(self.open())
        return self.plans[owner]

    def set(self, now: int) -> None:
        """Sets the clock, which then runs on from this time."""
        clock = self.database.clock
        self.database.execute(f"update pyhost_schema set clock_shift = :now - {clock}", now=now)

    def add(self, name: str, **more: Any) -> None:
        when = {} if {"cron", "at", "after"} & more.keys() else {"every": "1m"}
        self.raw[name] = {"name": name, "module": "m", **when, **more}

    def entries(self) -> list[Any]:
        entries, problems = check_entries(list(self.raw.values()))
        assert not problems
        return entries

    def step(self, owner: str = "one", room: int = 10, **more: Any) -> Row:
        return self.plan(owner).step(self.entries(), owner, room, **more)

    def at(self, now: int, *, end: bool = True, **more: Any) -> list[Row]:
        """Makes a step at this time; returns its claims. Reports their success at once, unless `end` is false."""
        self.set(now)
        claimed: list[Row] = self.step(**more)["claimed"]
        if end:
            self.step(more.get("owner", "one"), 0, finished=[ended(each) for each in claimed])
        return claimed

    def created(self, name: str) -> int:
        found = self.database.rows("select * from pyhost_entries where entry = :name", name=name)
        return int(found[0]["created"])

    def runs(self, name: str | None = None) -> list[Row]:
        """The history, oldest run first."""
        found: list[Row] = self.plan("one").history(self.entries(), name, False, 100_000)["runs"]
        return found[::-1]

    def statuses(self, name: str | None = None) -> list[str]:
        return [run["status"] for run in self.runs(name)]


def ended(claimed: Row, status: str = "succeeded", **more: Any) -> Row:
    key = {each: claimed[each] for each in ("entry", "due", "attempt")}
    return {**key, "status": status, "exit_code": 0, "result": "1", "error": None, **more}


def key(claimed: Row) -> list[Any]:
    return [claimed["entry"], claimed["due"], claimed["attempt"]]


def dues(claimed: list[Row]) -> list[int]:
    return [each["due"] for each in claimed]


@pytest.fixture(scope="session")
def new_database(postgresql: int) -> Callable[[], str]:
    """A function that creates an empty database on the server and returns its URL."""
    needs_package("sqlalchemy")
    needs_package("psycopg")
    import sqlalchemy

    server = f"postgresql+psycopg://ada:{quote(SECRET, safe='')}@127.0.0.1:{postgresql}/"
    engine = sqlalchemy.create_engine(server + "postgres", isolation_level="AUTOCOMMIT")
    numbers = itertools.count()

    def make() -> str:
        name = f"plan{next(numbers)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        return server + name

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'plan.db'}"
    made: str = request.getfixturevalue("new_database")()
    return made


@pytest.fixture
def world(url: str) -> Iterator[World]:
    made = World(url)
    yield made
    for each in (made.database, *(plan._database for plan in made.plans.values())):
        each.close()


# --- when an entry is due


def test_an_entry_is_not_due_before_it_was_first_seen(world: World) -> None:
    world.add("a")
    first = world.step()
    created = world.created("a")
    assert first["claimed"] == [] and first["next"] == created + MINUTE
    assert dues(world.at(created + MINUTE)) == [created + MINUTE]
    assert world.at(created + MINUTE + 5 * SECOND) == []


def test_a_restart_keeps_the_baseline(world: World) -> None:
    world.add("weekly", every="7d")
    world.step()
    created = world.created("weekly")
    for day in range(1, 7):
        world.plans.clear()
        assert world.at(created + day * DAY) == []
    world.plans.clear()
    assert dues(world.at(created + 7 * DAY + MINUTE)) == [created + 7 * DAY]


def test_a_claim_has_the_module_state_due_time_and_timeout(world: World) -> None:
    world.add("a", module="reports.daily", state={"days": 1}, timeout="2m")
    world.step()
    due = world.created("a") + MINUTE
    (claimed,) = world.at(due)
    assert json.loads(claimed.pop("state")) == {"days": 1}
    assert claimed == {
        "entry": "a", "module": "reports.daily", "due": due, "attempt": 1, "timeout": 2 * MINUTE,
    }  # fmt: skip


def test_a_changed_time_rule_resets_the_baseline_and_other_edits_do_not(world: World) -> None:
    world.add("a", every="1h")
    world.step()
    created = world.created("a")
    world.add("a", every="1h", state={"n": 1}, late="1m", retries=2)
    world.at(START + 30 * MINUTE)
    assert world.created("a") == created
    world.add("a", every="2h")
    world.at(START + 40 * MINUTE)
    assert world.created("a") >= START + 40 * MINUTE
    assert world.at(START + 61 * MINUTE) == []


def test_a_removed_entry_keeps_its_history_and_is_not_due(world: World) -> None:
    world.add("a")
    world.add("b")
    world.step()
    world.at(START + 61 * SECOND)
    del world.raw["a"]
    assert [each["entry"] for each in world.at(START + 122 * SECOND)] == ["b"]
    assert world.statuses("a") == ["succeeded"]


@pytest.mark.parametrize(
    ("missed", "runs", "rows"),
    [
        ("none", [9, 10], ["missed", "succeeded", "succeeded"]),
        ("latest", [10], ["missed", "succeeded"]),
        ("all", list(range(1, 11)), ["succeeded"] * 10),
    ],
)
def test_missed_due_times_run_as_the_entry_says(
    world: World, missed: str, runs: list[int], rows: list[str]
) -> None:
    world.add("a", missed=missed, late="90s", overlap="allow")
    world.step()
    created = world.created("a")
    claimed = world.at(created + 10 * MINUTE + 10 * SECOND)
    assert dues(claimed) == [created + n * MINUTE for n in runs]
    assert world.statuses() == rows
    if "missed" in rows:
        row = world.runs()[0]
        count = 10 - len(runs)
        assert row["due"] == created + count * MINUTE and row["finished"] is not None
        assert json.loads(row["error"])["message"].startswith(f"{count} due times from 2026-")
    assert world.at(created + 10 * MINUTE + 20 * SECOND) == []


def test_a_single_late_due_time_is_recorded_as_missed(world: World) -> None:
    world.add("a", missed="none", late="10s")
    world.step()
    world.set(START + 80 * SECOND)
    step = world.step()
    assert step["claimed"] == []
    (told,) = step["ended"]
    assert told["status"] == "missed" and told["message"].startswith("the due time 2026-")
    assert world.statuses() == ["missed"]


def test_at_most_the_newest_thousand_missed_due_times_run(world: World) -> None:
    world.add("a", every="1s", missed="all", overlap="allow")
    world.step()
    created = world.created("a")
    world.plan("one").keep_runs = 2000
    claimed = world.at(created + DAY, room=2000, end=False)
    last = created + DAY
    assert dues(claimed) == [last - n * SECOND for n in range(999, -1, -1)]
    missed = world.runs()[0]
    assert "85400 due times" in missed["error"] and missed["due"] == last - 1000 * SECOND


def test_all_missed_due_times_run_one_after_another_without_overlap(world: World) -> None:
    world.add("a", missed="all", overlap="skip")
    world.step()
    created = world.created("a")
    now = created + 5 * MINUTE + SECOND
    ran = []
    while claimed := world.at(now):
        ran += dues(claimed)
        now += SECOND
    assert ran == [created + n * MINUTE for n in range(1, 6)]
    assert world.statuses() == ["succeeded"] * 5


def test_a_step_with_until_does_not_claim_later_due_times(world: World) -> None:
    world.add("a", overlap="allow", missed="all")
    world.step()
    created = world.created("a")
    assert dues(world.at(created + 3 * MINUTE, until=created + 70 * SECOND)) == [created + MINUTE]
    assert dues(world.at(created + 3 * MINUTE)) == [created + n * MINUTE for n in (2, 3)]


def test_a_step_claims_the_oldest_due_times_up_to_its_room(world: World) -> None:
    for name, every in (("c", "1m"), ("a", "3m"), ("b", "2m")):
        world.add(name, every=every)
    world.step()
    world.set(START + 3 * MINUTE + SECOND)
    first = world.step(room=1)["claimed"]
    assert [each["entry"] for each in first] == ["c"]
    assert world.step(room=0)["claimed"] == []
    assert [each["entry"] for each in world.step(room=5)["claimed"]] == ["b", "a"]


def test_a_disabled_entry_is_not_due_and_its_pause_counts_as_missed(world: World) -> None:
    world.add("a", enabled=False)
    world.step()
    created = world.created("a")
    assert world.at(created + 5 * MINUTE) == []
    world.add("a", enabled=True)
    assert dues(world.at(created + 6 * MINUTE)) == [created + 6 * MINUTE]
    assert world.statuses() == ["missed", "succeeded"]


def test_an_entry_with_at_runs_once(world: World) -> None:
    world.add("a", at="2026-12-24T18:00")
    step = world.step()
    assert world.at(step["next"] - SECOND, end=False) == []
    assert dues(world.at(step["next"])) == [step["next"]]
    assert world.at(step["next"] + 400 * DAY) == []


# --- overlap


@pytest.mark.parametrize(
    ("overlap", "rows"),
    [
        ("skip", ["running", "skipped", "skipped"]),
        ("queue", ["running", "queued", "skipped"]),
        ("allow", ["running", "running", "running"]),
    ],
)
def test_a_run_that_would_overlap_is_skipped_queued_or_started(
    world: World, overlap: str, rows: list[str]
) -> None:
    world.add("a", overlap=overlap)
    world.step()
    created = world.created("a")
    claimed: list[Row] = []
    renew: list[list[Any]] = []
    for n in (1, 2, 3):
        world.set(created + n * MINUTE)
        claimed += world.step(renew=renew)["claimed"]
        renew = list(map(key, claimed))
    assert world.statuses() == rows
    after = world.step(finished=[ended(each) for each in claimed])["claimed"]
    assert dues(after) == ([created + 2 * MINUTE] if overlap == "queue" else [])
    if overlap == "queue":
        assert world.statuses() == ["succeeded", "running", "skipped"]


def test_a_skipped_due_time_has_a_reason(world: World) -> None:
    world.add("a")
    world.step()
    (claimed,) = world.at(START + 61 * SECOND, end=False)
    world.set(START + 121 * SECOND)
    step = world.step(renew=[key(claimed)])
    assert [each["status"] for each in step["ended"]] == ["skipped"]
    message = json.loads(world.runs()[-1]["error"])["message"]
    assert step["ended"][0]["message"] == message
    assert message.startswith("the run that began at 2026-")


def test_a_queued_run_of_a_disabled_entry_stays(world: World) -> None:
    world.add("a", overlap="queue")
    world.step()
    (claimed,) = world.at(START + 61 * SECOND, end=False)
    world.set(START + 121 * SECOND)
    world.step(renew=[key(claimed)])
    world.add("a", overlap="queue", enabled=False)
    assert world.step(finished=[ended(claimed)])["claimed"] == []
    assert world.statuses() == ["succeeded", "queued"]


# --- ends, retries and leases


def test_a_failed_run_is_retried_with_growing_pauses(world: World) -> None:
    world.add("a", every="1d", retries=2)
    world.step()
    now = world.created("a") + DAY
    (claimed,) = world.at(now, end=False)
    for attempt, pause in ((1, 10), (2, 20)):
        error = json.dumps({"message": "no"})
        step = world.step(finished=[ended(claimed, "failed", result=None, error=error)])
        assert step["claimed"] == []
        assert now + pause * SECOND <= step["next"] <= now + (pause + 5) * SECOND
        now = step["next"]
        (claimed,) = world.at(now, end=False)
        assert claimed["attempt"] == attempt + 1
    world.step(finished=[ended(claimed, "failed")])
    assert world.at(now + 60 * MINUTE) == []
    assert world.statuses() == ["failed"] * 3


def test_a_retry_waits_for_another_run_of_the_entry(world: World) -> None:
    world.add("a", retries=1)
    world.step()
    created = world.created("a")
    (failed,) = world.at(created + MINUTE, end=False)
    world.set(created + 2 * MINUTE - 5 * SECOND)
    world.step(room=0, finished=[ended(failed, "failed")])
    (running,) = world.at(created + 2 * MINUTE, end=False)
    world.set(created + 2 * MINUTE + 20 * SECOND)
    assert world.step(renew=[key(running)])["claimed"] == []
    (retried,) = world.step(finished=[ended(running)])["claimed"]
    assert key(retried) == ["a", created + MINUTE, 2]


def test_the_run_of_a_dead_owner_is_marked_lost_and_retried(world: World) -> None:
    world.add("a", every="1h", retries=1)
    world.step()
    now = world.created("a") + 60 * MINUTE
    (claimed,) = world.at(now, end=False)
    world.set(now + 29 * SECOND)
    other = world.step("two")
    assert other["claimed"] == [] and other["next"] <= now + 32 * SECOND
    world.set(now + 32 * SECOND)
    other = world.step("two")
    assert [(each["entry"], each["status"]) for each in other["ended"]] == [("a", "lost")]
    assert [key(each) for each in other["claimed"]] == [[*key(claimed)[:2], 2]]
    late = world.step("one", renew=[key(claimed)], finished=[ended(claimed)])
    assert late["lost"] == [key(claimed), key(claimed)]
    assert world.statuses() == ["lost", "running"]
    assert world.runs()[0]["result"] is None


def test_a_lost_run_without_retries_is_reported(world: World) -> None:
    world.add("a", every="1h")
    world.step()
    now = world.created("a") + 60 * MINUTE
    world.at(now, end=False)
    world.set(now + MINUTE)
    assert world.step("two")["claimed"] == []
    assert world.statuses() == ["lost"]
    assert "lease" in json.loads(world.runs()[0]["error"])["message"]


def test_a_run_with_a_renewed_lease_is_not_lost(world: World) -> None:
    world.add("a", every="1h")
    world.step()
    now = world.created("a") + 60 * MINUTE
    (claimed,) = world.at(now, end=False)
    for _ in range(5):
        now += 20 * SECOND
        world.set(now)
        assert world.step(room=0, renew=[key(claimed)])["lost"] == []
        assert world.step("two")["ended"] == []
    assert world.statuses() == ["running"]


def test_reporting_an_outcome_twice_has_no_further_effect(world: World) -> None:
    world.add("a", retries=3)
    world.step()
    (claimed,) = world.at(START + 61 * SECOND, end=False)
    for _ in range(2):
        assert world.step(finished=[ended(claimed, result='{"n":1}', exit_code=3)])["lost"] == []
    (row,) = world.runs()
    assert (row["status"], row["result"], row["exit_code"]) == ("succeeded", '{"n":1}', 3)
    assert world.step(finished=[ended(claimed, "failed")])["lost"] == [key(claimed)]
    assert world.step("two", finished=[ended(claimed)])["lost"] == [key(claimed)]


def test_a_claim_whose_response_was_lost_is_returned_again_to_its_owner_only(world: World) -> None:
    world.add("a", retries=1)
    world.step(repeats=True)
    due = world.created("a") + MINUTE
    world.set(due)
    (lost,) = world.step(repeats=True)["claimed"]
    world.set(due + SECOND)
    assert world.step("two", repeats=True)["claimed"] == []
    (again,) = world.step(room=0, repeats=True)["claimed"]
    assert again == lost
    assert world.runs()[0]["lease_until"] >= due + SECOND + world.plan("one").lease
    assert world.step(renew=[key(again)], repeats=True)["claimed"] == []
    assert world.step(finished=[ended(again)], repeats=True)["claimed"] == []
    assert world.statuses() == ["succeeded"]


def test_a_run_that_its_owner_cancelled_is_retried_at_once(world: World) -> None:
    world.add("a", retries=1)
    world.step()
    (first,) = world.at(world.created("a") + MINUTE, end=False)
    end = ended(first, "lost", exit_code=None, result=None, error='{"message": "stopped"}')
    (second,) = world.step(finished=[end])["claimed"]
    assert (second["due"], second["attempt"]) == (first["due"], 2)
    assert world.statuses() == ["lost", "running"]


def test_a_large_result_is_cut_and_marked(world: World) -> None:
    world.add("a")
    world.step()
    (claimed,) = world.at(START + 61 * SECOND, end=False)
    text = json.dumps("ä" * 600_000, ensure_ascii=False)
    world.step(finished=[ended(claimed, result=text, error=text)])
    (row,) = world.runs()
    assert json.loads(row["result"]) == {"cut": True, "bytes": 1_200_002, "begin": text[:1000]}
    assert "too large" in json.loads(row["error"])["message"]


# --- after, trigger


def test_an_entry_with_after_runs_once_for_each_successful_run(world: World) -> None:
    world.add("import", retries=1)
    world.add("report", after="import")
    world.step()
    created = world.created("import")
    (first,) = world.at(created + MINUTE, end=False)
    world.step(room=0, finished=[ended(first, "failed")])
    (again,) = world.at(created + MINUTE + 15 * SECOND, end=False)
    (report,) = world.step(finished=[ended(again)])["claimed"]
    assert key(report) == ["report", created + MINUTE, 1]
    assert world.step(finished=[ended(report)])["claimed"] == []
    world.at(created + 2 * MINUTE)
    assert dues(world.at(created + 2 * MINUTE + SECOND)) == [created + 2 * MINUTE]
    assert world.at(created + 2 * MINUTE + 2 * SECOND) == []


def test_an_entry_with_after_ignores_runs_that_ended_before_it_was_added(world: World) -> None:
    world.add("import")
    world.step()
    world.at(START + 61 * SECOND)
    world.add("report", after="import")
    assert world.at(START + 65 * SECOND) == []


def test_an_enabled_entry_with_after_runs_once_for_each_run_that_waits_for_it(world: World) -> None:
    world.add("import")
    world.add("report", after="import", enabled=False)
    world.step()
    created = world.created("import")
    for n in (1, 2, 3):
        world.at(created + n * MINUTE)
    world.add("report", after="import")
    now, ran = created + 3 * MINUTE, []
    while claimed := world.at(now := now + SECOND):
        ran += dues(claimed)
    assert ran == [created + n * MINUTE for n in (1, 2, 3)]


def test_a_trigger_runs_an_entry_at_once_even_if_it_is_disabled(world: World) -> None:
    world.add("a", every="1h", enabled=False)
    world.step()
    world.set(START + 5 * MINUTE)
    claimed = world.plan("two").trigger(world.entries(), "two", "a")["claimed"]
    assert START + 5 * MINUTE <= claimed["due"] <= START + 6 * MINUTE
    assert [run["triggered"] for run in world.runs()] == [1]
    with pytest.raises(
        ScheduleFailed, match="a run of 'a' has been in progress since 2026-"
    ) as error:
        world.plan("one").trigger(world.entries(), "one", "a")
    assert error.value.kind == "refused"
    world.step("two", room=0, finished=[ended(claimed)])
    world.add("a", every="1h")
    created = world.created("a")
    assert dues(world.at(created + 60 * MINUTE)) == [created + 60 * MINUTE]


def test_a_trigger_does_not_wait_for_a_dead_owner(world: World) -> None:
    world.add("a", every="1h")
    world.plan("one").trigger(world.entries(), "one", "a")
    world.set(START + MINUTE)
    world.plan("two").trigger(world.entries(), "two", "a")
    assert world.statuses() == ["lost", "running"]


def test_a_trigger_overlaps_other_runs_if_the_entry_allows_it(world: World) -> None:
    world.add("a", overlap="allow")
    for _ in range(3):
        world.plan("one").trigger(world.entries(), "one", "a")
    assert world.statuses() == ["running"] * 3


def test_an_unknown_entry_is_refused_with_a_similar_name(world: World) -> None:
    world.add("nightly")
    plan = world.plan("one")
    for call in (
        lambda: plan.trigger(world.entries(), "one", "nigthly"),
        lambda: plan.history(world.entries(), "nigthly", False, 5),
    ):
        with pytest.raises(ScheduleFailed, match="there is no entry 'nigthly'") as error:
            call()
        assert (error.value.kind, error.value.hint) == ("refused", "did you mean 'nightly'?")


# --- lists and the history


def test_a_list_creates_no_database(url: str, tmp_path: Path) -> None:
    plan = Plan(open_connection("main", url))
    entries, _ = check_entries([{"name": "a", "module": "m", "every": "1h"}])
    listed = plan.listing(entries, [], 2)
    (entry,) = listed["entries"]
    assert entry["next"] == [listed["now"] + n * 60 * MINUTE for n in (1, 2)]
    assert (entry["created"], entry["last"], entry["running"]) == (None, None, 0)
    assert plan.history(entries, None, False, 5) == {"runs": []}
    assert plan.tables.schedule() == []
    assert plan.step(entries, "one", 3, dry_run=True)["claimed"] == []
    assert not plan._database.has_table("pyhost_schema")
    assert list(tmp_path.iterdir()) == []


def test_a_list_has_the_last_run_and_the_running_ones(world: World) -> None:
    world.add("a", overlap="allow", zone="Europe/Paris")
    world.add("off", enabled=False)
    world.step()
    created = world.created("a")
    world.at(created + MINUTE)
    world.at(created + 2 * MINUTE, end=False)
    listed = world.plan("one").listing(world.entries(), [], 3)
    a, off = listed["entries"]
    assert a["created"] == created and a["running"] == 1
    assert (a["last"]["status"], a["last"]["due"]) == ("succeeded", created + MINUTE)
    assert a["next"] == [created + n * MINUTE for n in (3, 4, 5)]
    assert a["next_text"][0].endswith("CEST") and a["when"] == "every minute"
    assert off["next"] == [] and off["last"] is None


def test_the_history_can_be_limited_to_one_entry_or_to_failures(world: World) -> None:
    for name in ("a", "b"):
        world.add(name)
    world.step()
    world.set(START + 61 * SECOND)
    a, b = sorted(world.step()["claimed"], key=key)
    world.step(room=0, finished=[ended(a, "failed"), ended(b)])
    history = world.plan("two").history
    assert [run["entry"] for run in history(world.entries(), None, True, 5)["runs"]] == ["a"]
    assert [run["entry"] for run in history(world.entries(), "b", False, 5)["runs"]] == ["b"]
    assert len(history(world.entries(), None, False, 1)["runs"]) == 1


def test_a_dry_run_writes_nothing(world: World) -> None:
    world.add("a")
    world.step()
    world.set(world.created("a") + 5 * MINUTE + SECOND)
    before = world.database.rows("select * from pyhost_entries")
    dry = world.step(dry_run=True)
    assert len(dry["claimed"]) == 1
    assert world.runs() == [] and world.database.rows("select * from pyhost_entries") == before
    assert dues(world.step()["claimed"]) == dues(dry["claimed"])


def test_old_rows_are_removed_and_the_baseline_stays(world: World) -> None:
    world.add("a", retries=1)
    world.add("rare", every="1h")
    world.step()
    world.plan("one").keep_runs = 3
    created = world.created("a")
    (failed,) = world.at(created + MINUTE, end=False)
    world.step(room=0, finished=[ended(failed, "failed")])
    world.add("a", enabled=False)
    world.at(created + 60 * MINUTE)
    world.add("a")
    for n in range(61, 68):
        world.at(created + n * MINUTE)
    assert (
        len(world.runs("a")) == 10
    )  # more than keep_runs, because old rows are removed once an hour
    world.raw["a"]["enabled"] = False
    world.at(created + 125 * MINUTE)
    kept = world.runs("a")
    assert [run["due"] for run in kept if run["retry_at"] is None] == [
        created + n * MINUTE for n in (65, 66, 67)
    ]
    world.raw["rare"]["enabled"] = False
    assert world.at(created + 40 * DAY) == []
    assert [run["due"] for run in world.runs("a") if run["retry_at"] is None] == [
        created + 67 * MINUTE
    ]


def test_rows_older_than_the_kept_days_are_removed_and_their_after_entries_do_not_run_again(
    world: World,
) -> None:
    world.add("import")
    world.add("report", after="import", overlap="allow")
    world.step()
    created = world.created("import")
    for n in (1, 2, 3):
        world.at(created + n * MINUTE)
        world.at(created + n * MINUTE + SECOND)
    assert len(world.runs("report")) == 3
    world.raw["import"]["enabled"] = False
    world.at(created + 31 * DAY)
    assert len(world.runs("import")) == len(world.runs("report")) == 1
    assert world.at(created + 31 * DAY + SECOND) == []


# --- the clock


def test_a_clock_that_jumps_ahead_and_back_runs_no_due_time_twice(world: World) -> None:
    world.add("a", every="1h", missed="latest")
    world.step()
    created = world.created("a")
    hour = 60 * MINUTE
    assert len(world.at(created + hour)) == 1
    ahead = created + hour + 30 * DAY
    assert dues(world.at(ahead + MINUTE)) == [ahead]
    assert world.at(created + hour + 2 * MINUTE) == []
    assert dues(world.at(created + 2 * hour)) == [created + 2 * hour]
    assert world.at(created + 2 * hour + MINUTE) == []
    world.at(ahead - hour)
    assert world.at(ahead + MINUTE) == []
    runs = world.runs()
    assert len({(run["due"], run["attempt"]) for run in runs}) == len(runs)
    assert dues(world.at(ahead + hour)) == [ahead + hour]


def test_leases_and_retries_do_not_wait_for_a_clock_that_went_back_by_30_days(world: World) -> None:
    world.set(START + 30 * DAY)
    world.add("fails", retries=1)
    world.add("runs", retries=1)
    world.step()
    world.set(START + 30 * DAY + 61 * SECOND)
    fails, runs = sorted(world.step()["claimed"], key=key)
    world.step(room=0, finished=[ended(fails, "failed")])
    world.set(START)
    assert [key(each) for each in world.step("two")["claimed"]] == [["fails", fails["due"], 2]]
    world.set(START + 29 * SECOND)
    assert world.step(renew=[key(runs)])["lost"] == []
    world.set(START + 65 * SECOND)
    step = world.step("two")
    assert {(each["entry"], each["status"]) for each in step["ended"]} >= {("runs", "lost")}
    assert START <= world.created("runs") <= START + MINUTE


# --- several processes


def test_a_due_time_that_another_process_claims_meanwhile_is_not_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a", overlap="allow")
    world.add("b", missed="all")
    world.step()
    one, two = world.plan("one"), world.plan("two")
    world.set(START + 5 * MINUTE)
    others: list[Row] = []
    split = one._split

    def be_late(*arguments: Any) -> Any:
        found = split(*arguments)
        if not others:
            others.extend(two.step(world.entries(), "two", 10)["claimed"])
        return found

    monkeypatch.setattr(one, "_split", be_late)
    step = world.step()
    assert len(others) == 2 and step["claimed"] == []
    assert step["next"] == step["now"]  # so that the caller makes another step at once


def test_due_times_that_another_process_handled_meanwhile_are_not_handled_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.step()
    created = world.created("a")
    tables = world.plan("one").tables
    remember = tables.remember

    def wait(entries: Any) -> Any:
        monkeypatch.undo()
        assert len(world.at(created + 5 * MINUTE, owner="two")) == 1
        return remember(entries)

    monkeypatch.setattr(tables, "remember", wait)
    assert world.at(created + 150 * SECOND) == []
    assert world.at(created + 5 * MINUTE, until=created + 150 * SECOND) == []
    assert world.at(created + 5 * MINUTE + SECOND) == []
    assert world.statuses() == ["missed", "succeeded"]


def test_the_primary_key_prevents_a_second_run_of_a_due_time(world: World) -> None:
    world.add("a")
    world.step()
    created = world.created("a")
    world.at(created + MINUTE)
    world.database.execute("update pyhost_entries set last_due = null")
    assert world.at(created + MINUTE + SECOND) == []
    assert world.statuses() == ["succeeded"]


WORKER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pyhost._schedule.database import ScheduleFailed, open_connection
from pyhost._schedule.entries import check_entries
from pyhost._schedule.plan import Plan
url, log, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
raw = [{"name": f"e{n}", "module": "m", "every": "1s", "missed": "all", "overlap": "allow", "retries": 100}
       for n in range(count)]
entries, _ = check_entries(raw)
plan = Plan(open_connection("main", url))
plan.lease = 700_000
owner = f"{os.getpid()}"
out = os.open(log, os.O_WRONLY | os.O_APPEND)
finished = []
while True:
    try:
        step = plan.step(entries, owner, 3, [], finished)
    except ScheduleFailed as error:
        os.write(2, (error.message + "\\n").encode())
        continue
    finished = []
    for each in step["claimed"]:
        os.write(out, f"{each['entry']} {each['due']} {each['attempt']}\\n".encode())
        finished.append({**each, "status": "succeeded", "exit_code": 0, "result": "1", "error": None})
    time.sleep(0.002)
"""


def test_processes_that_are_killed_lose_no_due_time_and_run_no_attempt_twice(
    url: str, tmp_path: Path
) -> None:
    count, seconds, kills = 5, 30, 12
    log = tmp_path / "log"
    log.touch()
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    words = [sys.executable, script, ROOT / "python_modules", url, log, str(count)]
    world = World(url)
    for n in range(count):
        world.add(f"e{n}", every="1s", missed="all", overlap="allow", retries=100)
    world.step()
    created = {name: world.created(name) for name in world.raw}
    until = START + (seconds + 1) * SECOND
    world.set(until)
    said = (tmp_path / "said").open("w")
    chance = random.Random(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, stderr=said)

    processes = [start() for _ in range(4)]
    deadline = time.monotonic() + PATIENCE
    try:
        for _ in range(kills):
            time.sleep(0.3)
            victim = chance.randrange(4)
            assert processes[victim].poll() is None, (tmp_path / "said").read_text()
            processes[victim].kill()
            processes[victim].wait()
            processes[victim] = start()
        while True:
            now = world.plan("one").tables.now()
            runs = [run for run in world.runs() if run["due"] <= until]
            done = {(run["entry"], run["due"]) for run in runs if run["status"] == "succeeded"}
            if len(done) >= count * seconds:
                break
            assert time.monotonic() < deadline, (now, Counter(run["status"] for run in runs))
            time.sleep(0.2)
    finally:
        for each in processes:
            each.kill()
            each.wait()
        said.close()
    lines = log.read_text().splitlines()
    assert len(set(lines)) == len(lines)  # no attempt started twice
    for name, first in created.items():
        for n in range(1, seconds + 1):
            assert (name, first + n * SECOND) in done
    for run in runs:
        assert run["status"] in ("succeeded", "lost", "running"), run


# --- databases that fail


def test_a_failed_transaction_is_rolled_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("a", missed="latest")
    world.step()
    created = world.created("a")
    world.set(created + 5 * MINUTE)
    database = world.plan("one")._database
    run = database._run

    def fail(sql: str, values: Any) -> Any:
        if "set last_due" in sql:
            return run("select * from there_is_no_such_table", {})
        return run(sql, values)

    monkeypatch.setattr(database, "_run", fail)
    with pytest.raises(ScheduleFailed, match="there_is_no_such_table"):
        world.step()
    monkeypatch.undo()
    assert world.runs() == []
    assert dues(world.step()["claimed"]) == [created + 5 * MINUTE]


def test_claims_that_were_committed_before_a_failure_are_returned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    world.step()
    world.set(START + 61 * SECOND)
    plan = world.plan("one")
    advance = plan._advance

    def fail(entry: Any, *more: Any) -> Any:
        if entry.name == "b":
            raise ScheduleFailed("unreachable", "it broke off")
        return advance(entry, *more)

    monkeypatch.setattr(plan, "_advance", fail)
    step = world.step()
    assert [each["entry"] for each in step["claimed"]] == ["a"]
    assert step["failure"]["message"] == "it broke off" and step["next"] > step["now"]
    with pytest.raises(ScheduleFailed):
        world.step()
    assert world.step(renew=[key(step["claimed"][0])])["failure"]["kind"] == "unreachable"


def test_a_claim_whose_response_was_lost_is_retried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a", every="1h", retries=1)
    world.step()
    due = world.created("a") + 60 * MINUTE
    world.set(due)
    database = world.plan("one")._database
    run = database._run

    def break_off(sql: str, values: Any) -> Any:
        done = run(sql, values)
        if sql == "commit":
            raise ScheduleFailed("unreachable", "it broke off")
        return done

    monkeypatch.setattr(database, "_run", break_off)
    with pytest.raises(ScheduleFailed):
        world.step()
    monkeypatch.undo()
    assert world.step()["claimed"] == []
    world.set(due + 31 * SECOND)
    assert [key(each) for each in world.step()["claimed"]] == [["a", due, 2]]
    assert world.statuses() == ["lost", "running"]


def test_a_locked_database_is_unreachable_and_the_next_call_works(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(databases, "_SETTINGS", ("set lock_timeout = '100ms'",))
    world = World(url)
    world.add("a")
    world.step()
    world.set(START + 61 * SECOND)
    other = world.open()
    with other.transaction():
        other.rows(f"select * from pyhost_entries{other.lock}")
        with pytest.raises(ScheduleFailed, match="lock") as error:
            world.step()
    assert error.value.kind == "unreachable"
    assert len(world.step()["claimed"]) == 1


def test_a_read_only_database_is_unreachable(world: World) -> None:
    world.add("a")
    world.step()
    world.set(START + 61 * SECOND)
    connection = world.plan("one")._database._connection
    if world.url.startswith("sqlite"):
        connection.execute("pragma query_only = on")
    else:
        connection.exec_driver_sql("set default_transaction_read_only = on")
    with pytest.raises(ScheduleFailed, match=r"read-?only") as error:
        world.step()
    assert error.value.kind == "unreachable"
    assert "writ" in error.value.hint
    assert len(world.step()["claimed"]) == 1


def test_a_full_disk_is_unreachable_and_loses_nothing(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'plan.db'}")
    world.add("a", every="1s", missed="all", overlap="allow")
    world.step()
    created = world.created("a")
    world.set(created + 900 * SECOND)
    connection = world.plan("one")._database._connection
    connection.execute(
        f"pragma max_page_count = {connection.execute('pragma page_count').fetchone()[0]}"
    )
    with pytest.raises(ScheduleFailed, match="full") as error:
        world.step(room=1000)
    assert error.value.kind == "unreachable"
    assert error.value.hint == "free space on its disk"
    assert len(world.step(room=1000)["claimed"]) == 900


def test_a_connection_that_the_server_closes_is_reopened(new_database: Callable[[], str]) -> None:
    world = World(new_database())
    world.add("a")
    world.step()
    world.set(START + 61 * SECOND)
    (row,) = world.plan("one")._database.rows("select pg_backend_pid() as number")
    world.database.rows("select pg_terminate_backend(:number)", number=row["number"])
    with pytest.raises(ScheduleFailed) as error:
        world.step()
    assert error.value.kind == "unreachable"
    assert len(world.step()["claimed"]) == 1


def test_a_missing_server_is_unreachable() -> None:
    needs_package("sqlalchemy")
    needs_package("psycopg")
    plan = Plan(open_connection("main", "postgresql://ada@127.0.0.1:1/x"))
    with pytest.raises(ScheduleFailed, match="connection 'main', cannot be used") as error:
        plan.step([], "one", 1)
    assert error.value.kind == "unreachable"
    assert error.value.hint == "check that the server runs and can be reached"


def test_tables_of_a_newer_version_are_refused(world: World) -> None:
    world.database.execute("update pyhost_schema set version = 2")
    world.plans.clear()
    for call in (
        world.step,
        lambda: world.step(dry_run=True),
        lambda: world.plan("one").listing([], []),
        lambda: world.plan("one").trigger(check_entries([A])[0], "one", "a"),
        lambda: world.plan("one").history([], None, False, 1),
        lambda: world.plan("one").set_enabled("a", True),
        world.plan("one").tables.schedule,
    ):
        with pytest.raises(
            ScheduleFailed, match="have version 2, but this pyhost supports"
        ) as error:
            call()
        assert error.value.kind == "refused"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://a/b", "is not SQLite or PostgreSQL"),
        ("sqlite://", "has no file"),
        ("sqlite:///:memory:", "has no file"),
        ("sqlite://?timeout=1", "has no file"),
        ("sqlite:///a.db?mode=ro", "the only parameter of an sqlite URL is timeout"),
    ],
)
def test_other_databases_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ScheduleFailed, match=problem) as error:
        open_connection("main", url)
    assert error.value.kind == "refused"


def test_a_parameter_of_an_sqlite_url_is_not_part_of_the_file_name(tmp_path: Path) -> None:
    Plan(open_connection("main", f"sqlite:///{tmp_path / 'plan.db'}?timeout=1")).step([], "one", 1)
    assert [each.name for each in tmp_path.glob("*.db*")] == ["plan.db"]


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.db").write_text("This is a letter to my aunt. " * 100)
    plan = Plan(open_connection("main", f"sqlite:///{tmp_path / 'plan.db'}"))
    with pytest.raises(ScheduleFailed, match="not a database") as error:
        plan.step([], "one", 1)
    assert error.value.kind == "refused"


def test_a_history_that_was_deleted_is_created_again(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'plan.db'}")
    world.add("a")
    world.step()
    (tmp_path / "plan.db").unlink()
    world.step()
    assert (tmp_path / "plan.db").exists()


# --- the calls of the helper process

A = {"name": "a", "module": "m", "every": "1m"}


class Claims:
    """A fresh import of the module, as in a new helper process."""

    def __init__(self, connections: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.hidden: list[str] = []

        def without(text: str, secrets: list[str]) -> str:
            for secret in secrets:
                text = text.replace(secret, "***")
            return text

        host = SimpleNamespace(connections=connections, hide=self.hidden.append, without=without)
        monkeypatch.setitem(sys.modules, "_pyhost", host)  # type: ignore[arg-type]
        path = ROOT / "python_modules" / "pyhost" / "_schedule" / "modules" / "claims.py"
        spec = importlib.util.spec_from_file_location("claims", path)
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def __call__(self, call: str, **state: Any) -> Row:
        answer = self.module.create({"call": call, **state}).run()
        return dict(json.loads(json.dumps(answer)))


def test_entries_are_sent_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims({}, monkeypatch)
    source = {"file": str(tmp_path / "history.db")}
    assert claims("entries", source=source, entries_version=1) == {"need": "entries"}
    broken = [A, {"name": "b", "module": "m"}]
    first = claims("step", source=source, entries_version=1, entries=broken, owner="o", room=1)
    assert len(first["problems"]) == 1 and first["problems_changed"] is True
    again = claims("step", source=source, entries_version=1, owner="o", room=1)
    assert len(again["problems"]) == 1 and again["problems_changed"] is False
    assert claims("step", source=source, entries_version=2, owner="o", room=1) == {
        "need": "entries"
    }
    mended = claims("step", source=source, entries_version=2, entries=[A], owner="o", room=1)
    assert mended["problems"] == [] and mended["problems_changed"] is True
    assert [
        each["name"] for each in claims("entries", source=source, entries_version=2)["entries"]
    ] == ["a"]
    claimed = claims("trigger", source=source, entries_version=2, owner="o", name="a")["claimed"]
    assert claimed["entry"] == "a"
    (run,) = claims("history", source=source, entries_version=2, name=None, limit=5)["runs"]
    assert run["status"] == "running"
    refused = claims("set_enabled", source=source, entries_version=2, name="a", enabled=False)
    assert refused["error"]["kind"] == "refused" and "can be paused" in refused["error"]["message"]


def test_entries_in_a_table_can_be_paused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims({"jobs": url}, monkeypatch)
    source = {"source": {"connection": "jobs"}, "table": True}
    empty = claims("entries", **source)
    assert empty["entries"] == []
    assert [each["hint"] for each in empty["problems"]] == ["`pyhost schedule tick` creates it"]
    assert claims("set_enabled", **source, name="a", enabled=False)["error"]["kind"] == "refused"
    assert claims("step", **source, owner="o", room=1)["claimed"] == []
    database = open_connection("jobs", url)
    insert = "insert into pyhost_schedule (name, module, state, every, retries) values (:n, 'm', :s, '1m', 2)"
    database.execute(insert, n="a", s='{"x": 1}')
    database.execute(insert, n="bad", s="[]")
    step = claims("step", **source, owner="o", room=1)
    (problem,) = step["problems"]
    assert problem["place"] == "pyhost_schedule, row 'bad'" and step["problems_changed"]
    (entry,) = claims("entries", **source)["entries"]
    assert entry["retries"] == 2 and json.loads(entry["state"]) == {"x": 1}
    assert claims("set_enabled", **source, name="a", enabled=False) == {}
    assert claims("entries", **source)["entries"][0]["enabled"] is False
    missing = claims("set_enabled", **source, name="aa", enabled=False)["error"]
    assert missing["hint"] == "did you mean 'a'?"
    assert claims("set_enabled", **source, name="a", enabled=True) == {}
    assert claims("entries", **source)["entries"][0]["enabled"] is True


def test_failures_of_a_connection_are_returned_without_secrets(
    postgresql: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_package("sqlalchemy")
    needs_package("psycopg")
    monkeypatch.setenv("WORD", "wrong-Password")
    urls = {
        "jobs": f"postgresql://ada:${{WORD}}@127.0.0.1:{postgresql}/postgres",
        "bad": "postgresql://ada@127.0.0.1:${WORD}/x",
        "unset": "postgresql://${THERE_IS_NO_SUCH_VARIABLE}/x",
        "missing": "no://a",
    }
    claims = Claims(urls, monkeypatch)
    kinds = []
    for name in (*urls, "none"):
        answer = claims("step", source={"connection": name}, table=True, owner="o", room=1)
        assert "wrong-Password" not in json.dumps(answer)
        kinds.append(answer["error"]["kind"])
    assert kinds == ["unreachable", "refused", "refused", "refused", "refused"]
    assert "wrong-Password" in claims.hidden
