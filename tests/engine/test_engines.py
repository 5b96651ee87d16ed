"""pyhost map --engine: executors, and Dask with its scheduler and workers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, Run, clean_environment

ROOT = Path(__file__).parents[2]
try:
    import distributed  # noqa: F401
except ImportError:
    if sys.version_info >= (3, 11) and os.environ.get("CI"):
        raise
    pytest.skip("Dask is not installed for this Python", allow_module_level=True)

MODULE = """
import os
import time
from . import helper

class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        if self.state.get("abort"):
            os.abort()
        time.sleep(self.state.get("seconds", 0))
        return helper.value(self.state["i"])

def create(state):
    return Module(state)
"""

POOL = """
import concurrent.futures
import multiprocessing

def two():
    spawn = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn)
"""


def environment(folder: Path, program: str) -> dict[str, str]:
    """For the driver and the workers. Both are on this machine, and so is the cache of the modules."""
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
    """A scheduler and workers of Dask."""

    def __init__(self, folder: Path, program: str, workers: int) -> None:
        self.folder = folder
        self.env = clean_environment(**environment(folder, program))
        self.file = folder / "scheduler.json"
        self.processes = [
            self.start("dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file",
                       str(self.file), "--no-dashboard")
        ]  # fmt: skip
        self.wait_until(self.file.exists)
        self.workers = [self.add_worker() for _ in range(workers)]

    def start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        log = open(self.folder / f"{command}.log", "ab")  # noqa: SIM115  # for as long as the process
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command}", *words],
            env=self.env, stdout=log, stderr=log, cwd=self.folder,
        )  # fmt: skip

    def add_worker(self) -> subprocess.Popen[bytes]:
        worker = self.start(
            "dask_worker", "--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny",
            "--no-dashboard", "--local-directory", str(self.folder / "dask"),
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


@pytest.fixture
def cluster(tmp_path: Path, program: str) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, program, workers=2)
    try:
        yield cluster
    finally:
        cluster.close()


def words_of(engine: str, *more: str) -> list[str]:
    words = ["map", "work", "-m", ".", "--states", "states", "-o", "out", "--keep-going"]
    return [*words, *(("--engine", engine) if engine else ()), *more]


def write_states(folder: Path, states: list[dict[str, object]]) -> None:
    text = "".join(json.dumps({"i": i, **state}) + "\n" for i, state in enumerate(states))
    (folder / "states").write_text(text)


def results_of(folder: Path) -> dict[int, Any]:
    """Status or result by index. Fails if a state has more than one outcome."""
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    results = {line["index"]: line.get("result", line["status"]) for line in lines}
    assert len(results) == len(lines)
    return results


def driver_environment(folder: Path, program: str) -> dict[str, str]:
    return {**environment(folder, program), "VIRTUAL_ENV": sys.prefix}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_modules(tmp_path)
    return tmp_path


def test_an_executor_runs_the_states_and_edited_helpers(
    pyhost: Run, project: Path, program: str
) -> None:
    for value, expected in (("2 * i", 2), ("7 * i", 7)):
        write_modules(project, value)
        write_states(project, [{} for _ in range(3000)])
        words = words_of("modules.pools:two")
        done = pyhost(*words, env=driver_environment(project, program))
        assert done.returncode == 0, done.stderr
        assert results_of(project) == {i: expected * i for i in range(3000)}


def test_dask_runs_the_states_and_edited_helpers(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    env = driver_environment(project, program)
    for value, engine in (("2", f"dask://{cluster.address()}"), ("7", f"dask://{cluster.file}")):
        write_modules(project, f"{value} * i")
        write_states(project, [{} for _ in range(3000)])
        done = pyhost(*words_of(engine, "--ordered"), env=env)
        assert done.returncode == 0, done.stderr
        assert list(results_of(project).items()) == [(i, int(value) * i) for i in range(3000)]


def test_an_abort_costs_its_own_outcome(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    write_states(project, [{"abort": i == 50} for i in range(100)])
    for engine in ("modules.pools:two", f"dask://{cluster.address()}"):
        done = pyhost(*words_of(engine), env=driver_environment(project, program))
        assert done.returncode == 1
        results = results_of(project)
        assert results.pop(50) == "crashed"
        assert results == {i: 2 * i for i in range(100) if i != 50}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_lost_costs_no_outcome(
    project: Path, program: str, cluster: Cluster, number: signal.Signals
) -> None:
    count = 4000
    write_states(project, [{"seconds": 0.001} for _ in range(count)])
    env = clean_environment(**driver_environment(project, program))
    driver = subprocess.Popen(
        [program, *words_of(f"dask://{cluster.address()}")], cwd=project, env=env,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out = project / "out"
    cluster.wait_until(lambda: out.exists() and out.stat().st_size > 0)
    cluster.workers[0].send_signal(number)
    _, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, stderr
    assert results_of(project) == {i: 2 * i for i in range(count)}


def test_a_module_that_cannot_be_loaded_is_one_error(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    (project / "modules" / "helper.py").write_text("1 / 0\n")
    write_states(project, [{} for _ in range(1000)])
    done = pyhost(
        *words_of(f"dask://{cluster.address()}"), env=driver_environment(project, program)
    )
    assert done.returncode == 3
    assert done.stderr.count("error: ") == 1
    assert "ZeroDivisionError" in done.stderr


def test_resume_goes_on_from_what_other_ways_have_written(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    env = driver_environment(project, program)
    ways = ("", "modules.pools:two", f"dask://{cluster.address()}")
    for number, engine in enumerate(ways, 1):
        write_states(project, [{} for _ in range(100 * number)])
        done = pyhost(*words_of(engine, "--resume"), env=env)
        assert done.returncode == 0, done.stderr
        assert results_of(project) == {i: 2 * i for i in range(100 * number)}


def test_a_worker_of_another_version_is_refused(pyhost: Run, project: Path, program: str) -> None:
    other = project / "other"
    other.write_text(
        "#!/bin/sh\nread order\n"
        'echo \'{"hello": {"pyhost": "0.0.9", "python": "3.1", "code": "c"}}\'\ncat > /dev/null\n'
    )
    other.chmod(0o755)
    write_states(project, [{}])
    env = driver_environment(project, program) | {"PYHOST_PROGRAM": str(other)}
    done = pyhost(*words_of("modules.pools:two"), env=env)
    assert done.returncode == 2
    assert " has pyhost 0.0.9" in done.stderr or " has Python 3.1" in done.stderr
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["--engine", "spark://x:1"], "is not known"),
        (["--engine", "modules.pools:none"], "cannot be imported"),
        (["--engine", "modules.helper:value"], "value"),
        (["--engine", "dask://x:1", "--store", "s"], "--store"),
        (["--engine", "dask://x:1", "-j", "2"], "-j"),
        (["--engine", "dask://x:1", "--engine-resources", "GPU"], "name=number"),
        (["--engine-resources", "GPU=1"], "--engine"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused(
    pyhost: Run, project: Path, program: str, words: list[str], said: str
) -> None:
    write_states(project, [{}])
    done = pyhost(*words_of("", *words), env=driver_environment(project, program))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (project / "out").exists()


def test_a_scheduler_that_does_not_answer_is_unreachable(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{}])
    done = pyhost(*words_of("dask://127.0.0.1:1"), env=driver_environment(project, program))
    assert done.returncode == 75
    assert "127.0.0.1:1" in done.stderr
    assert not (project / "out").exists()
