"""Several schedulers on one database, while processes are killed and connections are cut."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PATIENCE, ROOT, SECRET, clean_environment, kept_venv, small_program

sys.path.insert(0, str(ROOT / "python_modules"))
from pyhost._schedule.database import Database, open_connection  # noqa: E402

# Set PYHOST_SCHEDULE_KILLS=100 and PYHOST_SCHEDULE_DUE=2000 for a long test.
KILLS = int(os.environ.get("PYHOST_SCHEDULE_KILLS", "8"))
DUE = int(os.environ.get("PYHOST_SCHEDULE_DUE", "100"))
ENTRIES = 8
LEASE = 3.0  # seconds

RECORDS = """
import os, time
import pyhost

class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        scheduled = pyhost.current_run().scheduled
        line = f"{scheduled.entry} {scheduled.due.timestamp():.6f} {scheduled.attempt}\\n"
        file = os.open(self.state["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        time.sleep(self.state["seconds"])

def create(state):
    return Module(state)
"""
BEATS = """
import time
import pyhost

class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        attempt = pyhost.current_run().scheduled.attempt
        with open(self.state["file"], "a", buffering=1) as file:
            while attempt == 1:
                file.write(f"{attempt} {time.monotonic()}\\n")
                time.sleep(0.01)
            file.write(f"{attempt} {time.monotonic()}\\n")

def create(state):
    return Module(state)
"""


@pytest.fixture(scope="session")
def drivers() -> Path:
    """A virtual environment with the packages for a schedule in PostgreSQL."""
    return kept_venv("venv-with-drivers", ("httpx", "sqlalchemy", "psycopg[binary]"))


class Jobs:
    """A database with a schedule, and processes that run the schedule."""

    def __init__(self, folder: Path, url: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.url = url
        self.environment = environment
        self.log = folder / "runs.txt"
        (folder / "modules").mkdir()
        (folder / "modules" / "records.py").write_text(RECORDS)
        (folder / "modules" / "beats.py").write_text(BEATS)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, url: str = "") -> subprocess.Popen[str]:
        words = [str(self.folder), "connection:jobs", str(int(LEASE * 1000)), "2"]
        with (self.folder / "schedulers.txt").open("a") as said:
            process = subprocess.Popen(
                [*small_program("schedule_host"), *words, f"jobs={url or self.url}"],
                env=self.environment, stdout=said, stderr=said, text=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    @functools.cached_property
    def database(self) -> Database:
        return open_connection("jobs", self.url)

    def add(self, name: str, module: str, state: dict[str, Any], **more: Any) -> None:
        values = {"name": name, "module": module, "state": json.dumps(state), **more}
        columns = ", ".join(values)
        marks = ", ".join(f":{each}" for each in values)
        self.database.execute(f"insert into pyhost_schedule ({columns}) values ({marks})", **values)

    def runs(self) -> list[dict[str, Any]]:
        return self.database.rows("select * from pyhost_runs order by entry, due, attempt")

    def said(self) -> str:
        return (self.folder / "schedulers.txt").read_text()

    def stop(self) -> None:
        """Stops all schedulers and waits for their runs."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            assert process.wait(PATIENCE) in (0, -signal.SIGKILL), self.said()
        self.processes = []


def wait_until(condition: Callable[[], bool], jobs: Jobs) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, jobs.said()
        time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def jobs(
    request: pytest.FixtureRequest, tmp_path: Path, drivers: Path, postgresql: int
) -> Iterator[Jobs]:
    url = f"sqlite:///{tmp_path}/jobs.db"
    if request.param == "postgresql":
        name = f"jobs_{random.getrandbits(40)}"
        server = f"postgresql://ada:{quote(SECRET, safe='')}@127.0.0.1:{postgresql}"
        create_database(f"{server}/postgres", name)
        url = f"{server}/{name}"
    jobs = Jobs(tmp_path, url, clean_environment(VIRTUAL_ENV=str(drivers)))
    yield jobs
    for process in jobs.processes:
        process.kill()
        process.wait()


def create_database(url: str, name: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text(f"create database {name}"))
    engine.dispose()


def has_tables(jobs: Jobs) -> bool:
    return jobs.database.has_table("pyhost_schedule")


def test_schedulers_that_are_killed_lose_no_due_time_and_run_no_attempt_twice(jobs: Jobs) -> None:
    schedulers = [jobs.start() for _ in range(4)]
    wait_until(lambda: has_tables(jobs), jobs)
    for i in range(ENTRIES):
        jobs.add(
            f"entry{i}", "records", {"file": str(jobs.log), "seconds": i * 0.02},
            every="1s", missed="all", overlap="allow", retries=50,
        )  # fmt: skip
    chance = random.Random(KILLS)
    kills = 0

    def kill_one() -> None:
        nonlocal kills
        victim = chance.randrange(len(schedulers))
        schedulers[victim].kill()
        schedulers[victim].wait()
        jobs.processes.remove(schedulers[victim])
        schedulers[victim] = jobs.start()
        kills += 1

    def due_times() -> int:
        found = jobs.database.rows("select count(*) as n from pyhost_runs where attempt = 1")
        return int(found[0]["n"])

    wait_until(lambda: due_times() > 0, jobs)
    while kills < KILLS or due_times() < DUE:
        if kills < KILLS:
            kill_one()
        time.sleep(1.0)
    end = max(
        run["due"] for run in jobs.runs()
    )  # the schedulers continue, but later due times are not checked
    wait_until(lambda: all_done_until(jobs, end), jobs)
    jobs.stop()
    check_history(jobs, end)


def all_done_until(jobs: Jobs, end: int) -> bool:
    sql = (
        "select count(*) as n from pyhost_runs where due <= :end and "
        "(status in ('running', 'queued') or retry_at is not null)"
    )
    return int(jobs.database.rows(sql, end=end)[0]["n"]) == 0


def check_history(jobs: Jobs, end: int) -> None:
    entries = jobs.database.rows("select entry, created from pyhost_entries")
    attempts: dict[tuple[str, int], list[str]] = defaultdict(list)
    for run in jobs.runs():
        assert run["attempt"] == len(attempts[run["entry"], run["due"]]) + 1
        attempts[run["entry"], run["due"]].append(run["status"])
    for entry in entries:
        due = entry["created"] + 1_000_000
        while due <= end:
            statuses = attempts.pop((entry["entry"], due))
            assert statuses[-1] == "succeeded", (entry, due, statuses)
            assert set(statuses[:-1]) <= {"lost", "failed"}
            due += 1_000_000
    assert all(due > end for _, due in attempts)
    begun = Counter(jobs.log.read_text().splitlines())
    assert [line for line, count in begun.items() if count > 1] == []


class Proxy:
    """Forwards connections to a port until it is cut. Afterwards they stay open without any traffic."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.is_cut = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.server.accept()
            if self.is_cut.is_set():
                continue  # the connection stays open without an answer
            server = socket.create_connection(("127.0.0.1", self.target))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(a, b), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            if self.is_cut.is_set():
                threading.Event().wait()
            sink.sendall(data)
        sink.close()


@pytest.mark.parametrize("jobs", ["postgresql"], indirect=True)
def test_a_run_whose_claim_cannot_be_renewed_is_cancelled_before_another_process_starts_it(
    jobs: Jobs, postgresql: int
) -> None:
    proxy = Proxy(postgresql)
    jobs.start(jobs.url.replace(f":{postgresql}/", f":{proxy.port}/"))
    wait_until(lambda: has_tables(jobs), jobs)
    # On a busy machine, claims of later attempts may be lost, too.
    jobs.add("beats", "beats", {"file": str(jobs.log)}, every="1s", retries=100)
    wait_until(jobs.log.exists, jobs)
    jobs.database.execute("update pyhost_schedule set every = '1000h'")
    jobs.start()
    proxy.is_cut.set()
    wait_until(lambda: "succeeded" in [run["status"] for run in jobs.runs()], jobs)
    assert jobs.runs()[0]["status"] == "lost"
    beats = [line.split() for line in jobs.log.read_text().splitlines()]
    first = [float(when) for attempt, when in beats if attempt == "1"]
    later = [float(when) for attempt, when in beats if attempt != "1"]
    assert first and later
    assert max(first) < min(later)
    for event in ("Stopped", "Disconnected"):
        wait_until(lambda event=event: f'"event":"{event}"' in jobs.said(), jobs)


def test_a_stopping_scheduler_waits_for_its_runs(jobs: Jobs) -> None:
    scheduler = jobs.start()
    wait_until(lambda: has_tables(jobs), jobs)
    jobs.add("slow", "records", {"file": str(jobs.log), "seconds": 2}, every="1s")
    wait_until(jobs.log.exists, jobs)
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(PATIENCE) == 0
    assert [run["status"] for run in jobs.runs() if run["status"] != "skipped"] == ["succeeded"]


@pytest.mark.parametrize("jobs", ["sqlite"], indirect=True)
def test_a_stopping_scheduler_does_not_wait_for_an_unreachable_database(jobs: Jobs) -> None:
    scheduler = jobs.start()
    wait_until(lambda: has_tables(jobs), jobs)
    jobs.add("slow", "records", {"file": str(jobs.log), "seconds": 1}, every="1s")
    wait_until(jobs.log.exists, jobs)
    holder = sqlite3.connect(jobs.folder / "jobs.db", isolation_level=None, timeout=60)
    holder.execute("begin exclusive")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(PATIENCE) == 0, jobs.said()
    holder.close()
    assert "database is locked" in jobs.said()
    assert '"message":"its outcome could not be stored"' in jobs.said()
