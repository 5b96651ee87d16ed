"""The project file, connections to real servers, and the store, on the command line."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import (
    FIXTURES,
    ROOT,
    SECRET,
    Run,
    cached,
    clean_environment,
    embedded_version,
    kept_venv,
    write_module,
)

sys.path.insert(0, str(ROOT / "python_modules"))
from pyhost import _connection_types, _connection_urls, _connections, _store  # noqa: E402

LEVELS = ["shared", "process"] + (["interpreter"] if embedded_version() >= (3, 13) else [])
COUNTS = ("run", "counts_in_the_store", "-m", str(FIXTURES))


def project(folder: Path, text: str, name: str = "pyhost.toml") -> None:
    (folder / name).write_text(text)


def module(folder: Path, name: str, run: str, first: str = "", of: str = "def") -> None:
    """Writes a module whose run() has this body."""
    file = folder / "modules" / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    body = textwrap.indent(textwrap.dedent(run), "        ")
    file.write_text(
        f"from pyhost import connection, store\n{textwrap.dedent(first)}\nclass M:\n"
        f"    def __init__(self, state): self.state = state\n    {of} run(self):\n{body}\n"
        "def create(state): return M(state)\n"
    )


def lines(*states: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in states)


def run_once(pyhost: Run, level: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a module by `pyhost run`, or by `pyhost map` at this level. Its stdout is only the result."""
    if level == "run":
        return pyhost("run", *words)
    done = pyhost("map", *words, "--isolation", level, "--states", "-", input="{}\n")
    if done.returncode == 0:
        done.stdout = json.dumps(json.loads(done.stdout)["result"]) + "\n"
    return done


def connects(to: str, give: str) -> tuple[str, ...]:
    return ("run", "connects", "-m", str(FIXTURES), "-p", f"to={to}", "-p", f"give={give}")


# --- the project file


def test_the_nearest_project_file_sets_module_paths_and_states(pyhost: Run, tmp_path: Path) -> None:
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
    (tmp_path / "other" / "modules").mkdir(parents=True)
    elsewhere = {"PYHOST_MODULE_PATH": str(tmp_path / "other")}
    assert "no module 'returns_state'" in pyhost("run", "returns_state", env=elsewhere).stderr
    assert pyhost("run", "returns_state", "-m", str(FIXTURES), env=elsewhere).returncode == 0


def test_flags_beat_variables_for_the_store_the_timeout_and_the_venv(
    pyhost: Run, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f'module_paths = ["{FIXTURES}"]\nstore = "file.db"\nvenv = "no-venv"\n[modules.does_not_end]\n'
        'timeout = 60\nstate.how = "loop"\n',
    )
    no_venv = {"PYHOST_VENV": str(tmp_path / "nor-this")}
    assert "no-venv" in pyhost("run", "wins").stderr
    assert "nor-this" in pyhost("run", "wins", env=no_venv).stderr
    assert "nor-that" in pyhost("run", "wins", "--venv", "nor-that", env=no_venv).stderr
    project(tmp_path, (tmp_path / "pyhost.toml").read_text().replace('venv = "no-venv"\n', ""))
    variables = {"PYHOST_STORE": str(tmp_path / "variable.db")}
    assert pyhost("run", "does_not_end", env={"PYHOST_TIMEOUT": "300ms"}).returncode == 124
    assert pyhost("run", "does_not_end", "--timeout", "0.2").returncode == 124
    for words, expected in (((), "1\n"), (("--store", "flag.db"), "1\n"), ((), "2\n")):
        assert pyhost("run", "counts_in_the_store", *words, env=variables).stdout == expected
    assert pyhost("run", "counts_in_the_store").stdout == "1\n"
    assert {each.name for each in tmp_path.glob("*.db")} == {"file.db", "variable.db", "flag.db"}


def test_a_table_in_pyproject_toml_is_read(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, f'[tool.pyhost]\nmodule_paths = ["{FIXTURES}"]\n', "pyproject.toml")
    assert pyhost("run", "wins").returncode == 0
    below = tmp_path / "below"
    below.mkdir()
    project(below, "[tool.other]\na = 1\n", "pyproject.toml")
    assert pyhost("run", "wins", cwd=below).returncode == 0
    project(
        tmp_path, "module_paths = []\n"
    )  # takes precedence over pyproject.toml in the same folder
    assert "configuration: " + str(tmp_path / "pyhost.toml") in pyhost("run", "mod1", "-v").stderr


def test_a_module_in_a_package_has_its_defaults(pyhost: Run, tmp_path: Path) -> None:
    module(tmp_path, "pkg/sub", "return self.state")
    project(tmp_path, '[modules."pkg.sub"]\nstate = { a = 1 }\n')
    assert pyhost("run", "pkg.sub").stdout == '{"a":1}\n'


def test_a_module_has_its_timeout_from_the_file(pyhost: Run, tmp_path: Path) -> None:
    project(
        tmp_path,
        f'module_paths = ["{FIXTURES}"]\n[modules.does_not_end]\ntimeout = "300ms"\nstate.how = "loop"\n',
    )
    assert pyhost("run", "does_not_end").returncode == 124


def test_the_project_file_sets_the_logging(pyhost: Run, tmp_path: Path) -> None:
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
        ("xyzzy = 1\n", "pyhost.toml:1: there is no key 'xyzzy'\nhint: the known keys are module_paths, venv, store, log.level"),
        ("[modules.pkg.sub]\ntimeout = '1s'\n", "'modules.pkg.sub'; a module in a package is written [modules.\"pkg.sub\"]"),
        ("venv = 3\n", "pyhost.toml:1: 'venv' must be a string"),
        ("module_paths = [\n1]\n", "pyhost.toml:2: 'module_paths' must be an array of strings"),
        ("module_paths = '.'\n", "pyhost.toml:1: 'module_paths' must be an array of strings"),
        ("[connections]\nmain = 1\n", "pyhost.toml:2: 'connections.main' must be a string"),
        ("modules.a = 1\n", "pyhost.toml:1: 'modules.a' must be a table"),
        ("[log]\nlevel = 'loud'\n", "'log.level' must be one of debug, info, warning, error, critical, off, not 'loud'"),
        ("[modules.a]\nstate = { when = 2026-01-01 }\n", "write a date or time as a string"),
        ("venv = \n", "pyhost.toml:1: "),
        ("zzz = 1\naaa = 1\n", "pyhost.toml:1: there is no key 'zzz'"),
        ("venv = ''\n", "pyhost.toml:1: 'venv' must be a path, but is empty"),
        ("store = ''\n", "pyhost.toml:1: 'store' must be a path, but is empty"),
        ("module_paths = ['']\n", "pyhost.toml:1: 'module_paths' must be a path, but is empty"),
        ("modules.other.timeout = ''\n", "pyhost.toml:1: 'modules.other.timeout' must be a time like"),
        ("modules.other.timeout = -1\n", "pyhost.toml:1: 'modules.other.timeout' must be a time like"),
    ],
)  # fmt: skip
def test_an_error_in_the_project_file_has_its_line(
    pyhost: Run, tmp_path: Path, text: str, problem: str
) -> None:
    project(tmp_path, text)
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert problem in done.stderr


def test_an_invalid_timeout_in_the_project_file_is_reported(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, 'modules.mod1.timeout = "soon"\n')
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert (
        f"{tmp_path}/pyhost.toml:1: 'modules.mod1.timeout' must be a time like 30s, 500ms, 2m or 1h, not 'soon'"
        in done.stderr
    )


def test_a_dangling_link_as_project_file_is_reported(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "pyhost.toml").symlink_to("nowhere")
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert "pyhost.toml: this is a link to a file that does not exist" in done.stderr


def test_the_doctor_reports_an_error_in_the_project_file_among_its_findings(
    pyhost: Run, tmp_path: Path
) -> None:
    project(tmp_path, "xyzzy = 1\n")
    done = pyhost("doctor", "--json")
    assert done.returncode == 70
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["configuration"]["verdict"] == "fault"
    assert "pyhost.toml:1: there is no key 'xyzzy'" in found["configuration"]["problem"]
    assert found["libpython"]["verdict"] == "ok"
    project(tmp_path, "")
    assert str(tmp_path / "pyhost.toml") in pyhost("doctor").stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[tool\n", "pyproject.toml:1: "), ("[tool]\npyhost = 3\n", "pyproject.toml:2: 'tool.pyhost' must be a table")],
)  # fmt: skip
def test_an_error_in_pyproject_toml_is_reported(
    pyhost: Run, tmp_path: Path, text: str, problem: str
) -> None:
    project(tmp_path, text, "pyproject.toml")
    done = pyhost("run", "mod1")
    assert done.returncode == 2
    assert problem in done.stderr


# --- the store


def test_a_count_in_the_store_continues_in_the_next_process(pyhost: Run, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    assert [pyhost(*COUNTS, *store).stdout for _ in range(3)] == ["1\n", "2\n", "3\n"]


def test_a_run_that_fails_does_not_change_the_store(pyhost: Run, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    assert pyhost(*COUNTS, *store).stdout == "1\n"
    assert pyhost(*COUNTS, *store, "-p", "raises=true").returncode == 1
    bad = pyhost(*COUNTS, *store, "-p", "leaves=true")
    assert bad.returncode == 4
    assert "pyhost.store at /set/0 is of type set" in bad.stderr
    assert pyhost(*COUNTS, *store).stdout == "2\n"


def test_concurrent_processes_lose_no_change_to_the_store(
    program: str, pyhost: Run, tmp_path: Path
) -> None:
    store = ("--store", str(tmp_path / "counts.db"))
    running = [
        subprocess.Popen([program, *COUNTS, *store], stdout=subprocess.PIPE, text=True, env=clean_environment())
        for _ in range(12)
    ]  # fmt: skip
    counted = [int(process.communicate()[0]) for process in running]
    assert sorted(counted) == list(range(1, 13))
    assert pyhost(*COUNTS, *store).stdout == "13\n"


def test_a_file_that_is_not_a_store_is_reported(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text(
        "this is no database, and it is long enough to be looked at\n" * 20
    )
    done = pyhost(*COUNTS, "--store", "text.db")
    assert done.returncode == 1
    assert f"the store {tmp_path / 'text.db'} cannot be used: file is not a database" in done.stderr


def test_using_the_store_outside_a_run_raises(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "hurries.py").write_text(
        "import threading\nfrom pyhost import store\nsaid = []\ndef use():\n    try: store['a'] = 1\n"
        "    except RuntimeError as error: said.append(str(error))\n"
        "class M:\n    def run(self):\n        t = threading.Thread(target=use); t.start(); t.join(); return said\n"
        "def create(s): return M()\n"
    )
    done = pyhost("run", "hurries", "--store", "a.db")
    assert "can only be used during a run" in done.stdout


@contextlib.contextmanager
def held_store(folder: Path, by: str) -> Iterator[None]:
    """Locks counts.db like another program, or the data of counts_in_the_store like another run."""
    if by == "another run":
        held = _store._File(str(folder / "counts.db"))
        held.values_of("counts_in_the_store")
        try:
            yield
        finally:
            held.values["counts_in_the_store"].unlock()
            held.connection.close()
    else:
        with contextlib.closing(
            sqlite3.connect(folder / "counts.db", check_same_thread=False)
        ) as database:
            database.execute("begin exclusive")
            yield


@pytest.mark.parametrize("by", ["another program", "another run"])
def test_a_run_that_waits_for_the_store_can_be_cancelled(
    program: str, offered: dict[str, str], tmp_path: Path, by: str
) -> None:
    module(
        tmp_path,
        "counts_in_the_store",
        "print('waits', flush=True)\nreturn store.get('n')",
    )
    with held_store(tmp_path, by):
        run = subprocess.Popen(
            [program, "run", "counts_in_the_store", "--store", "counts.db"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=clean_environment(),
        )
        assert run.stdout is not None
        assert run.stdout.readline() == "waits\n"
        time.sleep(0.2)  # usually enough for the run to wait for the store
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == -signal.SIGINT
    assert "pyhost/_store.py" not in said


@pytest.mark.parametrize("level", ["run", *LEVELS])
@pytest.mark.parametrize("by", ["another program", "another run"])
def test_time_spent_waiting_for_the_store_does_not_count_towards_the_deadline(
    pyhost: Run, offered: dict[str, str], tmp_path: Path, by: str, level: str
) -> None:
    words = (*COUNTS[1:], "--store", "counts.db", "--timeout", "2s")
    waits = threading.Event()
    with ThreadPoolExecutor(1) as other:

        def hold() -> None:
            with held_store(tmp_path, by):
                waits.set()
                time.sleep(3.5)  # longer than the timeout

        held = other.submit(hold)
        waits.wait()
        done = run_once(pyhost, level, *words)
        held.result()
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


WRITES_IN_TURN = (
    'database = connection("counts")\n'
    "many = ((n,) for n in range(3))\n"
    "{how}\n"
    'return [n for (n,) in database.execute("select n from counts order by n")]'
)


@pytest.mark.parametrize("level", ["run", *LEVELS])
@pytest.mark.parametrize(
    ("how", "lock"),
    [
        ('database.execute("insert into counts values (0), (1), (2)")', "begin immediate"),
        ('database.executemany("insert into counts values (?)", many)', "begin exclusive"),
        ('with database: database.executemany("insert into counts values (?)", many)', "read"),
    ],
    ids=["execute", "executemany", "commit"],
)
def test_time_spent_waiting_for_a_sqlite_file_does_not_count_towards_the_deadline(
    pyhost: Run, tmp_path: Path, how: str, lock: str, level: str
) -> None:
    project(tmp_path, '[connections]\ncounts = "sqlite:///counts.db"\n')
    module(tmp_path, "writes", WRITES_IN_TURN.format(how=how))
    with contextlib.closing(
        sqlite3.connect(tmp_path / "counts.db", check_same_thread=False, isolation_level=None)
    ) as database:
        database.execute("create table counts (n)")
        if lock == "read":
            database.execute("insert into counts values (9)")
            database.execute("begin")
            database.execute("select * from counts").fetchone()
        else:
            database.execute(lock)
        ends = threading.Timer(3.5, database.rollback)  # longer than the timeout
        ends.start()
        done = run_once(pyhost, level, "writes", "--timeout", "2s")
        ends.join()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[:3] == [0, 1, 2]


def test_the_process_that_holds_the_store_for_too_long_is_reported(
    offered: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "PATIENCE", 0.01)
    with held_store(tmp_path, "another run"):
        waits = _store._File(str(tmp_path / "counts.db"))
        with (
            contextlib.closing(waits.connection),
            pytest.raises(
                TimeoutError, match=f"module 'counts_in_the_store' in process {os.getpid()} "
            ),
        ):
            waits.values_of("counts_in_the_store")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("how", ["plain", "yields", "awaits"])
def test_each_run_of_a_map_changes_the_store_once(
    pyhost: Run, tmp_path: Path, level: str, how: str
) -> None:
    body = 'store["n"] = store.get("n", 0) + 1\n'
    body += {"plain": "", "yields": "yield 1\n", "awaits": "await asyncio.sleep(0)\n"}[how]
    module(tmp_path, "counts", body, "import asyncio", "async def" if how == "awaits" else "def")
    words = ("--store", "a.db", "--isolation", level)
    done = pyhost("map", "counts", *words, "-j", "3", "--states", "-", input=lines(*[{}] * 20))
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        assert database.execute("select * from store").fetchall() == [("counts", '{"n":20}')]


@pytest.mark.parametrize(
    ("ends", "code"),
    [("os.kill(os.getpid(), 9)", -9), ("time.sleep(100)", 124), ("raise ValueError", 1)],
)
def test_a_run_that_ends_abruptly_releases_the_store(
    pyhost: Run, tmp_path: Path, ends: str, code: int
) -> None:
    module(
        tmp_path,
        "ends",
        f"store['n'] = 1\nif self.state: {ends}\nreturn dict(store)",
        "import os, time",
    )
    words = ("run", "ends", "--store", "a.db", "--timeout", "3")
    assert pyhost(*words, "-p", "ends=1").returncode == code
    assert pyhost(*words).stdout == '{"n":1}\n'


def test_a_stored_value_can_be_read_back(pyhost: Run, tmp_path: Path) -> None:
    deep = "deep = 1\nfor _ in range(998): deep = [deep]\nstore['deep'] = deep\n"
    module(tmp_path, "deep", deep + "return store.get('n')")
    for _ in range(2):
        done = pyhost("run", "deep", "--store", "a.db")
        assert done.stdout == "", done.stderr
        assert done.returncode == 0, done.stderr


def test_a_store_behaves_like_a_dict(pyhost: Run, tmp_path: Path) -> None:
    module(
        tmp_path,
        "uses",
        """
        global store
        store |= {"a": 1, "b": 2}
        copy = store.copy()
        copy["c"] = 3
        return [copy, store | {"a": 5}, {"a": 5, "z": 0} | store, list(reversed(store)), len(store)]
        """,
    )
    done = pyhost("run", "uses", "--store", "a.db")
    assert json.loads(done.stdout) == [
        {"a": 1, "b": 2, "c": 3}, {"a": 5, "b": 2}, {"a": 1, "b": 2, "z": 0}, ["b", "a"], 2
    ]  # fmt: skip
    module(tmp_path, "gives", "return store")
    assert "return dict(store)" in pyhost("run", "gives", "--store", "a.db").stderr


def test_the_store_is_not_available_during_an_import(pyhost: Run, tmp_path: Path) -> None:
    module(tmp_path, "early", "return 1", "store['n'] = 1")
    done = pyhost("run", "early", "--store", "a.db")
    assert "not while the module is imported" in done.stderr
    module(tmp_path, "in_time", "return dict(store)", "def on_load(): store['n'] = 1")
    words = ("--store", "a.db", "--isolation", "shared", "-j", "3", "--states", "-")
    done = pyhost("map", "in_time", *words, input=lines(*[{}] * 6))
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == [{"n": 1}] * 6


@pytest.mark.parametrize(
    ("store", "problem"),
    [("no/such/a.db", "there is no folder"), (".", "that is a folder")],
)
def test_an_impossible_store_is_reported_before_a_module_runs(
    pyhost: Run, store: str, problem: str
) -> None:
    done = pyhost("run", "mod1", "--store", store)
    assert done.returncode == 70
    assert f"the store cannot be at {store}: {problem}" in done.stderr


def test_a_database_with_a_foreign_table_is_reported(pyhost: Run, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("create table store (name, price)")
    done = pyhost(*COUNTS, "--store", "a.db")
    assert "it has a table 'store' that is not pyhost's; use another file" in done.stderr


def test_a_thread_that_outlives_a_host_uses_the_store_of_the_next(
    offered: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["_pyhost"], "store_file", str(tmp_path / "a.db"))

    def count() -> int:
        n = _store.store["n"] = _store.store.get("n", 0) + 1
        _store.end(1, json.dumps({"n": n}))
        return int(n)

    with ThreadPoolExecutor(1) as other:
        assert other.submit(count).result() == 1
        _store.close_all()
        assert other.submit(count).result() == 2
        _store.close_all()


# --- connections


def test_a_relative_sqlite_path_starts_at_the_project_file(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db"\n')
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute("create table fruit as select 'apple' as name")
    (tmp_path / "below").mkdir()
    words = connects("main", "opened.execute('select name from fruit').fetchall()[0][0]")
    assert pyhost(*words, cwd=tmp_path / "below").stdout == '"apple"\n'


def test_an_unknown_connection_is_reported_with_similar_names(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite://"\n')
    done = pyhost(*connects("mian", "1"))
    assert "there is no connection 'mian'; did you mean 'main'?" in done.stderr


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("https://a.example/", "httpx"),
        ("mysql://a/b", "sqlalchemy"),
        ("snowflake://a/b", "sqlalchemy"),
    ],
)
def test_a_missing_package_is_reported_with_the_command_that_installs_it(
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


def test_a_variable_that_the_application_sets_after_python_started_is_used(
    pyhost: Run, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///${PYHOST_TEST_LATE}"\n')
    module(
        tmp_path,
        "sets_late",
        """
        import ctypes, os
        setenv = ctypes.CDLL(None).setenv  # as an application in C++ calls it: os.environ does not notice
        setenv(b"PYHOST_TEST_LATE", b":memory:", 1)
        return [os.environ.get("PYHOST_TEST_LATE"), connection("main").execute("select 1").fetchone()[0]]
        """,
    )
    done = pyhost("run", "sets_late")
    assert (done.returncode, done.stdout) == (0, "[null,1]\n"), done.stderr


def test_an_unset_variable_is_reported_by_name(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///${NO_SUCH_FOLDER}/a.db"\n')
    done = pyhost(*connects("main", "1"))
    assert (
        "connection 'main' needs the environment variable NO_SUCH_FOLDER, which is not set"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://a/b", "needs MySQLdb, which is not installed: `{python} -m pip install mysqlclient`"),
        ("postgresql+psycopg2://a/b", "needs psycopg2, which is not installed: `{python} -m pip install psycopg2-binary`"),
        ("postgres://a/b", "unknown scheme postgres://; did you mean postgresql://?"),
        ("htps://a/b", "unknown scheme htps://; did you mean https://?"),
        ("redis://a/b", "unknown scheme redis://; use sqlite://, http://, https:// or a dialect of SQLAlchemy"),
    ],
)  # fmt: skip
def test_a_missing_driver_or_scheme_is_reported_with_a_hint(
    pyhost: Run, drivers: Path, tmp_path: Path, url: str, problem: str
) -> None:
    project(tmp_path, f'[connections]\nmain = "{url}"\n')
    done = pyhost(*connects("main", "1"), "--venv", str(drivers))
    assert problem.format(python=f"{drivers}/bin/python") in done.stderr


def test_a_missing_postgresql_driver_is_reported_with_its_package(
    offered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SimpleNamespace(make_url=lambda url: SimpleNamespace(drivername="postgresql"))
    monkeypatch.setitem(sys.modules, "sqlalchemy", SimpleNamespace(engine=engine))  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "sqlalchemy" or None)
    offered["main"] = "postgresql://a/b"
    with pytest.raises(_connections.ConnectionFailed, match=r"pip install 'psycopg\[binary\]'`"):
        _connections.connection("main")


@pytest.fixture(scope="session")
def drivers() -> Path:
    """A virtual environment with the packages for real connections."""
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
    """The port of a real HTTP server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_an_http_connection_sends_the_secret_from_the_environment(
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


# Characters that httpx, quote() and repr() escape in different ways.
MIXED = 'it\'s "open" sesame, 100% é🔑\\n&=+~'


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("http://127.0.0.1:{port}/${{A}}", {"A": MIXED}),
        ("${{A}}", {"A": "http://127.0.0.1:{port}/open-sesame/v1"}),
        ("http://${{A}}", {"A": "127.0.0.1:{port}/open-sesame"}),
        ("http://127.0.0.1:{port}/${{A}}/${{B}}", {"A": "open-sesame", "B": "open-sesame-and-barley"}),
        ("http://127.0.0.1:{port}/${{A}}", {"A": "open-sesame" * 1000}),
    ],
)  # fmt: skip
def test_no_encoding_of_a_secret_is_shown(
    pyhost: Run, drivers: Path, prices: int, tmp_path: Path, url: str, values: dict[str, str]
) -> None:
    project(tmp_path, f'[connections]\nprices = "{url.format(port=prices)}"\n')
    values = {name: value.format(port=prices) for name, value in values.items()}
    module(
        tmp_path,
        "shows",
        """
        prices, value = connection("prices"), os.environ[self.state["of"]]
        logging.warning("%r %s %s", value, json.dumps(value), prices.base_url)
        if self.state["how"] == "result":
            return {value: {1}}
        prices.get("/a")
        if self.state["how"] == "cut":
            raise ValueError("x" * 65530 + value)
        raise ValueError([value, json.dumps(value), str(prices.base_url)])
        """,
        "import json, logging, os",
    )
    words = ("run", "shows", "--json", "--venv", str(drivers), "--log-level", "info")
    for of in values:
        for how, kind in (
            ("result", "InvalidResult"),
            ("raises", "ModuleRaised"),
            ("cut", "ModuleRaised"),
        ):
            done = pyhost(*words, "-p", f"of={of}", "-p", f"how={how}", env=values)
            assert json.loads(done.stdout)["error"]["kind"] == kind, done.stdout
            assert "***" in done.stdout
            assert "WARNING" in done.stderr or "warning" in done.stderr
            for word in ("sesame", "barley"):
                assert word not in done.stdout + done.stderr


def test_host_and_port_are_shown(pyhost: Run, drivers: Path, prices: int, tmp_path: Path) -> None:
    project(
        tmp_path,
        '[connections]\nprices = "http://${HOST}:${PORT}/v1"\nmain = "postgresql://${HOST}:${NONE}/x"\n',
    )
    variables = {"HOST": "127.0.0.1", "PORT": str(prices), "NONE": "1"}
    words = ("--venv", str(drivers), "--log-level", "info")
    done = pyhost(*connects("prices", "opened.get('/a').status_code"), *words, env=variables)
    assert f"GET http://127.0.0.1:{prices}/v1/a" in done.stderr
    done = pyhost(*connects("main", "1"), *words, env=variables)
    assert "127.0.0.1" in done.stderr
    assert "message hidden" not in done.stderr


def test_a_module_that_closes_a_connection_does_not_close_it_for_others(
    pyhost: Run, drivers: Path, prices: int, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f'[connections]\nprices = "http://127.0.0.1:{prices}"\nmain = "sqlite:///a.db"\nmemory = "sqlite://"\n',
    )
    module(
        tmp_path,
        "closes",
        """
        with connection("prices") as prices:
            first = prices.get("/").status_code
        prices.close()
        main, memory = connection("main"), connection("memory")
        main.close(), memory.close()
        return [first, connection("prices").get("/").status_code] + [
            connection(name).execute("select 1").fetchone()[0] for name in ("main", "memory")
        ]
        """,
    )
    words = ("--venv", str(drivers), "--isolation", "shared", "-j", "1", "--states", "-")
    done = pyhost("map", "closes", *words, input=lines({}, {}))
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == [
        [200, 200, 1, 1]
    ] * 2


def test_open_connections_are_closed_with_the_host(
    pyhost: Run, drivers: Path, prices: int, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f'[connections]\nprices = "http://127.0.0.1:{prices}"\nmain = "sqlite+pysqlite:///a.db"\n',
    )
    module(
        tmp_path,
        "keeps",
        """
        prices, main = connection("prices"), connection("main")
        atexit.register(lambda: print(prices.is_closed, main.pool is pool))
        prices.get("/"), main.connect().close()
        pool = main.pool
        print(prices.is_closed, main.pool is pool)
        """,
        "import atexit",
    )
    done = pyhost("run", "keeps", "--venv", str(drivers))
    assert done.stdout == "False True\nTrue False\n", done.stderr


@pytest.mark.parametrize("end", ["?token=${KEY}", "#${KEY}"])
def test_parameters_of_an_http_url_are_refused(
    pyhost: Run, drivers: Path, tmp_path: Path, end: str
) -> None:
    project(tmp_path, f'[connections]\nmain = "https://a.example/v1{end}"\n')
    done = pyhost(*connects("main", "1"), "--venv", str(drivers), env={"KEY": "open-sesame"})
    assert "the URL of a server must not have parameters" in done.stderr
    assert "params={...}" in done.stderr


def on_postgresql(port: int) -> str:
    return f'[connections]\nmain = "postgresql://ada:${{WORD}}@127.0.0.1:{port}/postgres"\n'


def test_a_postgresql_connection_uses_the_password_from_the_environment(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    give = "list(opened.connect().exec_driver_sql('select current_user, 6 * 7').fetchone())"
    done = pyhost(*connects("main", give), "--venv", str(drivers), env={"WORD": SECRET})
    assert done.stdout == '["ada",42]\n', done.stderr


def test_a_password_among_the_parameters_is_not_shown(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(
        tmp_path,
        f'[connections]\nmain = "postgresql://127.0.0.1:{postgresql}/postgres?user=ada&password=${{WORD}}"\n',
    )
    words = ("--venv", str(drivers))
    done = pyhost(*connects("main", "int(str(opened.url))"), *words, env={"WORD": "open+sesame"})
    assert "could not be opened: OperationalError" in done.stderr
    assert "sesame" not in done.stderr
    done = pyhost(
        *connects("main", "int(f'{opened.url}')"), *words, env={"WORD": "s3cret%2Fof+ada"}
    )
    assert "invalid literal" in done.stderr
    assert "cret" not in done.stderr


def test_a_connection_that_the_server_has_closed_is_replaced(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    module(
        tmp_path,
        "goes_on",
        """
        main = connection("main")
        with main.connect() as one, main.connect() as other:
            number = other.exec_driver_sql("select pg_backend_pid()").scalar()
            other.rollback()
            one.exec_driver_sql(f"select pg_terminate_backend({number})")
        with main.connect() as one, main.connect() as other:
            return [each.exec_driver_sql("select 1").scalar() for each in (one, other)]
        """,
    )
    done = pyhost("run", "goes_on", "--venv", str(drivers), env={"WORD": SECRET})
    assert done.stdout == "[1,1]\n", done.stderr


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


def test_a_secret_that_makes_a_url_invalid_is_not_shown(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "postgresql://ada@127.0.0.1:${WORD}/x"\n')
    done = pyhost(*connects("main", "1"), "--venv", str(drivers), env={"WORD": "Hidden:port"})
    assert done.returncode == 1
    assert "connection 'main' could not be opened" in done.stderr
    assert "Hidden" not in done.stderr


def test_a_password_with_any_characters_works_and_is_not_shown(
    pyhost: Run, drivers: Path, postgresql: int, tmp_path: Path
) -> None:
    project(tmp_path, on_postgresql(postgresql))
    for password in ("s3cr@et/x#y?z=%41", "p"):
        done = pyhost(*connects("main", "1"), "--venv", str(drivers), env={"WORD": password})
        assert "connection 'main' could not be opened: OperationalError: " in done.stderr
        assert password not in done.stderr.partition("OperationalError: ")[2].partition("\n")[0]
        assert ("(message hidden, " in done.stderr) == (password == "p")


def test_no_part_of_a_password_that_makes_a_url_invalid_is_shown(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "${DATABASE}"\n')
    spoilt = {"DATABASE": "postgresql://u:s3cr@hidden/xx#yyyy@localhost/db"}
    done = pyhost(*connects("main", "1"), "--venv", str(drivers), env=spoilt)
    assert "connection 'main' could not be opened" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("folder", ["%41", "a b", "a?b", "${HOME}"])
def test_a_folder_can_have_any_name(pyhost: Run, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    project(tmp_path / folder, '[connections]\nmain = "sqlite:///data.db"\n')
    words = connects("main", "opened.execute('create table t (n)').rowcount")
    assert pyhost(*words, cwd=tmp_path / folder).returncode == 0
    assert (tmp_path / folder / "data.db").exists()


def test_a_variable_in_a_path_is_replaced_by_its_value(pyhost: Run, tmp_path: Path) -> None:
    for folder in ("below", "data", "elsewhere"):
        (tmp_path / folder).mkdir()
    project(tmp_path, '[connections]\nmain = "sqlite:///${DATA}/x.db"\n')
    words = connects("main", "opened.execute('create table t (n)').rowcount")
    for data in ("data", str(tmp_path / "elsewhere")):
        done = pyhost(*words, cwd=tmp_path / "below", env={"DATA": data})
        assert done.returncode == 0, done.stderr
        assert (tmp_path / data / "x.db").exists()


@pytest.mark.parametrize("variable", ["${API-KEY}", "${}", "${A", "${1A}"])
def test_a_malformed_variable_is_refused(pyhost: Run, tmp_path: Path, variable: str) -> None:
    project(tmp_path, f'[connections]\nmain = "sqlite:///{variable}.db"\n')
    done = pyhost(*connects("main", "1"))
    assert "connection 'main' has a '${' that does not begin a variable" in done.stderr


def test_two_dollars_are_read_as_one(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///$${HOME}.db"\n')
    done = pyhost(*connects("main", "opened.execute('create table t (n)').rowcount"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "${HOME}.db").exists()


def test_a_variable_that_is_not_utf_8_is_reported(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "postgresql://ada:${WORD}@127.0.0.1/x"\n')
    done = pyhost(*connects("main", "1"), env={"WORD": "open\udcff"})
    assert "the environment variable WORD, but its value is not UTF-8" in done.stderr


def test_a_path_for_an_sqlite_driver_starts_at_the_project_file(
    pyhost: Run, drivers: Path, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite+pysqlite:///rel.db"\n')
    (tmp_path / "below").mkdir()
    give = "opened.connect().exec_driver_sql('create table t (n)').rowcount"
    done = pyhost(*connects("main", give), "--venv", str(drivers), cwd=tmp_path / "below")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rel.db").exists()


def test_an_sqlite_url_without_a_file_is_refused(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///"\n')
    done = pyhost(*connects("main", "1"))
    assert "connection 'main': write a file after three slashes" in done.stderr


def test_a_connection_to_the_file_of_the_store_is_refused(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, 'store = "a.db"\n[connections]\nmain = "sqlite:///a.db"\n')
    done = pyhost(*connects("main", "1"))
    assert "connection 'main' uses the file of pyhost.store" in done.stderr


def test_a_connection_that_a_second_thread_cannot_open_is_reported(
    pyhost: Run, tmp_path: Path
) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data/a.db"\n')
    (tmp_path / "data").mkdir()
    module(
        tmp_path,
        "moves",
        "connection('main')\nos.rename('data', 'gone')\n"
        "with ThreadPoolExecutor() as pool: return pool.submit(connection, 'main').result()",
        "import os\nfrom concurrent.futures import ThreadPoolExecutor",
    )
    done = pyhost("run", "moves", "--json")
    assert json.loads(done.stdout)["error"]["exception"]["type"] == "pyhost.ConnectionFailed"


HALF = """
def half(state):
    main = connection("main")
    main.execute("create table if not exists t (n)")
    main.execute("insert into t values (?)", [state["n"]])
    if state["n"] == 666:
        raise ValueError("half way")
    main.commit()
"""


@pytest.mark.parametrize(
    ("first", "of", "body"),
    [
        ("import asyncio", "async def", "await asyncio.to_thread(half, self.state)"),
        (
            "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)",
            "def",
            "pool.submit(half, self.state).result()",
        ),
    ],
)
def test_changes_of_a_failed_run_on_another_thread_are_not_committed_by_the_next(
    pyhost: Run, tmp_path: Path, first: str, of: str, body: str
) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///a.db"\n')
    module(tmp_path, "half", body, first + HALF, of)
    words = ("--isolation", "shared", "-j", "1", "--keep-going", "--states", "-")
    pyhost("map", "half", *words, input=lines({"n": 666}, {"n": 1}))
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        assert database.execute("select n from t").fetchall() == [(1,)]


@pytest.mark.parametrize("url", ["sqlite:///data.db", "sqlite://"])
@pytest.mark.parametrize(
    ("parameters", "milliseconds"), [("", 30_000), ("?timeout=1.5", 1_500), ("?timeout=${WAIT}", 0)]
)
def test_a_sqlite_connection_waits_for_locks_as_long_as_its_url_says(
    pyhost: Run, tmp_path: Path, url: str, parameters: str, milliseconds: int
) -> None:
    project(tmp_path, f'[connections]\nmain = "{url}{parameters}"\n')
    words = connects("main", "int(opened._patience * 1000)")
    assert pyhost(*words, env={"WAIT": "0"}).stdout == f"{milliseconds}\n"
    assert [each.name for each in tmp_path.glob("*.db*")] == ["data.db"] * ("data" in url)


@pytest.mark.parametrize(
    "parameters", ["mode=ro", "timeout=soon", "timeout=-1", "timeout=nan", "timeout=1e9", ""]
)
def test_other_parameters_of_an_sqlite_url_are_refused(
    pyhost: Run, tmp_path: Path, parameters: str
) -> None:
    project(tmp_path, f'[connections]\nmain = "sqlite:///data.db?{parameters}"\n')
    done = pyhost(*connects("main", "1"))
    assert "connection 'main': the only parameter of an sqlite URL is timeout" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["pyhost.toml"]


def test_the_place_of_a_connection_error_is_the_modules_line(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost(*connects("main", "1"), "--json")
    error = json.loads(done.stdout)["error"]
    assert error["exception"]["type"] == "pyhost.ConnectionFailed"
    assert error["place"]["file"].endswith("connects.py")
    assert error["exception"]["frames"][-1]["origin"] == "machinery"


def test_uncommitted_changes_are_reported(pyhost: Run, tmp_path: Path) -> None:
    project(tmp_path, '[connections]\nmain = "sqlite:///data.db"\n')
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute("create table t (n)")
    done = pyhost(*connects("main", "opened.execute('insert into t values (1)').rowcount"))
    assert done.stdout == "1\n"
    assert (
        "RuntimeWarning: module 'connects' did not commit its changes on connection 'main'"
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
    """The connections of an imitated host in this process."""
    urls: dict[str, str] = {}
    monkeypatch.setitem(
        sys.modules,
        "_pyhost",
        SimpleNamespace(  # type: ignore[arg-type]
            connections=urls,
            store_file="a.db",
            current_run=lambda: (1, "m", 1, None),
            read_object=json.loads,
            is_store_held=lambda module: False,
            postpone_deadline=lambda seconds: None,
            hide=lambda secret: None,
            without=lambda text, secrets: text,
        ),
    )
    return urls


def test_a_connection_that_opens_slowly_does_not_block_others(
    offered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered.update(slow="x://", quick="sqlite://")
    began, goes_on = threading.Event(), threading.Event()

    def opens(name: str, url: str) -> object:
        began.set()
        goes_on.wait(60)
        return _connection_types.SharedConnection(lambda: name, "upper")

    monkeypatch.setattr(_connection_types, "open_sql", opens)
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


def test_a_connection_that_opens_while_the_host_closes_is_closed(
    offered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered["main"] = "x://"
    closed: list[str] = []

    def opens(name: str, url: str) -> object:
        _connections.close_all()
        monkeypatch.setattr(sys.modules["_pyhost"], "connections", None)
        made = SimpleNamespace(close=lambda: closed.append(name))
        return _connection_types.SharedConnection(lambda: made, "close")

    monkeypatch.setattr(_connection_types, "open_sql", opens)
    with pytest.raises(_connections.ConnectionFailed, match="the host is closed"):
        _connections.connection("main")
    assert closed == ["main"]
    assert _connections._open == {}


@pytest.mark.parametrize(
    ("url", "values", "secret", "shown"),
    [
        ("https://h:8080/v1/${A}", {"A": "key"}, {"key"}, {"h", "8080"}),
        ("https://${A}:8080/", {"A": "api.example"}, set(), {"api.example"}),
        ("https://${A}", {"A": "h/deep/secret"}, {"h/deep/secret", "deep/secret", "secret"}, {"h"}),
        ("postgresql://h/${A}?password=${B}", {"A": "shop", "B": "pw"}, {"pw"}, {"shop"}),
        ("${A}", {"A": "mysql://u:p%40w@h/shop?ssl_key=abcd"}, {"p@w", "p%40w", "abcd"}, {"h", "shop"}),
        ("${A}", {"A": "postgresql://postgres:pw@h/x"}, {"pw"}, {"postgres", "h", "x"}),
        ("https://${A}:x@h/", {"A": "token"}, {"token"}, {"h"}),
        ("postgresql://${A}:${B}@h/x", {"A": "ada", "B": "p@w/x"}, {"ada", "p@w/x"}, {"h"}),
        ("postgresql://h:${A}/x", {"A": "no-port"}, {"no-port"}, {"h"}),
        ("postgresql://u:literal@h/x", {}, {"literal"}, {"u"}),
        ("sqlite:///${A}/x.db", {"A": "/home/ada"}, set(), {"/home/ada"}),
        ("https://${A}/u/@me", {"A": "api.example"}, set(), {"api.example"}),
    ],
)  # fmt: skip
def test_secrets_of_a_url_are_found(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    values: dict[str, str],
    secret: set[str],
    shown: set[str],
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    found = _connection_urls.find_secrets(*_connection_urls.fill_in("main", url))
    assert secret <= found
    assert not found & shown
    if not secret:
        assert not found


def test_connections_and_store_of_a_closed_host_raise_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        sys.modules,
        "_pyhost",
        SimpleNamespace(connections=None, store_file=None),  # type: ignore[arg-type]
    )
    with pytest.raises(_connections.ConnectionFailed, match="because the host is closed"):
        _connections.connection("main")
    with pytest.raises(RuntimeError, match="needs a host, and the host is closed"):
        _store.store["n"]


@pytest.mark.parametrize("isolation", ["host", "process"])
def test_a_forked_child_opens_its_own_connections_and_has_no_store(
    pyhost: Run, tmp_path: Path, isolation: str
) -> None:
    project(tmp_path, '[connections]\ndb = "sqlite:///db"\n')
    run = """
database = connection("db")
database.execute("create table t (v)")
database.execute("insert into t values ('parent')")
child = os.fork()
if child == 0:
    assert connection("db") is not database
    assert connection("db").execute("select count(*) from t").fetchone() == (0,)
    del database
    try:
        store["n"] = 1
    except RuntimeError as error:
        print(error)
        os._exit(0)
status = os.waitpid(child, 0)[1]
database.commit()
store["n"] = 2
return [status, connection("db") is database, store["n"]]
"""
    words = write_module(tmp_path, "forks", run, "import os\nfrom pyhost import connection, store")
    done = pyhost(*words, "--isolation", isolation, "--store", "store.db")
    assert done.stdout.splitlines()[-1:] == ["[0,true,2]"], done.stderr
    assert "belongs to the process that forked this one" in done.stdout
