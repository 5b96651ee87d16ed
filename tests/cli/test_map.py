"""pyhost map: runs one module over many states."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment, embedded_version, write_module

LEVELS = ["shared", "process"] + (["interpreter"] if embedded_version() >= (3, 13) else [])
Done = subprocess.CompletedProcess


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def words(name: str, level: str, *more: str) -> list[str]:
    given = () if "--states" in more else ("--states", "-")
    level = () if "--isolation" in more else ("--isolation", level)
    return ["map", name, "-m", str(FIXTURES), *level, *given, *more]


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def indices(text: str) -> list[object]:
    return sorted(line["index"] for line in lines_of(text))  # type: ignore[type-var]


def states(values: Iterable[object]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def gives(*expressions: str) -> str:
    """States for the fixture module `evaluates`, one for each expression."""
    return states({"give": expression} for expression in expressions)


def piped(program: str) -> subprocess.Popen[str]:
    """Starts pyhost map with pipes, so that a test can write states and read results while it runs."""
    return subprocess.Popen(
        [program, *words("returns_state", "shared")], text=True, env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def last_line(done: Done[str]) -> str:
    return done.stderr.splitlines()[-1]


# --- states and results


def test_each_state_has_a_line_with_its_result(pyhost: Run, level: str) -> None:
    done = pyhost(*words("returns_state", level), input=states({"i": i} for i in range(100)))
    assert done.returncode == 0, done.stderr
    lines = lines_of(done.stdout)
    assert sorted(line["index"] for line in lines) == list(range(100))
    for line in lines:
        assert line["result"] == {"i": line["index"]}
        assert (line["status"], len(line["hash"])) == ("ok", 16)
        assert line["seconds"] >= 0
    assert last_line(done).startswith("pyhost: 100 states done in ")


def test_ordered_results_come_in_the_order_of_the_states(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    def waiting_for(what: str) -> str:
        first = f"import os, time\nwhile state['give'] == '0' and not {what}: time.sleep(0.01)\n"
        first += "if state['give'] != '0': open('another', 'w').close()"
        return states({"first": first, "give": str(i)} for i in range(20))

    # The first run waits until the other worker has run another state.
    given = waiting_for("os.path.exists('another')")
    ordered = pyhost(*words("evaluates", level, "-j", "2", "--ordered"), input=given)
    assert [line["result"] for line in lines_of(ordered.stdout)] == list(range(20))
    # Here the first run waits until the result of another has been written.
    given = waiting_for("(os.path.exists('results') and os.path.getsize('results') > 0)")
    pyhost(*words("evaluates", level, "-j", "2", "-o", "results"), input=given)
    as_they_come = (tmp_path / "results").read_text(encoding="utf-8")
    assert lines_of(as_they_come)[0]["index"] != 0
    assert indices(as_they_come) == list(range(20))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"a": "]},[\\""}\n\n  {"a": [{}, []]}  \r\n',
        '{"a": 1}\n{"a": "]},[\\""}\n{"a": [{}, []]}',
        '[{"a": 1}, {"a": "]},[\\""},{"a": [{}, []]}]',
        '\n [\n{"a": 1}\n,\n{"a": "]},[\\""}\n,{"a":\n [{}, []]}\n]\n',
        '\ufeff{"a": 1}\n{"a": "]},[\\""}\n{"a": [{}, []]}\n',
    ],
)
def test_states_are_json_lines_or_one_array(pyhost: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "states").write_text(text)
    done = pyhost(*words("returns_state", "shared", "--ordered", "--states", "states"))
    assert done.returncode == 0, done.stderr
    expected = [{"a": 1}, {"a": ']},["'}, {"a": [{}, []]}]
    assert [line["result"] for line in lines_of(done.stdout)] == expected


@pytest.mark.parametrize("text", ["", "\n\n", "[]", " [ ] \n"])
def test_no_states_have_no_results(pyhost: Run, tmp_path: Path, text: str) -> None:
    done = pyhost(*words("returns_state", "shared", "-o", "out"), input=text)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "out").read_text() == ""


def test_a_state_keeps_its_text(pyhost: Run) -> None:
    for text in ['{"b":123456789012345678901234567890,"a":1}', '[{"b":123456789012345678901234567890,"a":1}]']:  # fmt: skip
        done = pyhost(*words("returns_state", "shared"), input=text)
        assert done.stdout.endswith('"result":{"b":123456789012345678901234567890,"a":1}}\n')


def test_parameters_are_added_to_each_state(pyhost: Run, tmp_path: Path) -> None:
    given = '{"a": 1, "b": 1}\n{}\n[1]\n'
    more = ("-p", "b=[2]", "-p", "c=so", "--ordered", "--keep-going", "-o", "out")
    done = pyhost(*words("returns_state", "shared", *more), input=given)
    lines = lines_of((tmp_path / "out").read_text())
    both = {"b": [2], "c": "so"}
    assert [line.get("result") for line in lines] == [{"a": 1} | both, both, None]
    assert lines[2]["status"] == "invalid"
    assert done.returncode == 1
    # Parameters are part of the state, so --resume compares them, too.
    again = pyhost(*words("returns_state", "shared", *more, "--resume"), input=given)
    assert "error: 1 of 1 state failed, 2 already done" in last_line(again)
    other = pyhost(*words("returns_state", "shared", *more, "-p", "c=1", "--resume"), input=given)
    assert "error: 1 of 3 states failed in" in last_line(other)
    refused = pyhost(*words("returns_state", "shared", "-p", "c"), input=given)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "-p must be key=value, not 'c'" in refused.stderr


def test_the_number_of_dropped_log_records_is_reported_at_the_end(program: str, level: str) -> None:
    more = (
        "--log-level",
        "info",
        "-p",
        "times=30000",
        "-p",
        "last=all are logged",
        "-o",
        "/dev/null",
    )
    with subprocess.Popen(
        [program, *words("logs", level, *more)], text=True, env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as slow:  # fmt: skip
        assert slow.stdin is not None and slow.stdout is not None and slow.stderr is not None
        slow.stdin.write("{}\n")
        slow.stdin.close()
        # Nothing reads stderr until then, so the pipe fills up.
        assert slow.stdout.readline() == "all are logged\n"
        *lines, last = slow.stderr.read().splitlines()
    assert last.startswith("pyhost: 1 state done in")
    records = [line for line in lines if "spread is 0.5" in line]
    told = [re.fullmatch(r"warning: (\d+) log records were dropped, .*", line) for line in lines]
    assert len(records) + sum(int(match[1]) for match in told if match) == 30000
    assert len([match for match in told if match]) == 1


def test_large_states_and_arrays_are_read_in_full(pyhost: Run) -> None:
    long = [{"text": 'x,]}"\\' * 30_000, "i": i} for i in range(5)]
    for text in [states(long), json.dumps(long), json.dumps(long, indent=1)]:
        done = pyhost(*words("returns_state", "shared", "--ordered"), input=text)
        assert [line["result"] for line in lines_of(done.stdout)] == long


def test_output_of_modules_is_not_mixed_with_results(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    done = pyhost(*words("evaluates", level), input=gives("print('said')"))
    assert len(lines_of(done.stdout)) == 1
    assert "said\n" in done.stderr
    to_file = pyhost(*words("evaluates", level, "-o", "out"), input=gives("print('said')"))
    assert to_file.stdout == "said\n"
    assert lines_of((tmp_path / "out").read_text())[0]["status"] == "ok"


# --- failures


def test_map_stops_at_the_first_failure_and_names_it(pyhost: Run, level: str) -> None:
    given = gives(*["1"] * 10, "1 / 0", *["import_never"] * 5000)
    done = pyhost(*words("evaluates", level, "-j", "1"), input=given)
    assert done.returncode == 1
    assert "state 10 (line 11 of the states):\nerror: module 'evaluates' raised ZeroDivisionError" in done.stderr  # fmt: skip
    failed = [line for line in lines_of(done.stdout) if line["status"] == "failed"]
    assert failed[0]["index"] == 10
    assert failed[0]["error"]["exception"]["type"] == "ZeroDivisionError"
    assert len(failed) < 1000
    assert f"error: {len(failed)} of " in last_line(done)
    assert " failed" in last_line(done)


def test_keep_going_continues_after_failures(pyhost: Run, level: str) -> None:
    given = gives("1", "1 / 0", "{1}", "2", "print(", "3")
    done = pyhost(*words("evaluates", level, "--keep-going", "--ordered"), input=given)
    assert done.returncode == 1
    assert [line["status"] for line in lines_of(done.stdout)] == ["ok", "failed", "failed", "ok", "failed", "ok"]  # fmt: skip
    kinds = [line["error"]["kind"] for line in lines_of(done.stdout) if "error" in line]
    assert kinds == ["ModuleRaised", "InvalidResult", "ModuleRaised"]
    assert last_line(done).startswith("error: 3 of 6 states failed in ")


def test_a_line_that_is_not_json_is_an_error_with_its_number(pyhost: Run, level: str) -> None:
    given = '{"a":1}\n\n{"a":\n{"a":2} {"a":3}\n7\n{"a":4}\n'
    done = pyhost(*words("returns_state", level, "--keep-going", "--ordered"), input=given)
    assert done.returncode == 1
    lines = lines_of(done.stdout)
    assert [line["status"] for line in lines] == ["ok", "invalid", "invalid", "invalid", "ok"]
    assert [line.get("line") for line in lines] == [None, 3, 4, 5, None]
    assert lines[1]["error"]["kind"] == "InvalidState"
    first = pyhost(*words("returns_state", level), input="\n{} {}\n")
    assert first.returncode == 1
    assert "state 0 (line 2 of the states):\nerror: " in first.stderr
    assert "is not JSON: column 4: " in first.stderr


@pytest.mark.parametrize(
    ("text", "problem", "results"),
    [
        ('[{"a":1},\n{"a":2},\n{"a"', "stdin:3: the array of states is not closed", 2),
        ('[{"a":1},{"a":2}', "stdin:1: the array of states is not closed", 1),
        ('[{"a":1}]\n{"a":2}', "stdin:2: there is more text after the array of states", 0),
        ('[{"a":1}]\0', "stdin:1: there is more text after the array of states", 0),
        ('[]\n{"a":1}\n', "stdin:2: there is more text after the array of states", 0),
        (
            "[1]\n[2]",
            "stdin:2: there is more text after the array of states; input that begins with [ must be exactly one",
            0,
        ),
    ],
)
def test_a_malformed_array_is_reported_with_its_line(
    pyhost: Run, text: str, problem: str, results: int
) -> None:
    done = pyhost(*words("returns_state", "shared"), input=text)
    assert done.returncode == 2
    assert f"error: {problem}" in done.stderr
    assert len(lines_of(done.stdout)) == results


@pytest.mark.parametrize("text", ['{"a":1}\n\0{"a":2}\n{"a":3}\n', '[{"a":1},\0{"a":2},{"a":3}]'])
def test_a_nul_byte_does_not_end_the_states(pyhost: Run, text: str) -> None:
    done = pyhost(*words("returns_state", "shared", "--keep-going", "--ordered"), input=text)
    assert done.returncode == 1
    assert [line["status"] for line in lines_of(done.stdout)] == ["ok", "invalid", "ok"]


def test_a_missing_element_of_an_array_is_an_invalid_state(pyhost: Run) -> None:
    done = pyhost(*words("returns_state", "shared", "--keep-going", "--ordered"), input="[{},,{},]")
    assert [line["status"] for line in lines_of(done.stdout)] == ["ok", "invalid", "ok", "invalid"]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("no_such_module", 3, "no module 'no_such_module'"),
        ("raises_in_import", 3, "could not be imported"),
        ("has_no_create", 3, "has no create"),
        ("not/a/name", 2, "not/a/name"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_one_error(
    pyhost: Run, level: str, name: str, code: int, said: str
) -> None:
    done = pyhost(*words(name, level, "--keep-going"), input=states([{}] * 2000))
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert said in done.stderr


def own_module(folder: Path, text: str) -> list[str]:
    """Writes the module `own`; returns the arguments that map it."""
    (folder / "modules").mkdir()
    (folder / "modules" / "own.py").write_text(text)
    return ["map", "own", "-m", ".", "--states", "-", "-j", "1", "-o", "out", "--keep-going"]


@pytest.mark.parametrize(
    "dies, said",
    [
        ("import ctypes\n\nctypes.string_at(0)\n", "it was ended by signal 11 (SIGSEGV)"),
        ("import os\n\nos._exit(3)\n", "while it was imported with status 3"),
    ],
)
def test_a_module_that_ends_its_worker_while_it_is_imported_is_one_error(
    pyhost: Run, tmp_path: Path, dies: str, said: str
) -> None:
    done = pyhost(*own_module(tmp_path, dies), "--retries", "2", input=states([{}] * 50))
    assert done.returncode == 3
    assert not (tmp_path / "out").exists()
    assert done.stderr.count("error: ") == 1
    assert said in done.stderr
    assert "worker process while it was imported" in done.stderr


SLOW_IMPORT = """
import time

time.sleep(1.5)

def create(state):
    class Module:
        def run(self):
            time.sleep(state["seconds"])
    return Module()
"""


def test_the_timeout_of_a_run_counts_from_the_end_of_the_import(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    words = own_module(tmp_path, SLOW_IMPORT)
    given = states({"seconds": seconds} for seconds in (0, 0, 4, 0))
    done = pyhost(*words, "--timeout", "1s", "--isolation", level, input=given)
    assert done.returncode == 1
    by_index = {line["index"]: line["status"] for line in lines_of((tmp_path / "out").read_text())}
    assert by_index == {0: "ok", 1: "ok", 2: "timed_out", 3: "ok"}


@pytest.mark.parametrize("more", [(), ("--timeout", "20s")])
def test_an_import_that_exceeds_its_timeout_is_one_error(
    pyhost: Run, tmp_path: Path, level: str, more: tuple[str, ...]
) -> None:
    words = own_module(tmp_path, SLOW_IMPORT)
    limits = ("--import-timeout", "300ms", "--isolation", level, *more)
    done = pyhost(*words, *limits, input=states([{"seconds": 0}] * 20))
    assert done.returncode == 3
    assert not (tmp_path / "out").exists()
    assert done.stderr.count("error: ") == 1
    assert "the import's deadline of 0.3 s" in done.stderr
    assert "--import-timeout" in last_line(done)


def test_the_timeout_of_the_run_command_includes_the_import(pyhost: Run, tmp_path: Path) -> None:
    own_module(tmp_path, SLOW_IMPORT)
    for isolation in ("host", "process"):
        done = pyhost(
            "run", "own", "-m", ".", "-p", "seconds=0", "--timeout", "1s", "--isolation", isolation
        )
        assert done.returncode == 124
        assert "its deadline of 1 s" in done.stderr


FAILS_IN_SECOND_IMPORT = """
import os
from pathlib import Path

with open("imports", "a+") as file:
    file.write("x")
    file.flush()
    if Path("imports").read_text() == "xx":
        raise OSError("licence server is busy")

def create(state):
    class Module:
        def run(self):
            if state["i"] == 5:
                os.abort()
    return Module()
"""


@pytest.mark.parametrize("retries", [0, 1])
def test_a_failed_import_in_a_replacement_worker_fails_one_state(
    pyhost: Run, tmp_path: Path, retries: int
) -> None:
    words = own_module(tmp_path, FAILS_IN_SECOND_IMPORT)
    done = pyhost(*words, "--retries", str(retries), input=states({"i": i} for i in range(20)))
    assert done.returncode == 1
    lines = lines_of((tmp_path / "out").read_text())
    assert sorted(line["index"] for line in lines) == list(range(20))  # type: ignore[type-var]
    failed = [line["status"] for line in lines if line["status"] != "ok"]
    assert failed == (["crashed"] if retries else ["crashed", "failed"])


SPOILS_ITSELF = """
import os

class Module:
    def run(self):
        with open(__file__, "w") as file:
            file.write("1 / 0")
        os._exit(1)

def create(state):
    return Module()
"""


def test_a_later_load_failure_is_reported_before_the_summary(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost(*own_module(tmp_path, SPOILS_ITSELF), input=states([{}] * 50))
    assert done.returncode == 3
    assert "could not be imported" in done.stderr
    hint, last = done.stderr.splitlines()[-2:]
    assert hint == "hint: to continue out, use the same command with --resume"
    # map gives up after five failed imports
    assert last.startswith("error: 5 of 5 states failed in ")


def test_an_unterminated_array_is_reported_before_the_summary(pyhost: Run) -> None:
    done = pyhost(*words("returns_state", "shared", "-o", "out"), input='[{"a":1},{"a"')
    assert done.returncode == 2
    assert "stdin:1: the array of states is not closed" in done.stderr
    hint, last = done.stderr.splitlines()[-2:]
    assert hint == "hint: to continue out, use the same command with --resume"
    assert last.startswith("pyhost: 1 state done in ")


def test_a_run_that_exceeds_its_timeout_has_the_status_timed_out(pyhost: Run, level: str) -> None:
    given = states([{"how": "loop"}, {"how": "sleep_for_a_moment"}])
    done = pyhost(*words("does_not_end", level, "--timeout", "4s", "--keep-going"), input=given)
    assert done.returncode == 1
    by_index = {line["index"]: line for line in lines_of(done.stdout)}
    assert by_index[0]["status"] == "timed_out"
    assert by_index[0]["error"]["kind"] == "TimedOut"
    assert by_index[1]["result"] == "late"


def test_a_run_that_timed_out_is_retried(pyhost: Run, tmp_path: Path, level: str) -> None:
    tries = f"n = len(open({str(tmp_path / 'tries')!r}, 'a+').write('x') and open({str(tmp_path / 'tries')!r}).read())\n"
    given = states([{"first": tries + "import time\nwhile n < 3: time.sleep(0.01)", "give": "n"}])
    once = pyhost(*words("evaluates", level, "--timeout", "1s", "--retries", "1"), input=given)
    assert lines_of(once.stdout)[0]["status"] == "timed_out"
    again = pyhost(*words("evaluates", level, "--timeout", "1s", "--retries", "3"), input=given)
    assert lines_of(again.stdout)[0]["result"] == 3
    assert again.returncode == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-j", "5000"], "5000"),
        (["--states", "no/such/file"], "cannot read the states from 'no/such/file': No such file"),
        (["--states", "."], "cannot read the states from '.': Is a directory"),
        (["--resume"], "--resume needs -o FILE, the file to continue"),
        (["--isolation", "sandbox"], "sandbox"),
        (["--timeout", "soon"], "--timeout must be a time like"),
        (["--memory-limit", "much"], "--memory-limit must be a size like 512M or 2G, not 'much'"),
        (["--shard", "5/4"], "--shard 5/4: the number of parts is 4"),
        (["--shard", "0/4"], "--shard must be i/n"),
        (["--shard", "half"], "--shard must be i/n"),
        (["--shard", "auto"], "neither a task of a Slurm array"),
        (["-o", "."], "-o must be a file"),
    ],
)
def test_invalid_options_are_refused(pyhost: Run, more: list[str], said: str) -> None:
    done = pyhost(*words("returns_state", "shared", *more), input="{}")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_a_memory_limit_is_refused_without_worker_processes(pyhost: Run) -> None:
    done = pyhost(*words("returns_state", "shared", "--memory-limit", "512M"), input="{}")
    assert done.returncode == 2
    assert "--memory-limit needs --isolation process" in done.stderr


@pytest.mark.parametrize("to", ["-o", "stdout"])
def test_a_full_disk_stops_map(pyhost: Run, to: str, tmp_path: Path) -> None:
    given = states({"i": i} for i in range(50_000))
    with open("/dev/full", "w") as full:
        streams = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        more = ["-o", "/dev/full"] if to == "-o" else []
        done = pyhost(*words("returns_state", "shared", *more), input=given, **streams)
    assert done.returncode == 74
    assert "could not be written" in last_line(done)
    assert "No space left on device" in last_line(done)


def test_a_closed_pipe_stops_map(program: str) -> None:
    given = states({"i": i} for i in range(100_000))
    with piped(program) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write('{"i":0}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["index"] == 0
        process.stdout.close()
        try:
            process.stdin.write(given)
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert "Broken pipe" in process.stderr.read()
    assert process.returncode == 74


def test_a_result_is_written_before_the_next_state_arrives(program: str) -> None:
    with piped(program) as process:
        assert process.stdin and process.stdout
        for i in range(3):
            process.stdin.write(f'{{"i":{i}}}\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["result"] == {"i": i}
        process.stdin.close()
    assert process.returncode == 0


# --- resume


def resumed(pyhost: Run, given: str, *more: str) -> Done[str]:
    return pyhost(*words("evaluates", "shared", "-o", "out", "--resume", *more), input=given)


def test_map_resume_skips_finished_states(pyhost: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    note = f"open({str(tmp_path / 'ran')!r}, 'a').write(state['give'] + '\\n')"

    def given(*gives: str) -> str:
        return states({"first": note, "give": give} for give in gives)

    assert resumed(pyhost, given("0", "1", "2 / 0", "3"), "--keep-going").returncode == 1
    assert sorted((tmp_path / "ran").read_text().splitlines()) == ["0", "1", "2 / 0", "3"]
    # The third state failed, and the fourth has changed.
    (tmp_path / "ran").unlink()
    done = resumed(pyhost, given("0", "1", "2 / 0", "33", "4"), "--keep-going", "-j", "1")
    assert (tmp_path / "ran").read_text().splitlines() == ["2 / 0", "33", "4"]
    assert "error: 1 of 3 states failed, 2 already done" in last_line(done)
    lines = lines_of(out.read_text())
    assert [line["index"] for line in lines[4:]] == [2, 3, 4]
    assert lines[5]["result"] == 33


def test_map_resume_drops_an_incomplete_line(pyhost: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = gives("0", "1", "2")
    resumed(pyhost, given, "--ordered")
    whole = out.read_text()
    for cut in (1, 20, len(whole.splitlines()[-1])):
        out.write_text(whole[:-cut])
        done = resumed(pyhost, given)
        assert "1 state done, 2 already done" in last_line(done)
        assert [line["result"] for line in lines_of(out.read_text())] == [0, 1, 2]


def test_map_without_resume_overwrites_the_file(pyhost: Run, tmp_path: Path) -> None:
    for _ in range(2):
        pyhost(*words("evaluates", "shared", "-o", "out"), input=gives("1"))
    assert len(lines_of((tmp_path / "out").read_text())) == 1


@pytest.mark.parametrize("text", ["my only copy", "my only copy\n", "\n", '{"a":0}\n'])
def test_map_resume_refuses_a_file_that_map_did_not_write(
    pyhost: Run, tmp_path: Path, text: str
) -> None:
    (tmp_path / "out").write_text(text)
    done = resumed(pyhost, gives("1"))
    assert done.returncode == 2
    assert "out:1: `pyhost map` did not write this line" in done.stderr
    assert (tmp_path / "out").read_text() == text


def test_map_resume_asks_to_delete_a_damaged_line(pyhost: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    resumed(pyhost, gives("0", "1", "2"), "--ordered")
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[0] + lines[1][:25] + "\n" + lines[2])
    done = resumed(pyhost, gives("0", "1", "2"))
    assert done.returncode == 2
    assert "out:2: this line is damaged; delete it, so that its state is run again" in done.stderr
    out.write_text(lines[0] + lines[2])
    assert "1 state done, 2 already done" in last_line(resumed(pyhost, gives("0", "1", "2")))


def test_a_huge_index_takes_no_memory(pyhost: Run, tmp_path: Path) -> None:
    line = '{"index":99999999999,"status":"ok","hash":"0000000000000001","seconds":1,"result":0}\n'
    (tmp_path / "out").write_text(line)
    done = resumed(pyhost, gives("1"))
    assert (done.returncode, last_line(done)[:20]) == (0, "pyhost: 1 state done")
    assert (tmp_path / "out").read_text().startswith(line)


def test_map_resume_ignores_results_of_another_module(pyhost: Run, tmp_path: Path) -> None:
    pyhost(*words("returns_state", "shared", "-o", "out"), input=gives("1"))
    assert last_line(resumed(pyhost, gives("1"))).startswith("pyhost: 1 state done in ")
    assert lines_of((tmp_path / "out").read_text())[1]["result"] == 1


def test_seconds_have_six_decimals(pyhost: Run) -> None:
    done = pyhost(*words("returns_state", "shared"), input=states([{}] * 300))
    assert len(re.findall(r'"seconds":[0-9]+\.[0-9]{6},', done.stdout)) == 300


def test_the_hash_covers_the_module_name_and_the_text_of_the_state(pyhost: Run) -> None:
    expected = 0xCBF29CE484222325
    for byte in b'returns_state\n{"a": 1}':
        expected = (expected ^ byte) * 0x100000001B3 % 2**64
    done = pyhost(*words("returns_state", "shared"), input=' {"a": 1} \n')
    assert lines_of(done.stdout)[0]["hash"] == f"{expected:016x}"


@pytest.mark.parametrize("option", ["-o", "--trace"])
def test_an_output_that_would_overwrite_the_states_file_is_refused(
    pyhost: Run, tmp_path: Path, option: str
) -> None:
    (tmp_path / "states").write_text(gives("1"))
    os.link(tmp_path / "states", tmp_path / "same")
    for more in ([], ["--resume"]) if option == "-o" else ([],):
        done = pyhost(*words("evaluates", "shared", "--states", "states", option, "same", *more))
        assert done.returncode == 2
        assert f"{option} and --states name the same file, 'same'" in done.stderr
        assert (tmp_path / "states").read_text() == gives("1")


def test_stdout_cannot_be_the_states_file(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "states").write_text(gives("1"))
    with open(tmp_path / "states", "a") as end:
        streams = {"capture_output": False, "stdout": end, "stderr": subprocess.PIPE}
        done = pyhost(*words("evaluates", "shared", "--states", "states"), **streams)
    assert done.returncode == 2
    assert "stdout is the file of the states" in done.stderr
    assert (tmp_path / "states").read_text() == gives("1")


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [("evaluatse", gives("2"), 3), ("raises_in_import", gives("2"), 3), ("evaluates", "[2", 2)],
)
def test_a_call_that_fails_at_once_keeps_earlier_results(
    pyhost: Run, tmp_path: Path, name: str, given: str, code: int
) -> None:
    pyhost(*words("evaluates", "shared", "-o", "out"), input=gives("1"))
    earlier = (tmp_path / "out").read_text()
    done = pyhost(*words(name, "shared", "-o", "out"), input=given)
    assert done.returncode == code
    assert (tmp_path / "out").read_text() == earlier
    pyhost(*words("evaluates", "shared", "-o", "out"), input="")
    assert (tmp_path / "out").read_text() == ""


# --- Ctrl-C


Started = list["subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Started]:
    """The processes that a test starts. They are killed at its end."""
    processes: Started = []
    yield processes
    for process in processes:
        process.kill()


def interrupted(
    program: str,
    folder: Path,
    started: Started,
    *more: str,
    how: str,
    times: int = 1,
    by: int = signal.SIGINT,
) -> tuple[subprocess.Popen[str], str]:
    """Sends the signal while two runs execute the code `how`. Returns the process and its stderr."""
    begun = [folder / "begun0", folder / "begun1"]
    first = "import os, time; open(state['file'], 'w').close()\n" + how
    given = [{"first": first, "give": "7", "file": str(file)} for file in begun]
    given += [{"give": "8"}] * 5000
    (folder / "states").write_text(states(given))
    process = subprocess.Popen(
        [program, *words("evaluates", "shared", "-j", "2", "-o", "out", "--states", "states", *more)],
        cwd=folder, text=True, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    started.append(process)
    while not all(file.exists() for file in begun):
        assert process.poll() is None
        time.sleep(0.01)
    assert process.stderr
    said = ""
    for _ in range(times):
        process.send_signal(by)
        said += process.stderr.readline()
    (folder / "go_on").touch()
    return process, said + process.stderr.read()


def waiting_in(pipe: IO[str]) -> int:
    """The number of unread bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def is_pending(number: int, process: int) -> bool:
    pending = re.findall(r"Pnd:\t(\w+)", Path(f"/proc/{process}/status").read_text())
    return any(int(mask, 16) >> (number - 1) & 1 for mask in pending)


GO_ON = "while not os.path.exists('go_on'): time.sleep(0.01)"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_runs_in_flight_and_says_how_to_resume(
    program: str, pyhost: Run, tmp_path: Path, started: Started, by: int
) -> None:
    process, said = interrupted(program, tmp_path, started, how=GO_ON, by=by)
    assert process.wait(PATIENCE) == -by
    assert "stopping after the runs in flight" in said
    assert "hint: to continue out, use the same command with --resume\n" in said
    done = lines_of((tmp_path / "out").read_text())
    assert [line["result"] for line in done if line["index"] in (0, 1)] == [7, 7]
    assert len(done) < 5000
    rest = pyhost(*words("evaluates", "shared", "-o", "out", "--states", "states", "--resume"))
    assert rest.returncode == 0, rest.stderr
    assert indices((tmp_path / "out").read_text()) == list(range(5002))


def test_a_second_ctrl_c_cancels_runs_in_flight(
    program: str, tmp_path: Path, started: Started
) -> None:
    process, said = interrupted(program, tmp_path, started, how="while True: pass", times=2)
    assert process.wait(PATIENCE) == -signal.SIGINT
    assert "hint: to continue out, use the same command with --resume\n" in said
    done = lines_of((tmp_path / "out").read_text())
    assert not [line for line in done if line["index"] in (0, 1)]


def test_a_second_ctrl_c_ends_runs_that_cannot_be_cancelled(
    program: str, tmp_path: Path, started: Started
) -> None:
    process, said = interrupted(program, tmp_path, started, how="time.sleep(1000)", times=2)
    assert process.wait(PATIENCE) == -signal.SIGINT
    assert said.splitlines()[-1] == "hint: to continue out, use the same command with --resume"


@pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT], ids=["stdout", "both"])
def test_a_second_ctrl_c_ends_map_while_its_output_is_blocked(program: str, stderr: int) -> None:
    with subprocess.Popen(
        [program, *words("evaluates", "shared", "-q")], text=True, env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        process.stdin.write(gives(*["'x' * 100_000"] * 50))
        process.stdin.close()
        size = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        while waiting_in(process.stdout) < size:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        if process.stderr:
            assert "press Ctrl-C again to cancel them" in process.stderr.readline()
        while is_pending(signal.SIGINT, process.pid):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        if process.stderr:
            assert process.stderr.read().startswith("hint: with -o FILE")
        assert process.wait(PATIENCE) == -signal.SIGINT


def test_after_ctrl_c_no_run_is_retried(program: str, tmp_path: Path, started: Started) -> None:
    how = "open(state['file'] + 'tries', 'a').write('x')\nwhile True: pass"
    more = ("--timeout", "500ms", "--retries", "9", "--keep-going")
    process, _ = interrupted(program, tmp_path, started, *more, how=how)
    assert process.wait(PATIENCE) == -signal.SIGINT
    assert len((tmp_path / "begun0tries").read_text()) < 10
    done = lines_of((tmp_path / "out").read_text())
    assert [line["status"] for line in done if line["index"] in (0, 1)] == ["timed_out"] * 2


def test_ctrl_c_ends_a_wait_for_states(program: str) -> None:
    with piped(program) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write('{"i":0}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "hint: with -o FILE" in process.stderr.read()
        assert process.wait(PATIENCE) == -signal.SIGINT


# --- shards on several machines


def test_shards_run_each_state_once(pyhost: Run) -> None:
    given = states({"i": i} for i in range(10))
    seen: list[object] = []
    for part in ("1/3", "2/3", "3/3"):
        done = pyhost(*words("returns_state", "shared", "--shard", part), input=given)
        for line in lines_of(done.stdout):
            assert line["result"] == {"i": line["index"]}
            seen.append(line["index"])
    assert sorted(seen) == list(range(10))  # type: ignore[type-var]


SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_COUNT": "4",
    "SLURM_ARRAY_TASK_STEP": "2",
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (SLURM, [2, 6]),
        ({"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "3"}, [1, 4, 7]),
    ],
)
def test_the_shard_is_read_from_the_variables_of_a_cluster(
    pyhost: Run, variables: dict[str, str], expected: list[int]
) -> None:
    given = states({"i": i} for i in range(8))
    done = pyhost(*words("returns_state", "shared", "--shard", "auto"), input=given, env=variables)
    assert indices(done.stdout) == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"JOB_COMPLETION_INDEX": "1"}, "set JOB_COMPLETIONS in the container's env"),
        ({"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "3"}, "the number of parts is 3"),
        ({"JOB_COMPLETION_INDEX": "x"}, "JOB_COMPLETION_INDEX is not a number: 'x'"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_MIN or _COUNT is not"),
        (SLURM | {"SLURM_ARRAY_TASK_ID": "8"}, "a Slurm array without gaps"),
    ],
)
def test_incomplete_cluster_variables_are_reported(
    pyhost: Run, variables: dict[str, str], said: str
) -> None:
    done = pyhost(*words("returns_state", "shared", "--shard", "auto"), input="{}", env=variables)
    assert done.returncode == 2
    assert said in done.stderr


# --- progress


def on_terminal(
    program: str, folder: Path, *more: str, count: int = 8, level: str = "shared",
    first: str = "import time; time.sleep(0.25)", **variables: str
) -> tuple[int, str]:  # fmt: skip
    """The exit code and the stderr of a map that takes two seconds, with a terminal as its stderr."""
    slow = {"first": first, "give": "1 / state['by']", "by": 1}
    (folder / "states").write_text(states([slow | {"by": 0}] + [slow] * (count - 1)))
    ours, theirs = pty.openpty()
    environment = clean_environment(**{"TERM": "xterm", "COLUMNS": "100"} | variables)
    with subprocess.Popen(
        [program, *words("evaluates", level, "-j", "1", "-o", "out", "--keep-going", "--states", "states", *more)],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_terminal_shows_a_progress_bar_that_is_cleared_at_the_end(
    program: str, tmp_path: Path
) -> None:
    code, shown = on_terminal(program, tmp_path)
    assert code == 1
    bars = [text for text in shown.split("\r\x1b[K") if "] " in text]
    assert len(bars) > 5
    assert "\x1b[31m1 failed\x1b[0m" in bars[-1]
    assert " left" in bars[-1]
    assert "/s" in bars[-1]
    assert "#" in bars[-1]
    end = shown.rpartition("\r\x1b[K")[2]
    assert end.startswith("error: 1 of 8 states failed in ")
    assert shown.count("\n") == 1


def test_the_bar_does_not_wrap_on_a_narrow_terminal(program: str, tmp_path: Path) -> None:
    _, shown = on_terminal(program, tmp_path, count=4, COLUMNS="20")
    bars = [text for text in shown.split("\r\x1b[K") if "done" in text and "error" not in text]
    assert bars
    assert max(map(len, bars)) < 20


@pytest.mark.parametrize(("locale", "end"), [("C", "..."), ("C.UTF-8", "…")])
def test_a_shortened_bar_ends_with_an_ellipsis_that_the_locale_can_show(
    program: str, tmp_path: Path, locale: str, end: str
) -> None:
    _, shown = on_terminal(program, tmp_path, count=4, COLUMNS="20", LC_ALL=locale)
    assert end in shown
    assert shown.isascii() == (locale == "C")


@pytest.mark.parametrize("prints", ["print", "log"])
def test_output_and_logs_of_modules_do_not_share_a_line_with_the_bar(
    program: str, tmp_path: Path, prints: str, level: str
) -> None:
    say = "print('said', state['by'], file=__import__('sys').stderr)"
    if prints == "log":
        say = "import logging; logging.getLogger('x').warning('said %s', state['by'])"
    more = () if prints == "print" else ("--log-level", "warning")
    first = f"import time; time.sleep(0.25); {say}"
    code, shown = on_terminal(program, tmp_path, *more, first=first, level=level)
    assert code == 1
    lines = [
        text
        for line in shown.split("\n")
        for text in line.strip("\r").split("\r\x1b[K")
        if "said" in text
    ]
    assert len(lines) == 8
    for line in lines:
        assert re.fullmatch(r"(\S+ \S*warning\S* x: )?said [01]", line)
    # The bar is drawn again after each line, except before it has been shown for the first time.
    after = re.findall(r"said [01]\r?\n(.)", shown)
    assert after.count("[") >= 6


def test_no_color_shows_the_bar_without_colour(program: str, tmp_path: Path) -> None:
    _, shown = on_terminal(program, tmp_path, count=4, NO_COLOR="1")
    assert "#" in shown
    assert "\x1b[31m" not in shown


def test_a_dumb_terminal_shows_no_bar(program: str, tmp_path: Path) -> None:
    _, shown = on_terminal(program, tmp_path, count=4, TERM="dumb")
    assert "\x1b" not in shown


def test_quiet_shows_nothing_but_failures(program: str, pyhost: Run, tmp_path: Path) -> None:
    code, shown = on_terminal(program, tmp_path, "-q", count=4)
    assert code == 1
    assert shown.startswith("error: 1 of 4 states failed in ")
    done = pyhost(*words("returns_state", "shared", "-q"), input="{}")
    assert (done.returncode, done.stderr) == (0, "")


def test_progress_is_one_line_every_few_seconds_on_a_pipe(
    program: str, tmp_path: Path, started: Started
) -> None:
    quick = 300
    given = [*[{"give": "1"}] * quick, {"first": f"import os, time\n{GO_ON}", "give": "2"}]
    (tmp_path / "states").write_text(states(given))
    process = subprocess.Popen(
        [program, *words("evaluates", "shared", "-j", "1", "--states", "states")],
        cwd=tmp_path, text=True, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    started.append(process)
    assert process.stderr
    progress = process.stderr.readline()
    assert 1 < int(progress.split()[1]) <= quick, progress  # not one line per state
    assert " done, " in progress
    assert "/s" in progress
    (tmp_path / "go_on").touch()
    assert process.stderr.read().splitlines()[-1].startswith(f"pyhost: {quick + 1} states done in ")
    assert process.wait(PATIENCE) == 0


def test_worker_processes_are_replaced_after_max_runs_per_worker(
    pyhost: Run, tmp_path: Path
) -> None:
    write_module(tmp_path, "tells", "return os.getpid()", "import os")
    words = ("map", "tells", "--states", "-", "-j", "1", "--max-runs-per-worker", "2")
    done = pyhost(*words, input="{}\n" * 10)
    workers = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    assert len(workers) == 10 and max(map(workers.count, workers)) == 2, done.stderr


def test_a_worker_process_beyond_max_memory_per_worker_is_replaced(
    pyhost: Run, tmp_path: Path
) -> None:
    run = "kept.append(bytearray(b'x') * 80_000_000)\nreturn os.getpid()"
    write_module(tmp_path, "leaks", run, "import os\nkept = []")
    words = ("map", "leaks", "--states", "-", "-j", "1", "--max-memory-per-worker", "100M")
    done = pyhost(*words, input="{}\n" * 4)
    workers = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    assert len(workers) == 4 and len(set(workers)) > 1, done.stderr
    shared = pyhost(*words, "--isolation", "shared", input="{}\n")
    assert shared.returncode == 2 and "need --isolation process" in shared.stderr
    assert pyhost(*words[:-1], "much", input="{}\n").returncode == 2
