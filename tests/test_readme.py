"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language]
    assert found, f"the README has no {language} block"
    return found


def without_carets(text: str) -> str:
    """Python knows columns since 3.11."""
    return re.sub(r"^ *\^+\n", "", text, flags=re.MULTILINE)


def test_the_cpp_example_is_the_consumer_that_is_built_and_run() -> None:
    assert (ROOT / "tests" / "consumer" / "main.cpp").read_text() in blocks("cpp")


def test_the_cmake_example_is_the_consumers() -> None:
    assert blocks("cmake")[0] in (ROOT / "tests" / "consumer" / "CMakeLists.txt").read_text()


def test_every_console_block_prints_what_it_shows(program: str, tmp_path: Path) -> None:
    for text in blocks("python"):
        name = re.match(r"# (\S+\.py)\n", text)
        assert name, "a python block begins with the name of its file"
        file = tmp_path / name[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    ran = 0
    for block in blocks("console"):
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if command.startswith("./dev") and not command.startswith("./dev run"):
                continue  # that is what runs this test
            real = command.replace("./dev run", "pyhost run")
            done = subprocess.run(
                ["bash", "-c", f"pyhost() {{ {program} \"$@\"; }}; {real}"],
                cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment(),
            )  # fmt: skip
            assert without_carets(done.stdout.replace(f"{tmp_path}/", "")) == without_carets(
                shown
            ), command
            ran += 1
    assert ran >= 4


def test_it_is_short_and_its_first_code_comes_early() -> None:
    lines = README.splitlines()
    assert len(lines) <= 130
    assert any(line.startswith("```") for line in lines[:10])


def test_every_file_it_names_exists() -> None:
    for name in re.findall(r"`((?:cpp|tests|python_modules)/[\w./]*)`", README):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("word", ["run", "test", "sanitize", "format"])
def test_dev_explains_its_words(word: str) -> None:
    done = subprocess.run([str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True)
    assert f"./dev {word}" in done.stdout
