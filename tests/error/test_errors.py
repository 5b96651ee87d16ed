"""Compares the error of each bad module, as text and as JSON, with the files in golden/.

PYHOST_UPDATE_GOLDEN=1 rewrites those files. They hold the output with Python 3.11. If another version differs,
its output is in a file like NAME.3.9.txt beside NAME.txt. Columns exist only from Python 3.11 on.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run

GOLDEN = Path(__file__).parent / "golden"
BAD = {
    "creates_none": 3,
    "exits_in_import": 3,
    "gives_a_set": 4,
    "has_an_unclosed_bracket": 3,
    "has_async_create": 3,
    "has_create_of_no_argument": 3,
    "has_create_of_two_arguments": 3,
    "has_create_that_is_a_number": 3,
    "has_deep_error": 1,
    "has_error_that_lies": 1,
    "has_getattr_but_no_run": 3,
    "has_no_create": 3,
    "has_no_run": 3,
    "has_on_error": 1,
    "has_on_error_that_is_a_number": 1,
    "has_run_of_one_argument": 3,
    "has_run_property_that_raises": 1,
    "has_run_that_is_a_number": 3,
    "imports_a_misspelt_module": 3,
    "imports_a_missing_module": 3,
    "imports_its_neighbour": 3,
    "imports_python2_modules": 3,
    "imports_what_is_missing": 3,
    "is_python2": 3,
    "is_there_twice": 3,
    "no_such_module": 3,
    "prints_and_imports_what_is_missing": 3,
    "raises_a_group": 1,
    "raises_from_none": 1,
    "raises_in_a_library": 1,
    "raises_in_create": 1,
    "raises_in_import": 3,
    "raises_in_run": 1,
    "raises_terminal_escapes": 1,
    "raises_type_error_in_create": 1,
    "raises_while_handling": 1,
    "raises_with_a_cause": 1,
    "raises_with_notes": 1,
    "raises_with_wide_characters": 1,
    "recurses_in_threes": 1,
    "uses_python2_names": 1,
    "writes_7_pm": 2,
}  # fmt: skip
GOOD = {
    "counts_imports", "evaluates", "gets_its_run_late", "imports_another", "imports_json",
    "keeps_its_state", "leaves_a_file_open", "prints", "returns_state", "wins",
    "writes_to_a_broken_pipe", "waits", "runs_cpython_tests",
    "counts_in_its_thread", "counts_its_objects", "shows_its_state", "__init__",
    "awaits", "yields", "yields_async", "does_not_end", "hangs_in_on_unload", "is_a_context_manager",
    "tells_of_its_life", "raises_in_on_load", "raises_in_the_end",  # test_running.py, *_test.cpp
    "counts_in_the_store", "stores_in_the_end", "connects", "asks_in_create", "asks_in_import", "logs",
    "looks_at_a_buffer", "has_an_async_life", "asks_in_on_load", "awaits_a_service", "ruins_its_process",
    "needs_one_interpreter", "asks_when_unloaded", "asks_when_closed",
}  # fmt: skip
STATES = {"raises_in_run": '{"what": "exit"}', "has_on_error": '{"then": "raise"}'}
NAMES = {
    "writes_7_pm": "7_pm.py",
    "no_such_module": "retruns_state",
}  # not named like the fixture module
LIBRARY = re.compile(r"(?m)^( *)(<python>/lib/python3[^:]*):\d+( in .*)\n.*\n(?: *\^+\n)?")
CARETS = re.compile(r"(?m)^[ |]*\^+\n")


@pytest.fixture(scope="module")
def python(program: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The version and the prefix of the Python that the program embeds."""
    give = "give=[__import__('sys').version_info[:2], __import__('sys').prefix]"
    words = [program, "run", "evaluates", "-m", str(FIXTURES), "-p", give]
    done = subprocess.run(words, capture_output=True, check=True)
    (major, minor), prefix = json.loads(done.stdout)
    return f"{major}.{minor}", prefix


def normal(text: str, version: str, prefix: str) -> str:
    text = text.replace(str(FIXTURES), "<fixtures>").replace(prefix, "<python>")
    text = text.replace(f"lib/python{version}/", "lib/python3/")
    text = re.sub(r"<python>/bin/python[\d.]*", "<python>/bin/python3", text)
    return re.sub(
        r"\b9\d\d times", "900 times", text
    )  # the depth of the stack at the start of a module varies


def normal_text(text: str, version: str) -> str:
    text = LIBRARY.sub(r"\1\2\3\n", text)
    return text if has_columns(version) else CARETS.sub("", text)


def normal_json(value: Any, version: str) -> Any:
    """Removes values that depend on the version of Python: lines of libraries, and the depth of the stack."""
    if isinstance(value, list):
        # The frames of the import machinery depend on the version, too.
        own = [i for i in value if not (isinstance(i, dict) and i.get("origin") == "machinery")]
        return [normal_json(item, version) for item in own]
    if not isinstance(value, dict):
        return value
    value = {key: normal_json(item, version) for key, item in value.items()}
    if value.get("origin") == "library":
        value |= {"line": 0, "source": "", "column": None, "end_column": None}
    if not has_columns(version) and "end_column" in value:
        value |= {"column": None, "end_column": None}
    if isinstance(value.get("times"), int) and value["times"] > 900:
        value["times"] = 900
    return value


def has_columns(version: str) -> bool:
    return version not in ("3.9", "3.10")


def shown(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def compare(name: str, kind: str, found: str, expected: Any, version: str) -> None:
    """Compares `found` with the golden file of this Python version or the general one. `expected` reads a file."""
    general, own = GOLDEN / f"{name}.{kind}", GOLDEN / f"{name}.{version}.{kind}"
    if os.environ.get("PYHOST_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        own.unlink(missing_ok=True)
        if version == "3.11":
            general.write_text(found)
        elif expected(general) != found:
            own.write_text(found)
    assert found == expected(own if own.exists() else general)


@pytest.mark.parametrize("name", BAD)
def test_the_text_of_the_error_of_a_bad_module_matches_the_golden_file(
    pyhost: Run, name: str, python: tuple[str, str]
) -> None:
    version, prefix = python
    done = run(pyhost, name)
    assert done.returncode == BAD[name]
    found = normal_text(normal(done.stderr, version, prefix), version)
    compare(name, "txt", found, lambda f: normal_text(f.read_text(), version), version)


@pytest.mark.parametrize("name", BAD)
def test_the_json_of_the_error_of_a_bad_module_matches_the_golden_file(
    pyhost: Run, name: str, python: tuple[str, str]
) -> None:
    version, prefix = python
    done = run(pyhost, name, "--json")
    assert done.returncode == BAD[name]
    error = normal_json(json.loads(normal(done.stdout, version, prefix))["error"], version)
    compare(
        name,
        "json",
        shown(error),
        lambda f: shown(normal_json(json.loads(f.read_text()), version)),
        version,
    )


def run(pyhost: Run, name: str, *more: str) -> Any:
    words = ["-m", str(FIXTURES), "-s", STATES.get(name, "{}"), *more]
    return pyhost("run", NAMES.get(name, name), *words)


def test_every_fixture_module_has_a_golden_file_or_is_valid() -> None:
    files = {file.stem for file in (FIXTURES / "modules").glob("*.py")}
    assert files == (set(BAD) - set(NAMES)) | GOOD


def test_all_errors_as_json_have_the_same_keys() -> None:
    top, exceptions, frames = set(), set(), set()

    def collect(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                collect(item)
        if isinstance(value, dict):
            if "origin" in value:
                frames.add(tuple(value))
            if "members" in value:
                exceptions.add(tuple(key for key in value if key != "link"))
            if "schema" in value:
                top.add(tuple(value))
            collect(list(value.values()))

    collect([json.loads(file.read_text()) for file in GOLDEN.glob("*.json")])
    assert (len(top), len(exceptions), len(frames)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("variables", "coloured"), [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False),
                                ({"TERM": "dumb"}, False)],
)  # fmt: skip
def test_an_error_has_colour_on_a_terminal_only(
    pyhost: Run, variables: dict[str, str], coloured: bool
) -> None:
    terminal, child = os.openpty()
    options = {"capture_output": False, "stderr": child, "env": variables}
    if "NO_COLOR" not in variables:
        options["env"] = variables | {"NO_COLOR": ""}
    words = ["run", "raises_in_create", "-m", str(FIXTURES)]
    pyhost(*words, **options)
    os.close(child)
    text = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert ("\x1b[1;31merror:" in text) == coloured
    assert "\x1b" not in pyhost(*words, env=variables).stderr
