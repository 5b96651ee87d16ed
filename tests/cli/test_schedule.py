"""pyhost schedule: the list, check, history, trigger, pause and resume."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, clean_environment

MODULES = ("-m", str(FIXTURES))
FAILS = """
[[schedule.entry]]
name = "fails"
module = "raises_in_create"
at = "2100-12-24T18:00"
zone = "Europe/Paris"
"""
STATE = """
[[schedule.entry]]
name = "state"
module = "returns_state"
state = { big = 7777777777777777777, text = "ü" }
every = "15m"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project file with two entries, one of which fails."""
    (tmp_path / "pyhost.toml").write_text("[schedule]\n" + FAILS + STATE)
    return tmp_path


def in_database(folder: Path, *rows: tuple[str, str, str]) -> None:
    """A project file whose entries are in an SQLite database; each row has a name, a module and an `every`."""
    (folder / "pyhost.toml").write_text(
        '[connections]\njobs = "sqlite:///jobs.db"\n[schedule]\nfrom = "connection:jobs"\n'
    )
    with sqlite3.connect(folder / "jobs.db") as database:
        database.execute(
            "create table pyhost_schedule (name text primary key, module text, every text, enabled integer)"
        )
        database.executemany("insert into pyhost_schedule values (?, ?, ?, 1)", rows)
    database.close()


def listed(pyhost: Run, *words: str) -> dict[str, Any]:
    done = pyhost("schedule", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema"] == 1
    return document


def on_terminal(program: str, columns: int, *words: str, folder: Path) -> str:
    """The output of the program on a terminal of this width."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = clean_environment(TERM="xterm")
    environment.pop("COLUMNS", None)
    done = subprocess.Popen(
        [program, *words], cwd=folder, stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:  # Linux reports the closed other end as an error
            break
    os.close(ours)
    done.wait()
    return text.decode().replace("\r\n", "\n")


# --- the list


@pytest.mark.usefixtures("project")
def test_the_list_shows_each_entry_with_its_next_and_last_run(pyhost: Run) -> None:
    done = pyhost("schedule")
    assert (done.returncode, done.stderr) == (0, "")
    header, fails, state = (re.split(r" {2,}", line) for line in done.stdout.splitlines())
    assert header == ["NAME", "MODULE", "WHEN", "ZONE", "NEXT", "LAST"]
    assert fails[:4] == ["fails", "raises_in_create", "once, 2100-12-24 18:00", "Europe/Paris"]
    assert fails[4:] == ["2100-12-24 18:00 CET", "never ran"]
    assert state[:4] == ["state", "returns_state", "every 15 minutes", "UTC"]
    pyhost("schedule", "trigger", "fails", *MODULES)
    pyhost("schedule", "trigger", "state", *MODULES)
    last = [line.split("  ")[-1] for line in pyhost("schedule").stdout.splitlines()]
    assert re.fullmatch(r"failed after [\d.]+ s", last[1].strip())
    assert re.fullmatch(r"succeeded in [\d.]+ s", last[2].strip())


def test_the_list_does_not_write_to_the_history(pyhost: Run, project: Path) -> None:
    for words in ([], ["check", *MODULES], ["history"], ["tick", "--dry-run"]):
        pyhost("schedule", *words)
    assert [file.name for file in project.iterdir()] == ["pyhost.toml"]


@pytest.mark.usefixtures("project")
def test_the_list_as_json_has_every_property_of_an_entry(pyhost: Run) -> None:
    fails, state = listed(pyhost, "--next", "3")["entries"]
    assert state["state"] == {"big": 7777777777777777777, "text": "ü"}
    assert (state["every"], state["late"], state["timeout"]) == (900, 600, None)
    assert (state["overlap"], state["missed"], state["retries"]) == ("skip", "latest", 0)
    assert len(state["next"]) == len(state["next_text"]) == 3
    assert (fails["next"], fails["last"]) == (["2100-12-24T17:00:00.000000Z"], None)
    assert fails["place"].endswith("pyhost.toml:3")


@pytest.mark.usefixtures("project")
def test_next_shows_each_due_time_on_its_own_line(pyhost: Run) -> None:
    lines = pyhost("schedule", "--next", "3").stdout.splitlines()
    assert lines[:3] == [
        "fails: raises_in_create, once, 2100-12-24 18:00, Europe/Paris",
        "  next 2100-12-24 18:00 CET",
        "  last never ran",
    ]
    assert lines[3] == "state: returns_state, every 15 minutes, UTC"
    assert len(lines) == 3 + 5


def test_the_list_fits_a_terminal(pyhost: Run, program: str, project: Path) -> None:
    pyhost("schedule", "trigger", "fails", *MODULES)
    wide = on_terminal(program, 120, "schedule", folder=project)
    assert wide.startswith("NAME ") and "\x1b[31mfailed after" in wide
    narrow = on_terminal(program, 80, "schedule", folder=project).splitlines()
    assert narrow[0] == "fails: raises_in_create, once, 2100-12-24 18:00, Europe/Paris"
    assert max(map(len, narrow)) <= 80


def test_a_broken_entry_is_reported_and_the_others_are_listed(pyhost: Run, project: Path) -> None:
    with (project / "pyhost.toml").open("a") as file:
        file.write('\n[[schedule.entry]]\nname = "odd"\nmodule = "wins"\nevry = "1m"\n')
    done = pyhost("schedule")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == (
        "pyhost.toml:15: entry 'odd': there is no key 'evry'\nhint: did you mean 'every'?\n"
    )


def test_a_missing_schedule_is_reported_with_a_hint(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost("schedule")
    assert done.returncode == 2
    assert "there is no pyhost.toml in this folder or above it" in done.stderr
    assert "[[schedule.entry]]" in done.stderr
    (tmp_path / "pyhost.toml").write_text("")
    assert "has no [schedule]" in pyhost("schedule", "trigger", "x").stderr


def test_from_and_its_variable_select_another_schedule(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[schedule]\nhistory = "o.db"\n' + STATE)
    for words, variables in (
        (("schedule", "--from", "other.toml", "history"), {}),
        (("schedule", "history", "--from", "other.toml"), {}),
        (("schedule", "history"), {"PYHOST_SCHEDULE_FROM": "other.toml"}),
    ):
        done = pyhost(*words, env=variables)
        assert (done.returncode, done.stderr) == (0, "no runs\n")


# --- check


@pytest.mark.usefixtures("project")
def test_check_accepts_a_valid_schedule(pyhost: Run) -> None:
    done = pyhost("schedule", "check", *MODULES)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "pyhost: 2 entries checked, no problem\n"


def test_check_names_each_problem_with_its_place(pyhost: Run, project: Path) -> None:
    with (project / "pyhost.toml").open("a") as file:
        for name, module, rule in (
            ("one", "return_state", 'every = "1m"'),
            ("two", "has_no_create", 'every = "1m"'),
            ("three", "wins", 'every = "1m"\nzone = "Europe/Pari"'),
        ):
            file.write(f'[[schedule.entry]]\nname = "{name}"\nmodule = "{module}"\n{rule}\n')
    done = pyhost("schedule", "check", *MODULES)
    assert done.returncode == 2
    problems = [line for line in done.stdout.splitlines() if not line.startswith("hint: ")]
    assert [line.partition(": entry ")[0] for line in problems] == [
        f"pyhost.toml:{line}" for line in (22, 14, 18)
    ]
    assert "'one': there is no module 'return_state'\nhint: did you mean 'returns_state'?" in (
        done.stdout
    )
    assert "'two': module 'has_no_create' cannot run: " in done.stdout
    assert "has_no_create.py:1: " in done.stdout
    document = json.loads(pyhost("schedule", "check", "--json", *MODULES).stdout)
    assert document["entries"] == 4
    assert [each["entry"] for each in document["problems"]] == ["three", "one", "two"]


def test_doctor_checks_the_schedule(pyhost: Run, project: Path) -> None:
    assert re.search(r"^ok +schedule +2 entries$", pyhost("doctor", *MODULES).stdout, re.MULTILINE)
    done = pyhost("doctor", "--json")  # doctor does not see the fixture modules
    findings = [each for each in json.loads(done.stdout)["findings"] if each["name"] == "schedule"]
    assert done.returncode == 0
    assert [each["verdict"] for each in findings] == ["warning", "warning"]
    assert "there is no module 'returns_state'" in findings[1]["problem"]
    (project / "pyhost.toml").write_text("[schedule]\nhistry = 'x'\n")
    done = pyhost("doctor")
    assert done.returncode == 0 and "there is no key 'schedule.histry'" in done.stdout


def test_doctor_does_not_mention_a_missing_schedule(pyhost: Run) -> None:
    assert "schedule" not in pyhost("doctor").stdout


# --- trigger and history


@pytest.mark.usefixtures("project")
def test_trigger_prints_the_result_as_run_does(pyhost: Run) -> None:
    done = pyhost("schedule", "trigger", "state", *MODULES)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"big":7777777777777777777,"text":"ü"}\n'
    document = json.loads(pyhost("schedule", "trigger", "state", "--json", *MODULES).stdout)
    assert document["name"] == "state" and document["result"]["text"] == "ü"
    assert document["seconds"] > 0


@pytest.mark.usefixtures("project")
def test_trigger_prints_an_error_as_run_does(pyhost: Run) -> None:
    done = pyhost("schedule", "trigger", "fails", *MODULES)
    alone = pyhost("run", "raises_in_create", "--isolation", "process", *MODULES)
    assert done.returncode == alone.returncode == 1
    assert (done.stdout, done.stderr) == ("", alone.stderr)
    document = json.loads(pyhost("schedule", "trigger", "fails", "--json", *MODULES).stdout)
    assert document["error"]["exception"]["type"] == "ValueError"


@pytest.mark.usefixtures("project")
def test_trigger_has_the_exit_code_of_run(pyhost: Run) -> None:
    assert (
        pyhost("schedule", "trigger", "fails").returncode == 3
    )  # fails: its module does not exist
    unknown = pyhost("schedule", "trigger", "stat")
    assert unknown.returncode == 2
    assert unknown.stderr == "error: there is no entry 'stat'\nhint: did you mean 'state'?\n"
    unknown = pyhost("schedule", "trigger", "stat", "--json")
    assert json.loads(unknown.stdout)["error"]["kind"] == "InvalidSchedule"


@pytest.mark.usefixtures("project")
def test_history_shows_runs_and_renders_errors_as_run_does(pyhost: Run) -> None:
    pyhost("schedule", "trigger", "state", *MODULES)
    error = pyhost("schedule", "trigger", "fails", *MODULES).stderr
    first, *rendered, last = pyhost("schedule", "history").stdout.splitlines(keepends=True)
    assert re.fullmatch(r"20..-..-.. ..:..:.. UTC  fails  failed after .* s, triggered\n", first)
    assert "".join(rendered) == error
    assert re.fullmatch(r"20..-..-.. ..:..:.. UTC  state  succeeded in .* s, triggered\n", last)
    assert len(pyhost("schedule", "history", "--limit", "1").stdout.splitlines()) == len(
        [first, *rendered]
    )
    assert pyhost("schedule", "history", "state").stdout == last
    assert pyhost("schedule", "history", "state", "--failed").stderr == "no failed runs\n"
    runs = json.loads(pyhost("schedule", "history", "--json").stdout)["runs"]
    assert [run["status"] for run in runs] == ["failed", "succeeded"]
    assert runs[0]["error"]["kind"] == "ModuleRaised" and runs[1]["result"]["text"] == "ü"
    unknown = pyhost("schedule", "history", "stat")
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_a_triggered_run_knows_its_entry_and_due_time(pyhost: Run, tmp_path: Path) -> None:
    give = (
        "[(run := __import__('pyhost').current_run().scheduled).entry, run.attempt, str(run.due)]"
    )
    (tmp_path / "pyhost.toml").write_text(
        '[[schedule.entry]]\nname = "run"\nmodule = "evaluates"\nevery = "1h"\n'
        f"state = {json.dumps({'give': give}).replace(': ', ' = ', 1).replace(chr(34), '', 2)}\n"
    )
    done = pyhost("schedule", "trigger", "run", *MODULES)  # an entry may be named like a command
    assert done.returncode == 0, done.stderr
    entry, attempt, due = json.loads(done.stdout)
    assert (entry, attempt) == ("run", 1)
    run = json.loads(pyhost("schedule", "history", "run", "--json").stdout)["runs"][0]
    assert run["due"] == due.replace(" ", "T").replace("+00:00", "Z")


def test_ctrl_c_cancels_a_triggered_run_and_the_history_records_it(
    pyhost: Run, program: str, tmp_path: Path
) -> None:
    (tmp_path / "pyhost.toml").write_text(
        '[[schedule.entry]]\nname = "long"\nmodule = "waits"\nevery = "1h"\nstate = { how = "sleep" }\n'
    )
    words = [program, "schedule", "trigger", "long", *MODULES]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=clean_environment()
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == "cleaned up\n"
    assert running.returncode == -signal.SIGINT
    run = json.loads(pyhost("schedule", "history", "--json").stdout)["runs"][0]
    assert (run["status"], run["error"]["kind"]) == ("failed", "Cancelled")


# --- pause and resume


def test_an_entry_of_a_database_can_be_paused_and_resumed(pyhost: Run, tmp_path: Path) -> None:
    in_database(tmp_path, ("beat", "wins", "1h"))
    assert listed(pyhost)["entries"][0]["place"] == "pyhost_schedule, row 'beat'"
    done = pyhost("schedule", "pause", "beat")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "pyhost: beat is paused\n")
    assert re.split(r" {2,}", pyhost("schedule").stdout.splitlines()[1])[4] == "paused"
    assert listed(pyhost)["entries"][0]["enabled"] is False
    assert pyhost("schedule", "trigger", "beat", *MODULES).stdout == '"second"\n'
    done = pyhost("schedule", "resume", "beat", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert listed(pyhost)["entries"][0]["enabled"] is True
    assert pyhost("schedule", "pause", "beet").stderr == (
        "error: there is no entry 'beet'\nhint: did you mean 'beat'?\n"
    )


@pytest.mark.usefixtures("project")
def test_an_entry_of_a_file_cannot_be_paused(pyhost: Run) -> None:
    done = pyhost("schedule", "pause", "state")
    assert done.returncode == 2
    assert "enabled = false" in done.stderr


def test_an_unreachable_database_ends_with_75(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "pyhost.toml").write_text(
        '[connections]\njobs = "sqlite:///no/folder/jobs.db"\n[schedule]\nfrom = "connection:jobs"\n'
    )
    for words in (["trigger", "x"], ["tick"]):
        assert pyhost("schedule", *words).returncode == 75, words


# --- the command line


@pytest.mark.parametrize(
    "command", ["check", "history", "trigger", "pause", "resume", "tick", "run"]
)
def test_help_has_examples_all_options_and_exit_codes(pyhost: Run, command: str) -> None:
    done = pyhost("schedule", command, "-h")
    assert done.returncode == 0
    for part in (f"  pyhost schedule {command}", "--from", "--venv", "Exit codes: "):
        assert part in done.stdout
    assert "--next" not in done.stdout


def test_a_usage_error_names_the_command_whose_help_to_read(pyhost: Run) -> None:
    done = pyhost("schedule", "lst")
    assert done.returncode == 2
    assert done.stderr == (
        "error: there is no command 'schedule lst'\nhint: see `pyhost -h` and `pyhost schedule -h`\n"
    )
    done = pyhost("schedule", "pause")
    assert "see `pyhost -h` and `pyhost schedule pause -h`" in done.stderr
    assert "--next" in pyhost("schedule", "history", "--next", "2").stderr
    assert "see `pyhost -h`\n" in pyhost("scedule").stderr
