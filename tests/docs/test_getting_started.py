"""The project of docs/getting-started.md is built and run by the commands that the page shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conftest import BUILD, ROOT, cached, clean_environment
from test_readme import blocks, write_modules

PAGE = ROOT / "docs" / "getting-started.md"


def test_the_project_builds_against_an_installed_pyhost_and_runs(tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "hello"
    subprocess.run(
        ["cmake", "--install", str(BUILD), "--prefix", str(home / "pyhost")],
        check=True,
        capture_output=True,
    )
    write_modules(PAGE, project)
    (project / "main.cpp").write_text(blocks(PAGE, "cpp")[0])
    (project / "CMakeLists.txt").write_text(blocks(PAGE, "cmake")[0])
    (commands,) = [block for block in blocks(PAGE, "sh") if "build/hello" in block]

    sanitizers = "-fsanitize=address,undefined" if cached("PYHOST_SANITIZE") == "ON" else ""
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(HOME=str(home), LDFLAGS=sanitizers),
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\n" + blocks(PAGE, "text")[0]), done.stdout
