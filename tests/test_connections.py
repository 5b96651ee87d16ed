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
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import FIXTURES, ROOT, Run, cached, clean_environment, kept_venv

sys.path.insert(0, str(ROOT / "python_modules"))
from pyhost import _connections, _store  # noqa: E402

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
        ("xyzzy = 1\n", "pyhost.toml:1: there is no key 'xyzzy'\nhint: there may be module_paths, venv, store, log.level"),
        ("[modules.pkg.sub]\ntimeout = '1s'\n", "'modules.pkg.sub'; a module in a package is written [modules.\"pkg.sub\"]"),
        ("venv = 3\n", "pyhost.toml:1: 'venv' is to be a string"),
        ("module_paths = [\n1]\n", "pyhost.toml:2: 'module_paths' is to be an array of strings"),
        ("module_paths = '.'\n", "pyhost.toml:1: 'module_paths' is to be an array of strings"),
        ("[connections]\nmain = 1\n", "pyhost.toml:2: 'connections.main' is to be a string"),
        ("modules.a = 1\n", "pyhost.toml:1: 'modules.a' is to be a table"),
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
    assert (
        f"{tmp_path}/pyhost.toml:1: modules.mod1.timeout takes a time like 30s, 500ms, 2m or 1h, and got 'soon'"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[tool\n", "pyproject.toml:1: "), ("[tool]\npyhost = 3\n", "pyproject.toml:2: 'tool.pyhost' is to be a table")],
)  # fmt: skip
def test_a_fault_in_pyproject_toml_is_not_passed_over(
    pyhost: Run, tmp_path: Path, text: str, problem: str
) -> None:
    project(tmp_path, text, "pyproject.toml")
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert problem in done.stderr


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


def test_a_run_that_waits_for_the_store_can_be_stopped(pyhost: Run, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "counts.db")
    other.execute("begin exclusive")
    done = pyhost(*COUNTS, "--store", "counts.db", "--timeout", "500ms")
    other.close()
    assert done.returncode == 124
    assert "does not return" not in done.stderr
    assert "counts_in_the_store.py" in done.stderr
    assert "pyhost/_store.py" not in done.stderr


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


@pytest.fixture
def prices() -> Iterator[int]:
    """The port of a real server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_http_goes_to_a_real_server_with_the_secret_of_the_environment(
    pyhost: Run, drivers: Path, prices: int, tmp_path: Path
) -> None:
    project(tmp_path, f'[connections]\nprices = "http://ada:${{WORD}}@127.0.0.1:{prices}/v1"\n')
    words = (*connects("prices", "opened.get('/abc').json()"), "--venv", str(drivers))
    done = pyhost(*words, env={"WORD": "open sesame"})
    assert done.stdout == '["/v1/abc","Basic YWRhOm9wZW4gc2VzYW1l"]\n', done.stderr


def test_neither_a_log_nor_an_error_shows_a_secret_in_the_path(
    pyhost: Run, drivers: Path, prices: int, tmp_path: Path
) -> None:
    project(tmp_path, f'[connections]\nprices = "http://127.0.0.1:{prices}/${{KEY}}"\n')
    words = ("--venv", str(drivers), "--log-level", "info")
    logged = pyhost(
        *connects("prices", "opened.get('/a').status_code"), *words, env={"KEY": "open sesame"}
    )
    assert logged.stdout == "200\n"
    assert f"HTTP Request: GET http://127.0.0.1:{prices}/***/a" in logged.stderr
    raised = pyhost(
        *connects("prices", "int(str(opened.base_url))"), *words, env={"KEY": "open sesame"}
    )
    assert f"'http://127.0.0.1:{prices}/***/'" in raised.stderr


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
    done = pyhost(*connects("main", give), "--venv", str(drivers), env={"WORD": SECRET})
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


def test_a_password_may_have_any_characters_and_a_short_one_is_not_shown(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    for password in ("s3cr@et/x#y?z=%41", "p"):
        done = pyhost(*connects("main", "1"), "--venv", str(drivers), env={"WORD": password})
        assert "connection 'main' could not be opened: OperationalError: " in done.stderr
        assert password not in done.stderr.partition("OperationalError: ")[2].partition("\n")[0]
        assert ("is not shown" in done.stderr) == (password == "p")


def test_a_password_that_spoils_a_whole_url_is_not_shown_in_parts(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "${DATABASE}"\n')
    spoilt = {"DATABASE": "postgresql://u:s3cr@hidden/xx#yyyy@localhost/db"}
    done = pyhost(*connects("main", "1"), "--venv", str(drivers), env=spoilt)
    assert "connection 'main' could not be opened" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("folder", ["%41", "a b"])
def test_a_folder_may_have_any_name(pyhost: Run, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    project(tmp_path / folder, '[connections]\nmain = "sqlite:///data.db"\n')
    words = connects("main", "opened.execute('create table t (n)').rowcount")
    assert pyhost(*words, cwd=tmp_path / folder).returncode == 0
    assert (tmp_path / folder / "data.db").exists()


def test_a_variable_in_a_path_counts_as_what_it_stands_for(pyhost: Run, tmp_path: Path) -> None:
    for folder in ("below", "data", "elsewhere"):
        (tmp_path / folder).mkdir()
    project(tmp_path, '[connections]\nmain = "sqlite:///${DATA}/x.db"\n')
    words = connects("main", "opened.execute('create table t (n)').rowcount")
    for data in ("data", str(tmp_path / "elsewhere")):
        done = pyhost(*words, cwd=tmp_path / "below", env={"DATA": data})
        assert done.returncode == 0, done.stderr
        assert (tmp_path / data / "x.db").exists()


def test_parameters_of_an_sqlite_url_are_refused(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db?mode=ro"\n')
    done = pyhost(*connects("main", "1"))
    assert "connection 'main': an sqlite URL takes no parameters" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["pyhost.toml"]


def test_the_place_of_an_error_is_the_module_s_own_line(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost(*connects("main", "1"), "--json")
    error = json.loads(done.stdout)["error"]
    assert error["exception"]["type"] == "pyhost.ConnectionFailed"
    assert error["place"]["file"].endswith("connects.py")
    assert error["exception"]["frames"][-1]["origin"] == "machinery"


def test_what_was_not_committed_is_told(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db"\n')
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute("create table t (n)")
    done = pyhost(*connects("main", "opened.execute('insert into t values (1)').rowcount"))
    assert done.stdout == "1\n"
    assert (
        "RuntimeWarning: module 'connects' did not commit what it changed by connection 'main'"
        in done.stderr
    )


def test_threads_that_end_leave_no_connection_open(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db"\n')
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "starts_threads.py").write_text(
        "import os, threading\nfrom pyhost import connection\n"
        "def use(): connection('main').execute('create table if not exists t (n)')\n"
        "class M:\n    def run(self):\n        for _ in range(50):\n"
        "            thread = threading.Thread(target=use); thread.start(); thread.join()\n"
        "        return sum('data.db' in os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd'))\n"
        "def create(s): return M()\n"
    )
    assert pyhost("run", "starts_threads").stdout in ("0\n", "1\n")


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a host would offer to this process."""
    urls: dict[str, str] = {}
    monkeypatch.setitem(
        sys.modules,
        "_pyhost",
        SimpleNamespace(connections=urls, store_file="a.db"),  # type: ignore[arg-type]
    )
    return urls


def test_one_that_opens_slowly_keeps_nobody_from_another(
    offered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered.update(slow="x://", quick="sqlite://")
    began, goes_on = threading.Event(), threading.Event()

    def opens(name: str, url: str) -> object:
        began.set()
        goes_on.wait(60)
        return _connections._Shared(name, lambda: None)

    monkeypatch.setattr(_connections, "_sql", opens)
    slow = threading.Thread(target=_connections.connection, args=["slow"])
    slow.start()
    began.wait()
    quick: list[object] = []
    other = threading.Thread(target=lambda: quick.append(_connections.connection("quick")))
    other.start()
    other.join(10)
    try:
        assert len(quick) == 1
    finally:
        goes_on.set()
        slow.join()
        other.join()
        _connections.close_all()


def test_once_the_host_is_closed_its_connections_and_store_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        sys.modules,
        "_pyhost",
        SimpleNamespace(connections=None, store_file=None),  # type: ignore[arg-type]
    )
    with pytest.raises(_connections.ConnectionFailed, match="because the host is closed"):
        _connections.connection("main")
    with pytest.raises(RuntimeError, match="a host's, and it is closed"):
        _store.store["n"]
