"""Chunks of states in the coprocess of a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import clean_environment

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


def test_threads_that_share_a_coprocess_receive_the_outcomes_of_their_own_states(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "m.py").write_text(MODULE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYHOST_PROGRAM", program)
    order = json.dumps({"module": "m", **hello_of(program, tmp_path)})
    packed = archive.pack([str(tmp_path)])
    # Longer than a pipe holds, so that several threads wait to write.
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
