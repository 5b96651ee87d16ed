"""docs/command-line.md is what docs/command_line.py makes from the program's help."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, Run

PAGE = ROOT / "docs" / "command-line.md"
GENERATOR = ROOT / "docs" / "command_line.py"


def test_the_reference_is_generated_from_the_help(program: str, tmp_path: Path) -> None:
    generated = tmp_path / "command-line.md"
    subprocess.run([sys.executable, GENERATOR, program, generated], check=True, timeout=PATIENCE)
    before, after = (page.read_text().splitlines() for page in (PAGE, generated))
    if before != after:
        pytest.fail(
            f"the help has changed; regenerate the page by:\n  python3 {GENERATOR} {program}\n\n"
            + "\n".join(difflib.unified_diff(before, after, PAGE.name, "--help", lineterm="", n=0)),
            pytrace=False,
        )


def test_every_flag_of_the_help_is_in_the_reference(pyhost: Run) -> None:
    sections = dict(re.findall(r"^##+ (.*)\n((?:(?!##).*\n)*)", PAGE.read_text(), re.MULTILINE))
    missing = []
    commands: list[tuple[str, ...]] = [()]
    while commands:
        words = commands.pop()
        page = pyhost(*words, "--help").stdout
        shown = sections.get(" ".join(["pyhost", *words]), "") if words else PAGE.read_text()
        for heading in re.findall(r"\[options of all ([\w ]+)\]\(", shown):
            shown += sections[f"Options of all {heading}"]
        for names in re.findall(r"^  ((?:-\w,)?--?\w[\w-]*)\b", page, re.MULTILINE):
            missing += [(words, name) for name in names.split(",") if f"`{name}`" not in shown]
        _, _, subcommands = page.partition("\nSubcommands:\n")
        found = re.findall(r"^  (\w+) ", subcommands.partition("\n\n")[0], re.MULTILINE)
        commands += [(*words, name) for name in found]
    assert not missing
