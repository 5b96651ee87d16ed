"""A worker of an engine runs chunks of states in its coprocess."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import PATIENCE, clean_environment

sys.path.insert(0, str(Path(__file__).parents[2] / "python_modules"))

from pyhost._engine import archive, remote  # noqa: E402

MODULE = """
class Module:
    def __init__(self, state):
        self.number = state["number"]
    def run(self):
        return self.number

def create(state):
    return Module(state)
"""


def hello_of(program: str, module_path: Path) -> dict[str, str]:
    order = {"module": "m", "module_paths": [str(module_path)]}
    done = subprocess.run(
        [program, "map", "--coprocess"], input=json.dumps(order) + "\n", text=True,
        capture_output=True, env=clean_environment(), check=True,
    )  # fmt: skip
    hello: dict[str, str] = json.loads(done.stdout.splitlines()[0])["hello"]
    return hello


@pytest.fixture
def project(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "m.py").write_text(MODULE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYHOST_PROGRAM", program)
    return tmp_path


def run_chunk(program: str, project: Path, states: str = "{}\n", **more: object) -> list[bytes]:
    """The lines that a worker returns for these states of the module m. `more` changes the order."""
    packed = archive.pack([str(project)])
    order = json.dumps({"module": "m", **hello_of(program, project), **more})
    return remote.run_chunk(order, packed.digest, states.encode(), packed.data).splitlines()


def test_threads_that_share_a_coprocess_receive_the_outcomes_of_their_own_states(
    project: Path, program: str
) -> None:
    order = json.dumps({"module": "m", **hello_of(program, project)})
    packed = archive.pack([str(project)])
    # More than a pipe holds, so that several threads block in write.
    padding = "x" * 30_000

    def numbers_from(chunk: int) -> list[int]:
        states = [{"number": 10 * chunk + i, "padding": padding} for i in range(10)]
        lines = "".join(json.dumps(state) + "\n" for state in states).encode()
        head, *outcomes = remote.run_chunk(order, packed.digest, lines, packed.data).splitlines()
        first = json.loads(head)["first"]
        numbers = {line["index"] - first: line["result"] for line in map(json.loads, outcomes)}
        return [numbers[i] for i in range(10)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(numbers_from, range(80)))
    assert found == [[10 * chunk + i for i in range(10)] for chunk in range(80)]


def test_threads_with_different_orders_lose_no_state(project: Path, program: str) -> None:
    packed = archive.pack([str(project)])
    orders = [
        json.dumps({"module": "m", "retries": retries, **hello_of(program, project)})
        for retries in (0, 1)
    ]

    def run(number: int) -> int:
        states = b'{"number": 1}\n'
        answer = remote.run_chunk(orders[number % 2], packed.digest, states, packed.data)
        return answer.count(b'"status":"ok"')

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(40))) == [1] * 40


@pytest.mark.parametrize("bad", [{"module": "missing"}, {"isolation": "none"}])
def test_a_coprocess_that_failed_is_reaped(
    project: Path, program: str, bad: dict[str, str]
) -> None:
    assert run_chunk(program, project, **bad)[-1].startswith(b'{"failed":')
    assert remote._coprocess is not None
    process = Path(f"/proc/{remote._coprocess._process.pid}")
    until = time.monotonic() + PATIENCE
    while process.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_modules_that_were_changed_after_they_had_been_sent_are_refused(
    project: Path, program: str
) -> None:
    packed = archive.pack([str(project)])
    run_chunk(program, project)
    (path,) = archive.find(packed.digest) or []
    (Path(path) / "modules" / "m.py").write_text("")
    (line,) = run_chunk(program, project, timeout=9)
    refused = json.loads(line)["refused"]
    assert f"modules on the worker {remote.worker_name()} were changed after" in refused
    assert f"remove {archive.cache()} there" in refused


@pytest.mark.parametrize(
    "script, said",
    [("read order; echo '[]'; exec cat >/dev/null", "'[]'"), ("exit 2", "ended with status 2")],
)
def test_a_program_that_is_not_a_coprocess_is_refused(
    project: Path, program: str, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    other = project / "other"
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    monkeypatch.setenv("PYHOST_PROGRAM", str(other))
    (line,) = run_chunk(program, project, import_timeout=script)
    refused = json.loads(line)["refused"]
    assert f"cannot run states with the program {other}: it " in refused
    assert said in refused
