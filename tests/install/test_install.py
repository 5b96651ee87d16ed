"""Uses pyhost like an outside project: from an installed tree, as a subdirectory, and with pip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import (
    BUILD,
    ROOT,
    cached,
    clean_environment,
    make_venv,
    pip_install,
    without_index,
    write_module,
)

CONSUMER = Path(__file__).parent / "consumer"
# These two tests build all of pyhost once more, independently of the build under test. They build without
# optimization and debug information, which takes a third of the time.
only_once = pytest.mark.skipif(
    cached("PYHOST_SANITIZE") == "ON", reason="this builds pyhost without sanitizers"
)


def call(*words: object, **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in words],
        **{
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "env": clean_environment(),
        }
        | options,
    )
    assert done.returncode == 0, f"{words} said:\n{done.stdout}"
    return str(done.stdout)


def run_consumer(program: Path, folder: Path) -> None:
    """Runs the README's program over its module."""
    (folder / "modules").mkdir()
    module = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    (folder / "modules" / "shout.py").write_text(module)
    said = call(program, cwd=folder).splitlines()
    assert said[:2] == ['"HELLO"', "module 'shout' raised KeyError: 'text'"]
    assert said[2].endswith("modules/shout.py:7 in run")


USES_ALL = """
import logging

from pyhost import services


class Module:
    def run(self):
        logging.getLogger("uses_all").warning("logged")
        return services.who()


def create(state):
    return Module()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that was installed with one prefix, and then moved."""
    prefix = tmp_path_factory.mktemp("prefix")
    call("cmake", "--install", BUILD, "--prefix", prefix / "first")
    (prefix / "first").rename(prefix / "second")
    return prefix / "second"


@pytest.fixture(scope="module")
def consumer(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of a project that has found the installed tree by find_package."""
    build = tmp_path_factory.mktemp("consumer")
    flags = "-fsanitize=address,undefined" if cached("PYHOST_SANITIZE") == "ON" else ""
    call("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={installed}",
         f"-DCMAKE_EXE_LINKER_FLAGS={flags}")  # fmt: skip
    call("cmake", "--build", build)
    return build


@pytest.fixture
def modules_of_consumer(tmp_path: Path) -> Path:
    write_module(tmp_path, "names_its_program", "import os\nreturn os.readlink('/proc/self/exe')")
    (tmp_path / "modules" / "uses_all.py").write_text(USES_ALL)
    return tmp_path


def test_a_consumer_project_builds_against_the_installed_tree(
    consumer: Path, tmp_path: Path
) -> None:
    run_consumer(consumer / "consumer", tmp_path)


def test_a_consumer_program_has_services_logs_and_workers(
    installed: Path, consumer: Path, modules_of_consumer: Path
) -> None:
    said = call(consumer / "features", modules_of_consumer, cwd=modules_of_consumer)
    assert said == f'"C++"\n{installed}/bin/pyhost-worker\n1\n'


def test_missing_python_files_of_pyhost_are_reported_without_advice_to_use_pip(
    installed: Path, consumer: Path, modules_of_consumer: Path
) -> None:
    files, elsewhere = installed / "share" / "pyhost", modules_of_consumer / "elsewhere"
    files.rename(elsewhere)
    try:
        words = [str(consumer / "features"), str(modules_of_consumer)]
        done = subprocess.run(words, capture_output=True, text=True, env=clean_environment())
        assert done.returncode == 1
        assert "pip" not in done.stdout and "PythonOptions::python_modules" in done.stdout, (
            done.stdout
        )
        said = call(*words, elsewhere / "python_modules")
        assert said == f'"C++"\n{installed}/bin/pyhost-worker\n1\n'
        done = subprocess.run([*words, "/tmp"], capture_output=True, text=True)
        assert "PythonOptions::python_modules is '/tmp', which does not contain" in done.stdout, (
            done.stdout
        )
    finally:
        elsewhere.rename(files)


def test_an_installed_program_finds_its_modules_wherever_the_tree_is_moved(
    installed: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    installed.rename(moved)
    try:
        assert (
            call(moved / "bin" / "pyhost", "run", "mod1", cwd=tmp_path)
            == "This is module1 doing its thing\n"
        )
    finally:
        moved.rename(installed)


def test_public_headers_need_neither_python_nor_pybind11(installed: Path, tmp_path: Path) -> None:
    headers = sorted((installed / "include" / "pyhost").glob("*.hpp"))
    assert len(headers) >= 5
    # ./dev includes checks that each header compiles by itself.
    source = tmp_path / "headers.cpp"
    source.write_text(
        "".join(
            f"#include <pyhost/{header.name}>\n"
            "#if defined(PY_VERSION) || defined(PYBIND11_VERSION_MAJOR)\n"
            f"#error {header.name} includes Python\n#endif\n"
            for header in headers
        )
    )
    call("c++", "-std=c++20", "-fsyntax-only", "-I", installed / "include", source)


@only_once
def test_pyhost_can_be_a_subdirectory_of_another_project(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(outer LANGUAGES CXX)\n"
        f"add_subdirectory({ROOT} pyhost)\n"
        f"add_executable(consumer {CONSUMER}/main.cpp)\n"
        "target_link_libraries(consumer PRIVATE pyhost::pyhost)\n"
        "if(TARGET pyhost_program OR TARGET pyhost_tests)\n  message(FATAL_ERROR not ours)\nendif()\n"
    )
    call("cmake", "-G", "Ninja", "-S", tmp_path, "-B", tmp_path / "build",
         f"-DPython_EXECUTABLE={cached('Python_EXECUTABLE')}", f"-Dpybind11_DIR={cached('pybind11_DIR')}",
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0")  # fmt: skip
    call("cmake", "--build", tmp_path / "build")
    run_consumer(tmp_path / "build" / "consumer", tmp_path)


@only_once
def test_pip_install_puts_pyhost_on_the_path_of_a_virtual_environment(tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv", cached("Python_EXECUTABLE"))
    source = tmp_path / "source"
    left_out = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out)
    done = pip_install(
        python,
        "--config-settings=cmake.build-type=Debug",
        "--config-settings=cmake.define.CMAKE_CXX_FLAGS_DEBUG=-O0",
        str(source),
    )
    output = done.stdout + done.stderr
    if done.returncode != 0 and (
        "No matching distribution" in output or "ConnectionError" in output
    ):
        without_index(output.strip().splitlines()[-1])
    assert done.returncode == 0, output
    path = f"{tmp_path}/venv/bin:{os.environ['PATH']}"
    ran = call("pyhost", "run", "mod1", cwd=tmp_path, env=clean_environment(PATH=path))
    assert ran == "This is module1 doing its thing\n"

    # pyhost.testing is installed, and pytest finds the fixture without configuration.
    assert call("pyhost", "new", "shout", cwd=tmp_path, env=clean_environment(PATH=path)).endswith(
        "\n  pytest tests/test_shout.py\n"
    )
    done = pip_install(python, "pytest")
    assert done.returncode == 0, done.stderr
    shipped = "def test_it(run_module): assert run_module('mod1') is None\n"
    (tmp_path / "tests" / "test_shipped.py").write_text(shipped)
    tested = call(python, "-m", "pytest", "-q", "tests", cwd=tmp_path)
    assert "3 passed" in tested, tested
    # A package `modules` in site-packages would hide the `modules` of other projects.
    find = "import importlib.util as u; print(u.find_spec('modules'), u.find_spec('pyhost').origin)"
    found = call(python, "-I", "-c", find, cwd=tmp_path)
    assert found.startswith(f"None {tmp_path}/venv/lib") and "site-packages/pyhost/" in found
    extras = "from importlib.metadata import metadata as m; print(m('libpyhost').get_all('Provides-Extra'))"
    assert call(python, "-c", extras, cwd=tmp_path) == "['dask', 'ray']\n"
    (site_packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages/pyhost")
    assert (site_packages / "py.typed").exists()
    imported = "import pyhost\nclass M:\n    def run(self): return pyhost.__file__\ndef create(s): return M()\n"
    (tmp_path / "modules" / "where.py").write_text(imported)
    where = call("pyhost", "run", "where", cwd=tmp_path, env=clean_environment(PATH=path))
    assert where == f'"{tmp_path}/venv/share/pyhost/python_modules/pyhost/__init__.py"\n'
