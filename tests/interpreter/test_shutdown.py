"""Python is shut down before the process destroys the objects of extension modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, FIXTURES, Run, cached, clean_environment, small_program, write_module

EMBEDDINGS = BUILD / "tests"
SANITIZED = cached("PYHOST_SANITIZE") == "ON"

USES_DESTRUCTORS = """\
import atexit, ctypes, sys, threading, time
sys.path.append(EMBEDDINGS)
import destructors

destructors.use()

def work():
    time.sleep(0.3)
    print("thread:", destructors.use(), flush=True)

def on_unload():
    print("on_unload:", destructors.use())

class Module:
    def __init__(self, state):
        self.state = state
    def run(self):
        atexit.register(lambda: print("atexit:", destructors.use(), flush=True))
        threading.Thread(target=work).start()
        if self.state.get("exits"):
            ctypes.CDLL(None).exit(7)
        return destructors.use()

def create(state):
    return Module(state)
"""

ALIVE = "static alive, thread_local alive"

pytestmark = pytest.mark.skipif(
    SANITIZED,
    reason="a program without the sanitizers' runtime cannot load libraries that are built with them",
)


@pytest.fixture
def module_path(tmp_path: Path) -> Path:
    """A module path with the module `uses`, which uses the extension `destructors` until the end."""
    (tmp_path / "modules").mkdir()
    code = USES_DESTRUCTORS.replace("EMBEDDINGS", repr(str(EMBEDDINGS.resolve())))
    (tmp_path / "modules" / "uses.py").write_text(code)
    return tmp_path


@pytest.mark.parametrize("isolation", ["host", "process"])
def test_the_program_shuts_python_down_before_objects_of_extensions_are_destroyed(
    pyhost: Run, module_path: Path, isolation: str
) -> None:
    done = pyhost("run", "uses", "-m", str(module_path), "--isolation", isolation)
    assert (done.returncode, done.stderr) == (0, "")
    lines = set(done.stdout.splitlines())
    assert lines == {
        f'"{ALIVE}"', f"on_unload: {ALIVE}", f"thread: {ALIVE}", f"atexit: {ALIVE}",
    }  # fmt: skip


def test_a_module_that_calls_exit_of_c_still_has_its_objects_during_shutdown(
    pyhost: Run, module_path: Path
) -> None:
    done = pyhost("run", "uses", "-m", str(module_path), "-p", "exits=true")
    assert (done.returncode, done.stderr) == (7, "")
    assert set(done.stdout.splitlines()) == {f"thread: {ALIVE}", f"atexit: {ALIVE}"}


@pytest.mark.parametrize("how", ["shut_down", "return", "exit", "static"])
def test_an_application_shuts_python_down_before_objects_of_extensions_are_destroyed(
    module_path: Path, how: str
) -> None:
    done = subprocess.run(
        [*small_program("ends_python"), module_path, "uses", how],
        capture_output=True, text=True, env=clean_environment(), cwd=module_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "")
    lines = done.stdout.splitlines()
    assert set(lines) - {"main goes on"} == {
        f'"{ALIVE}"', f"on_unload: {ALIVE}", f"thread: {ALIVE}", f"atexit: {ALIVE}",
    }  # fmt: skip
    assert (lines[-1] == "main goes on") is (how == "shut_down")


@pytest.mark.parametrize("who", ["application", "pyhost"])
def test_a_host_reports_that_the_application_has_finalized_python(who: str) -> None:
    done = subprocess.run(
        [*small_program("finalizes_python"), FIXTURES, who],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result, *errors = done.stdout.splitlines()
    assert result == '"second"'
    assert len(errors) == 3
    for error in errors:
        assert "the application ended Python by calling Py_Finalize()" in error
        assert "call it after the last use of pyhost" in error


HAS_DAEMON = """\
import atexit, io, os, threading, time

ended = False

class Slow(io.RawIOBase):
    def close(self):
        if not self.closed:
            time.sleep(0.3)
        super().close()

def work():
    while True:
        try:
            time.sleep(0.01)
        finally:
            if ended:
                os.write(2, b"a daemon thread still runs\\n")

def set_ended():
    global ended
    ended = True

atexit.register(set_ended)
left_open = Slow()
"""


COMPUTES = """\
import sys, threading, time
sys.path.append(EMBEDDINGS)
import destructors

def work():
    while True:
        destructors.compute()
"""


@pytest.mark.parametrize("how", ["program", "shut_down", "return"])
def test_daemon_threads_stop_when_the_atexit_handlers_are_done(
    pyhost: Run, tmp_path: Path, how: str
) -> None:
    run_daemon(pyhost, tmp_path, how, HAS_DAEMON)


@pytest.mark.parametrize("how", ["program", "shut_down", "return"])
def test_c_code_on_a_daemon_thread_returns_before_its_objects_are_destroyed(
    pyhost: Run, tmp_path: Path, how: str
) -> None:
    run_daemon(
        pyhost, tmp_path, how, COMPUTES.replace("EMBEDDINGS", repr(str(EMBEDDINGS.resolve())))
    )


def run_daemon(pyhost: Run, folder: Path, how: str, code: str) -> None:
    """Runs work() of this code on a daemon thread. Asserts that the process ends without messages."""
    start = "threading.Thread(target=work, daemon=True).start(); time.sleep(0.05)"
    words = write_module(folder, "daemon", start, code)
    if how == "program":
        done = pyhost(*words)
    else:
        done = subprocess.run(
            [*small_program("ends_python"), folder, "daemon", how],
            capture_output=True, text=True, env=clean_environment(), cwd=folder,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0 if how == "program" else 7, "")
