"""Helpers and fixtures for all pytest files: above all, they run the built program as a user's shell would."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
BUILD = Path(os.environ.get("PYHOST_BUILD", "."))
# The first two would hide lost output and stale .pyc files. The others change which Python is found.
HIDING = (
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PYHOST_MODULE_PATH",
    "PYHOST_VENV",
    "PYHOST_LOG_LEVEL",
    "PYHOST_LOG_FORMAT",
)

# In seconds; longer than any wait of a test takes, even on a busy machine.
PATIENCE = 600
SECRET = "s3cret/of ada"  # her password in PostgreSQL

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def clean_environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in HIDING} | more


@pytest.fixture(scope="session")
def program() -> str:
    """The path of the built program."""
    path = os.environ.get("PYHOST_PROGRAM")
    if not path:
        pytest.exit("PYHOST_PROGRAM names no program: run the tests by ./dev test", returncode=2)
    return path


@pytest.fixture
def pyhost(program: str, tmp_path: Path) -> Run:
    """Returns a function that runs the program in an empty folder, with pipes for its streams."""

    def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(**options.pop("env", {}))  # type: ignore[arg-type]
        options = {"cwd": tmp_path, "stdin": subprocess.DEVNULL} | options
        if "input" in options:
            del options["stdin"]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [program, *words],
            **{"capture_output": True, "text": True, "timeout": PATIENCE, "env": environment}
            | options,
        )

    return run


def small_program(name: str) -> list[str]:
    """The arguments that start one of the small programs of tests/programs.hpp."""
    return [str(BUILD / "tests" / "programs"), name]


def cached(name: str) -> str:
    """The value of this variable in the CMake cache of the build under test."""
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition("=")[2]
    return ""


def embedded_version() -> tuple[int, ...]:
    """The version of the Python that the build under test embeds, like (3, 13)."""
    python = cached("Python_EXECUTABLE") or sys.executable
    words = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    return tuple(map(int, subprocess.check_output(words).split()))


def missing(what: str) -> NoReturn:
    """Skips the test or the test file that calls this. In CI, fails instead."""
    __tracebackhide__ = True  # so that the skip is reported for the test
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what, allow_module_level=True)


def without_index(problem: str) -> NoReturn:
    __tracebackhide__ = True
    missing(f"the package index could not be reached: {problem}")


def needs_package(name: str) -> None:
    __tracebackhide__ = True
    if importlib.util.find_spec(name) is None:
        missing(f"the package {name} is not installed")


def make_venv(folder: Path, python: str = sys.executable) -> Path:
    """Makes a real virtual environment; returns its python. It has no pip: installing that takes five seconds."""
    words = [python, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(words, check=True, env=clean_environment())
    return folder / "bin" / "python"


def pip_install(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Installs packages into the environment of this python, by the pip of the tests' own Python."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check",
         "install", "--quiet", "--no-compile", *words],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip


def mypy() -> list[str]:
    """The words that start mypy. Its cache is kept in the build folder, so that it reads Python's stubs once."""
    cache = (BUILD / "mypy-cache").absolute()
    return [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache)]


def kept_venv(name: str, packages: Iterable[str]) -> Path:
    """A virtual environment of the embedded Python with these packages. It is kept in the build folder and reused."""
    venv = BUILD / name
    with open(BUILD / f"{name}.lock", "w") as lock:  # several tests may make it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            _make_kept_venv(venv, packages)
    return venv


def _make_kept_venv(venv: Path, packages: Iterable[str]) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    python = make_venv(venv, cached("Python_EXECUTABLE"))
    done = pip_install(python, *packages)
    if done.returncode != 0:
        without_index(done.stderr.strip())
    (venv / "complete").touch()


def write_module(folder: Path, name: str, run: str, first: str = "") -> tuple[str, ...]:
    """Writes a module whose run() has this body; returns the arguments that run it."""
    (folder / "modules").mkdir(exist_ok=True)
    body = "".join(f"        {line}\n" for line in run.splitlines())
    (folder / "modules" / f"{name}.py").write_text(
        f"{first}\n\nclass Module:\n    def run(self):\n{body}\n\ndef create(state):\n    return Module()\n"
    )
    return ("run", name, "-m", str(folder))


@pytest.fixture(scope="session")
def comma_locale(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which a module can choose de_DE.UTF-8, a locale that writes 1.5 as 1,5."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("localedef, which makes a locale with a decimal comma, is not installed")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")],
        capture_output=True, text=True,
    )  # fmt: skip
    if not (folder / "de_DE.UTF-8" / "LC_NUMERIC").exists():
        pytest.skip(f"localedef could not make de_DE.UTF-8: {made.stderr.strip()}")
    return {"LOCPATH": str(folder)}


def ctrl_c_after_start(program: str, *words: str) -> str:
    """Interrupts a run once its module prints "started". Asserts that the module cleans up; returns its stderr."""
    with subprocess.Popen(
        [program, "run", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "cleaned up\n"
        said = process.stderr.read()
        assert process.wait(PATIENCE) == -signal.SIGINT  # a shell reports 130
    return said


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class PostgresServer:
    """A real PostgreSQL server on loopback, with a user ada who has a password."""

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not binaries:
            missing("PostgreSQL is not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="pyhost-postgresql-", dir="/tmp"))
        (self.folder / "password").write_text(SECRET)
        as_user: list[str] = []
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            for each in (self.folder, self.folder / "password"):
                os.chown(each, owner.pw_uid, owner.pw_gid)
            as_user = [
                "setpriv",
                f"--reuid={owner.pw_uid}",
                f"--regid={owner.pw_gid}",
                "--clear-groups",
            ]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        data = self.folder / "data"
        subprocess.run(
            [*as_user, binaries[-1] / "initdb", "-D", data, "-U", "ada", "-A", "scram-sha-256",
             f"--pwfile={self.folder / 'password'}", "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=self.folder,
        )  # fmt: skip
        self._words = [
            *as_user, str(binaries[-1] / "postgres"), "-D", str(data), "-p", str(self.port),
            "-h", "127.0.0.1", "-k", str(self.folder), "-F",
        ]  # fmt: skip

    def start(self) -> None:
        null = subprocess.DEVNULL
        self._server = subprocess.Popen(self._words, stdout=null, stderr=null, cwd=self.folder)
        until = time.monotonic() + PATIENCE
        while not answers(self.port):
            assert self._server.poll() is None and time.monotonic() < until
            time.sleep(0.1)

    def stop(self) -> None:
        self._server.send_signal(signal.SIGINT)  # does not wait for open connections
        self._server.wait(PATIENCE)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql(postgres_server: PostgresServer) -> int:
    """The port of the PostgreSQL server."""
    return postgres_server.port
