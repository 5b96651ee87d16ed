"""Checks each cell of the tables in docs/forks-threads-signals.md against the actual outcome."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, clean_environment, embedded_version

PAGE = ROOT / "docs" / "forks-threads-signals.md"
LEVELS = ("run", "shared", "interpreter", "process")
NOT_THERE = "—"
STATES = '{"is_first": true}\n{"is_first": false}\n'

MODULE = """
import ctypes, decimal, locale, logging, multiprocessing, os, resource, signal, subprocess, sys, threading
import time, warnings

from pyhost import connection, services, store

warnings.simplefilter("ignore")  # Python 3.12 and later warn of a fork beside threads
kept = []


def ends(code):
    return f"child ends with {code}" if code >= 0 else f"child ends by {signal.Signals(-code).name}"


def end_of(child):
    return ends(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def end_of_process(method):
    child = multiprocessing.get_context(method).Process(target=abs, args=(1,))
    child.start()
    child.join()
    return ends(child.exitcode)


def in_thread(work):
    said = []
    def keep():
        try:
            said.append(work())
        except BaseException as error:
            said.append("thread raises " + type(error).__name__)
    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()
    return said[0]


def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)


def begin():
    with open("begun.part", "w") as file:
        file.write(str(os.getpid()))
    os.rename("begun.part", "begun")


class Module:
    def __init__(self, state):
        self.is_first = state["is_first"]

    def run(self):
        if self.is_first:
            FIRST
        NEXT


def create(state):
    return Module(state)
"""


@dataclass(frozen=True)
class Ended:
    """The outcome and output of a program that has ended."""

    folder: Path
    status: int
    outcome: str
    stdout: str
    stderr: str


During = Callable[
    ["subprocess.Popen[str]", int], None
]  # its second argument is the pid of the run's process


@dataclass(frozen=True)
class Situation:
    """The code of a run, actions on its process in the meantime, and how to find the outcome (`seen`)."""

    run: str
    next_run: str = "return 'the next run'"
    tells_next: bool = False
    during: During | None = None
    seen: Callable[[Ended], str] | None = None
    words: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    levels: tuple[str, ...] = LEVELS
    stdin: str = ""
    states_from_stdin: bool = False
    prints_to_stdout: bool = False


def end_of_program(status: int) -> str:
    if status >= 0:
        return f"program ends with {status}"
    return f"program ends by {signal.Signals(-status).name}"


def outcome_of(line: dict[str, object]) -> str:
    """The outcome in a line of `pyhost map` or in the document of `pyhost run --json`."""
    if "result" in line:
        return str(line["result"])
    error = line["error"]
    assert isinstance(error, dict)
    if error["kind"] == "WorkerCrashed":
        how = re.search(r"\((SIG\w+)\)|status (\d+)", error["message"])
        assert how, error
        return "worker ends " + (f"by {how[1]}" if how[1] else f"with {how[2]}")
    if error["kind"] == "ModuleRaised":
        return f"raises {error['exception']['type']}"
    return {"TimedOut": "times out", "Cancelled": "is cancelled"}[error["kind"]]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def measure(program: str, folder: Path, situation: Situation, level: str) -> str:
    if level not in situation.levels:
        return NOT_THERE
    folder /= level
    (folder / "modules").mkdir(parents=True)
    text = MODULE
    for place, body in (("FIRST", situation.run), ("NEXT", situation.next_run)):
        indent = re.search(rf"^( *){place}$", text, re.MULTILINE)
        assert indent
        text = text.replace(place, body.strip().replace("\n", "\n" + indent[1]))
    (folder / "modules" / "situation.py").write_text(text)
    (folder / "pyhost.toml").write_text('[connections]\ndb = "sqlite:///db"\n')
    (folder / "states").write_text(STATES)
    command = ["run", "situation", "-p", "is_first=true"]
    command += ["-o", "results"] if situation.prints_to_stdout else ["--json"]
    if level != "run":
        command = ["map", "situation", "--isolation", level, "-j1", "--keep-going", "-q"]
        command += ["--states", "-" if situation.states_from_stdin else "states", "-o", "results"]
    # Otherwise AddressSanitizer would report a crash first.
    environment = clean_environment(ASAN_OPTIONS="handle_segv=0:handle_abort=0")
    process = subprocess.Popen(
        [*situation.wrapper, program, *command, "--store", "store", *situation.words],
        cwd=folder, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if situation.during:
        begun = folder / "begun"
        wait_until(lambda: begun.exists() or process.poll() is not None)
        situation.during(process, int(begun.read_text()))
        (folder / "go_on").touch()
    stdout, stderr = process.communicate(situation.stdin, timeout=PATIENCE)
    written = stdout if level == "run" else ""
    if (folder / "results").exists():
        written = (folder / "results").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    status = process.returncode
    outcome = outcome_of(lines[0]) if lines else end_of_program(status)
    raised = re.match(r"error: module 'situation' raised (\w+)", stderr)
    if situation.prints_to_stdout and raised:
        outcome = f"raises {raised[1]}"
    if lines and status < 0:
        outcome += ", " + end_of_program(status)
    if level == "run" and lines and status >= 0:
        assert status == {"raises": 1, "times": 124}.get(outcome.split()[0], 0), outcome
    if level != "run" and lines and status >= 0:  # the next run always succeeds
        assert [line["status"] for line in lines][1:] == ["ok"], stderr
        if situation.tells_next and lines[0]["status"] == "ok":
            outcome = str(lines[1]["result"])
    ended = Ended(folder, status, outcome, stdout, stderr)
    return situation.seen(ended) if situation.seen else outcome


# --- outcomes that are not the result of the run


def child_says(ended: Ended) -> str:
    if ended.outcome != "child ends with 0":
        return ended.outcome
    times = (ended.stdout + ended.stderr).count("from the child")
    return {0: "is lost", 1: "comes out once"}.get(times, "comes out twice")


def child_raises(ended: Ended) -> str:
    raised = re.search(r"module 'situation' raised (?:\w+\.)*(\w+)", ended.stderr)
    if ended.outcome != "child ends with 1" or not raised:
        return ended.outcome
    return f"child raises {raised[1]}"


def child_has(ended: Ended) -> str:
    shares = {"child ends with 0": "has its own", "child ends with 1": "has the parent's"}
    return shares.get(ended.outcome, ended.outcome)


def is_alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def child_lives(ended: Ended) -> str:
    child = int((ended.folder / "child").read_text())
    until = time.monotonic() + 1  # SIGKILL takes a moment
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    if not is_alive(child):
        return "is killed"
    os.kill(child, signal.SIGKILL)
    return "runs on"


def thread_works(ended: Ended) -> str:
    if ended.outcome != "the run":
        return ended.outcome
    return "is waited for" if (ended.folder / "worked").exists() else "ends with the process"


def is_in_stderr(words: str) -> Callable[[Ended], str]:
    def seen(ended: Ended) -> str:
        assert ended.outcome == "the run", ended
        return "is on stderr" if words in ended.stderr else "is not on stderr"

    return seen


# --- actions on the process of a run


def is_delivered(number: int, process: int) -> bool:
    if not is_alive(process):
        return True
    status = Path(f"/proc/{process}/status").read_text()
    masks = re.findall(r"Pnd:\t(\w+)", status)
    return not any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def sends(*numbers: int, to: str = "program") -> During:
    def during(process: subprocess.Popen[str], worker: int) -> None:
        targets = {"program": [process.pid], "group": [-process.pid], "worker": [worker]}
        targets["all"] = list({process.pid, worker})
        for number in numbers:
            for target in targets[to]:
                os.kill(target, number)
                wait_until(partial(is_delivered, number, abs(target)))

    return during


def close_stdout(process: subprocess.Popen[str], worker: int) -> None:
    assert process.stdout
    process.stdout.close()


# --- the situations; each key is the first cell of a row

POOLS = ("shared", "interpreter", "process")
FORK = "child = os.fork()\nif child == 0:\n    {}\nreturn end_of(child)"
LEFT = """
child = subprocess.Popen(["sleep", "1000"], stdin=-3, stdout=-3, stderr=-3, start_new_session={})
open("child", "w").write(str(child.pid))
kept.append(child)
"""
IN_FLIGHT = "begin()\nwait_for('go_on')\nreturn 'the run finishes'"


def leaves(run: str, seen: str) -> Situation:
    body = f"return 'stays' if {seen} else 'does not stay'"
    return Situation(f"assert not {seen}\n{run}", body, tells_next=True, levels=POOLS)


def in_flight(
    *numbers: int, to: str = "program", run: str = IN_FLIGHT, words: str = "", caller: str = ""
) -> Situation:
    levels = ("process",) if to == "worker" else LEVELS
    return Situation(
        run,
        during=sends(*numbers, to=to),
        words=tuple(words.split()),
        wrapper=tuple(caller.split()),
        levels=levels,
    )


def closed(descriptor: str, run: str = "return 'works'") -> Situation:
    shell = ("sh", "-c", f'exec "$@" {descriptor}', "sh")
    return Situation(run, wrapper=shell)


SITUATIONS = {
    # processes that a module starts
    "its child calls `os._exit(7)`": Situation(FORK.format("os._exit(7)")),
    "its child returns from `run`": Situation(FORK.format("return 'twice'")),
    "its child raises": Situation(FORK.format("raise ValueError")),
    "its child prints": Situation(FORK.format("print('from the child'); return"), seen=child_says),
    "its child logs": Situation(
        FORK.format("logging.warning('from the child'); return"), seen=child_says
    ),
    "its child asks for a connection of the parent": Situation(
        "database = connection('db')\ndatabase.execute('create table t (v)')\n"
        + FORK.format("os._exit(connection('db') is database)"),
        seen=child_has,
    ),
    "its child uses the store": Situation(
        "store['n'] = 1\n" + FORK.format("store['n'] = 2"), seen=child_raises
    ),
    "its child calls a service": Situation(FORK.format("services.price()"), seen=child_raises),
    "its child is sent SIGTERM": Situation(
        "child = os.fork()\nif child == 0:\n    time.sleep(1000)\n"
        "os.kill(child, signal.SIGTERM)\nreturn end_of(child)"
    ),
    "`multiprocessing` with fork": Situation("return end_of_process('fork')"),
    "`multiprocessing` with spawn": Situation("return end_of_process('spawn')"),
    "`multiprocessing` with forkserver": Situation("return end_of_process('forkserver')"),
    "a program that reads stdin": Situation(
        "text = subprocess.run(['cat'], stdout=subprocess.PIPE).stdout\n"
        "return 'reads stdin' if text else 'reads nothing'",
        stdin="from outside",
    ),
    "the same with `--states -`": Situation(
        "text = subprocess.run(['cat'], stdout=subprocess.PIPE).stdout\n"
        "return 'reads stdin' if text else 'reads nothing'",
        stdin=STATES,
        states_from_stdin=True,
        levels=POOLS,
    ),
    "`terminate()` of a program": Situation(
        "child = subprocess.Popen(['sleep', '1000'])\nchild.terminate()\nreturn ends(child.wait())"
    ),
    "a program that is left behind": Situation(LEFT.format(False), seen=child_lives),
    "the same with `start_new_session=True`": Situation(LEFT.format(True), seen=child_lives),
    # threads that a module starts
    "it works on after its run": Situation(
        "threading.Thread(target=lambda: (time.sleep(0.3), open('worked', 'w'))).start()\nreturn 'the run'",
        seen=thread_works,
    ),
    "the same with `daemon=True`": Situation(
        "threading.Thread(target=lambda: (time.sleep(1000), open('worked', 'w')), daemon=True).start()\n"
        "return 'the run'",
        seen=thread_works,
    ),
    "it never ends: its name": Situation(
        "threading.Thread(target=time.sleep, args=(1000,), name='stuck_thread').start()\nreturn 'the run'",
        seen=is_in_stderr("stuck_thread"),
        words=("--shutdown-timeout", "0.2"),
    ),
    "it raises: the error": Situation(
        "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\nreturn 'the run'",
        seen=is_in_stderr("ZeroDivisionError"),
    ),
    "it calls `os._exit(7)`": Situation(
        "threading.Thread(target=os._exit, args=(7,)).start()\ntime.sleep(1000)"
    ),
    "it uses the store": Situation(
        "store['n'] = 1\nreturn in_thread(lambda: f'reads {store[\"n\"]}')"
    ),
    "it uses a connection of the run": Situation(
        "database = connection('db')\n"
        "return in_thread(lambda: 'has the same' if connection('db') is database else 'has its own')"
    ),
    # a run that ends its process
    "`sys.exit(7)`": Situation("sys.exit(7)"),
    "`os._exit(7)`": Situation("os._exit(7)"),
    "`os._exit(0)`": Situation("os._exit(0)"),
    "`os.abort()`": Situation("os.abort()"),
    "a segmentation fault": Situation("ctypes.string_at(0)"),
    "SIGTERM to itself": Situation(
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.1)\nreturn 'the run finishes'"
    ),
    # signals in a module
    "it sets a handler of SIGTERM and sends SIGTERM": Situation(
        "seen = []\nsignal.signal(signal.SIGTERM, lambda *_: seen.append(1))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.01)\nreturn 'is called' if seen else 'is not called'"
    ),
    "`signal.alarm(1)` with a handler": Situation(
        "seen = []\nsignal.signal(signal.SIGALRM, lambda *_: seen.append(1))\n"
        "signal.alarm(1)\nwhile not seen: time.sleep(0.01)\nreturn 'is called' if seen else 'is not called'"
    ),
    "`signal.alarm(1)` without one": Situation("signal.alarm(1)\ntime.sleep(1000)"),
    "it blocks all signals, and `--timeout` ends": Situation(
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        words=("--timeout", "2s"),
    ),
    "`subprocess.run(['false'])`, SIGCHLD ignored by the caller": Situation(
        "return ends(subprocess.run(['false']).returncode)", wrapper=("env", "--ignore-signal=CHLD")
    ),
    # signals from outside, while a run is in flight
    "SIGINT to the program": in_flight(signal.SIGINT),
    "SIGINT to the program, twice": in_flight(
        signal.SIGINT, signal.SIGINT, run="begin()\nwait_for('never')"
    ),
    "SIGTERM to the program": in_flight(signal.SIGTERM),
    "SIGHUP to the program": in_flight(signal.SIGHUP),
    "SIGINT, which its caller ignores": in_flight(signal.SIGINT, caller="env --ignore-signal=INT"),
    "SIGTERM to its process group": in_flight(signal.SIGTERM, to="group"),
    "SIGTERM to all processes": in_flight(signal.SIGTERM, to="all"),
    "SIGINT to a worker": in_flight(signal.SIGINT, to="worker"),
    "SIGTERM to a worker": in_flight(signal.SIGTERM, to="worker"),
    "SIGHUP to a worker": in_flight(signal.SIGHUP, to="worker"),
    "SIGKILL to a worker": in_flight(signal.SIGKILL, to="worker"),
    "SIGSTOP to a worker, and `--timeout` ends": in_flight(
        signal.SIGSTOP, to="worker", words="--timeout 2s"
    ),
    "SIGSTOP and SIGCONT to the program": in_flight(signal.SIGSTOP, signal.SIGCONT),
    # streams
    "stdin is closed, and the module reads it": closed(
        "<&-", "sys.stdin.read()\nreturn 'reads nothing'"
    ),
    "stdout is closed": closed(">&-"),
    "stderr is closed": closed("2>&-"),
    "the reader of stdout is gone, and the module prints": Situation(
        "begin()\nwait_for('go_on')\nprint('nobody reads', flush=True)\nreturn 'the run finishes'",
        during=close_stdout,
        prints_to_stdout=True,
    ),
    # what a run leaves
    "a global variable of the module": leaves("kept.append(1)", "kept"),
    "the current directory": leaves("os.chdir('/')", "os.getcwd() == '/'"),
    "the umask": leaves("os.umask(0o123)", "'\\t0123' in open('/proc/self/status').read()"),
    "a variable of the environment": leaves("os.environ['LEFT'] = '1'", "'LEFT' in os.environ"),
    "the locale": leaves(
        "locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        "locale.setlocale(locale.LC_NUMERIC) == 'C.UTF-8'",
    ),
    "a resource limit": leaves(
        "resource.setrlimit(resource.RLIMIT_NOFILE, (999, 999))",
        "resource.getrlimit(resource.RLIMIT_NOFILE) == (999, 999)",
    ),
    "the precision of `decimal`": leaves(
        "decimal.getcontext().prec = 3", "decimal.getcontext().prec == 3"
    ),
    "a closed `sys.stdout`": leaves("sys.stdout.close()", "sys.stdout.closed"),
    "an ignored SIGUSR1": leaves(
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
    ),
    "a blocked SIGUSR1": leaves(
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
        "signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [])",
    ),
    "a daemon thread": leaves(
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True, name='left').start()",
        "'left' in [thread.name for thread in threading.enumerate()]",
    ),
}


# --- the page


def rows() -> dict[str, dict[str, str]]:
    """The tables of the page: a dict of cells by column for each row, whose key is the first cell."""
    found: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or not line.strip("|-"):
            columns = columns if line.startswith("|") else []
        elif not columns:
            columns = cells[1:]
        elif set(columns) <= set(LEVELS):
            assert cells[0] not in found, cells[0]
            found[cells[0]] = dict(zip(columns, cells[1:]))
    return found


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Disables core files, and restores SIGINT, which is ignored in background jobs."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    resource.setrlimit(resource.RLIMIT_CORE, limits)


def test_each_row_of_the_page_has_a_situation() -> None:
    assert list(rows()) == list(SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_row_of_the_page_states_the_actual_outcome(
    program: str, tmp_path: Path, situation: str
) -> None:
    says = rows()[situation]
    if embedded_version() < (3, 13):
        says.pop("interpreter", None)
    with ThreadPoolExecutor(len(says)) as threads:
        happens = threads.map(
            lambda level: measure(program, tmp_path, SITUATIONS[situation], level), says
        )
        assert dict(zip(says, happens)) == says
