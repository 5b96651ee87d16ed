"""docs/project-file.md lists each key of pyhost.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, Run

PAGE = (ROOT / "docs" / "project-file.md").read_text()
KEYS = re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("key", KEYS)
def test_the_program_knows_each_key_of_the_table(pyhost: Run, tmp_path: Path, key: str) -> None:
    file = tmp_path / "pyhost.toml"
    file.write_text(f"{key} = [{{}}]\n")  # the wrong type for most of them
    done = pyhost("schedule", cwd=tmp_path)
    assert "there is no key" not in done.stdout + done.stderr

    file.write_text(f"{key}x = [{{}}]\n")
    done = pyhost("schedule", cwd=tmp_path)
    is_any_name = key == "connections.NAME"
    assert ("there is no key" in done.stdout + done.stderr) != is_any_name


def test_the_table_has_each_key_that_the_program_reads() -> None:
    read = set()
    for source in ("cli/configuration.cpp", "schedule/entries_file.cpp"):
        text = (ROOT / "cpp" / "src" / source).read_text()
        read |= set(re.findall(r'\{"(\w+)", \[', text))
    tables = {"log", "connections", "modules", "schedule"}
    assert len(read) > len(tables)
    assert {key.rpartition(".")[2] for key in KEYS} - {"NAME"} == read - tables
