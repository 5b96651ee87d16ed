"""Deadlines, streams and async runs on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import (
    FIXTURES,
    PATIENCE,
    Run,
    cached,
    clean_environment,
    embedded_version,
    make_venv,
    write_module,
)

# Locks a mutex twice. No signal interrupts this deadlock.
STUCK = """
import ctypes


class Module:
    def __init__(self, state):
        libc = ctypes.PyDLL(None) if state.get("keeps_the_lock") else ctypes.CDLL(None)
        self.lock = libc.pthread_mutex_lock

    def run(self):
        mutex = ctypes.create_string_buffer(64)
        self.lock(mutex)
        print("in the middle of a line", end="")
        self.lock(mutex)


def create(state):
    return Module(state)
"""


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "stuck.py").write_text(STUCK)
    return tmp_path


def timed(
    pyhost: Run, how: str, *words: str, **options: object
) -> subprocess.CompletedProcess[str]:
    return pyhost(
        *("run", "-m", str(FIXTURES), "does_not_end", "-p", f"how={how}", "--timeout", "1s", *words),
        **options,
    )  # fmt: skip


# Python 3.11 leaks a few bytes if a regular expression is interrupted.
REGEX = [] if cached("PYHOST_SANITIZE") == "ON" else ["regex"]


@pytest.mark.parametrize("how", ["loop", "sleep", "lock", *REGEX, "standard_input"])
def test_a_run_that_does_not_return_is_cancelled_at_its_deadline(pyhost: Run, how: str) -> None:
    # A stdin without data that stays open.
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE) as silent:
        try:
            done = timed(pyhost, how, stdin=silent.stdout)
        finally:
            silent.kill()
    assert done.returncode == 124, done.stderr
    first, place, source = done.stderr.splitlines()[:3]
    assert first == "error: module 'does_not_end' was stopped at its deadline of 1 s"
    assert place.endswith(" in run")
    assert source == "    return getattr(self, self.how)()"
    assert f" in {how}" in done.stderr
    assert done.stdout == ""


BLOCKED = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])"


@pytest.mark.parametrize("who", ["the module", "the process that started it"])
def test_a_deadline_ends_a_run_whose_thread_blocks_signals(
    program: str, tmp_path: Path, who: str
) -> None:
    block = f"{BLOCKED}\n" if who == "the module" else ""
    words = write_module(tmp_path, "spins", f"{block}while True:\n    pass", "import signal")
    start = f"import os, signal, sys; {BLOCKED}; os.execv(sys.argv[1], sys.argv[1:])"
    first = [] if block else [sys.executable, "-c", start]
    done = subprocess.run(
        [*first, program, *words, "--timeout", "1s"],
        capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 124
    assert "was stopped at its deadline of 1 s" in done.stderr


def test_a_run_that_catches_every_exception_ends_with_the_process(pyhost: Run) -> None:
    done = timed(pyhost, "catch_all")
    assert done.returncode == 124
    assert "still runs" in done.stderr
    assert "here, and it catches pyhost.Stopped" in done.stderr
    assert "in catch_all" in done.stderr
    assert "hint: `except BaseException` must raise pyhost.Stopped again" in done.stderr


def test_a_run_that_is_stuck_in_c_code_ends_with_the_process(pyhost: Run, stuck: Path) -> None:
    done = pyhost("run", "stuck", "--timeout", "2")
    assert done.returncode == 124
    assert "it is in C code called here, which does not return" in done.stderr
    assert "stuck.py:14 in run" in done.stderr
    assert "self.lock(mutex)" in done.stderr
    assert done.stdout == "in the middle of a line"


def test_a_run_that_is_stuck_while_it_holds_the_gil_ends_with_the_process(
    pyhost: Run, stuck: Path
) -> None:
    done = pyhost("run", "stuck", "-p", "keeps_the_lock=true", "--timeout", "2s", "--json")
    assert done.returncode == 124
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "TimedOut"
    assert "in C code that does not release the GIL" in error["message"]


def test_a_run_whose_on_unload_is_stuck_in_c_code_prints_its_result_before_the_process_ends(
    pyhost: Run, stuck: Path
) -> None:
    with (stuck / "modules" / "stuck.py").open("a") as module:
        module.write("\n\ndef on_unload():\n    Module({}).run()\n\n")
        module.write("class Sound:\n    def run(self):\n        return 42\n")
        module.write("def create(state):\n    return Sound()\n")
    done = pyhost("run", "stuck", "--shutdown-timeout", "0.3", "--json")
    assert done.returncode == 124
    assert json.loads(done.stdout)["result"] == 42
    assert "it is in C code called here, which does not return" in done.stderr
    assert "on_unload" in done.stderr


def test_a_run_that_timed_out_is_one_json_document(pyhost: Run) -> None:
    done = timed(pyhost, "loop", "--json")
    assert done.returncode == 124
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "TimedOut"
    assert error["exception"]["type"] == "pyhost.Stopped"
    assert error["place"]["function"] == "loop"


def test_a_run_that_returns_after_its_deadline_has_timed_out(pyhost: Run) -> None:
    done = timed(pyhost, "listen")
    assert done.returncode == 124
    assert "after its deadline of 1 s: it had checked pyhost.cancelled" in done.stderr


@pytest.mark.parametrize("time", ["30s", "500ms", "2m", "1.5h", "10"])
def test_a_run_within_its_timeout_returns_its_result(pyhost: Run, time: str) -> None:
    done = pyhost("run", "-m", str(FIXTURES), "wins", env={"PYHOST_TIMEOUT": time})
    assert (done.returncode, done.stdout, done.stderr) == (0, '"second"\n', "")


@pytest.mark.parametrize("time", ["soon", "3 x", "-1s", "1e99s", "s", "nan", "5d"])
def test_an_invalid_timeout_is_refused(pyhost: Run, time: str) -> None:
    done = pyhost("run", "-m", str(FIXTURES), "wins", f"--timeout={time}")
    assert done.returncode == 2
    assert f"error: --timeout must be a time like 30s, 500ms, 2m or 1h, not '{time}'" in done.stderr


ITEMS = 'items=[1,"two",{"b":1,"a":2}]'


@pytest.mark.parametrize("name", ["yields", "yields_async"])
def test_each_yielded_item_is_printed_on_its_own_line(
    pyhost: Run, name: str, tmp_path: Path
) -> None:
    run = ("run", "-m", str(FIXTURES), name, "-p", ITEMS)
    lines = '1\n"two"\n{"b":1,"a":2}\n'
    assert pyhost(*run).stdout == lines
    assert pyhost(*run, "-o", "out").stdout == ""
    assert (tmp_path / "out").read_text() == lines
    document = json.loads(pyhost(*run, "--json").stdout)
    assert document["result"] == [1, "two", {"b": 1, "a": 2}]
    none = ("run", "-m", str(FIXTURES), name, "-p", "items=[]")
    assert pyhost(*none, "-o", "out").returncode == 0
    assert (tmp_path / "out").read_text() == ""
    assert json.loads(pyhost(*none, "--json").stdout)["result"] == []


def test_an_item_is_printed_before_the_next_is_made(program: str, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "asks.py").write_text(
        "class M:\n"
        "    def run(self):\n"
        "        yield 'first'\n"
        "        yield input()\n"
        "def create(state): return M()\n"
    )
    with subprocess.Popen(
        [program, "run", "asks"], cwd=tmp_path, env=clean_environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        assert process.stdout.readline() == '"first"\n'
        process.stdin.write("second\n")
        process.stdin.close()
        assert process.stdout.read() == '"second"\n'
    assert process.returncode == 0


def test_an_error_after_some_items_is_printed_after_the_items(pyhost: Run) -> None:
    done = pyhost("run", "-m", str(FIXTURES), "yields", "-p", 'items=[1,"bad"]')
    assert done.returncode == 1
    assert done.stdout == "1\n"
    assert done.stderr.startswith("error: module 'yields' raised ValueError: bad\n")


def test_an_exception_of_close_is_the_runs_error(pyhost: Run) -> None:
    done = pyhost("run", "-m", str(FIXTURES), "raises_in_the_end")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: module 'raises_in_the_end' raised OSError: cannot close\n"
    )


# An exception of close is the error of its run. If the run has failed, it is reported after the error of the run.
@pytest.mark.parametrize("isolation", ["host", "process"])
@pytest.mark.parametrize("run", ["return 1", "raise ValueError('in the run')"])
def test_exceptions_of_the_shutdown_are_reported(
    pyhost: Run, tmp_path: Path, run: str, isolation: str
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ends_badly.py").write_text(
        f"class Module:\n    def run(self): {run}\n"
        "    def close(self):\n        if globals().get('closes'): raise OSError('cannot close')\n"
        "def create(state):\n    global closes\n    closes = 'close' in state\n    return Module()\n"
        "def on_unload(): raise OSError('cannot unload')\n"
    )
    words = ["run", "ends_badly", "-m", str(tmp_path), "--isolation", isolation]
    for close in (False, True):
        done = pyhost(*words, *(["-p", "close=1"] if close else []))
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        of_run = (
            ["error: module 'ends_badly' raised ValueError: in the run"] if "raise" in run else []
        )
        of_close = ["error: module 'ends_badly' raised OSError: cannot close"] if close else []
        assert errors == [
            *of_run, *of_close, "error: module 'ends_badly' raised OSError: cannot unload",
        ]  # fmt: skip
        assert done.returncode == 1
        assert done.stdout == ("" if of_run or close else "1\n")


def test_map_reports_exceptions_of_on_unload(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ends_badly.py").write_text(
        "class Module:\n    def run(self): return 1\n"
        "def create(state): return Module()\n"
        "def on_unload(): raise OSError('cannot unload')\n"
    )
    words = ["map", "ends_badly", "-m", str(tmp_path), "--states", "-", "-j", "1"]
    for isolation in ("shared", "process"):
        done = pyhost(*words, "--isolation", isolation, input="{}\n")
        assert json.loads(done.stdout)["result"] == 1
        assert "error: module 'ends_badly' raised OSError: cannot unload" in done.stderr
        assert done.returncode == 1


def test_a_trace_function_set_at_startup_traces_the_threads_of_a_pool(
    pyhost: Run, tmp_path: Path
) -> None:
    make_venv(tmp_path / "venv", cached("Python_EXECUTABLE"))
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "traces.pth").write_text("import traces\n")  # like coverage does
    (site / "traces.py").write_text(
        "import threading\n"
        "def trace(frame, event, what):\n"
        "    if frame.f_code.co_name == 'run': print('traced')\n"
        "threading.settrace(trace)\n"
    )
    _, *module = write_module(tmp_path, "is_traced", "return 1")
    done = pyhost(
        *("map", *module, "--venv", str(tmp_path / "venv")),
        *("--isolation", "shared", "-j", "1", "--states", "-"),
        input="{}\n{}\n",
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("traced") == 2


has_lazy_imports = pytest.mark.skipif(
    embedded_version() < (3, 15), reason="lazy imports need Python 3.15"
)


@has_lazy_imports
def test_the_error_of_a_broken_lazy_import_has_the_places_of_import_and_use(
    pyhost: Run, tmp_path: Path
) -> None:
    done = pyhost(*write_module(tmp_path, "m", "no_such_thing.do()", "lazy import no_such_thing"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: module 'm' raised ModuleNotFoundError: No module named")
    assert lines[1].endswith("/modules/m.py:5 in run")
    assert "/modules/m.py:1 in <module>" in done.stderr
    assert "'no_such_thing' is not installed in " in done.stderr


@has_lazy_imports
def test_functions_that_the_host_calls_may_be_imported_lazily(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(tmp_path, "m", "1 / 0")
    names = ("on_load", "on_unload", "on_error")
    helper = "".join(f"def {name}(*given): print('{name}')\n" for name in names)
    (tmp_path / "modules" / "_helper.py").write_text(
        f"{helper}class Module:\n    def run(self): 1 / 0\ndef create(state): return Module()\n"
    )
    (tmp_path / "modules" / "m.py").write_text(
        f"lazy from modules._helper import create, {', '.join(names)}\n"
    )
    done = pyhost(*words)
    assert done.returncode == 1
    assert done.stdout.split() == ["on_load", "on_error", "on_unload"], done.stderr


@has_lazy_imports
@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("create", 3, "error: module 'm' has a create that cannot be read: ModuleNotFoundError"),
        ("on_load", 3, "error: module 'm' was not loaded, because its on_load raised ModuleNotF"),
        ("on_unload", 1, "error: module 'm' raised ModuleNotFoundError: No module named"),
        ("on_error", 1, "its on_error failed: ModuleNotFoundError: No module named 'no_such"),
    ],
)
def test_a_broken_lazy_import_of_a_function_that_the_host_calls_is_an_error(
    pyhost: Run, tmp_path: Path, name: str, code: int, says: str
) -> None:
    run = "1 / 0" if name == "on_error" else "return 1"
    words = write_module(tmp_path, "m", run)
    with open(tmp_path / "modules" / "m.py", "a") as module:
        module.write(f"lazy from no_such_thing import {name}\n")
    done = pyhost(*words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
