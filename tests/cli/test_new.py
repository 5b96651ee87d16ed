"""pyhost new: the new module and its test pass unchanged, and no file is overwritten."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Run, clean_environment, mypy, needs_package


def tree(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }


def commands(said: str) -> list[str]:
    return [line.strip() for line in said.partition("Now try:\n")[2].splitlines()]


@pytest.mark.parametrize("name", ["shout", "reports.daily", "a.b.c"])
def test_the_printed_commands_succeed(pyhost: Run, program: str, tmp_path: Path, name: str) -> None:
    done = pyhost("new", name)
    assert (done.returncode, done.stderr) == (0, "")
    run, check, test = commands(done.stdout)
    assert run == f"pyhost run {name} -p who=Ada"
    assert check == f"pyhost check {name}"
    outputs = []
    for command in (run, check, test.replace("python3", sys.executable)):
        ran = subprocess.run(
            ["bash", "-c", f"pyhost() {{ {shlex.quote(program)} \"$@\"; }}; {command}"],
            cwd=tmp_path, capture_output=True, text=True, env=clean_environment(),
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        outputs.append(ran.stdout + ran.stderr)
    assert outputs[0] == '{"greeting":"Hello, Ada!"}\n'
    assert outputs[1] == "1 module checked, no error\n"
    assert "2 passed" in outputs[2]


def test_a_dotted_name_makes_packages(pyhost: Run, tmp_path: Path) -> None:
    said = pyhost("new", "reports.daily").stdout
    assert list(tree(tmp_path)) == [
        "modules/reports/__init__.py",
        "modules/reports/daily.py",
        "tests/test_reports_daily.py",
    ]
    for file in tree(tmp_path):
        assert f"wrote {file}\n" in said
    assert pyhost("new", "reports.weekly").returncode == 0
    assert len(tree(tmp_path)) == 5


def test_new_writes_to_the_first_module_path(pyhost: Run, tmp_path: Path) -> None:
    for folder in ("given", "by_variable", "python_modules"):
        (tmp_path / folder).mkdir()
    assert pyhost("new", "one", "-m", "given").returncode == 0
    assert pyhost("new", "two", env={"PYHOST_MODULE_PATH": "by_variable:given"}).returncode == 0
    assert pyhost("new", "three").returncode == 0
    assert {file for file in tree(tmp_path) if "test" not in file} == {
        "given/modules/one.py",
        "by_variable/modules/two.py",
        "python_modules/modules/three.py",
    }
    assert (tmp_path / "given" / "tests" / "test_one.py").exists()
    assert commands(pyhost("new", "four", "-m", "given").stdout)[0] == (
        "pyhost run four -m given -p who=Ada"
    )


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("modules/shout.py", "shout"),
        ("tests/test_shout.py", "shout"),
        ("modules/shout/__init__.py", "shout"),
        ("modules/shout/data.csv", "shout"),
        ("modules/shout.py", "shout.loud"),
        ("tests/test_a_b.py", "a.b"),
    ],
)
def test_new_never_overwrites_and_leaves_no_partial_files(
    pyhost: Run, tmp_path: Path, there: str, name: str
) -> None:
    file = tmp_path / there
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    done = pyhost("new", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "already exists, and is not overwritten" in done.stderr
    assert file.read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == before


def test_new_does_not_write_through_a_link(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "shout.py").symlink_to(tmp_path / "elsewhere.py")
    assert pyhost("new", "shout").returncode == 2
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.parametrize("name", ["../x", "a-b", "class", "__init__", "a..b", "", "x.py/y", "é"])
def test_an_invalid_module_name_is_refused(pyhost: Run, tmp_path: Path, name: str) -> None:
    done = pyhost("new", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be a module's name" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module_path_that_is_not_a_folder_is_refused(pyhost: Run) -> None:
    done = pyhost("new", "x", "-m", "no/such")
    assert done.returncode == 2
    assert "module path 'no/such' is not a folder" in done.stderr


def test_a_folder_without_write_permission_is_reported(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").write_text("a file where a folder should be")
    done = pyhost("new", "x")
    assert done.returncode == 74
    assert "modules/x.py could not be written: Not a directory" in done.stderr


def test_new_files_are_typed_and_formatted(pyhost: Run, tmp_path: Path) -> None:
    needs_package("mypy")
    pyhost("new", "shout")
    files = [str(tmp_path / "modules/shout.py"), str(tmp_path / "tests/test_shout.py")]
    environment = clean_environment(MYPYPATH=str(ROOT / "python_modules"))
    for words in (
        mypy(),
        [sys.executable, "-m", "ruff", "check"],
        [sys.executable, "-m", "ruff", "format", "--check"],
    ):
        done = subprocess.run(
            [*words, *files], cwd=tmp_path, capture_output=True, text=True, env=environment
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
