"""Stdin and stdout that are shared, closed, or not what a command expects."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment

MAP = ("map", "evaluates", "-m", str(FIXTURES), "--isolation", "shared")
STATE = '{"give": "1"}\n'


def in_shell(program: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of bash in which $pyhost is the program and $map the beginning of a `pyhost map`."""
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
        env=clean_environment(pyhost=program, map=" ".join((program, *MAP))),
    )  # fmt: skip


# --- stdin that holds the states


@pytest.mark.parametrize("stdin", ["-", "/dev/stdin"])
def test_child_processes_of_a_module_cannot_read_the_states(pyhost: Run, stdin: str) -> None:
    read = "__import__('subprocess').run('cat; readlink /proc/self/fd/0', shell=True, capture_output=True).stdout.decode()"
    given = json.dumps({"give": read}) + "\n" + STATE
    done = pyhost(*MAP, "-j", "1", "--states", stdin, input=given)
    assert done.returncode == 0
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["/dev/null\n", 1]


# --- closed streams


@pytest.mark.parametrize("stdin", ["-", "/dev/stdin"])
def test_states_from_a_closed_stdin_are_refused(program: str, tmp_path: Path, stdin: str) -> None:
    (tmp_path / "results").write_text("results of before")
    done = in_shell(program, f"$map --states {stdin} -o results <&-", tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: cannot read from stdin: it is closed",
    )
    assert (tmp_path / "results").read_text() == "results of before"


@pytest.mark.parametrize("state", ["-", "@/dev/stdin"])
def test_a_state_from_a_closed_stdin_is_refused(program: str, tmp_path: Path, state: str) -> None:
    done = in_shell(program, f"$pyhost run mod1 -s {state} <&-", tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: cannot read from stdin: it is closed",
    )


@pytest.mark.parametrize("words", ["doctor", "stubs", "schedule run", "list"])
def test_each_command_refuses_a_closed_stdout(program: str, tmp_path: Path, words: str) -> None:
    done = in_shell(program, f"timeout 60 $pyhost {words} >&-", tmp_path)
    assert (done.returncode, done.stderr.count("stdout is closed")) == (74, 1), done.stderr
