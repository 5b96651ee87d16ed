"""Runs the commands and examples of the README and the pages in docs, and compares their output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, PATIENCE, ROOT, clean_environment, needs_package

README = ROOT / "README.md"
# Pages without programs. Other tests check them: tests/architecture, tests/engine/test_recipes.py,
# tests/engine/test_engines.py, tests/pool/test_forks_threads_signals.py, test_performance.py,
# test_schedule_files.py and test_troubleshooting.py.
WITHOUT_PROGRAMS = (
    "architecture",
    "clusters",
    "command-line",
    "engine-numbers",
    "engines",
    "forks-threads-signals",
    "performance",
    "schedule-deployment",
    "troubleshooting",
)
DOCS = sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem not in WITHOUT_PROGRAMS)
# The first example of a page is named like the page. The names of the others begin with its name and "_".
EXAMPLES = sorted((ROOT / "tests" / "docs").glob("*.cpp"), key=lambda source: source.stem)


def blocks(page: Path, language: str) -> list[str]:
    found = [
        text
        for kind, text in re.findall(
            r"^```(\w+)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
        )
        if kind == language
    ]
    assert found, f"{page.name} has no {language} block"
    return found


def write_modules(page: Path, folder: Path) -> None:
    assert blocks(page, "python")
    write_files(page, folder)


def write_files(page: Path, folder: Path) -> None:
    shown = [kind for kind in ("python", "toml") if f"```{kind}\n" in page.read_text()]
    for text in [text for kind in shown for text in blocks(page, kind)]:
        name = re.match(r"# (\S+\.(?:py|toml))\n", text)
        assert name, "a python or toml block must begin with the name of its file"
        file = folder / name[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def without_carets(text: str) -> str:
    """Removes lines of carets, which Python has only from 3.11 on."""
    return re.sub(r"^ *\^+\n", "", text, flags=re.MULTILINE)


def without_times(text: str) -> str:
    """Replaces due times and durations, and joins the spaces that depend on their lengths."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? [A-Z]+", "TIME", text)
    return re.sub(" +", " ", re.sub(r"\b\d+\.\d+ s\b", "SECONDS", text))


def test_the_cpp_example_of_the_readme_is_the_tested_consumer() -> None:
    assert (ROOT / "tests" / "install" / "consumer" / "main.cpp").read_text() in blocks(
        README, "cpp"
    )


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.stem)
def test_every_console_block_prints_what_it_shows(page: Path, program: str, tmp_path: Path) -> None:
    write_modules(page, tmp_path)
    environment = clean_environment()
    same = without_carets
    if page.stem == "schedule":
        needs_package("cronsim")
        environment["VIRTUAL_ENV"] = sys.prefix
        same = without_times
    ran = 0
    for block in blocks(page, "console"):
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if command.startswith("./dev") and not command.startswith("./dev run"):
                continue  # these commands run this test
            real = command.replace("./dev run", "pyhost run")
            done = subprocess.run(
                ["bash", "-c", f"pyhost() {{ {program} \"$@\"; }}; {real}"],
                cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
            assert same(done.stdout.replace(f"{tmp_path}/", "")) == same(shown), command
            ran += 1
    assert ran >= 1


def page_of(example: Path) -> Path:
    return ROOT / "docs" / f"{example.stem.partition('_')[0]}.md"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_the_cpp_examples_of_a_page_are_built(page: Path) -> None:
    sources = [example.read_text() for example in EXAMPLES if page_of(example) == page]
    shown = blocks(page, "cpp") if "```cpp\n" in page.read_text() else []
    assert sources == shown


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_a_cpp_example_of_the_docs_prints_what_its_page_shows(
    example: Path, tmp_path: Path
) -> None:
    page = page_of(example)
    write_modules(page, tmp_path)
    program = BUILD / "tests" / f"docs_{example.stem}"
    # Otherwise AddressSanitizer would report the crash of a worker first.
    environment = clean_environment() | {"ASAN_OPTIONS": "handle_segv=0"}
    done = subprocess.run(
        [program], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == blocks(page, "text")[blocks(page, "cpp").index(example.read_text())]


def test_the_tests_of_modules_that_a_page_shows_pass(tmp_path: Path) -> None:
    write_modules(ROOT / "docs" / "modules.md", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pyhost.pytest_fixtures", "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=clean_environment(PYTHONPATH=str(ROOT / "python_modules")),
    )
    assert "2 passed" in done.stdout, done.stdout


def test_the_readme_is_short_and_its_first_code_comes_early() -> None:
    text = README.read_text()
    lines = text.splitlines()
    assert len(lines) <= 100
    words = [each for each in text.split() if any(map(str.isalnum, each))]
    assert len(words) <= 600
    assert any(line.startswith("```") for line in lines[:10])


def test_every_file_that_the_readme_names_exists() -> None:
    for name in re.findall(r"`((?:cpp|tests|python_modules)/[\w./]*)`", README.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("word", ["run", "test", "sanitize", "format"])
def test_dev_help_explains_each_command(word: str) -> None:
    done = subprocess.run([str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True)
    assert f"./dev {word}" in done.stdout
