"""Concurrent runs that print to one pipe."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, Run, clean_environment, embedded_version, write_module

# Short lines are written in two pieces. Long ones do not fit into a pipe.
PRINTS = """\
import os, threading
letter = chr(ord("a") + threading.get_native_id() % 20)
for _ in range(20):
    print(letter * 100_000)
    for _ in range(50):
        print(letter * 10, end=" ")
        print(letter * 10)
"""


@pytest.mark.parametrize("level", ["process", "shared", "interpreter"])
def test_lines_of_parallel_runs_stay_whole(program: str, tmp_path: Path, level: str) -> None:
    if level == "interpreter" and embedded_version() < (3, 13):
        pytest.skip("interpreters with their own GIL need Python 3.13")
    _, name, *modules = write_module(tmp_path, "prints", PRINTS)
    (tmp_path / "states").write_text("{}\n" * 16)
    words = (
        "map", name, *modules, "-q", "--isolation", level, "-j", "4", "--states", "states",
        "-o", "results",
    )  # fmt: skip
    with subprocess.Popen(
        [program, *words], cwd=tmp_path, stdout=subprocess.PIPE, env=clean_environment()
    ) as mapping:
        assert mapping.stdout is not None
        time.sleep(0.3)  # until the pipe is full
        lines = mapping.stdout.read().decode().splitlines()
        assert mapping.wait(PATIENCE) == 0
    assert len(lines) == 16 * 20 * 51
    mixed = [line for line in lines if len(set(line.replace(" ", ""))) != 1]
    assert mixed == []
    assert {len(line) for line in lines} == {21, 100_000}


def test_unfinished_lines_are_printed_at_the_end_of_the_run_and_of_the_process(
    pyhost: Run, tmp_path: Path
) -> None:
    body = """\
import sys, threading
thread = threading.Thread(target=lambda: print("from a thread", end=""))
thread.start()
thread.join()
print("\\r50 %", end="", file=sys.stderr)
print("no newline", end="")
"""
    done = pyhost(*write_module(tmp_path, "prints", body), "-o", "result")
    assert (done.returncode, done.stdout) == (0, "no newlinefrom a thread")
    assert done.stderr.strip() == "50 %"


def test_a_worker_that_dies_while_it_prints_lets_the_others_print(
    program: str, tmp_path: Path
) -> None:
    body = """\
import os, threading
if not os.path.exists("begun"):
    open("begun", "w").close()
    threading.Timer(0.5, os._exit, (3,)).start()
    print("x" * 10_000_000)
print("printed")
"""
    _, name, *modules = write_module(tmp_path, "prints", body)
    (tmp_path / "states").write_text("{}\n" * 4)
    reader, writer = os.pipe()
    words = (
        "map",
        name,
        *modules,
        "-j",
        "1",
        "--keep-going",
        "--states",
        "states",
        "-o",
        "results",
    )
    with subprocess.Popen(
        [program, *words], cwd=tmp_path, stdout=writer, stderr=subprocess.DEVNULL,
        env=clean_environment(),
    ) as mapping:  # fmt: skip
        os.close(writer)
        results = tmp_path / "results"
        while mapping.poll() is None:
            if results.exists() and b"WorkerCrashed" in results.read_bytes():
                break
            time.sleep(0.01)
        with open(reader) as printed:
            assert printed.read().count("printed\n") == 3
        assert mapping.wait(PATIENCE) == 1
