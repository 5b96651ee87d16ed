"""Plug-ins that contain the pyhost library, in an application that does not use it itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, cached, clean_environment

EMBEDDINGS = BUILD / "tests"

pytestmark = pytest.mark.skipif(
    cached("PYHOST_SANITIZE") == "ON",
    reason="an application without the sanitizers cannot load a plug-in with them",
)


def act(folder: Path, *actions: str) -> subprocess.CompletedProcess[str]:
    """Runs plugin_user with these actions. Plug-ins 0 and 1 are copies of the same file."""
    for number in "01":
        (folder / number / "modules").mkdir(parents=True)
        (folder / number / "modules" / "tool.py").write_text(
            "import threading\n\n"
            "class Tool:\n"
            "    def run(self):\n"
            f"        return 'tool {number}'\n\n"
            "def create(state):\n"
            "    return Tool()\n"
        )
        shutil.copy(EMBEDDINGS / "hidden_plugin.so", folder / f"hidden_plugin_{number}.so")
    return subprocess.run(
        [EMBEDDINGS / "plugin_user", folder, *actions], capture_output=True, text=True, env=clean_environment()
    )  # fmt: skip


def test_a_plug_in_may_be_unloaded_after_its_host_is_closed(tmp_path: Path) -> None:
    done = act(tmp_path, "load0", "open0", "run0", "close0", "unload0")
    assert (done.returncode, done.stdout, done.stderr) == (7, '"tool 0"\nmain returns\n', "")


def test_a_plug_in_may_be_unloaded_and_loaded_again(tmp_path: Path) -> None:
    once = ("load0", "open0", "run0", "close0", "unload0")
    done = act(tmp_path, *once, *once)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == '"tool 0"\n"tool 0"\nmain returns\n'


def test_a_second_copy_of_the_library_is_refused_while_the_first_has_a_host(
    tmp_path: Path,
) -> None:
    done = act(tmp_path, "load0", "load1", "open0", "open1", "run0", "close0")
    assert (done.returncode, done.stderr) == (7, "")
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "another copy of pyhost has a host open in this process: "
        f"the copy in {tmp_path}/hidden_plugin_0.so"
    )
    assert lines[1].startswith("hint: ")
    assert lines[2:] == ['"tool 0"', "main returns"]


def test_a_second_copy_of_the_library_opens_a_host_after_the_first_has_closed_its_own(
    tmp_path: Path,
) -> None:
    done = act(tmp_path, "load0", "load1", "open0", "run0", "close0", "open1", "run1", "close1")
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == '"tool 0"\n"tool 1"\nmain returns\n'
