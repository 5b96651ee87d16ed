"""The file of -o of `pyhost map`: one process at a time, and what --resume makes of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import FIXTURES, Run, clean_environment

MAP = (
    "map",
    "evaluates",
    "-m",
    str(FIXTURES),
    "--isolation",
    "shared",
    "--states",
    "-",
    "-o",
    "out",
)


def gives(*expressions: str) -> str:
    return "".join(json.dumps({"give": each}) + "\n" for each in expressions)


# --- two calls


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_second_call_on_one_results_file_is_refused(
    pyhost: Run, program: str, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "out").write_text("" if more else "results of before")
    with subprocess.Popen(
        [program, *MAP, *more], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=clean_environment(),
    ) as first:  # fmt: skip
        assert first.stdin is not None and first.stderr is not None
        first.stdin.write(gives("open('begun', 'w').close()"))
        first.stdin.flush()
        while not (tmp_path / "out").read_text().startswith('{"index":0'):
            assert first.poll() is None
        second = pyhost(*MAP, *more, input=gives("2", "3"))
        first.stdin.write(gives("4"))
        first.stdin.close()
        assert first.wait() == 0
    assert second.returncode == 2
    assert f"process {first.pid} is writing its results to 'out'" in second.stderr
    assert [json.loads(line)["index"] for line in (tmp_path / "out").read_text().splitlines()] == [
        0,
        1,
    ]
    assert pyhost(*MAP, *more, input=gives("1")).returncode == 0  # nobody holds it any more


def test_a_results_file_that_is_removed_meanwhile_is_an_error(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost(*MAP, input=gives("__import__('os').remove('out')"))
    assert (done.returncode, done.stderr.count("'out' was removed")) == (74, 1)


def test_a_call_without_results_leaves_no_file_behind(pyhost: Run, tmp_path: Path) -> None:
    assert pyhost("map", "missing", *MAP[2:], input=gives("1")).returncode == 3
    assert not (tmp_path / "out").exists()
