"""pyhost map --coprocess: reads an order (a module and options) and states from stdin, writes outcomes to stdout."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment, embedded_version

LEVELS = ["shared", "process"] + (["interpreter"] if embedded_version() >= (3, 13) else [])
Line = dict[str, Any]


def stdin_of(order: Line, *states: object) -> str:
    order = {"module_paths": [str(FIXTURES)], **order}
    return "".join(json.dumps(line) + "\n" for line in (order, *states))


def lines_of(text: str) -> list[Line]:
    return [json.loads(line) for line in text.splitlines()]


def outcomes_of(text: str) -> dict[int, Line]:
    """The outcomes by index. Asserts that the output begins with the hello and ready lines."""
    hello, ready, *outcomes = lines_of(text)
    assert set(hello["hello"]) == {"pyhost", "python", "code"}
    assert ready == {"ready": True}
    by_index = {line["index"]: line for line in outcomes}
    assert len(by_index) == len(outcomes)
    return by_index


@pytest.mark.parametrize("level", LEVELS)
def test_each_state_has_one_outcome(pyhost: Run, level: str) -> None:
    order = {"module": "returns_state", "isolation": level, "workers": 2}
    done = pyhost("map", "--coprocess", input=stdin_of(order, *({"i": i} for i in range(500))))
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = outcomes_of(done.stdout)
    assert {i: line["result"] for i, line in outcomes.items()} == {i: {"i": i} for i in range(500)}


def test_the_hello_line_has_the_versions_and_the_hash_of_the_modules(pyhost: Run) -> None:
    done = pyhost("map", "--coprocess", input=stdin_of({"module": "returns_state"}, {}))
    hello, _, outcome = lines_of(done.stdout)
    version = pyhost("--version").stdout.removeprefix("pyhost ").strip()
    python = ".".join(str(part) for part in embedded_version()[:2])
    assert hello["hello"] == {"pyhost": version, "python": python, "code": outcome["code"]}
    assert len(outcome["code"]) == 64


def test_a_crash_a_timeout_and_a_bad_state_do_not_affect_other_states(pyhost: Run) -> None:
    order = {"module": "evaluates", "workers": 1, "timeout": 3.0}
    given = stdin_of(
        order,
        {"give": "1"},
        {"give": "__import__('os').abort()"},
        {"give": "__import__('time').sleep(60)"},
        {"give": "1 / 0"},
        {"give": "2"},
    )
    done = pyhost("map", "--coprocess", input=given + "{no JSON\n")
    assert done.returncode == 0
    statuses = {i: line["status"] for i, line in outcomes_of(done.stdout).items()}
    assert statuses == {0: "ok", 1: "crashed", 2: "timed_out", 3: "failed", 4: "ok", 5: "invalid"}


def test_an_order_sets_retries_and_parameters(pyhost: Run) -> None:
    order = {"module": "returns_state", "parameters": ["rate=1.5", "name=x"], "retries": 1}
    done = pyhost("map", "--coprocess", input=stdin_of(order, {"i": 0}))
    assert outcomes_of(done.stdout)[0]["result"] == {"i": 0, "rate": 1.5, "name": "x"}


def test_a_module_that_cannot_be_loaded_is_one_failed_line(pyhost: Run) -> None:
    for module, kind in (("is_missing", "ModuleNotFound"), ("raises_in_import", "ImportFailed")):
        done = pyhost(
            "map",
            "--coprocess",
            input=stdin_of({"module": module, "workers": 1}, *({} for _ in range(1000))),
        )
        assert done.returncode == 3
        hello, ready, failed = lines_of(done.stdout)
        assert failed["failed"]["kind"] == kind
        assert failed["failed"]["module"] == module


@pytest.mark.parametrize(
    "first, said",
    [
        ("", "stdin ended before the order"),
        ("[]", "the first line must be an order, a JSON object, not []"),
        ('{"module": ', "the first line must be an order, a JSON object: "),
        ("{}", "the order has no 'module'"),
    ],
)
def test_a_first_line_that_is_not_an_order_is_refused(pyhost: Run, first: str, said: str) -> None:
    done = pyhost("map", "--coprocess", input=first and first + "\n")
    (failed,) = lines_of(done.stdout)
    assert said in failed["failed"]["message"]
    assert done.returncode == 2


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("module", 1, "must be a string, not 1"),
        ("module_paths", "a", 'must be a list of strings, not "a"'),
        ("parameters", [1], "must be a list of strings, not [1]"),
        ("parameters", ["rate"], "must be key=value, not 'rate'"),
        ("workers", 0, "must be a whole number from 1 to 1024, not 0"),
        ("workers", 5000, "must be a whole number from 1 to 1024, not 5000"),
        ("workers", 2.7, "must be a whole number from 1 to 1024, not 2.7"),
        ("retries", -1, "must be a whole number from 0 to 1000, not -1"),
        ("retries", True, "must be a whole number from 0 to 1000, not true"),
        ("max_runs_per_worker", "9", 'must be a whole number from 0 to 1000000000, not "9"'),
        ("timeout", "x", "must be a time like 30s, 500ms, 2m or 1h, not 'x'"),
        ("timeout", -1, "must be a time like 30s, 500ms, 2m or 1h, not '-1'"),
        ("import_timeout", [], "must be a time like 30s, 500ms, 2m or 1h, not '[]'"),
        ("memory_limit", 0.5, "must be a size like 512M or 2G, not '0.5'"),
        ("max_resident", "", "must be a size like 512M or 2G, not '\"\"'"),
        ("isolation", "none", 'must be process, interpreter or shared, not "none"'),
        ("isolation", None, "must be process, interpreter or shared, not null"),
        ("retry", 1, "in the order; the known keys are import_timeout, isolation, max_resident, "),
    ],
)
def test_an_order_with_an_invalid_value_is_refused(
    pyhost: Run, key: str, value: object, said: str
) -> None:
    done = pyhost("map", "--coprocess", input=stdin_of({"module": "returns_state", key: value}, {}))
    (failed,) = lines_of(done.stdout)
    assert f"'{key}' {said}" in failed["failed"]["message"]
    assert (done.returncode, done.stderr) == (2, "")


SLEEPS = {"give": "__import__('time').sleep(0.5)"}
REFUSED = (
    "NAME --states --engine --engine-resources --engine-retries --output --ordered --keep-going --resume --redo-changed "
    "--shard --trace --trace-runs --verbose --quiet"
).split()
APPLIED = (
    "--coprocess --param --jobs --isolation --timeout --import-timeout --memory-limit --max-runs-per-worker "
    "--max-memory-per-worker --retries --module-path --venv --use-environment --store --shutdown-timeout --log-level "
    "--log-format --help"
).split()


def test_each_option_of_map_is_either_refused_or_applied_with_coprocess(pyhost: Run) -> None:
    text = pyhost("map", "--help").stdout
    options = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+|NAME)", text, re.MULTILINE))
    assert options == {*REFUSED, *APPLIED}


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_that_only_map_itself_supports_is_refused(pyhost: Run, option: str) -> None:
    words = ["returns_state"] if option == "NAME" else [option]
    is_flag = option.startswith(("--ordered", "--keep", "--re", "--verbose", "--quiet"))
    if option != "NAME" and not is_flag:
        words.append("1")
    done = pyhost("map", *words, "--coprocess", input=stdin_of({"module": "returns_state"}, {}))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option}: it cannot be used with --coprocess" in done.stderr


def test_variables_for_other_calls_of_map_are_ignored(pyhost: Run) -> None:
    names = ("STATES", "ENGINE", "ENGINE_RETRIES", "OUTPUT", "SHARD", "TRACE", "QUIET")
    env = {f"PYHOST_{name}": "1" for name in names}
    done = pyhost("map", "--coprocess", input=stdin_of({"module": "returns_state"}, {}), env=env)
    assert outcomes_of(done.stdout)[0]["status"] == "ok"


def test_options_apply_unless_the_order_overrides_them(pyhost: Run, tmp_path: Path) -> None:
    words = ["map", "--coprocess", "-m", str(FIXTURES), "-p", "a=1", "--timeout", "100ms"]
    order = json.dumps({"module": "evaluates"}) + "\n"
    done = pyhost(*words, input=order + json.dumps(SLEEPS) + "\n")
    assert outcomes_of(done.stdout)[0]["status"] == "timed_out"
    given = stdin_of({"module": "returns_state", "parameters": ["b=2"], "timeout": None}, {})
    done = pyhost(*words, "-m", "elsewhere", input=given)
    assert outcomes_of(done.stdout)[0]["result"] == {"b": 2}


def test_the_timeout_of_the_project_file_applies_unless_the_order_has_one(
    pyhost: Run, tmp_path: Path
) -> None:
    (tmp_path / "pyhost.toml").write_text('[modules.evaluates]\ntimeout = "100ms"\n')
    for order, status in (({}, "timed_out"), ({"timeout": "60s"}, "ok"), ({"timeout": None}, "ok")):
        done = pyhost(
            "map", "--coprocess", input=stdin_of({"module": "evaluates", **order}, SLEEPS)
        )
        assert outcomes_of(done.stdout)[0]["status"] == status


def test_the_virtual_environment_named_by_a_variable_is_used(pyhost: Run) -> None:
    done = pyhost(
        "map",
        "--coprocess",
        input=stdin_of({"module": "prints"}),
        env={"PYHOST_VENV": "is_missing"},
    )
    (failed,) = lines_of(done.stdout)
    assert "is_missing" in failed["failed"]["message"]
    assert done.returncode == 70


class Interactive:
    """A coprocess whose stdin stays open."""

    def __init__(self, program: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [program, "map", "--coprocess"], text=True, cwd=folder, env=clean_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def line(self) -> Line | None:
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        return json.loads(text) if text else None

    def begin(self, order: Line, *states: object) -> None:
        self.send(stdin_of(order, *states))
        assert "hello" in (self.line() or {})
        assert self.line() == {"ready": True}


@pytest.fixture
def interactive(program: str, tmp_path: Path) -> Iterator[Interactive]:
    coprocess = Interactive(program, tmp_path)
    try:
        yield coprocess
    finally:
        coprocess.process.kill()
        coprocess.process.wait()


def test_an_outcome_is_written_while_stdin_is_still_open(interactive: Interactive) -> None:
    interactive.begin({"module": "prints", "workers": 1})
    for index in range(3):
        interactive.send("{}\n")
        assert (interactive.line() or {})["index"] == index
    assert interactive.process.stdin is not None
    interactive.process.stdin.close()
    assert interactive.line() is None
    assert interactive.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("first", ["{}", "[]", "x", '{"module":'])
def test_a_bad_order_is_refused_while_stdin_is_still_open(
    interactive: Interactive, first: str
) -> None:
    interactive.send(first + "\n")
    assert "failed" in (interactive.line() or {})
    assert interactive.process.wait(PATIENCE) == 2


def run_until_go(begun: int) -> dict[str, str]:
    """A state whose run creates a file when it starts, and then waits for the file `go`."""
    has_ended = "__import__('os').path.exists('go') or __import__('time').sleep(0.01)"
    return {"give": f"[open('begun{begun}', 'w').close(), *iter(lambda: {has_ended}, True)] and 1"}


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_the_runs_in_flight_finish(
    interactive: Interactive, tmp_path: Path, number: signal.Signals
) -> None:
    states = [run_until_go(i) for i in range(100)]
    interactive.begin({"module": "evaluates", "workers": 1}, *states)
    wait_for(tmp_path / "begun0")
    interactive.process.send_signal(number)
    interactive.send(json.dumps({"give": "2"}) + "\n")
    # Leave time to handle the signal before the run ends. If the signal ends the process, do not wait.
    with contextlib.suppress(subprocess.TimeoutExpired):
        interactive.process.wait(0.5)
    (tmp_path / "go").touch()
    line = interactive.line()
    assert line and line["result"] == 1
    count = 1 + sum(1 for _ in iter(interactive.line, None))
    assert count < 100
    assert len(list(tmp_path.glob("begun*"))) == count
    assert interactive.process.wait(PATIENCE) == -number


def test_the_second_signal_cancels_the_runs_in_flight(
    interactive: Interactive, tmp_path: Path
) -> None:
    interactive.begin({"module": "evaluates", "workers": 1}, run_until_go(0))
    wait_for(tmp_path / "begun0")
    while interactive.process.poll() is None:  # signals that arrive together are delivered once
        interactive.process.terminate()
        time.sleep(0.05)
    assert interactive.line() is None
    assert interactive.process.returncode == -signal.SIGTERM


def test_a_signal_ends_an_idle_coprocess(interactive: Interactive) -> None:
    interactive.begin({"module": "prints"})
    interactive.process.terminate()
    assert interactive.line() is None
    assert interactive.process.wait(PATIENCE) == -signal.SIGTERM
