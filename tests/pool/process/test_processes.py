"""Worker processes end with the process of their pool, however that ends. `pyhost run --isolation process`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment, write_module

MODULES = ("-m", str(FIXTURES))
IN_PROCESS = ("--isolation", "process")


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_its_pool(program: str, tmp_path: Path, end: signal.Signals) -> None:
    tell = tmp_path / "pids"
    words = ("-p", "how=hang in C", "-p", f"tell={tell}", *IN_PROCESS, *MODULES)
    process = subprocess.Popen(
        [program, "run", "ruins_its_process", *words],
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(tell.exists)
        worker, sleeper = map(int, tell.read_text().split())
        assert runs(worker) and runs(sleeper)
        process.send_signal(end)
        assert process.wait(PATIENCE) == -end
        wait_for(lambda: not runs(worker) and not runs(sleeper))
    finally:
        for each in map(int, tell.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.kill()


def test_a_run_in_a_worker_process_prints_its_result(pyhost: Run) -> None:
    done = pyhost("run", "returns_state", "-p", "a=1", *IN_PROCESS, *MODULES)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"a":1}\n', "")
    done = pyhost("run", "yields", "-p", "items=[1,2]", *IN_PROCESS, *MODULES)
    assert done.stdout == "[1,2]\n"


def test_output_of_a_module_in_a_worker_process_is_printed(pyhost: Run) -> None:
    words = ("run", "evaluates", "-p", "give=print('here')", *IN_PROCESS, *MODULES)
    assert pyhost(*words).stdout == "here\n"
    done = pyhost(*words, "--json")
    assert '"result":null' in done.stdout
    assert done.stderr == "here\n"


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("segfault", 139, "signal 11 (SIGSEGV)"),
        ("kill", 137, "signal 9 (SIGKILL)"),
        ("exit", 1, "status 3"),
    ],
)
def test_a_crash_has_a_message_and_an_exit_code(
    pyhost: Run, how: str, code: int, says: str
) -> None:
    done = pyhost("run", "ruins_its_process", "-p", f"how={how}", *IN_PROCESS, *MODULES)
    assert done.returncode == code
    assert says in done.stderr


def test_a_run_in_a_worker_process_is_killed_at_its_timeout(pyhost: Run) -> None:
    words = ("-p", "how=stay", "--timeout", "300ms", *IN_PROCESS, *MODULES)
    done = pyhost("run", "ruins_its_process", *words)
    assert done.returncode == 124
    assert "was killed at its deadline of 0.3 s" in done.stderr


@pytest.mark.parametrize("then", ["raise", "time.sleep(100_000)"])
def test_ctrl_c_lets_a_module_in_a_worker_process_clean_up(
    program: str, tmp_path: Path, then: str
) -> None:
    body = f"""
import time
try:
    open('begun', 'w').close()
    time.sleep(100_000)
except BaseException as stopped:
    open('cleaned', 'w').write(type(stopped).__name__)
    {then}
"""
    state = json.dumps({"first": body, "give": "1"})
    process = subprocess.Popen(
        [program, "run", "evaluates", "-s", state, *IN_PROCESS, *MODULES],
        cwd=tmp_path, text=True, env=clean_environment(), stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for((tmp_path / "begun").exists)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "cleaned").read_text() == "Stopped"
    assert said.startswith("error: module 'evaluates' was ")


@pytest.mark.parametrize("how", ["stays", "crashes", "returns"])
def test_shared_memory_of_a_module_is_removed_when_its_worker_ends(
    pyhost: Run, tmp_path: Path, how: str
) -> None:
    """The resource tracker of multiprocessing removes it, if it is allowed to outlive the worker for a moment."""
    ends = {"stays": "time.sleep(100_000)", "crashes": "os.abort()", "returns": "pass"}
    body = f"""
import os, time
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=4096)
open('name', 'w').write(memory.name)
{ends[how]}
"""
    state = json.dumps({"first": body, "give": "1"})
    done = pyhost("run", "evaluates", "-s", state, "--timeout", "3s", *IN_PROCESS, *MODULES)
    assert done.returncode == {"stays": 124, "crashes": 134, "returns": 0}[how], done.stderr
    name = (tmp_path / "name").read_text()
    assert not Path("/dev/shm", name).exists()


def test_a_run_that_exceeds_its_memory_limit_fails(pyhost: Run) -> None:
    words = ("-p", "how=allocate", "-p", "bytes=400000000", *IN_PROCESS, *MODULES)
    assert pyhost("run", "ruins_its_process", *words).stdout == "400000000\n"
    done = pyhost("run", "ruins_its_process", *words, "--memory-limit", "200M")
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_an_invalid_memory_limit_is_refused(pyhost: Run) -> None:
    assert "--isolation process" in pyhost("run", "wins", *MODULES, "--memory-limit", "1G").stderr
    done = pyhost("run", "wins", *MODULES, *IN_PROCESS, "--memory-limit", "lots")
    assert done.returncode == 2
    assert "must be a size like 512M" in done.stderr


LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@pytest.mark.parametrize("given", [None, "7"])
def test_the_threads_of_libraries_are_divided_among_the_workers(
    pyhost: Run, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    for name in LIBRARY_THREADS:
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    give = f"[__import__('os').environ.get(name) for name in {LIBRARY_THREADS}]"
    done = pyhost(
        *("map", "evaluates", *MODULES, *IN_PROCESS, "--states", "-", "-q"),
        input=json.dumps({"give": give}) + "\n",
    )
    assert json.loads(done.stdout)["result"] == [given or "1", "1"], done.stderr


@pytest.mark.parametrize("call", ["input('?')", "breakpoint()", "getpass.getpass()"])
@pytest.mark.parametrize("command", ["run", "map"])
def test_input_in_a_worker_raises_an_error_that_explains_the_missing_stdin(
    pyhost: Run, tmp_path: Path, command: str, call: str
) -> None:
    write_module(tmp_path, "asks", call, "import getpass")
    (tmp_path / "states.jsonl").write_text("{}\n")
    states = ("--states", str(tmp_path / "states.jsonl")) if command == "map" else ()
    done = pyhost(command, "asks", *states, *IN_PROCESS, "-m", str(tmp_path))
    assert done.returncode == 1
    name = call.partition("(")[0]
    assert f"EOFError: {name}() cannot read an answer" in done.stderr + done.stdout
    assert "stdin of a worker process is /dev/null" in done.stderr + done.stdout


def test_input_reads_from_a_stdin_that_the_module_replaced(pyhost: Run, tmp_path: Path) -> None:
    body = (
        "sys.stdin = io.StringIO('first')\nline = input()\n"
        "try: input()\nexcept EOFError as error: return [line, str(error)]"
    )
    write_module(tmp_path, "asks", body, "import io, sys")
    done = pyhost("run", "asks", *IN_PROCESS, "-m", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, '["first","EOF when reading a line"]\n'), (
        done.stderr
    )


def children_of(process: int) -> list[int]:
    stats = [each.read_text() for each in Path("/proc").glob("[0-9]*/stat")]
    return [
        int(stat.split()[0]) for stat in stats if stat.rpartition(")")[2].split()[1] == str(process)
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_map_lets_the_runs_in_flight_finish(
    program: str, tmp_path: Path, number: signal.Signals
) -> None:
    run = "pathlib.Path('begun' + str(os.getpid())).touch()\ntime.sleep(1)\nreturn 'done'"
    write_module(tmp_path, "slow", run, "import os, pathlib, time")
    (tmp_path / "states").write_text("{}\n" * 8)
    process = subprocess.Popen(
        [program, "map", "slow", "--states", "states", "-j2", "-o", "results"],
        cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) and None,
    )  # fmt: skip
    wait_for(lambda: len(list(tmp_path.glob("begun*"))) == 2)
    for each in (process.pid, *children_of(process.pid)):
        os.kill(each, number)
    said = process.communicate(timeout=PATIENCE)[1]
    results = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    assert [each["status"] for each in results] == ["ok", "ok"], said
    assert process.returncode == -number


def test_processes_that_a_run_starts_can_be_terminated(pyhost: Run, tmp_path: Path) -> None:
    first = """
import multiprocessing, os, signal, subprocess, sys, time

def wait():
    time.sleep(100_000)
"""
    run = """
ends = [signal.getsignal(number) is signal.SIG_DFL for number in (signal.SIGINT, signal.SIGTERM)]
for method in ("fork", "spawn"):
    child = multiprocessing.get_context(method).Process(target=wait)
    child.start()
    child.terminate()
    child.join()
    ends.append(child.exitcode)
for number in (signal.SIGINT, signal.SIGTERM):
    program = subprocess.Popen(["sleep", "100000"])
    program.send_signal(number)
    ends.append(program.wait())
return ends
"""
    done = pyhost(*write_module(tmp_path, "starts", run, first), *IN_PROCESS)
    assert done.stdout == "[true,true,-15,-15,-2,-15]\n", done.stderr


def test_the_handler_that_a_module_installs_in_a_worker_is_called(
    pyhost: Run, tmp_path: Path
) -> None:
    run = """
seen = []
signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.01)
return seen
"""
    words = write_module(tmp_path, "handles", run, "import os, signal, time")
    assert pyhost(*words, *IN_PROCESS).stdout == "[15]\n"


def test_the_exit_code_of_a_crash_is_correct_if_the_caller_ignores_sigchld(pyhost: Run) -> None:
    words = ("run", "ruins_its_process", "-p", "how=segfault", *IN_PROCESS, *MODULES)
    done = pyhost(*words, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None)
    assert done.returncode == 139, done.stderr
