"""The project's file, connections to real servers, and the store, as a user of the program sees them."""

from __future__ import annotations

import http.server
import json
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FIXTURES, Run, cached, clean_environment, kept_venv

COUNTS = ("run", "counts_in_the_store", "-m", str(FIXTURES))
SECRET = "s3cret/of ada"


def project(folder: Path, text: str, name: str = "pyhost.toml") -> None:
    (folder / name).write_text(text)


def connects(to: str, give: str) -> tuple[str, ...]:
    return ("run", "connects", "-m", str(FIXTURES), "-p", f"to={to}", "-p", f"give={give}")


# --- the project's file


def test_the_nearest_file_above_says_where_modules_are_and_what_they_get(
    pyhost: Run, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f'module_paths = ["{FIXTURES}"]\n[modules.returns_state]\nstate = {{ a = [1, 2.5, "x", true] }}\n',
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    done = pyhost("run", "returns_state", cwd=below)
    assert done.stdout == '{"a":[1,2.5,"x",true]}\n'
    assert (
        f"configuration: {tmp_path / 'pyhost.toml'}"
        in pyhost("run", "wins", "-v", cwd=below).stderr
    )


def test_flags_beat_variables_and_variables_beat_the_file(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, f'module_paths = ["{FIXTURES}"]\nmodules.returns_state.state.from = "file"\n')
    variable = {"PYHOST_STATE": '{"from":"variable"}'}
    assert pyhost("run", "returns_state").stdout == '{"from":"file"}\n'
    assert pyhost("run", "returns_state", env=variable).stdout == '{"from":"variable"}\n'
    flag = pyhost("run", "returns_state", "-s", '{"from":"flag"}', env=variable)
    assert flag.stdout == '{"from":"flag"}\n'
    elsewhere = pyhost("run", "returns_state", env={"PYHOST_MODULE_PATH": str(tmp_path)})
    assert elsewhere.returncode != 0


def test_a_table_in_pyproject_toml_does_as_well(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, f'[tool.pyhost]\nmodule_paths = ["{FIXTURES}"]\n', "pyproject.toml")
    assert pyhost("run", "wins").returncode == 0


def test_a_module_has_its_timeout_from_the_file(pyhost: Run, tmp_path: Path) -> None:
    project(
        tmp_path,
        f'module_paths = ["{FIXTURES}"]\n[modules.does_not_end]\ntimeout = "300ms"\nstate.how = "loop"\n',
    )
    assert pyhost("run", "does_not_end").returncode == 124


def test_what_modules_log_goes_to_stderr_as_the_file_says(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "says.py").write_text(
        "import logging\nclass M:\n    def run(self): logging.info('there')\ndef create(s): return M()\n"
    )
    project(tmp_path, '[log]\nlevel = "info"\nformat = "json"\n')
    assert json.loads(pyhost("run", "says").stderr)["message"] == "there"
    assert pyhost("run", "says", "--log-level", "error").stderr == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("module_path = []\n", "pyhost.toml:1: there is no key 'module_path'; did you mean 'module_paths'?"),
        ("\n[log]\nlevl = 'info'\n", "pyhost.toml:3: there is no key 'log.levl'; did you mean 'log.level'?"),
        ("[modules.a]\nstat = {}\n", "pyhost.toml:2: there is no key 'modules.a.stat'; did you mean 'modules.a.state'?"),
        ("venv = 3\n", "pyhost.toml:1: this is to be a string"),
        ("[log]\nlevel = 'loud'\n", "'loud' is none of debug, info, warning, error, critical, off"),
        ("[modules.a]\nstate = { when = 2026-01-01 }\n", "a date or time can be a string"),
        ("venv = \n", "pyhost.toml:1: "),
    ],
)  # fmt: skip
def test_a_fault_in_the_file_is_told_with_its_line(
    pyhost: Run, tmp_path: Path, text: str, problem: str
) -> None:
    project(tmp_path, text)
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_timeout_in_the_file_that_is_none_is_told(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, 'modules.mod1.timeout = "soon"\n')
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert "timeout takes a time like 30s, 500ms, 2m or 1h, and got 'soon'" in done.stderr


# --- the store


def test_a_store_counts_from_process_to_process(pyhost: Run, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    assert [pyhost(*COUNTS, *store).stdout for _ in range(3)] == ["1\n", "2\n", "3\n"]


def test_a_run_that_fails_leaves_the_store_as_it_was(pyhost: Run, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    assert pyhost(*COUNTS, *store).stdout == "1\n"
    assert pyhost(*COUNTS, *store, "-p", "raises=true").returncode == 1
    bad = pyhost(*COUNTS, *store, "-p", "leaves=true")
    assert bad.returncode == 4
    assert "pyhost.store at /set/0 is of type set" in bad.stderr
    assert pyhost(*COUNTS, *store).stdout == "2\n"


def test_processes_at_once_lose_nothing(program: str, pyhost: Run, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    running = [
        subprocess.Popen([program, *COUNTS, *store], stdout=subprocess.PIPE, text=True, env=clean_environment())
        for _ in range(12)
    ]  # fmt: skip
    counted = [int(process.communicate()[0]) for process in running]
    assert sorted(counted) == list(range(1, 13))
    assert pyhost(*COUNTS, *store).stdout == "13\n"


def test_a_file_that_is_no_store_is_told(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text(
        "this is no database, and it is long enough to be looked at\n" * 20
    )
    done = pyhost(*COUNTS, "--store", "text.db")
    assert done.returncode == 1
    assert f"the store {tmp_path / 'text.db'} cannot be used: file is not a database" in done.stderr


def test_a_store_belongs_to_a_run(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "hurries.py").write_text(
        "import threading\nfrom pyhost import store\nsaid = []\ndef use():\n    try: store['a'] = 1\n"
        "    except RuntimeError as error: said.append(str(error))\n"
        "class M:\n    def run(self):\n        t = threading.Thread(target=use); t.start(); t.join(); return said\n"
        "def create(s): return M()\n"
    )
    done = pyhost("run", "hurries", "--store", "a.db")
    assert "belongs to a run" in done.stdout


# --- connections


def test_sqlite_comes_with_python_and_lies_by_the_project_s_file(
    pyhost: Run, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db"\n')
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute("create table fruit as select 'apple' as name")
    (tmp_path / "below").mkdir()
    words = connects("main", "opened.execute('select name from fruit').fetchall()[0][0]")
    assert pyhost(*words, cwd=tmp_path / "below").stdout == '"apple"\n'


def test_an_unknown_connection_is_told_with_the_nearest(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite://"\n')
    done = pyhost(*connects("mian", "1"))
    assert "there is no connection 'mian'; did you mean 'main'?" in done.stderr


@pytest.mark.parametrize(
    ("url", "package"), [("https://a.example/", "httpx"), ("mysql://a/b", "sqlalchemy")]
)
def test_a_missing_package_is_told_with_what_installs_it(
    pyhost: Run, tmp_path: Path, url: str, package: str
) -> None:
    venv = tmp_path / "bare"
    subprocess.run(
        [cached("Python_EXECUTABLE"), "-m", "venv", "--without-pip", venv],
        check=True,
        env=clean_environment(),
    )
    project(tmp_path, f'[connections]\nmain = "{url}"\n')
    done = pyhost(*connects("main", "1"), "--venv", str(venv))
    assert (
        f"connection 'main' needs {package}, which is not installed: `{venv}/bin/python -m pip install {package}`"
        in done.stderr
    )


def test_a_variable_that_is_not_set_is_named(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///${NO_SUCH_FOLDER}/a.db"\n')
    done = pyhost(*connects("main", "1"))
    assert (
        "connection 'main' needs the environment variable NO_SUCH_FOLDER, which is not set"
        in done.stderr
    )


@pytest.fixture(scope="session")
def drivers() -> Path:
    """A virtual environment with what real connections take."""
    return kept_venv("venv-with-drivers", ("httpx", "sqlalchemy", "psycopg[binary]"))


class Prices(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps([self.path, self.headers["Authorization"]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_http_goes_to_a_real_server_with_the_secret_of_the_environment(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project(
        tmp_path,
        f'[connections]\nprices = "http://ada:${{WORD}}@127.0.0.1:{server.server_port}/v1"\n',
    )
    words = (*connects("prices", "opened.get('/abc').json()"), "--venv", str(drivers))
    done = pyhost(*words, env={"WORD": "open%20sesame"})
    server.shutdown()
    assert done.stdout == '["/v1/abc","Basic YWRhOm9wZW4gc2VzYW1l"]\n', done.stderr


@pytest.fixture(scope="session")
def postgresql() -> Iterator[int]:
    """The port of a real server on loopback, in which ada has a password."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pyhost-postgresql-", dir="/tmp"))
    (folder / "password").write_text(SECRET)
    as_user: list[str] = []
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        owner = pwd.getpwnam("postgres")
        for each in (folder, folder / "password"):
            os.chown(each, owner.pw_uid, owner.pw_gid)
        as_user = [
            "setpriv",
            f"--reuid={owner.pw_uid}",
            f"--regid={owner.pw_gid}",
            "--clear-groups",
        ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    subprocess.run(
        [*as_user, binaries[-1] / "initdb", "-D", folder / "data", "-U", "ada", "-A", "scram-sha-256",
         f"--pwfile={folder / 'password'}", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    server = subprocess.Popen(
        [*as_user, binaries[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1",
         "-k", folder, "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        for _ in range(300):
            with socket.socket() as ready:
                if ready.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def on_postgresql(port: int) -> str:
    return f'[connections]\nmain = "postgresql://ada:${{WORD}}@127.0.0.1:{port}/postgres"\n'


def test_postgresql_is_a_real_server_and_its_password_comes_from_the_environment(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    give = "list(opened.connect().exec_driver_sql('select current_user, 6 * 7').fetchone())"
    done = pyhost(
        *connects("main", give), "--venv", str(drivers), env={"WORD": "s3cret%2Fof%20ada"}
    )
    assert done.stdout == '["ada",42]\n', done.stderr


def test_no_error_shows_a_password(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    done = pyhost(
        *connects("main", "1"),
        "--json",
        "-v",
        "--venv",
        str(drivers),
        env={"WORD": "wrong-Password"},
    )
    error = json.loads(done.stdout)["error"]
    assert "connection 'main' could not be opened: OperationalError" in error["message"]
    assert "password authentication failed" in error["message"]
    assert "wrong-Password" not in done.stdout + done.stderr


def test_a_secret_that_spoils_the_url_is_not_shown_either(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "postgresql://ada@127.0.0.1:${WORD}/x"\n')
    done = pyhost(*connects("main", "1"), "--venv", str(drivers), env={"WORD": "Hidden:port"})
    assert done.returncode == 1
    assert "connection 'main' could not be opened" in done.stderr
    assert "Hidden" not in done.stderr
