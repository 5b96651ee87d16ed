"""A module that changes the current folder, the umask or the locale of its process does not affect the program's files
and messages."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from conftest import Run

# Changes to a folder that no longer exists when the result is written, and removes all permissions from new files.
MOVES = """
import os
import tempfile


class Module:
    def run(self):
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        os.umask(0o777)
        return "here"


def create(state):
    return Module()
"""

CHOOSES_COMMA = """
import locale
import time


class Module:
    def __init__(self, state):
        self.seconds = state.get("sleep", 0)

    def run(self):
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.localeconv()["decimal_point"] == ","
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            pass
        return 1.5


def create(state):
    return Module(state)
"""

STORES = """
import os

import pyhost


class Module:
    def run(self):
        pyhost.store["runs"] = pyhost.store.get("runs", 0) + 1
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
        return pyhost.store["runs"]


def create(state):
    return Module()
"""


def write(folder: Path, name: str, text: str) -> None:
    (folder / "modules").mkdir(exist_ok=True)
    (folder / "modules" / f"{name}.py").write_text(text)


def permissions(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("words", [(), ("--json",), ("--isolation", "process")])
def test_a_module_that_changes_folder_and_umask_does_not_affect_the_result_file(
    pyhost: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    write(tmp_path, "moves", MOVES)
    done = pyhost("run", "moves", "-o", "result.json", "--trace", "trace.json", *words)
    assert done.returncode == 0, done.stderr
    assert "here" in (tmp_path / "result.json").read_text()
    mask = os.umask(0)
    os.umask(mask)
    assert permissions(tmp_path / "result.json") == 0o666 & ~mask
    json.loads((tmp_path / "trace.json").read_text())


@pytest.mark.parametrize("isolation", ["shared", "process"])
def test_a_module_that_changes_folder_and_umask_does_not_affect_the_results_of_map(
    pyhost: Run, tmp_path: Path, isolation: str
) -> None:
    write(tmp_path, "moves", MOVES)
    (tmp_path / "states.jsonl").write_text("{}\n{}\n{}\n")
    words = (
        "map",
        "moves",
        "--isolation",
        isolation,
        "--states",
        "states.jsonl",
        "-o",
        "out.jsonl",
        "-j",
        "1",
        "-q",
    )
    done = pyhost(*words)
    assert done.returncode == 0, done.stderr
    results = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["result"] for line in results] == ["here"] * 3
    done = pyhost(*words, "--resume")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_text().splitlines() == results


def test_a_module_that_changes_the_folder_does_not_affect_the_store(
    pyhost: Run, tmp_path: Path
) -> None:
    write(tmp_path, "stores", STORES)
    done = pyhost(
        *("map", "stores", "--isolation", "shared", "--store", "store.db", "--states", "-", "-j", "1", "-q"),
        input="{}\n" * 3,
    )  # fmt: skip
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == [1, 2, 3]
    assert [file.parent for file in tmp_path.rglob("store.db")] == [tmp_path]


@pytest.mark.parametrize("isolation", ["host", "process"])
def test_the_trace_of_a_run_has_decimal_points_in_a_decimal_comma_locale(
    pyhost: Run, tmp_path: Path, comma_locale: dict[str, str], isolation: str
) -> None:
    write(tmp_path, "chooses_comma", CHOOSES_COMMA)
    words = ("run", "chooses_comma", "--trace", "trace.json", "--isolation", isolation)
    done = pyhost(*words, env=comma_locale)
    assert (done.returncode, done.stdout) == (0, "1.5\n"), done.stderr
    events = json.loads((tmp_path / "trace.json").read_text())
    assert all(isinstance(event["ts"], (int, float)) for event in events if event["ph"] == "X")


def test_results_messages_and_trace_of_map_have_decimal_points_in_a_decimal_comma_locale(
    pyhost: Run, tmp_path: Path, comma_locale: dict[str, str]
) -> None:
    write(tmp_path, "chooses_comma", CHOOSES_COMMA)
    done = pyhost(
        *("map", "chooses_comma", "--isolation", "shared", "--states", "-", "-j", "1", "--trace", "trace.json"),
        input="{}\n" * 3, env=comma_locale,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == [1.5] * 3
    assert "pyhost: 3 states done in " in done.stderr and "," not in done.stderr
    json.loads((tmp_path / "trace.json").read_text())


def test_the_message_of_a_timeout_has_a_decimal_point_in_a_decimal_comma_locale(
    pyhost: Run, tmp_path: Path, comma_locale: dict[str, str]
) -> None:
    write(tmp_path, "chooses_comma", CHOOSES_COMMA)
    done = pyhost("run", "chooses_comma", "-p", "sleep=600", "--timeout", "1.5s", env=comma_locale)
    assert done.returncode == 124
    assert "1.5 s" in done.stderr and "1,5" not in done.stderr
