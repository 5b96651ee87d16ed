"""The C++ reference is made from the public headers, and every public name has a comment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, missing

HEADERS = ROOT / "cpp" / "include" / "pyhost"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the script and the headers."""
    if shutil.which("doxygen") is None:
        missing("doxygen is not installed")
    shutil.copytree(HEADERS, tmp_path / "cpp" / "include" / "pyhost")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "reference.py", tmp_path / "docs")
    return tmp_path


def write_reference(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(folder / "docs" / "reference.py"), str(folder / "site")]
    return subprocess.run(words, capture_output=True, text=True)


def edit(folder: Path, header: str, old: str, new: str) -> None:
    file = folder / "cpp" / "include" / "pyhost" / header
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_every_public_name_has_a_comment(copy: Path) -> None:
    done = write_reference(copy)
    assert (done.returncode, done.stderr) == (0, "")
    page = (copy / "site" / "cpp-reference.md").read_text()
    assert page.index("## error.hpp") < page.index("### Error\n") < page.index("## host.hpp")
    assert "#### Host::load\n\n```cpp\nModule load(std::string_view name);\n```\n" in page
    assert "- `int line = 0`  \n" in page
    assert "detail::HostInternals" not in page


@pytest.mark.parametrize(
    ("header", "line", "name"),
    [
        ("host.hpp", "class Host {\n public:\n", "Host::added"),
        ("options.hpp", "struct Options {\n", "Options::added"),
        ("module.hpp", "namespace pyhost {\n", "added"),
    ],
)
def test_a_public_name_without_a_comment_is_an_error(
    copy: Path, header: str, line: str, name: str
) -> None:
    edit(copy, header, line, f"{line}\nint added();\n")
    done = write_reference(copy)
    assert done.returncode == 1
    assert done.stderr == f"these public names have no comment:\n  {name}\n"


def test_an_enumerator_without_a_comment_is_an_error(copy: Path) -> None:
    edit(copy, "error.hpp", "enum class Phase {", "enum class Phase {\n  Added,")
    assert write_reference(copy).stderr.endswith(":\n  Phase::Added\n")


def test_private_names_need_no_comment(copy: Path) -> None:
    edit(copy, "host.hpp", " private:\n  friend class Pool;\n", " private:\n  int added();\n")
    assert write_reference(copy).returncode == 0


def test_a_member_after_one_with_several_paragraphs_begins_a_list_item(copy: Path) -> None:
    write_reference(copy)
    page = (copy / "site" / "cpp-reference.md").read_text()
    assert "\n\n- `std::filesystem::path python_modules = {}`  \n" in page
