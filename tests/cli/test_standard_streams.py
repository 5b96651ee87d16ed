"""Stdin and stdout that are shared, closed, or of an unusual kind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment

MAP = ("map", "evaluates", "-m", str(FIXTURES), "--isolation", "shared")
MODULE = ("evaluates", "-m", str(FIXTURES))
STATE = '{"give": "1"}\n'
SAYS = '{"first": "print(\'said\')", "give": "1"}\n'


def in_shell(program: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a bash command in which $pyhost is the program and $map starts a `pyhost map`."""
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


# --- stdout that is not a file, and -o that is


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
@pytest.mark.parametrize("command", ["run", "map"])
def test_prints_go_to_stderr_if_the_output_is_stdout(
    pyhost: Run, tmp_path: Path, command: str, name: str
) -> None:
    words = ["run", *MODULE, "-s", SAYS] if command == "run" else [*MAP, "--states", "-"]
    done = pyhost(*words, "-o", name, **({"input": SAYS} if command == "map" else {}))
    assert done.returncode == 0
    assert (
        json.loads(done.stdout) == 1 if command == "run" else json.loads(done.stdout)["result"] == 1
    )
    assert "said\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "pipe", "/dev/null"])
def test_resume_is_refused_for_an_output_that_is_not_a_regular_file(
    pyhost: Run, tmp_path: Path, name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = pyhost(*MAP, "--states", "-", "-o", name, "--resume", input=STATE)
    needs = "-o FILE" if name in ("-", "/dev/stdout") else "a regular file"
    assert (done.returncode, done.stderr.count(f"--resume needs {needs}")) == (2, 1), done.stderr


@pytest.mark.parametrize("command", ["run", "map"])
def test_results_go_to_a_named_pipe(pyhost: Run, tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    states = "".join(f'{{"give": "{i}"}}\n' for i in range(20))
    words = (
        ["run", *MODULE, "-s", STATE] if command == "run" else [*MAP, "--ordered", "--states", "-"]
    )
    with subprocess.Popen(
        ["timeout", "30", "cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True
    ) as reader:
        done = pyhost(
            *words, "-o", "pipe", timeout=30, **({"input": states} if command == "map" else {})
        )
        assert reader.stdout is not None
        read = [json.loads(line) for line in reader.stdout.read().splitlines()]
    assert done.returncode == 0
    assert read == [1] if command == "run" else [line["result"] for line in read] == list(range(20))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("command", ["run", "map"])
def test_results_are_complete_on_a_non_blocking_stdout(
    program: str, command: str, kind: str
) -> None:
    """Node, ssh and asyncio leave stdout non-blocking. A module's print to such a socket fails, as under python3."""
    many = json.dumps(
        {"give": "1000000 * 'x'", "first": "print(200000 * 'y')" if kind == "pipe" else ""}
    )
    reads, writes = os.pipe() if kind == "pipe" else (each.detach() for each in socket.socketpair())
    os.set_blocking(writes, False)
    words = ["run", *MODULE, "-s", many] if command == "run" else [*MAP, "--states", "-"]
    with subprocess.Popen(
        [program, *words], stdin=subprocess.PIPE, stdout=writes, stderr=subprocess.PIPE, env=clean_environment()
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stderr is not None
        os.close(writes)
        process.stdin.write(many.encode() + b"\n")
        process.stdin.close()
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        read = 0
        while piece := os.read(reads, 4096):
            read += len(piece)
        os.close(reads)
        drain.join()
    assert process.returncode == 0
    assert read > 1_000_000
    if command == "run" and kind == "pipe":
        assert read == 1_000_000 + 200_000 + len('""') + 2
