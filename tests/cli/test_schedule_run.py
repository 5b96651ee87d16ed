"""pyhost schedule run and tick: the runs they start, their exit codes, and a database that becomes unreachable."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PATIENCE, SECRET, PostgresServer, Run, clean_environment, kept_venv

# Set PYHOST_SCHEDULE_KILLS=200 for a long test.
KILLS = int(os.environ.get("PYHOST_SCHEDULE_KILLS", "20"))
# Each run appends its process id to a file, and waits for a file "go" if its state has "waits".
MODULE = """
import os, time
import pyhost

class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        scheduled = pyhost.current_run().scheduled
        with open("begun.txt", "a") as file:
            file.write(f"{scheduled.entry} {scheduled.due.isoformat()} {scheduled.attempt} {os.getpid()}\\n")
        while self.state.get("waits") and not os.path.exists("go"):
            time.sleep(0.01)
        if self.state.get("fails"):
            raise ValueError("as it should")
        return self.state.get("give")

def create(state):
    return Module(state)
"""


class Folder:
    """A project with a schedule, and the processes that run it."""

    def __init__(self, path: Path, program: str) -> None:
        self.path = path
        self.program = program
        self.environment = clean_environment()
        self.said = path / "said.txt"
        (path / "modules").mkdir()
        (path / "modules" / "m.py").write_text(MODULE)
        self.write("")
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, entries: str, schedule: str = "") -> None:
        """Replaces the project file atomically, as editors do."""
        new = self.path / "new.toml"
        new.write_text(f"[schedule]\n{schedule}\n{entries}")
        new.replace(self.path / "pyhost.toml")

    def start(self, *words: str) -> subprocess.Popen[str]:
        with self.said.open("a") as said:
            process = subprocess.Popen(
                [self.program, "schedule", *words],
                cwd=self.path, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, env=self.environment,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def text(self) -> str:
        return self.said.read_text()

    def begun(self) -> list[list[str]]:
        file = self.path / "begun.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def wait_until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.text()
            time.sleep(0.02)

    def wait_for(self, text: str) -> None:
        self.wait_until(lambda: text in self.text())

    def history(self) -> list[dict[str, Any]]:
        """The runs in the history, the oldest first."""
        done = subprocess.run(
            [self.program, "schedule", "history", "--json", "--limit", "1000"],
            cwd=self.path, capture_output=True, text=True, env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
        return runs[::-1]

    def made(self) -> list[dict[str, Any]]:
        """The runs in the history that were made. On a busy machine, due times can be missed."""
        return [run for run in self.history() if run["status"] not in ("missed", "skipped")]

    def go(self) -> None:
        (self.path / "go").touch()


def entry(name: str, rule: str = 'every = "1s"', state: str = "", module: str = "m") -> str:
    return f'[[schedule.entry]]\nname = {json.dumps(name)}\nmodule = "{module}"\nstate = {{ {state} }}\n{rule}\n'


def helper_of(process: int) -> int | None:
    """The child process that has the history open, or None as long as none has."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            files = (
                [os.readlink(each) for each in (folder / "fd").iterdir()]
                if parent == str(process)
                else []
            )
        except OSError:  # the process has ended
            continue
        if any(file.endswith("schedule.db") for file in files):
            return int(folder.name)
    return None


@pytest.fixture
def folder(tmp_path: Path, program: str) -> Iterator[Folder]:
    made = Folder(tmp_path, program)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.fixture
def run_in(folder: Folder, pyhost: Run) -> Run:
    """Runs a tick that has entries due: a first tick registers them, and the second one runs them."""

    def tick(*words: str) -> subprocess.CompletedProcess[str]:
        pyhost("schedule", "tick", "-q", env=folder.environment)
        time.sleep(1.1)
        return pyhost("schedule", "tick", *words, env=folder.environment)

    return tick


# --- tick


def test_a_tick_ends_with_1_if_a_run_failed_and_says_which(folder: Folder, run_in: Run) -> None:
    folder.write(entry("good") + entry("bad", state="fails = true"))
    done = run_in()
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.search(
        r"pyhost: bad failed after .* s\nerror: module 'm' raised ValueError: as it should\n",
        done.stderr,
    )
    assert re.search(r"pyhost: good succeeded after .* s\n", done.stderr)
    assert done.stderr.endswith("pyhost: 2 runs, 1 failed\n")


def test_a_tick_with_nothing_due_ends_with_0(folder: Folder, pyhost: Run) -> None:
    folder.write(entry("later", 'every = "1h"'))
    done = pyhost("schedule", "tick")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "pyhost: 0 runs, 0 failed\n")


def test_a_tick_with_json_prints_the_runs(folder: Folder, run_in: Run) -> None:
    folder.write(entry("a", state="give = 5"))
    done = run_in("--json", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["entry"], run["status"], run["result"]) == ("a", "succeeded", 5)


def test_a_tick_with_json_prints_the_error(folder: Folder, pyhost: Run) -> None:
    folder.write("", 'history = "no/folder/schedule.db"')
    done = pyhost("schedule", "tick", "--json")
    assert done.returncode == 75
    assert json.loads(done.stdout)["error"]["kind"] == "Unreachable"


def test_a_dry_run_reports_due_and_broken_entries_and_runs_nothing(
    folder: Folder, run_in: Run, pyhost: Run
) -> None:
    folder.write(entry("a") + entry("broken", 'zone = "Mars"\nevery = "1s"'))
    done = run_in("--dry-run")
    assert done.returncode == 0
    assert re.fullmatch(r"a, due 20..-..-.. ..:..:.. UTC\n", done.stdout)
    assert "entry 'broken': there is no time zone 'Mars'" in done.stderr
    assert folder.begun() == [] and folder.history() == []
    done = pyhost("schedule", "tick", "--dry-run", "--json")
    assert [run["entry"] for run in json.loads(done.stdout)["runs"]] == ["a"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_tick_runs_all_due_entries_with_fewer_workers_than_entries(
    folder: Folder, run_in: Run, workers: str
) -> None:
    folder.write("".join(entry(f"e{i}") for i in range(50)))
    done = run_in("-j", workers)
    assert done.stderr.endswith("pyhost: 50 runs, 0 failed\n")


def test_two_concurrent_ticks_run_each_due_time_once(folder: Folder) -> None:
    folder.write("".join(entry(f"e{i}") for i in range(20)))
    assert folder.start("tick").wait(PATIENCE) == 0
    time.sleep(1.1)
    for process in [folder.start("tick") for _ in range(2)]:
        assert process.wait(PATIENCE) == 0
    keys = [tuple(line[:3]) for line in folder.begun()]
    assert len(set(keys)) == len(keys)
    assert {line[0] for line in folder.begun()} == {f"e{i}" for i in range(20)}


def test_a_run_continues_if_another_entry_cannot_be_claimed(folder: Folder, run_in: Run) -> None:
    folder.write(entry("a", state="waits = true") + entry("b"))
    folder.start("tick").wait(PATIENCE)
    with sqlite3.connect(folder.path / "schedule.db") as database:
        database.execute(
            "create trigger full before insert on pyhost_runs when new.entry = 'b' "
            "begin select raise(abort, 'the disk is full'); end"
        )
    database.close()
    time.sleep(1.1)
    tick = folder.start("tick")
    folder.wait_until(lambda: len(folder.begun()) == 1)
    folder.go()
    assert tick.wait(PATIENCE) == 2
    assert "the disk is full" in folder.text()
    assert [(run["entry"], run["status"]) for run in folder.made()] == [("a", "succeeded")]


def test_terminal_escapes_in_entry_names_are_escaped(folder: Folder, run_in: Run) -> None:
    folder.write(entry("a\u202eb"))
    done = run_in()
    assert "\u202e" not in done.stderr and r"pyhost: a\u202eb started" in done.stderr


def test_a_tick_continues_when_its_stderr_is_closed(folder: Folder, pyhost: Run) -> None:
    folder.write(entry("a") + entry("b"))
    pyhost("schedule", "tick")
    time.sleep(1.1)
    ours, its = os.pipe()
    os.close(ours)
    done = pyhost("schedule", "tick", "-j", "1", capture_output=False, stderr=its)
    os.close(its)
    assert done.returncode == 0
    assert [run["status"] for run in folder.made()] == ["succeeded"] * 2


# --- run


def test_the_first_signal_lets_the_runs_in_flight_finish(folder: Folder) -> None:
    folder.write(entry("slow", state="waits = true"))
    process = folder.start("run")
    folder.wait_until(lambda: len(folder.begun()) == 1)
    process.send_signal(signal.SIGTERM)
    folder.wait_for("stopping after the runs in flight")
    time.sleep(0.5)
    assert process.poll() is None
    folder.go()
    assert process.wait(PATIENCE) == 0
    assert [run["status"] for run in folder.made()] == ["succeeded"]


def test_a_signal_ends_the_scheduler_with_0_even_if_a_run_failed(folder: Folder) -> None:
    folder.write(entry("bad", state="fails = true"))
    process = folder.start("run")
    folder.wait_for("bad failed")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_the_second_signal_cancels_the_runs_in_flight_and_the_history_records_them(
    folder: Folder,
) -> None:
    folder.write(entry("slow", state="waits = true"))
    process = folder.start("run")
    folder.wait_until(lambda: len(folder.begun()) == 1)
    process.send_signal(signal.SIGTERM)
    folder.wait_for("stopping after the runs in flight")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == -signal.SIGTERM
    run = folder.made()[0]
    assert (run["status"], run["error"]["kind"]) == ("failed", "Cancelled")


def test_a_changed_file_is_reloaded_and_a_broken_one_keeps_the_previous_entries(
    folder: Folder,
) -> None:
    folder.write(entry("first", 'every = "1h"'))
    process = folder.start("run")
    folder.wait_until((folder.path / "schedule.db").exists)
    folder.write(entry("second"))
    folder.wait_for("the schedule has changed and was reloaded")
    folder.wait_for("second succeeded")
    (folder.path / "pyhost.toml").write_text("[schedule\n")
    folder.wait_for("pyhost.toml:1: ")
    count = folder.text().count("second succeeded")
    folder.wait_until(lambda: folder.text().count("second succeeded") > count)
    folder.write(entry("third"))
    folder.wait_for("third succeeded")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert folder.text().count("error: ") == 1


def test_listing_the_schedule_does_not_hide_a_change_from_the_scheduler(folder: Folder) -> None:
    folder.write(entry("first", 'every = "1h"'))
    ours, its = pty.openpty()
    environment = folder.environment | {"TERM": "xterm"}
    process = subprocess.Popen(
        [folder.program, "schedule", "run"], cwd=folder.path, stdin=its, stdout=its, stderr=its, env=environment
    )  # fmt: skip
    os.close(its)
    said = bytearray()

    def read() -> None:
        while True:
            try:
                said.extend(os.read(ours, 65536))
            except OSError:
                return

    threading.Thread(target=read, daemon=True).start()
    folder.wait_until(lambda: b"next: first" in said)
    for i in range(12):  # the list sometimes sees the change before the scheduler does
        name = f"entry{i}"
        folder.write(entry(name, 'every = "1h"'))
        folder.wait_until(lambda i=i: said.count(b"the schedule has changed") == i + 1)  # type: ignore[misc]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    os.close(ours)


def test_concurrent_run_tick_and_trigger_run_no_due_time_twice(folder: Folder) -> None:
    folder.write("".join(entry(f"e{i}", 'every = "1s"\noverlap = "allow"') for i in range(5)))
    process = folder.start("run")
    others = [folder.start(*words) for _ in range(3) for words in (["tick"], ["trigger", "e0"])]
    assert [each.wait(PATIENCE) for each in others] == [0] * 6, folder.text()
    folder.wait_until(lambda: len(folder.begun()) > 15)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    keys = [tuple(line[:3]) for line in folder.begun()]
    assert len(set(keys)) == len(keys)
    runs = folder.history()
    assert sum(run["triggered"] for run in runs) == 3
    assert {run["status"] for run in runs} <= {"succeeded", "missed"}


def test_a_clock_that_jumps_by_30_days_and_back_runs_no_due_time_twice(folder: Folder) -> None:
    folder.write(entry("a"))
    process = folder.start("run")

    def wait_for_runs(count: int) -> None:
        wanted = len(folder.begun()) + count
        folder.wait_until(lambda: len(folder.begun()) >= wanted)

    def shift_clock(days: int) -> None:
        database = sqlite3.connect(folder.path / "schedule.db", isolation_level=None, timeout=60)
        database.execute("update pyhost_schema set clock_shift = ?", (days * 86_400_000_000,))
        database.close()

    wait_for_runs(2)
    shift_clock(30)
    wait_for_runs(3)
    folder.wait_for("were missed")
    shift_clock(0)
    wait_for_runs(3)
    shift_clock(-30)
    wait_for_runs(3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    keys = [tuple(line[:3]) for line in folder.begun()]
    assert len(set(keys)) == len(keys)
    assert {run["status"] for run in folder.history()} <= {"succeeded", "missed", "skipped"}
    assert folder.text().count("were missed") <= 2, folder.text()


def test_a_worker_that_is_suspended_is_killed_at_its_timeout(folder: Folder) -> None:
    folder.write(entry("a", 'every = "1s"\ntimeout = "2s"', "waits = true"))
    process = folder.start("run", "-j", "1")
    folder.wait_until(lambda: len(folder.begun()) == 1)
    os.kill(int(folder.begun()[0][3]), signal.SIGSTOP)
    folder.wait_for("a failed")
    folder.wait_until(lambda: len(folder.begun()) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


# --- the helper process


def test_a_helper_process_that_dies_is_replaced_and_no_run_is_lost(folder: Folder) -> None:
    rule = 'every = "1s"\nmissed = "all"\noverlap = "allow"'
    folder.write("".join(entry(f"e{i}", rule) for i in range(4)))
    process = folder.start("run", "-j", "4")
    folder.wait_until(lambda: len(folder.begun()) > 4)
    chance = random.Random(1)
    kills = 0
    while kills < KILLS:
        helper = helper_of(process.pid)
        if helper is not None:
            os.kill(helper, signal.SIGKILL)
            kills += 1
        time.sleep(chance.random() / 4)
    count = len(folder.begun())
    folder.wait_until(lambda: len(folder.begun()) > count + 8)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    keys = [tuple(line[:3]) for line in folder.begun()]
    assert len(set(keys)) == len(keys)
    assert {run["status"] for run in folder.history()} == {"succeeded"}
    check_grid(folder.history())


def check_grid(runs: list[dict[str, Any]]) -> None:
    """Asserts that each entry ran at every due time between its first and its last."""
    from datetime import datetime

    dues: dict[str, list[float]] = {}
    for run in runs:
        due = datetime.fromisoformat(run["due"].replace("Z", "+00:00")).timestamp()
        dues.setdefault(run["entry"], []).append(due)
    for each in dues.values():
        assert [round(b - a, 6) for a, b in zip(each, each[1:])] == [1.0] * (len(each) - 1)


def test_a_tick_replaces_a_helper_process_that_dies(folder: Folder, pyhost: Run) -> None:
    folder.write(entry("slow", state="waits = true"))
    pyhost("schedule", "tick")
    time.sleep(1.1)
    tick = folder.start("tick")
    folder.wait_until(lambda: len(folder.begun()) == 1)
    helper = helper_of(tick.pid)
    assert helper is not None
    os.kill(helper, signal.SIGKILL)
    folder.go()
    assert tick.wait(PATIENCE) == 0, folder.text()
    assert [run["status"] for run in folder.made()] == ["succeeded"]


# --- a database that becomes unreachable


@pytest.fixture
def in_postgresql(folder: Folder, postgres_server: PostgresServer) -> PostgresServer:
    """Puts the history of the folder into a new database of the server."""
    drivers = kept_venv("venv-with-drivers", ("httpx", "sqlalchemy", "psycopg[binary]"))
    url = f"postgresql://ada:{quote(SECRET, safe='')}@127.0.0.1:{postgres_server.port}"
    import sqlalchemy

    name = f"run{time.time_ns()}"
    engine = sqlalchemy.create_engine(f"{url.replace(':', '+psycopg:', 1)}/postgres")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"create database {name}")
    engine.dispose()
    folder.environment = clean_environment(
        VIRTUAL_ENV=str(drivers), PYHOST_SCHEDULE_HISTORY="connection:jobs", JOBS_URL=f"{url}/{name}"
    )  # fmt: skip
    return postgres_server


CONNECTION = '[connections]\njobs = "${JOBS_URL}"\n'


@contextmanager
def away(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def test_the_scheduler_waits_for_its_database_and_loses_no_due_time(
    folder: Folder, in_postgresql: PostgresServer
) -> None:
    rule = 'every = "1s"\nmissed = "all"\noverlap = "allow"'
    folder.write(entry("a", rule) + entry("slow", 'every = "2s"', "waits = true") + CONNECTION)
    process = folder.start("run", "-j", "4")
    folder.wait_until(lambda: {line[0] for line in folder.begun()} == {"a", "slow"})
    with away(in_postgresql):
        folder.wait_for("waiting for the database")
        folder.go()  # the run succeeds while the database is unreachable
        folder.wait_for("slow succeeded")
        time.sleep(1.5)
    folder.wait_for("the database can be reached again")
    count = len(folder.begun())
    folder.wait_until(lambda: len(folder.begun()) > count + 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    runs = folder.history()
    assert {run["status"] for run in runs} <= {"succeeded", "skipped", "missed"}
    assert all(run["entry"] == "slow" for run in runs if run["status"] != "succeeded")
    check_grid([run for run in runs if run["entry"] == "a"])
    assert SECRET not in folder.text() and quote(SECRET, safe="") not in folder.text()


def test_run_and_tick_end_with_75_without_their_database(
    folder: Folder, in_postgresql: PostgresServer
) -> None:
    folder.write(entry("a") + CONNECTION)
    with away(in_postgresql):
        assert folder.start("run").wait(PATIENCE) == 75
        assert folder.start("tick").wait(PATIENCE) == 75
    assert folder.text().count("error: the schedule's database, connection 'jobs',") == 2
