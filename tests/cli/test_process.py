"""The process of pyhost: signals, streams and shutdown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import (
    FIXTURES,
    PATIENCE,
    Run,
    clean_environment,
    ctrl_c_after_start,
    write_module,
)

MODULES = ("-m", str(FIXTURES))


# --- signals


@pytest.mark.parametrize(
    "how", ["sleep", "sleep_after_signal", "sleep_after_asyncio", "asyncio", "loop"]
)
def test_ctrl_c_ends_a_module_with_130_after_it_cleaned_up(program: str, how: str) -> None:
    said = ctrl_c_after_start(program, "waits", "-p", f"how={how}", *MODULES)
    assert "raised KeyboardInterrupt" in said


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_shell_sees_which_signal_ended_the_program(
    program: str, tmp_path: Path, name: str, code: int
) -> None:
    kill = f"os.kill(os.getpid(), signal.{name})\ntime.sleep(100_000)"
    words = write_module(tmp_path, "is_killed", kill, "import os, signal, time")
    script = f"{program} {' '.join(words)}; echo $?"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=clean_environment()
    )
    assert done.stdout == f"{code}\n"


def test_a_keyboard_interrupt_that_a_module_raises_is_its_error(pyhost: Run) -> None:
    assert pyhost("run", "raises_in_run", "-p", "what=interrupt", *MODULES).returncode == 1


def test_an_ignored_signal_stays_ignored(program: str, tmp_path: Path) -> None:
    words = write_module(
        tmp_path, "kills", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nreturn 'lives'"
    )
    done = subprocess.run(
        ["bash", "-c", f"trap '' INT; {program} {' '.join(words)}"], capture_output=True, text=True, env=clean_environment()
    )  # fmt: skip
    assert done.stdout == '"lives"\n'


# --- streams


ORDER = """\
import ctypes, os, subprocess
c = ctypes.CDLL(None)
for i in range(3):
    print("print", i)
    os.write(1, b"fd 1\\n")
    c.puts(b"C stdio")
    subprocess.run(["echo", "a child"])
    os.system("echo a shell")
"""


def test_output_of_python_c_and_children_keeps_its_order(program: str, tmp_path: Path) -> None:
    words = write_module(tmp_path, "prints_in_turn", ORDER)
    expected = "".join(f"print {i}\nfd 1\nC stdio\na child\na shell\n" for i in range(3))
    piped = subprocess.run(
        [program, *words], stdout=subprocess.PIPE, text=True, env=clean_environment()
    )
    assert piped.stdout == expected
    with open(tmp_path / "out", "w") as file:
        subprocess.run([program, *words], stdout=file, check=True, env=clean_environment())
    assert (tmp_path / "out").read_text() == expected


def test_large_output_is_complete(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path, "prints_much", "for i in range(20000): print(i, 'x' * 100)\nprint('end', end='')"
    )
    lines = pyhost(*words).stdout.splitlines()
    assert len(lines) == 20001
    assert lines[19999] == "19999 " + "x" * 100
    assert lines[20000] == "end"


@pytest.mark.parametrize("run", ["print('lost')", "import sys; sys.stdout.write('no newline')"])
def test_a_full_disk_is_an_error_of_the_module_that_prints(
    pyhost: Run, tmp_path: Path, run: str
) -> None:
    words = write_module(tmp_path, "prints", run)
    with open("/dev/full", "w") as full:
        done = pyhost(*words, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "raised OSError: [Errno 28] No space left on device" in done.stderr


def test_a_closed_stdout_is_refused_before_anything_runs(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{program} run mod1 >&-"], capture_output=True, text=True, env=clean_environment()
    )  # fmt: skip
    assert done.returncode == 74
    assert "stdout is closed" in done.stderr


def test_a_module_runs_with_stdin_and_stderr_closed(program: str, tmp_path: Path) -> None:
    words = write_module(
        tmp_path,
        "opens",
        "import sys\nprint(open('/dev/null').fileno() > 2)\nprint(1, file=sys.stderr)",
    )
    done = subprocess.run(
        ["bash", "-c", f"{program} {' '.join(words)} <&- 2>&-"], capture_output=True, text=True, env=clean_environment()
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_a_print_to_a_closed_pipe_raises_in_the_module(program: str, tmp_path: Path) -> None:
    words = write_module(tmp_path, "prints_on", "for i in range(100000): print(i)")
    done = subprocess.run(
        ["bash", "-c", f"{program} {' '.join(words)} | head -n 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert done.stdout == "0\n1\n"
    assert "raised BrokenPipeError" in done.stderr


def test_text_is_utf_8_whatever_the_locale(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path, "prints_umlauts", "print('Grüße')\nreturn open(__file__).read().count('ü')"
    )
    assert pyhost(*words, env={"LC_ALL": "C"}).stdout == "Grüße\n2\n"


# --- as process 1 of a container

SENDS = """\
def send(name):
    os.kill(1, getattr(signal, name))
    time.sleep(0.3)
"""
SENDS_LATER = "subprocess.Popen(['sh', '-c', 'sleep 0.5; kill -TERM 1; sleep 0.5; kill -TERM 1'])"


@pytest.mark.parametrize(
    ("words", "run", "code"),
    [
        (("run",), "send('SIGINT'); time.sleep(600)", 130),
        (("run", "--isolation", "process"), "send('SIGINT'); time.sleep(600)", 130),
        (("map", "--isolation", "process"), "send('SIGTERM')", 143),
        (("map", "--isolation", "shared"), "send('SIGTERM')", 143),
        # Stuck in C code with the GIL held: the second signal ends the program.
        (
            ("map", "--isolation", "shared"),
            f"{SENDS_LATER}\nwhile True: ctypes.PyDLL(None).sleep(600)",
            143,
        ),
    ],
)
def test_process_1_ends_with_the_exit_code_of_the_signal(
    program: str, tmp_path: Path, words: tuple[str, ...], run: str, code: int
) -> None:
    as_process_1 = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("unshare") is None or subprocess.run([*as_process_1, "true"]).returncode != 0:
        pytest.skip("a new process namespace is not allowed here")
    command, name, *path = write_module(
        tmp_path, "signals", run, f"import ctypes, os, signal, subprocess, time\n\n{SENDS}"
    )
    assert command == "run"
    states = ("-j", "1", "--states", "-") if words[0] == "map" else ()
    done = subprocess.run(
        [*as_process_1, program, words[0], name, *path, *words[1:], *states],
        input="{}\n" * 20, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("isolation", ["shared", "process"])
def test_a_child_that_a_module_forks_can_be_terminated(
    pyhost: Run, tmp_path: Path, isolation: str
) -> None:
    _, *module = write_module(
        tmp_path,
        "forks",
        "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,))\n"
        "child.start(); child.terminate(); child.join(10); code = child.exitcode\n"
        "child.kill()\nreturn code",
        "import multiprocessing, time",
    )
    done = pyhost(
        "map", *module, "--isolation", isolation, "-j", "1", "--states", "-", input="{}\n"
    )
    assert done.returncode == 0, done.stderr
    assert '"result":-15' in done.stdout


# --- shutdown


def test_atexit_handlers_run_and_threads_are_waited_for(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path,
        "leaves_work",
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread done'))).start()\n"
        "return 1",
        "import atexit, threading, time",
    )
    done = pyhost(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\nthread done\nat exit\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "--isolation", "process"),
        ("map", "--isolation", "shared", "-j", "1", "--states", "-"),
        ("map", "--isolation", "process", "-j", "1", "--states", "-"),
    ],
    ids=" ".join,
)
def test_a_thread_that_a_module_started_is_waited_for(
    pyhost: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    work = "def work():\n    time.sleep(0.5)\n    print('the work is done')"
    start = "thread = threading.Thread(target=work)\nthread.start()\nreturn thread.daemon"
    _, *module = write_module(tmp_path, "works_on", start, f"import threading, time\n\n{work}")
    done = pyhost(words[0], *module, *words[1:], input="{}\n")
    assert done.returncode == 0, done.stderr
    assert "false" in done.stdout
    assert "the work is done" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("handler", "how"),
    [
        ("lambda: os.kill(os.getpid(), signal.SIGSEGV)", "signal 11 (SIGSEGV)"),
        ("lambda: os._exit(9)", "status 9"),
    ],
)
@pytest.mark.parametrize("command", ["run", "map"])
def test_a_worker_process_that_crashes_in_an_atexit_handler_is_reported(
    pyhost: Run, tmp_path: Path, command: str, handler: str, how: str
) -> None:
    _, *module = write_module(
        tmp_path, "ends_badly", f"atexit.register({handler})", "import atexit, os, signal"
    )
    states = ("-q", "--states", "-") if command == "map" else ()
    done = pyhost(command, *module, "--isolation", "process", *states, input="{}\n")
    assert done.returncode == 0
    assert done.stderr == (
        f"pyhost: a worker process ended with {how} after its last run: its modules may not have"
        " cleaned up\n"
    )


def test_executors_that_a_module_left_open_do_not_keep_the_process_alive(
    pyhost: Run, tmp_path: Path
) -> None:
    words = write_module(
        tmp_path,
        "leaves_executors",
        "global pools\npools = [ThreadPoolExecutor(2), ProcessPoolExecutor(1)]\n"
        "return [pool.submit(pow, 2, 5).result() for pool in pools]",
        "from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor",
    )
    done = pyhost(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[32,32]\n", "")


def test_a_daemon_thread_that_prints_does_not_disturb_the_shutdown(
    pyhost: Run, tmp_path: Path
) -> None:
    words = write_module(
        tmp_path,
        "prints_for_ever",
        "def go():\n    while True: print('t')\nthreading.Thread(target=go, daemon=True).start()\nreturn 1",
        "import threading",
    )
    for _ in range(5):
        done = pyhost(*words)
        assert done.returncode == 0
        assert "1\n" in done.stdout
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("run", "named"),
    [
        ("threading.Thread(target=hang, name='Slow').start()", "thread 'Slow' is still running at"),
        ("threading.Thread(target=spin, name='Busy').start()", "thread 'Busy' is still running at"),
        ("atexit.register(hang)", "an atexit handler is still running at"),
        ("atexit.register(spin)", "an atexit handler is still running at"),
        ("atexit.register(time.sleep, 600)", "an atexit handler is still running, in C code"),
        (
            "atexit.register(ctypes.PyDLL(None).sleep, 100_000)",
            "C code of a module does not return",
        ),
    ],
)
def test_a_shutdown_that_hangs_is_cut_short_and_its_cause_is_reported(
    pyhost: Run, tmp_path: Path, run: str, named: str
) -> None:
    words = write_module(
        tmp_path,
        "hangs",
        f"{run}\natexit.register(print, 'another handler')\nprint('partial', end='')\nreturn 1",
        "import atexit, ctypes, threading, time\n\n"
        "def hang():\n    time.sleep(100_000)\n\n"
        "def spin():\n    while True: pass\n",
    )
    done = pyhost(*words, env={"PYHOST_SHUTDOWN_TIMEOUT": "0.5"})
    assert done.returncode == 0
    assert done.stdout.startswith("partial1\n")
    assert "another handler" in done.stdout
    assert "was cut short after 0.5 s:\n" in done.stderr
    assert named in done.stderr
    if "C code" not in named:
        assert f"{tmp_path}/modules/hangs.py:" in done.stderr
        assert "in hang" in done.stderr or "in spin" in done.stderr


def test_the_exit_code_is_kept_when_the_shutdown_hangs(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path,
        "raises_and_hangs",
        "threading.Thread(target=time.sleep, args=(100_000,)).start()\nraise ValueError('bad')",
        "import threading, time",
    )
    done = pyhost(*words)
    assert done.returncode == 1
    assert "raised ValueError: bad" in done.stderr
    assert "is still running" in done.stderr


def test_an_exception_in_a_thread_is_reported_as_under_python(pyhost: Run, tmp_path: Path) -> None:
    run = "t = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nreturn 1"
    words = write_module(tmp_path, "raises_in_a_thread", run, "import threading")
    done = pyhost(*words)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "Exception in thread Thread-1" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr


@pytest.mark.parametrize("isolation", ["host", "process"])
@pytest.mark.parametrize(
    ("child", "status", "says"),
    [
        ("return 'twice'", 0, ""),
        ("raise ValueError('a mistake in the child')", 1, "a mistake in the child"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('why')", 1, "why"),
    ],
)
def test_a_forked_child_that_returns_from_run_exits(
    pyhost: Run, tmp_path: Path, isolation: str, child: str, status: int, says: str
) -> None:
    run = f"child = os.fork()\nif child == 0:\n    {child}\nreturn os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])"
    words = write_module(tmp_path, "forks", run, "import os, sys")
    done = pyhost(*words, "--isolation", isolation)
    assert (done.returncode, done.stdout) == (0, f"{status}\n")
    assert says in done.stderr and bool(done.stderr) == bool(says)
