"""Checks the includes and the file lengths of cpp/ against docs/architecture.md: no include goes up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "architecture.md"
LONGEST = 400
PUBLIC = "pyhost"  # cpp/include/pyhost, which every folder may include
WITHOUT_PYTHON = ("cli", "error")


@dataclass(frozen=True)
class Row:
    """One row of the table: folders, and the folders they may include."""

    folders: tuple[str, ...]
    may_include: frozenset[str]
    planned: bool


def rows(page: str) -> list[Row]:
    """The rows of the page's table of folders, from the top layer to the bottom."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| `")
    ]
    floors = [
        tuple(name.rstrip("/") for name in re.findall(r"`([\w/]+)`", row[0])) for row in cells
    ]
    return [
        Row(floors[i], allowed(row[2], i, floors), "planned" in row[1].lower())
        for i, row in enumerate(cells)
    ]


def allowed(words: str, floor: int, floors: list[tuple[str, ...]]) -> frozenset[str]:
    """The folders named by a last column like "host and below", "python, error" or "everything below"."""
    found: set[str] = set()
    for part in re.split(r",\s*(?:and\s+)?", words):
        name = re.sub(r"^the text helpers in ", "", part.replace("`", "")).removesuffix(
            " and below"
        )
        name = name.rstrip("/")
        if name == "the public headers":
            continue
        if name == "everything below":
            start, end = floor + 1, len(floors)
        else:
            matching = [i for i, folders in enumerate(floors) if name in folders]
            assert matching, f"the page says '{part}', but '{name}' is not a folder in its table"
            start = matching[0]
            end = len(floors) if part.endswith("and below") else start + 1
        assert start > floor, (
            f"the page lets {floors[floor][0]}/ include '{part}', which is not below"
        )
        found.update(folder for folders in floors[start:end] for folder in folders)
    return frozenset(found | set(floors[floor]))


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".hpp", ".cpp"))


def faults(table: list[Row], src: Path) -> list[str]:
    """The violations of the table in this tree, one line each."""
    rules = {folder: row for row in table for folder in row.folders}
    found = []
    for file in sources(src):
        folder = file.parent.relative_to(src).as_posix()
        name = file.relative_to(src)
        if folder not in rules:
            found.append(f"{name}: the folder {folder}/ is not in the table")
            continue
        includes = re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read_text(), re.MULTILINE)
        for include in includes:
            target = include.rpartition("/")[0]
            if not target or include.startswith("."):
                found.append(f'{name}: "{include}" does not name its folder')
            elif target != PUBLIC and target not in rules[folder].may_include:
                found.append(f'{name}: "{include}" must not be included in {folder}/')
        for include in re.findall(r"^\s*#\s*include\s+<([^>]+)>", file.read_text(), re.MULTILINE):
            if include.rpartition("/")[0] in rules:
                found.append(f"{name}: <{include}> is our own file and must be in quotes")
            elif folder in WITHOUT_PYTHON and re.match(r"Python\.h|pybind11/", include):
                found.append(f"{name}: <{include}> must not be included in {folder}/")
    found += [
        f"{folder}/ is in the table, but does not exist"
        for folder, row in rules.items()
        if not row.planned and not (src / folder).is_dir()
    ]
    return found


def long_files(page: str, root: Path) -> list[str]:
    """The files that are too long but not listed, or listed but not too long."""
    listed = set(re.findall(r"^- `(cpp/[\w/.-]+)`", page, re.MULTILINE))
    long = {
        file.relative_to(root).as_posix()
        for file in sources(root / "cpp")
        if len(file.read_text().splitlines()) > LONGEST
    }
    return [f"{name}: more than {LONGEST} lines" for name in sorted(long - listed)] + [
        f"{name}: is listed as too long, but is not" for name in sorted(listed - long)
    ]


def test_each_include_names_a_folder_that_the_table_allows() -> None:
    table = rows(PAGE.read_text())
    assert len(table) > 5
    assert faults(table, ROOT / "cpp" / "src") == []


def test_each_long_file_is_listed_with_a_reason() -> None:
    assert long_files(PAGE.read_text(), ROOT) == []


def test_threads_are_started_in_one_place() -> None:
    """Only that place turns a refusal by the system into an Error that names the limit."""
    start = re.compile(r"std::j?thread(?: \w+)?[({]|threads_\.emplace_back")
    starting = [file.name for file in sources(ROOT / "cpp") if start.search(file.read_text())]
    assert starting == []


# --- the checker itself, on an artificial tree

TABLE = """
| folder | job | may include |
|---|---|---|
| `cli/` | The program. | the public headers, and the text helpers in `error/` |
| `later/` | Planned: more. | pool and below |
| `pool/`, `pool/process/` | Many runs. | run and below |
| `run/` | One run. | everything below |
| `convert/` | Values. | error |
| `python/` | The C API. | error |
| `error/` | Errors. | the public headers |
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that agrees with the table."""
    src = tmp_path / "cpp" / "src"
    for folder in ("cli", "pool/process", "run", "convert", "python", "error"):
        (src / folder).mkdir(parents=True)
    write(src, "cli/main.cpp", "pyhost/host.hpp", "cli/main.hpp", "error/utf8.hpp")
    write(src, "pool/process/worker.cpp", "pool/pool.hpp", "run/run.hpp", "error/error.hpp")
    write(src, "pool/pool.cpp", "pool/process/worker.hpp", "convert/convert.hpp")
    write(src, "run/run.cpp", "run/run.hpp", "python/gil.hpp", "convert/convert.hpp")
    write(src, "error/error.cpp", "pyhost/error.hpp")
    return src


def write(src: Path, name: str, *includes: str) -> None:
    lines = [f'#include "{include}"\n' for include in includes]
    (src / name).write_text("#include <string>\n" + "".join(lines))


def test_a_tree_that_agrees_with_the_table_has_no_faults(tree: Path) -> None:
    assert faults(rows(TABLE), tree) == []


@pytest.mark.parametrize(
    ("file", "include"),
    [
        ("error/error.cpp", "python/gil.hpp"),
        ("run/run.cpp", "pool/pool.hpp"),
        ("run/run.cpp", "pool/process/worker.hpp"),
        ("convert/convert.cpp", "python/gil.hpp"),  # below, but not allowed by its row
        ("cli/main.cpp", "run/run.hpp"),
        ("pool/pool.cpp", "elsewhere/any.hpp"),
    ],
)
def test_an_include_that_goes_up_is_found(tree: Path, file: str, include: str) -> None:
    write(tree, file, include)
    folder = file.partition("/")[0]
    assert faults(rows(TABLE), tree) == [f'{file}: "{include}" must not be included in {folder}/']


@pytest.mark.parametrize("include", ["gil.hpp", "../python/gil.hpp", "./gil.hpp"])
def test_an_include_that_does_not_name_its_folder_is_found(tree: Path, include: str) -> None:
    write(tree, "python/gil.cpp", include)
    assert faults(rows(TABLE), tree) == [f'python/gil.cpp: "{include}" does not name its folder']


@pytest.mark.parametrize("include", ["Python.h", "pybind11/pytypes.h"])
def test_python_in_a_folder_without_it_is_found(tree: Path, include: str) -> None:
    for name in ("error/error.cpp", "python/gil.cpp"):
        (tree / name).write_text(f"#include <{include}>\n")
    assert faults(rows(TABLE), tree) == [
        f"error/error.cpp: <{include}> must not be included in error/"
    ]


def test_an_include_of_our_own_in_angle_brackets_is_found(tree: Path) -> None:
    (tree / "error" / "error.cpp").write_text("#include <run/run.hpp>\n")
    assert faults(rows(TABLE), tree) == [
        "error/error.cpp: <run/run.hpp> is our own file and must be in quotes"
    ]


def test_a_folder_that_is_not_in_the_table_is_found(tree: Path) -> None:
    (tree / "attic").mkdir()
    write(tree, "attic/old.cpp")
    assert faults(rows(TABLE), tree) == ["attic/old.cpp: the folder attic/ is not in the table"]


def test_a_row_whose_folder_does_not_exist_is_found(tree: Path) -> None:
    table = TABLE + "| `cellar/` | Below. | the public headers |\n"
    assert faults(rows(table), tree) == ["cellar/ is in the table, but does not exist"]


@pytest.mark.parametrize("words", ["attic", "attic and below", "run and below", "all of it"])
def test_a_row_that_may_include_a_folder_above_it_is_refused(words: str) -> None:
    table = TABLE + f"| `cellar/` | Below. | {words} |\n"
    with pytest.raises(AssertionError, match="is not a folder in its table|which is not below"):
        rows(table)


def test_a_long_file_is_found_unless_it_is_listed(tree: Path, tmp_path: Path) -> None:
    (tree / "run" / "run.cpp").write_text("//\n" * (LONGEST + 1))
    (tree / "run" / "short.cpp").write_text("//\n" * LONGEST)
    assert long_files("", tmp_path) == ["cpp/src/run/run.cpp: more than 400 lines"]
    assert long_files("- `cpp/src/run/run.cpp`: why\n", tmp_path) == []
    assert long_files(
        "- `cpp/src/run/run.cpp`: why\n- `cpp/src/run/gone.cpp`: why\n", tmp_path
    ) == ["cpp/src/run/gone.cpp: is listed as too long, but is not"]


def test_ctest_runs_every_test_file() -> None:
    tests = ROOT / "tests"
    listed = re.findall(r"[\w/.]+", (tests / "CMakeLists.txt").read_text())
    files = [*tests.rglob("test_*.py"), *tests.rglob("*_test.cpp")]
    names = [str(file.relative_to(tests)) for file in files if "fixtures" not in file.parts]
    assert len(names) > 20
    assert [name for name in names if name.removesuffix(".py") not in listed] == []
