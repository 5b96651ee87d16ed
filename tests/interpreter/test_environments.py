"""The Python that modules run on: virtual environments with real packages, sys.executable, processes that already
run Python, and the report of `pyhost doctor`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import (
    BUILD,
    FIXTURES,
    Run,
    cached,
    clean_environment,
    embedded_version,
    kept_venv,
    small_program,
    write_module,
)

PYTHON = cached("Python_EXECUTABLE")
VERSION = ".".join(map(str, embedded_version()))
EVALUATES = ("run", "evaluates", "-m", str(FIXTURES))
SANITIZED = cached("PYHOST_SANITIZE") == "ON"


@pytest.fixture(scope="session")
def packages() -> Path:
    """A virtual environment with numpy, requests, pydantic and pip."""
    return kept_venv("venv-with-packages", ("numpy", "requests", "pydantic", "pip"))


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venvs") / "plain"
    subprocess.run(
        [PYTHON, "-m", "venv", "--without-pip", folder], check=True, env=clean_environment()
    )
    return folder


# --- virtual environments

FACTS = """\
{name: getattr(sys, name) for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix",
 "platlibdir", "version", "implementation", "_home")} | {"os": os.__file__, "json": json.__file__,
 "scripts": sysconfig.get_path("scripts"), "purelib": sysconfig.get_path("purelib"),
 "path": [p for p in sys.path if p and "python_modules" not in p and "module-path" not in p],
 "real": os.path.realpath(sys.executable), "argv": bool(sys.argv[0] or sys.argv == ["-c"]), "user": site.ENABLE_USER_SITE}"""


def in_the_host(
    pyhost: Run, expression: str, *words: str, imports: str = "", **options: object
) -> object:
    done = pyhost(
        *EVALUATES, *words, "-p", f"first={imports}", "-p", f"give={expression}", **options
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("in_venv", [False, True])
def test_a_module_sees_the_same_environment_as_under_python3(
    pyhost: Run, venv: Path, in_venv: bool
) -> None:
    imports = "import json, os, site, sys, sysconfig"
    expression = FACTS.replace("\n", "").replace('"implementation", ', "")
    python = venv / "bin" / "python" if in_venv else PYTHON
    real = subprocess.run(
        [python, "-c", f"{imports}\nprint(json.dumps({expression}))"],
        capture_output=True, text=True, check=True, env=clean_environment(),
    )  # fmt: skip
    words = ("--venv", str(venv)) if in_venv else ()
    assert in_the_host(pyhost, expression, *words, imports=imports) == json.loads(real.stdout)


def test_the_venv_is_the_requested_one_or_the_active_one_or_the_one_beside_the_modules(
    pyhost: Run, venv: Path, tmp_path: Path
) -> None:
    def prefix(*words: str, **variables: str) -> object:
        return in_the_host(
            pyhost, "sys.prefix", *words, "-m", str(tmp_path), imports="import sys", env=variables
        )

    (tmp_path / "modules").mkdir()
    other, beside = tmp_path / "other", tmp_path / ".venv"
    for folder in (other, beside):
        shutil.copytree(venv, folder, symlinks=True)
    assert prefix("--venv", str(venv), VIRTUAL_ENV=str(other)) == str(venv)
    assert prefix(PYHOST_VENV=str(venv), VIRTUAL_ENV=str(other)) == str(venv)
    assert prefix(VIRTUAL_ENV=str(other)) == str(other)
    assert prefix() == str(beside)


def test_pth_files_and_system_site_packages_are_used(
    pyhost: Run, venv: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(venv, mine, symlinks=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "from_a_pth_file.py").write_text("answer = 42\n")
    site = mine / "lib" / f"python{VERSION}" / "site-packages"
    (site / "elsewhere.pth").write_text(f"{tmp_path}/elsewhere\n")
    words = ("--venv", str(mine))
    first = "import from_a_pth_file"
    assert in_the_host(pyhost, "from_a_pth_file.answer", *words, imports=first) == 42
    config = mine / "pyvenv.cfg"
    config.write_text(
        config.read_text().replace("system-site-packages = false", "system-site-packages = true")
    )
    real = subprocess.run(
        [mine / "bin" / "python", "-c", "import sys; print(sys.path[1:])"],
        capture_output=True, text=True, check=True, env=clean_environment(),
    )  # fmt: skip
    seen = in_the_host(
        pyhost, "[p for p in sys.path if 'module' not in p]", *words, imports="import sys"
    )
    assert repr(seen) == real.stdout.strip()


def test_python_variables_of_the_user_are_ignored_by_default(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    variables = {
        "PYTHONPATH": str(tmp_path / "hidden"),
        "PYTHONHOME": "/nonexistent",
        "PYTHONINSPECT": "1",
    }
    inside = f"{str(tmp_path / 'hidden')!r} in sys.path"
    assert in_the_host(pyhost, inside, imports="import sys", env=variables) is False
    del variables["PYTHONHOME"], variables["PYTHONINSPECT"]
    assert (
        in_the_host(pyhost, inside, "--use-environment", imports="import sys", env=variables)
        is True
    )
    done = pyhost(*EVALUATES, "--use-environment", env={"PYTHONHOME": "/nonexistent"})
    assert done.returncode == 70
    assert (
        "PYTHONHOME is '/nonexistent', which does not contain the standard library" in done.stderr
    )


def broken_venv(venv: Path, folder: Path, how: str) -> Path:
    if how == "missing":
        return folder / "no-such-folder"
    shutil.copytree(venv, folder / how, symlinks=True)
    config = folder / how / "pyvenv.cfg"
    if how == "no-config":
        config.unlink()
    if how == "other-version":
        config.write_text(re.sub(r"version = .*", "version = 3.8.18", config.read_text()))
    if how == "other-version-by-virtualenv":
        config.write_text(
            re.sub(r"version = .*", "version_info = 3.8.18.final.0", config.read_text())
        )
    if how == "no-site-packages":
        shutil.rmtree(folder / how / "lib")
    if how == "no-python":
        for file in (folder / how / "bin").iterdir():
            file.unlink()
        (folder / how / "bin" / "python").symlink_to("/nonexistent/python")
    return folder / how


BROKEN = [
    ("missing", "does not exist"),
    ("no-config", "is not a virtual environment: it has no pyvenv.cfg"),
    ("other-version", "is for Python 3.8, but pyhost was built for Python"),
    ("other-version-by-virtualenv", "is for Python 3.8, but pyhost was built for Python"),
    ("no-site-packages", "site-packages"),
    ("no-python", "is missing or a broken link"),
]


@pytest.mark.parametrize(("how", "message"), BROKEN)
def test_an_unusable_venv_is_refused_if_requested_and_skipped_if_found(
    pyhost: Run, venv: Path, tmp_path: Path, how: str, message: str
) -> None:
    wrong = str(broken_venv(venv, tmp_path, how))
    asked = pyhost("run", "mod1", "--venv", wrong)
    assert asked.returncode == 70
    assert message in asked.stderr
    assert "-m venv" in asked.stderr.splitlines()[1]
    found = pyhost("run", "mod1", env={"VIRTUAL_ENV": wrong})
    assert (found.returncode, found.stdout) == (0, "This is module1 doing its thing\n")
    assert found.stderr.startswith("warning: ")
    assert message in found.stderr
    assert pyhost("run", "mod1", "-q", env={"VIRTUAL_ENV": wrong}).stderr == ""


def test_a_venv_that_another_user_owns_is_not_used(pyhost: Run, venv: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change the owner of a file")
    (tmp_path / "modules").mkdir()
    shutil.copytree(venv, tmp_path / ".venv", symlinks=True)
    os.chown(tmp_path / ".venv" / "pyvenv.cfg", 12345, 12345)
    prefix = in_the_host(pyhost, "sys.prefix", "-m", str(tmp_path), imports="import sys")
    assert prefix != str(tmp_path / ".venv")


def test_verbose_reports_the_python_and_the_venv(pyhost: Run, venv: Path) -> None:
    said = pyhost("run", "mod1", "-v", "--venv", str(venv)).stderr
    assert f"virtual environment: {venv} (set by the options)" in said
    assert f"Python {VERSION}." in said


# --- real packages and processes


@pytest.mark.skipif(SANITIZED, reason="numpy and pydantic are built without sanitizers")
def test_modules_can_use_real_packages_of_a_venv(
    pyhost: Run, packages: Path, tmp_path: Path
) -> None:
    words = write_module(
        tmp_path,
        "uses_packages",
        "Point = pydantic.create_model('Point', x=(int, ...))\n"
        "return [int(numpy.arange(10).sum()), Point(x='3').x, requests.Request('GET', 'http://a/b').prepare().path_url]",
        "import numpy, pydantic, requests",
    )
    done = pyhost(*words, "--venv", str(packages))
    assert (done.returncode, done.stdout, done.stderr) == (0, '[45,3,"/b"]\n', "")


@pytest.mark.skipif(embedded_version() < (3, 13), reason="interpreters need Python 3.13")
@pytest.mark.skipif(SANITIZED, reason="numpy is built without sanitizers")
def test_an_extension_that_needs_the_main_interpreter_is_named_with_its_importer(
    pyhost: Run, packages: Path, tmp_path: Path
) -> None:
    write_module(tmp_path, "uses_numpy", "return int(numpy.arange(4).sum())", "import numpy")
    words = ["map", "uses_numpy", "-m", str(tmp_path), "--venv", str(packages), "--states", "-"]
    done = pyhost(*words, "--isolation", "interpreter", input="{}\n{}\n")
    assert done.returncode == 3
    hint = r"hint: the extension 'numpy\.\S+', imported by \S+/numpy/\S+\.py, works in one interpreter only"
    assert len(re.findall(hint, done.stderr)) == 1, done.stderr
    done = pyhost(*words, "--isolation", "process", input="{}\n{}\n")
    assert (done.returncode, done.stdout.count('"result":6')) == (0, 2)


MULTIPROCESSING = """\
with multiprocessing.get_context(method).Pool(2) as pool:
    results = pool.map(work, range(4))
with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
    results.append(pool.submit(work, 5).result())
return results
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("in_venv", [False, True])
def test_multiprocessing_returns_results_in_a_module(
    pyhost: Run, venv: Path, tmp_path: Path, method: str, in_venv: bool
) -> None:
    words = write_module(
        tmp_path,
        "spreads",
        f"method = {method!r}\n{MULTIPROCESSING}",
        "import concurrent.futures, multiprocessing, sys\n\ndef work(n):\n    return [n * n, sys.prefix]\n",
    )
    done = pyhost(*words, *(("--venv", str(venv)) if in_venv else ()))
    assert (done.returncode, done.stderr) == (0, "")
    prefix = str(venv) if in_venv else json.loads(done.stdout)[0][1]
    assert json.loads(done.stdout) == [[n * n, prefix] for n in (0, 1, 2, 3, 5)]


def test_subprocess_of_sys_executable_is_the_same_python(pyhost: Run, venv: Path) -> None:
    expression = (
        "[sys.version == subprocess.check_output([sys.executable, '-c', 'import sys; print(sys.version)'],"
        " text=True).strip(), 'pip ' in subprocess.check_output([sys.executable, '-m', 'ensurepip', '--version'], text=True)]"
    )
    assert in_the_host(pyhost, expression, imports="import subprocess, sys") == [True, True]


@pytest.mark.skipif(SANITIZED, reason="numpy is built without sanitizers")
def test_pip_works_from_inside_a_module(pyhost: Run, packages: Path) -> None:
    listed = in_the_host(
        pyhost,
        "subprocess.check_output([sys.executable, '-m', 'pip', 'list', '--disable-pip-version-check'], text=True)",
        "--venv", str(packages), imports="import subprocess, sys",
    )  # fmt: skip
    assert isinstance(listed, str)
    assert "numpy" in listed


def test_asyncio_can_start_a_subprocess_in_a_module(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path,
        "awaits",
        "async def go():\n"
        "    child = await asyncio.create_subprocess_exec('echo', 'hello', stdout=asyncio.subprocess.PIPE)\n"
        "    return (await child.communicate())[0].decode()\n"
        "return asyncio.run(go())",
        "import asyncio",
    )
    done = pyhost(*words)
    assert (done.stdout, done.stderr) == ('"hello\\n"\n', "")


# --- Python that already runs, or whose binary is missing


EMBEDDINGS = BUILD / "tests"


@pytest.mark.skipif(SANITIZED, reason="python3 is built without sanitizers")
def test_a_python_that_runs_already_is_joined(tmp_path: Path) -> None:
    script = (
        "import sys, threading, joins\n"
        f"assert joins.open({str(FIXTURES)!r}, '') == sys.base_prefix\n"
        "print(joins.run('returns_state', '{\"a\": 1}'))\n"
        "t = threading.Thread(target=lambda: print(joins.run('wins', '{}'))); t.start(); t.join()\n"
        "try: joins.run('raises_in_create', '{}')\n"
        "except RuntimeError as error: print(error)\n"
        "joins.close()\n"
        "try: joins.open('.', '/some/venv')\n"
        "except RuntimeError as error: print(error)\n"
        f"joins.open({str(FIXTURES)!r}, '')\n"
        "print(joins.run('prints', '{}'))\n"
    )
    (tmp_path / "modules").mkdir()
    done = subprocess.run(
        [PYTHON, "-c", script],
        capture_output=True, text=True, cwd=tmp_path, env=clean_environment() | {"PYTHONPATH": str(EMBEDDINGS)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "from stderr\n")
    lines = done.stdout.splitlines()
    assert lines[:2] == ['{"a":1}', '"second"']
    assert "raised ValueError: bad threshold: -3" in lines[2]
    assert (
        "Python is already running without a virtual environment, not in '/some/venv'" in lines[3]
    )
    assert lines[-2:] == ["a child", 'no newline{"printed":true}'] or lines[-1].endswith(
        '{"printed":true}'
    )


@pytest.mark.skipif(
    SANITIZED, reason="an application without the sanitizers cannot load a plug-in with them"
)
def test_extension_modules_import_in_a_plug_in_that_was_loaded_locally(
    packages: Path, tmp_path: Path
) -> None:
    write_module(
        tmp_path, "uses_numpy", "return [int(numpy.ones(3).sum()), ssl.OPENSSL_VERSION != '']", "import numpy, ssl"
    )  # fmt: skip
    done = subprocess.run(
        [EMBEDDINGS / "application", EMBEDDINGS / "libplugin.so", tmp_path, packages, "uses_numpy"],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "[3,true]\n", "")


@pytest.mark.skipif(SANITIZED, reason="numpy is built without sanitizers")
@pytest.mark.parametrize(
    ("give", "shown"),
    [
        ("numpy.asarray(state['numbers'])", "0 8"),
        ("numpy.asarray(state['numbers'])[::-2]", "5 -16"),
        ("numpy.asarray(state['numbers']).reshape(2, 3).T[1:]", "1 8 24"),
        ("numpy.frombuffer(state['numbers'])[2:]", "2 8"),
    ],
)
def test_numpy_and_the_host_share_memory(packages: Path, give: str, shown: str) -> None:
    done = subprocess.run(
        [*small_program("shares_numbers"), FIXTURES, packages, give],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{shown} false true\n", "")


@pytest.mark.skipif(
    SANITIZED, reason="the sanitizers keep freed memory, and numpy is built without them"
)
def test_a_thousand_hosts_leave_memory_flat_and_numpy_working(
    packages: Path, tmp_path: Path
) -> None:
    write_module(tmp_path, "uses_numpy", "return int(numpy.arange(4).sum())", "import numpy")
    done = subprocess.run(
        [*small_program("many_hosts"), tmp_path, packages, "uses_numpy"],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result, grown = done.stdout.split()
    assert result == "6"
    assert int(grown) < 1024  # KiB for 900 hosts


def home_without_binary(folder: Path) -> Path:
    """A home of the embedded Python without its bin folder."""
    home = folder / "home"
    base = Path(
        subprocess.check_output(
            [PYTHON, "-c", "import sys; print(sys.base_prefix)"], text=True
        ).strip()
    )
    (home / "lib").mkdir(parents=True)
    (home / "lib" / f"python{VERSION}").symlink_to(base / "lib" / f"python{VERSION}")
    return home


def test_a_program_can_replace_a_missing_python_binary(tmp_path: Path) -> None:
    home = home_without_binary(tmp_path)
    write_module(
        tmp_path,
        "spreads",
        "method = 'spawn'\n" + MULTIPROCESSING,
        "import concurrent.futures, multiprocessing\n\ndef work(n):\n    return n * n\n",
    )
    # The home differs from the one pyhost was built with, whose python binary would be found.
    done = subprocess.run(
        [*small_program("stands_in"), tmp_path, home, "spreads"], capture_output=True, text=True, env=clean_environment()
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "[0,1,4,9,25]"


# --- the doctor


def findings(pyhost: Run, *words: str, code: int, **options: object) -> dict[str, dict[str, str]]:
    done = pyhost("doctor", "--json", *words, **options)
    assert done.returncode == code, done.stdout
    document = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    faults = [each for each in document["findings"] if each["verdict"] == "fault"]
    assert bool(faults) is (code != 0)
    return {each["name"]: each for each in document["findings"]}


def test_the_doctor_finds_no_fault_in_a_valid_setup(pyhost: Run, venv: Path) -> None:
    found = findings(pyhost, "--venv", str(venv), "-m", str(FIXTURES), code=0)
    assert VERSION in found["libpython"]["value"]
    assert found["virtual environment"]["value"] == f"{venv} (set by the options)"
    assert found["prefix"]["value"] == str(venv)
    assert found["sys.executable"]["value"] == f"{venv}/bin/python"
    modules = len([f for f in (FIXTURES / "modules").glob("*.py") if f.name != "__init__.py"]) + 1
    assert found["module path"]["value"] == f"{FIXTURES}: {modules} modules"
    assert found["multiprocessing"]["value"].startswith("works")
    assert {"GIL", "isolation levels", "home", "standard library", "built for"} <= set(found)


@pytest.mark.parametrize(("how", "message"), BROKEN)
def test_the_doctor_reports_a_broken_venv_with_a_cure(
    pyhost: Run, venv: Path, tmp_path: Path, how: str, message: str
) -> None:
    wrong = str(broken_venv(venv, tmp_path, how))
    found = findings(pyhost, "--venv", wrong, code=70)["virtual environment"]
    assert message in found["problem"]
    assert "-m venv" in found["cure"]
    found = findings(pyhost, code=0, env={"VIRTUAL_ENV": wrong})["virtual environment"]
    assert found["verdict"] == "warning"


def test_the_doctor_reports_a_missing_standard_library_and_module_path(
    pyhost: Run, tmp_path: Path
) -> None:
    variables = {"PYTHONHOME": str(tmp_path)}
    found = findings(pyhost, "--use-environment", "-m", "no/such/folder", code=70, env=variables)
    assert "does not contain the standard library" in found["standard library"]["problem"]
    assert f"lib/python{VERSION}" in found["standard library"]["cure"]
    assert "'no/such/folder' does not exist" in found["module path"]["problem"]
    assert "contains a folder 'modules'" in found["module path"]["cure"]
    assert found["start"]["value"].startswith("not tried")


def test_a_standard_library_without_read_permission_is_not_reported_as_missing(
    program: str,
) -> None:
    closed = ("lib", f"python{'.'.join(map(str, embedded_version()))}")
    with (
        tempfile.TemporaryDirectory() as name
    ):  # not tmp_path: another user must be able to read it
        home = Path(name)
        home.chmod(0o755)
        copy = home / "pyhost"
        shutil.copy(program, copy)
        library = home.joinpath(*closed)
        (library / "encodings").mkdir(parents=True)
        (library / "encodings" / "__init__.py").touch()
        library.chmod(0)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(copy), "run", "mod1", "--use-environment"],
            capture_output=True, text=True, cwd="/", env=clean_environment(PYTHONHOME=name),
            **nobody,  # type: ignore[call-overload]
        )  # fmt: skip
        library.chmod(0o755)
    assert done.returncode == 70
    assert f"Python's standard library cannot be read: {library}" in done.stderr
    assert "permission denied" in done.stderr


def test_the_doctor_imports_no_module(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "explodes.py").write_text("open('exploded', 'w')\n")
    done = pyhost("doctor", "-m", str(tmp_path))
    assert done.returncode == 0
    assert f"{tmp_path}: 1 module\n" in done.stdout
    assert not (tmp_path / "exploded").exists()


@pytest.fixture
def other_libpython(tmp_path: Path) -> dict[str, str]:
    """Variables that preload a library which claims to be Python 3.8."""
    source = tmp_path / "other.c"
    source.write_text('const char *Py_GetVersion(void) { return "3.8.18 (default)"; }\n')
    other = tmp_path / "libother.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", other, source], check=True)
    return {"LD_PRELOAD": str(other)}


@pytest.mark.skipif(SANITIZED, reason="another libpython cannot be preloaded before the sanitizer")
def test_another_libpython_is_refused_before_the_start(
    other_libpython: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "modules").mkdir()
    done = subprocess.run(
        [*small_program("many_hosts"), tmp_path, "", "mod1"],
        env=clean_environment() | other_libpython,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert (
        f"built for Python {VERSION}, but the process has loaded Python 3.8.18 from "
        + other_libpython["LD_PRELOAD"]
        in done.stderr
    )


@pytest.mark.skipif(SANITIZED, reason="another libpython cannot be preloaded before the sanitizer")
def test_the_program_runs_its_own_python_whatever_else_is_loaded(
    pyhost: Run, other_libpython: dict[str, str]
) -> None:
    holds_python = findings(pyhost, code=0)["libpython"]["value"].endswith("/pyhost")
    done = pyhost("run", "mod1", env=other_libpython)
    assert done.returncode == (0 if holds_python else 70)
    found = findings(pyhost, code=done.returncode, env=other_libpython)["libpython"]
    assert holds_python or "LD_PRELOAD" in found["cure"]


# --- the program that contains Python

PAGES = r"""
import os, re
maps = open("/proc/self/smaps").read()
program = re.escape(os.readlink("/proc/self/exe"))
entry = rf"^\S+ (r-x|rw-)p .* {program}\nSize: +(\d+) kB\n(?:.*\n)*?Rss: +(\d+) kB"
parts = re.findall(entry, maps, re.MULTILINE)
"""


@pytest.mark.skipif(SANITIZED, reason="the sanitizers change the layout of the program")
def test_the_pages_of_a_program_that_contains_python_are_mapped_at_once(pyhost: Run) -> None:
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (5, 14):
        pytest.skip("Linux before 5.14 cannot map pages in advance")
    done = pyhost(*EVALUATES, "-p", f"first={PAGES}", "-p", "give=[parts, 'libpython' in maps]")
    parts, shares_python = json.loads(done.stdout)
    if shares_python:
        pytest.skip("the program uses the shared libpython")
    assert {kind for kind, _, _ in parts} == {"r-x", "rw-"}
    assert [size for _, size, _ in parts] == [mapped for _, _, mapped in parts]
