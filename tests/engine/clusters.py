"""A Dask cluster on loopback, and helpers that the tests of engines share."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, clean_environment, needs_package

ROOT = Path(__file__).parents[2]


def needs_dask() -> None:
    __tracebackhide__ = True
    if sys.version_info < (3, 11):  # the version in tests/requirements.txt does not support it
        pytest.skip("Dask is not installed for this Python", allow_module_level=True)
    needs_package("distributed")


MODULE = """
import os
import signal
import time
from . import helper

def end_worker():
    # The worker of the engine is the parent of the coprocess, which is the parent of this process.
    coprocess = f"/proc/{os.getppid()}/"
    assert "--coprocess" in open(coprocess + "cmdline").read()
    status = open(coprocess + "status").read()
    os.kill(int(status.split("PPid:")[1].split()[0]), signal.SIGKILL)
    time.sleep(1)

class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        if self.state.get("abort"):
            os.abort()
        if self.state.get("kill"):
            end_worker()
        time.sleep(self.state.get("seconds", 0))
        return helper.value(self.state["i"])

def create(state):
    return Module(state)
"""

POOL = """
import concurrent.futures
import multiprocessing

def forks():
    return concurrent.futures.ProcessPoolExecutor(2)

def threads():
    return concurrent.futures.ThreadPoolExecutor(2)

def two():
    spawn = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn)
"""


def environment(folder: Path, program: str) -> dict[str, str]:
    """Environment variables for the driver and the workers, which share this machine and its cache of modules."""
    return {
        "PYHOST_PROGRAM": program,
        "PYTHONPATH": str(ROOT / "python_modules"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONWARNINGS": "ignore",
    }


def write_modules(folder: Path, value: str = "2 * i") -> None:
    (folder / "modules").mkdir(exist_ok=True)
    (folder / "modules" / "work.py").write_text(MODULE)
    (folder / "modules" / "helper.py").write_text(f"def value(i):\n    return {value}\n")
    (folder / "modules" / "pools.py").write_text(POOL)


class Cluster:
    """A Dask scheduler and its workers."""

    def __init__(self, folder: Path, program: str, workers: int, more: dict[str, str]) -> None:
        self.folder = folder
        self.env = clean_environment(**environment(folder, program) | more)
        self.file = folder / "scheduler.json"
        self.processes = [
            self.start("dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file",
                       str(self.file), "--no-dashboard")
        ]  # fmt: skip
        self.wait_until(self.file.exists)
        self.workers = [self.add_worker() for _ in range(workers)]

    def start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        log = open(self.folder / f"{command}.log", "ab")  # noqa: SIM115  # open as long as the process runs
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command}", *words],
            env=self.env, stdout=log, stderr=log, cwd=self.folder,
        )  # fmt: skip

    def add_worker(self, *more: str) -> subprocess.Popen[bytes]:
        worker = self.start(
            "dask_worker", "--scheduler-file", str(self.file), "--nthreads", "1", "--no-dashboard",
            "--local-directory", str(self.folder / "dask"), *(more or ["--no-nanny"]),
        )  # fmt: skip
        self.processes.append(worker)
        return worker

    @staticmethod
    def wait_until(condition: Any) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.02)

    def address(self) -> str:
        address: str = json.loads(self.file.read_text())["address"]
        return address.removeprefix("tcp://")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_cluster(
    folder: Path, program: str, workers: int = 2, more: dict[str, str] | None = None
) -> Iterator[Cluster]:
    cluster = Cluster(folder, program, workers, more or {})
    try:
        yield cluster
    finally:
        cluster.close()


def start_driver(project: Path, program: str, words: list[str]) -> subprocess.Popen[str]:
    """Starts a pyhost map in the background and waits until it has written its first results."""
    driver = subprocess.Popen(
        [program, *words], cwd=project, stderr=subprocess.PIPE, text=True,
        env=clean_environment(**driver_environment(project, program)),
    )  # fmt: skip
    out = project / "out"
    Cluster.wait_until(
        lambda: (out.exists() and out.stat().st_size > 0) or driver.poll() is not None
    )
    return driver


def words_of(engine: str, *more: str) -> list[str]:
    words = ["map", "work", "-m", ".", "--states", "states", "-o", "out", "--keep-going"]
    return [*words, *(("--engine", engine) if engine else ()), *more]


def write_states(folder: Path, states: list[dict[str, object]]) -> None:
    text = "".join(json.dumps({"i": i, **state}) + "\n" for i, state in enumerate(states))
    (folder / "states").write_text(text)


def results_of(folder: Path) -> dict[int, Any]:
    """The result or status of each state by index. Asserts that each state has only one outcome."""
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    results = {line["index"]: line.get("result", line["status"]) for line in lines}
    assert len(results) == len(lines)
    return results


def driver_environment(folder: Path, program: str) -> dict[str, str]:
    return {**environment(folder, program), "VIRTUAL_ENV": sys.prefix}
