"""--trace: writes the time of each step of a run to a file that Perfetto reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment

Event = dict[str, Any]
WORDS = ("-m", str(FIXTURES))
MODULE_STEPS = {"import", "create", "run", "convert"}


def spans_of(file: Path) -> list[Event]:
    """All spans, with the begin and end events of the queue joined. Asserts that the spans of a track nest."""
    events = json.loads(file.read_text())
    tracks = defaultdict(list)
    open_waits = {}
    spans = []
    for event in events:
        if event["ph"] == "X":
            spans.append(event)
            tracks[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))
        elif event["ph"] == "b":
            open_waits[event["id"]] = event
        elif event["ph"] == "e":
            wait = open_waits.pop(event["id"])
            spans.append(wait | {"dur": event["ts"] - wait["ts"]})
    assert not open_waits
    for track in tracks.values():
        check_nesting(sorted(track, key=lambda span: (span[0], -span[1])))
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert named == set(tracks)
    return spans


def check_nesting(track: list[tuple[float, float, str]]) -> None:
    around: list[tuple[float, float, str]] = []
    for span in track:
        assert span[1] >= span[0]
        while around and around[-1][1] <= span[0]:
            around.pop()
        if around:
            assert span[1] <= around[-1][1], (around[-1], span)
        if span[2] == "convert":
            assert around[-1][2] in ("create", "run")
        around.append(span)


def names(spans: list[Event]) -> set[str]:
    return {span["name"] for span in spans}


def of(spans: list[Event], name: str) -> list[Event]:
    return [span for span in spans if span["name"] == name]


def gives(*expressions: str) -> str:
    return "".join(json.dumps({"give": expression}) + "\n" for expression in expressions)


def track_names(file: Path) -> set[str]:
    events = json.loads(file.read_text())
    return {event["args"]["name"] for event in events if event["name"] == "thread_name"}


def test_a_run_has_a_span_for_each_step_on_one_track(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost("run", "evaluates", *WORDS, "-p", 'give="1"', "--trace", "trace.json")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    spans = spans_of(tmp_path / "trace.json")
    assert sorted(s["name"] for s in spans) == sorted([*MODULE_STEPS, "convert", "start"])
    assert track_names(tmp_path / "trace.json") == {"main"}
    assert {s["args"]["module"] for s in spans if s["name"] != "start"} == {"evaluates"}


@pytest.mark.parametrize("level", ["shared", "process"])
def test_a_map_has_a_span_for_each_step_of_each_state(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    sleeps = "__import__('time').sleep(0.05)"
    done = pyhost("map", "evaluates", *WORDS, "--states", "-", "-j", "2", "--isolation", level,
                  "--trace", "trace.json", input=gives(*[sleeps] * 20))  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans = spans_of(tmp_path / "trace.json")
    expected = MODULE_STEPS | {"queue", "start"} | ({"send"} if level == "process" else set())
    assert names(spans) == expected
    assert len(of(spans, "convert")) == 40
    for step in ("queue", "create", "run"):
        assert sorted(s["args"]["submission"] for s in of(spans, step)) == list(range(1, 21))
    assert all(span["dur"] >= 50_000 for span in of(spans, "run"))
    # The last states wait at least for the runs before them.
    assert max(wait["dur"] for wait in of(spans, "queue")) >= 8 * 50_000
    begun = {run["args"]["submission"]: run["ts"] for run in of(spans, "create")}
    for wait in of(spans, "queue"):
        assert wait["ts"] + wait["dur"] <= begun[wait["args"]["submission"]]
    workers = {"worker 1", "worker 2"}
    sends = {"to worker 1", "to worker 2"} if level == "process" else set()
    assert track_names(tmp_path / "trace.json") == {"main"} | workers | sends
    if level == "process":
        assert sum(send["args"]["runs"] for send in of(spans, "send")) >= 20


def test_a_run_in_a_worker_process_is_traced(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost("run", "evaluates", *WORDS, "-p", 'give="1"', "--isolation", "process",
                  "--trace", "trace.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans = spans_of(tmp_path / "trace.json")
    assert names(spans) == MODULE_STEPS | {"queue", "start", "send"}


@pytest.mark.parametrize("level", ["shared", "process"])
def test_many_small_runs_and_large_results_lose_no_span(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    small, large = 5000, 20
    given = gives(*["0"] * small, *["'x' * 300_000"] * large)
    done = pyhost("map", "evaluates", *WORDS, "--states", "-", "-j", "2", "--isolation", level,
                  "--trace", "trace.json", input=given)  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans = spans_of(tmp_path / "trace.json")
    for step in ("queue", "create", "run"):
        assert len(of(spans, step)) == small + large, step
    assert len(of(spans, "convert")) == 2 * (small + large)


@pytest.mark.parametrize("give", ["1 / 0", "{1}"])
def test_the_span_of_a_failed_step_is_marked(pyhost: Run, tmp_path: Path, give: str) -> None:
    for words in ([], ["--isolation", "process"]):
        done = pyhost("run", "evaluates", *WORDS, "-p", f"give={give}", *words, "--trace", "t.json")
        assert done.returncode in (1, 4)
        spans = spans_of(tmp_path / "t.json")
        assert [span["args"]["failed"] for span in of(spans, "run")] == [True]
        assert "failed" not in of(spans, "create")[0]["args"]


def test_a_stream_has_one_run_span_and_a_conversion_span_per_item(
    pyhost: Run, tmp_path: Path
) -> None:
    give = "(i for i in range(3))"
    pyhost("run", "evaluates", *WORDS, "-p", f"give={give}", "--trace", "trace.json")
    spans = spans_of(tmp_path / "trace.json")
    assert (len(of(spans, "run")), len(of(spans, "convert"))) == (1, 1 + 3)


def test_a_run_whose_worker_died_has_a_span_with_its_duration(pyhost: Run, tmp_path: Path) -> None:
    given = gives("__import__('os')._exit(3)", "__import__('time').sleep(60)", "1")
    done = pyhost("map", "evaluates", *WORDS, "--states", "-", "-j", "1", "--timeout", "300ms",
                  "--keep-going", "--trace", "trace.json", input=given)  # fmt: skip
    assert done.returncode == 1
    spans = spans_of(tmp_path / "trace.json")
    runs = {run["args"]["submission"]: run for run in of(spans, "run")}
    assert sorted(runs) == [1, 2, 3]
    assert [runs[i]["args"].get("failed") for i in (1, 2, 3)] == [True, True, None]
    assert runs[2]["dur"] >= 300_000
    assert len(of(spans, "start")) >= 4  # the host and three worker processes


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", ["run", "map"])
def test_a_trace_is_complete_when_a_signal_ends_the_program(
    program: str, tmp_path: Path, how: signal.Signals, command: str
) -> None:
    give = "open('begun', 'w').close() or __import__('time').sleep(2)"
    words = ["-p", f"give={give}"] if command == "run" else ["--states", "states"]
    (tmp_path / "states").write_text(gives(give, *["1"] * 1000))
    running = subprocess.Popen(
        [program, command, "evaluates", *WORDS, *words, "--trace", "trace.json"], cwd=tmp_path,
        env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "begun").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(how)
    assert running.wait(PATIENCE) == -how
    file = tmp_path / "trace.json"
    if how == signal.SIGINT:
        assert names(spans_of(file)) >= MODULE_STEPS
    elif command == "run":
        assert names(spans_of(file)) == {"start", "import", "create", "convert"}
    else:  # the kill may have come between a span and the span around it
        assert json.loads(file.read_text())


def test_a_trace_can_be_written_to_a_pipe(program: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    running = subprocess.Popen(
        [program, "run", "mod1", "--trace", "pipe"], cwd=tmp_path, env=clean_environment(),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    events = json.loads((tmp_path / "pipe").read_text())
    assert running.wait(PATIENCE) == 0
    assert {event["name"] for event in events} >= MODULE_STEPS


@pytest.mark.parametrize("command", [["run", "mod1"], ["map", "mod1", "--states", "-"]])
@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        (
            "nowhere/trace.json",
            2,
            "cannot write to 'nowhere/trace.json': No such file or directory",
        ),
        (".", 2, "--trace must be a file, but '.' is a folder"),
        ("/dev/full", 74, "the trace could not be written to '/dev/full': No space left on device"),
    ],
)
def test_a_trace_file_that_cannot_be_written_is_refused(
    pyhost: Run, command: list[str], file: str, code: int, said: str
) -> None:
    done = pyhost(*command, "--trace", file, input="{}\n")
    assert done.returncode == code
    assert said in done.stderr
    ran = "This is module1" in done.stdout + done.stderr
    assert ran == (code == 74)


@pytest.mark.parametrize("level", ["shared", "process"])
def test_trace_runs_limits_the_number_of_runs_in_a_trace(
    pyhost: Run, tmp_path: Path, level: str
) -> None:
    words = ["map", "evaluates", *WORDS, "--isolation", level, "-j", "2", "--states", "-"]
    done = pyhost(*words, "--trace", "trace.json", "--trace-runs", "3", input=gives(*["1"] * 1000))
    assert done.returncode == 0, done.stderr
    spans = spans_of(tmp_path / "trace.json")
    assert sorted(run["args"]["submission"] for run in of(spans, "run")) == [1, 2, 3]
    assert names(spans) >= MODULE_STEPS
    assert len(spans) < 60
    alone = pyhost(*words, "--trace-runs", "3", input="")
    assert (alone.returncode, alone.stderr.count("--trace-runs needs --trace")) == (2, 1)


def test_dangling_links_to_one_file_are_refused_as_both_output_and_trace(
    pyhost: Run, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("another")
    (tmp_path / "another").symlink_to(tmp_path / "results")
    for output, trace in (("results", "link"), ("link", "results"), ("link", "another")):
        for command in (["run", "wins"], ["map", "evaluates", "--states", "/dev/null"]):
            done = pyhost(*command, *WORDS, "-o", output, "--trace", trace)
            assert done.returncode == 2
            assert f"-o and --trace name the same file, '{output}'" in done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_a_trace_that_would_overwrite_the_results_is_refused(
    pyhost: Run, tmp_path: Path, there: bool
) -> None:
    results = tmp_path / "results"
    trace = "./results"
    if there:
        results.write_text("kept\n")
        (tmp_path / "link").symlink_to(results)
        trace = "link"
    states = tmp_path / "states"
    states.write_text(gives("1"))
    for command in (["run", "wins"], ["map", "evaluates", "--states", str(states), "--resume"]):
        done = pyhost(*command, *WORDS, "-o", "results", "--trace", trace)
        assert done.returncode == 2
        assert "-o and --trace name the same file, 'results'" in done.stderr
        assert results.exists() == there and (not there or results.read_text() == "kept\n")
    assert pyhost("run", "wins", *WORDS, "-o", "/dev/null", "--trace", "/dev/null").returncode == 0
