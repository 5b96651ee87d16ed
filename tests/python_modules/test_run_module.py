"""run_module, with which authors test their modules, follows the same contract as a host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, ROOT, Run, clean_environment, mypy, needs_package

PYTHON_MODULES = ROOT / "python_modules"
sys.path.append(str(PYTHON_MODULES))

from pyhost.testing import ContractError, Modules, run_module  # noqa: E402

MODULE = "class M:\n    def __init__(self, state): self.state = state\n    def run(self): return {}\ndef create(state): return M(state)\n"


def over_fixtures(name: str, state: Any = None) -> Any:
    return run_module(name, state, module_paths=[FIXTURES])


def run_pytest(
    folder: Path, *words: str, test: str, **files: str
) -> subprocess.CompletedProcess[str]:
    """Runs pytest on one test file and these modules, in the folder."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "test_it.py").write_text(test)
    (folder / "modules").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "modules" / f"{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pyhost.pytest_fixtures", *words, "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=clean_environment(PYTHONPATH=str(PYTHON_MODULES)),
    )


def test_run_module_returns_the_result_as_converted_to_json() -> None:
    state = {"a": [1, {"b": None}], "f": 0.1}
    result = over_fixtures("returns_state", state)
    assert result == state
    assert result is not state and result["a"] is not state["a"]
    give = {"give": "(1, [True, 'x'], {'k': (2.5,)})"}
    assert over_fixtures("evaluates", give) == [1, [True, "x"], {"k": [2.5]}]
    assert over_fixtures("returns_state") == {}


def test_run_module_copies_the_state() -> None:
    state = {"list": [1]}
    over_fixtures("keeps_its_state", state)
    assert state == {"list": [1]}


RESULTS = [
    "float('nan')",
    "{'a': [0, float('inf')]}",
    "{1, 2}",
    "b'x'",
    "[{'x': {1: 2}}]",
    "{'a/b~c': {None: 1}}",
    "'\\ud800'",
    "{'\\ud800': 1}",
    "datetime.datetime.now()",
    "decimal.Decimal(1)",
    "[(x for x in [])]",
    "{}.keys()",
    "object",
    "1 + 2j",
    "(lambda a: [a.append(a), a][1])([])",
    "__import__('functools').reduce(lambda a, _: [a], range(1000), [])",
    "__import__('functools').reduce(lambda a, _: {'k': a}, range(2000), {})",
    "[1, bytearray()]",
    "frozenset()",
    "map(str, [])",
    "{}.values()",
    "range(3)",
    "type('float64', (), {'__module__': 'numpy'})()",
    "type('Store', (), {'__module__': 'pyhost._store'})()",
    "[[c := __import__('asyncio').sleep(0), c.close()][0]]",
    "type('M', (type,), {'__qualname__': 'no str', '__module__': property(lambda c: 'lies')})('T', (), {})()",
    "{'a': 10**5000}",
    "{type('S', (str,), {})('k'): [{'\\udfff': {}}]}",
]
FINE = [
    "None",
    "[True, False, 0, -1, 2**80, 0.1, 1e300, 'é\\x00']",
    "enum.IntEnum('E', 'a b').b",
    "collections.OrderedDict(b=1, a=(2, 3))",
    "collections.namedtuple('P', 'x y')(1, 2)",
    "type('S', (str,), {'__str__': lambda s: 'lie'})('truth')",
    "type('L', (list,), {'__iter__': lambda s: iter([9])})([1])",
]


@pytest.mark.parametrize("give", RESULTS)
def test_an_invalid_result_is_refused_with_the_message_of_a_host(pyhost: Run, give: str) -> None:
    with pytest.raises(ContractError) as refused:
        over_fixtures("evaluates", {"give": give})
    done = pyhost("run", "evaluates", "-m", str(FIXTURES), "-p", f"give={give}", "--json")
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert str(refused.value) == "; ".join(filter(None, [error["message"], error["hint"]]))


@pytest.mark.parametrize("give", FINE)
def test_a_valid_result_is_the_same_as_from_a_host(pyhost: Run, give: str) -> None:
    done = pyhost("run", "evaluates", "-m", str(FIXTURES), "-p", f"give={give}", "--json")
    assert over_fixtures("evaluates", {"give": give}) == json.loads(done.stdout)["result"]


def test_a_result_of_a_thousand_levels_is_accepted() -> None:
    deep = "__import__('functools').reduce(lambda a, _: [a], range(999), [])"
    result = over_fixtures("evaluates", {"give": deep})
    levels = 1
    while result:
        (result,) = result
        levels += 1
    assert levels == 1000


@pytest.mark.parametrize(
    "state",
    [[], None, "{}", {1: 2}, {"a": {2, 3}}, {"a": float("nan")}, {"a": "\ud800"}, {"a": object()}],
)
def test_a_state_that_is_not_a_json_object_is_refused(state: Any) -> None:
    with Modules([FIXTURES]) as modules, pytest.raises(ContractError, match="the state"):
        modules.run("returns_state", state)


@pytest.mark.parametrize(
    "name",
    [
        "has_no_create",
        "has_create_that_is_a_number",
        "has_create_of_no_argument",
        "has_create_of_two_arguments",
        "creates_none",
        "has_no_run",
        "has_getattr_but_no_run",
        "has_run_that_is_a_number",
        "has_run_of_one_argument",
        "has_async_create",
    ],
)
def test_a_broken_contract_is_reported_with_the_message_of_a_host(pyhost: Run, name: str) -> None:
    with pytest.raises(ContractError) as refused:
        over_fixtures(name)
    error = json.loads(pyhost("run", name, "-m", str(FIXTURES), "--json").stdout)["error"]
    place = f"{error['place']['file']}:{error['place']['line']}"
    assert str(refused.value) == f"{error['message']} ({place}); {error['hint']}"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "the module has no create(state)"),
        ("create = 7\n", "create is not callable but of type int"),
        ("class Other: pass\ncreate = Other\n", "create(state) cannot be called: "),
        ("async def create(state): pass\n", "create must not be async: it returns a coroutine"),
        (
            "class M:\n    run = 'x'\ndef create(state): return M()\n",
            "run is not callable but of type str",
        ),
        (
            "class M:\n    def run(self, x): pass\ndef create(state): return M()\n",
            "run() cannot be called: ",
        ),
    ],
)
def test_check_and_run_and_run_module_report_the_same_messages(
    pyhost: Run, tmp_path: Path, source: str, says: str
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "m.py").write_text(source)
    hidden = source.replace("def create", "def make") + "\nif 'make' in globals(): create = make\n"
    (tmp_path / "modules" / "hidden.py").write_text(hidden if "make" in hidden else source)
    for word in ("m", "hidden"):
        done = pyhost("check", word, "--import", "--json")
        (finding,) = json.loads(done.stdout)["diagnostics"]
        assert finding["message"].startswith(says)
    error = json.loads(pyhost("run", "m", "--json").stdout)["error"]
    assert says.replace("the module has", "it has") in error["message"]
    with pytest.raises(ContractError) as refused:
        run_module("m", module_paths=[tmp_path])
    assert str(refused.value).startswith(error["message"])


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("create = int\n", TypeError),
        ("from operator import itemgetter\ncreate = itemgetter('missing', None)\n", KeyError),
        ("class M: run = [].append\ndef create(state): return M()\n", TypeError),
        (
            "class M:\n    @property\n    def run(self): return 3 + ''\ndef create(state): return M()\n",
            TypeError,
        ),
    ],
)
def test_an_exception_of_the_module_is_not_reported_as_a_broken_contract(
    pyhost: Run, tmp_path: Path, source: str, error: type[BaseException]
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "m.py").write_text(source)
    said = json.loads(pyhost("run", "m", "--json").stdout)["error"]
    expected = said["exception"]["type"] if said["kind"] == "ModuleRaised" else "ContractError"
    with pytest.raises((ContractError, error)) as raised:
        run_module("m", module_paths=[tmp_path])
    assert type(raised.value).__name__ == expected


@pytest.mark.parametrize("name", ["no_such", "package.no_such", "retruns_state", "os"])
def test_the_error_of_an_unknown_module_names_the_searched_paths(name: str) -> None:
    with pytest.raises(ContractError) as refused:
        over_fixtures(name)
    assert f"no module '{name}'; looked in {FIXTURES}/modules" in str(refused.value)
    assert ("did you mean 'returns_state'?" in str(refused.value)) == (name == "retruns_state")


@pytest.mark.parametrize("name", ["../x", "a-b", "class", "__init__", "", "a..b"])
def test_an_invalid_module_name_is_refused_by_run_module(name: str) -> None:
    with pytest.raises(ContractError, match="cannot be a module's name"):
        over_fixtures(name)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises_in_create", ValueError),
        ("raises_in_import", ZeroDivisionError),
        ("raises_type_error_in_create", TypeError),
        ("has_run_property_that_raises", AttributeError),
        ("imports_what_is_missing", ModuleNotFoundError),
        ("exits_in_import", SystemExit),
        ("is_python2", SyntaxError),
    ],
)
def test_an_exception_of_a_module_is_raised_unchanged(
    name: str, error: type[BaseException]
) -> None:
    with pytest.raises(error) as raised:
        over_fixtures(name)
    assert type(raised.value) is error


def test_a_failed_import_within_a_module_is_not_reported_as_a_missing_module(
    tmp_path: Path,
) -> None:
    (tmp_path / "modules").mkdir()
    raises = "raise ModuleNotFoundError('mine', name=__name__)\n"
    (tmp_path / "modules" / "odd.py").write_text(raises)
    with pytest.raises(ModuleNotFoundError, match="mine"):
        run_module("odd", module_paths=[tmp_path])


def test_the_modules_namespace_exists_only_during_run_module(tmp_path: Path) -> None:
    before = {name for name in sys.modules if name.split(".")[0] == "modules"}
    path = list(sys.path)
    first = FIXTURES / "first_path"
    assert run_module("wins", module_paths=[first, FIXTURES]) == "first"
    assert run_module("wins", module_paths=[FIXTURES, first]) == "second"
    assert run_module("imports_across", {"a": 1}, module_paths=[first, FIXTURES]) == {"a": 1}
    assert run_module("package", module_paths=[FIXTURES])[2] == "modules.returns_state"
    assert {name for name in sys.modules if name.split(".")[0] == "modules"} == before
    assert sys.path == path
    with pytest.raises(ContractError, match="is not a folder that contains a folder 'modules'"):
        run_module("wins", module_paths=[tmp_path])


# --- in pytest


def test_the_fixture_runs_modules_of_the_project_and_shipped_modules(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        test=(
            "def test_own(run_module): assert run_module('mine', {'x': 1}) == {'x': 1}\n"
            "def test_shipped(run_module): assert run_module('csv_summary', {'text': 'a\\n1\\n'})['rows'] == 1\n"
            "def test_wrong(run_module): run_module('mnie')\n"
        ),
        mine=MODULE.replace("return {}", "return self.state"),
    )
    assert "2 passed" in done.stdout and "1 failed" in done.stdout, done.stdout
    assert "did you mean 'mine'?" in done.stdout


def test_each_test_gets_a_new_import_of_a_module_and_can_patch_it(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        test=(
            "def test_a(run_module, monkeypatch):\n"
            "    assert run_module('counts') == 1\n"
            "    assert run_module('counts') == 2\n"
            "    monkeypatch.setattr('modules.counts.seen', 41)\n"
            "    assert run_module('counts') == 42\n"
            "def test_b(run_module):\n"
            "    assert run_module('counts') == 1\n"
        ),
        counts=(
            "seen = 0\nclass M:\n    def run(self):\n        global seen\n        seen += 1\n        return seen\n"
            "def create(state): return M()\n"
        ),
    )
    assert "2 passed" in done.stdout, done.stdout


def test_module_paths_come_from_the_ini_file_or_the_variable(tmp_path: Path) -> None:
    (tmp_path / "other" / "modules").mkdir(parents=True)
    (tmp_path / "other" / "modules" / "far.py").write_text(MODULE)
    test = "def test_far(run_module): assert run_module('far') == {}\n"
    assert "no module 'far'" in run_pytest(tmp_path, test=test).stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\npyhost_module_paths = other\n")
    assert "1 passed" in run_pytest(tmp_path, test=test).stdout


def test_children_of_multiprocessing_find_the_modules_of_a_test(tmp_path: Path) -> None:
    spreads = (
        "import multiprocessing\n"
        "def work(n):\n    from modules import other\n    return [n * n, other.__name__]\n"
        "class M:\n    def run(self):\n"
        "        with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(work, [3])\n"
        "def create(state): return M()\n"
    )
    done = run_pytest(
        tmp_path,
        test="def test(run_module): assert run_module('spreads') == [[9, 'modules.other']]\n",
        spreads=spreads,
        other="",
    )
    assert "1 passed" in done.stdout, done.stdout


# --- the package


def test_the_package_and_the_shipped_modules_are_typed() -> None:
    needs_package("mypy")
    for version in ("3.9", "3.13"):
        done = subprocess.run(
            [*mypy(), "--python-version", version, PYTHON_MODULES / "pyhost", PYTHON_MODULES / "modules"],
            cwd=ROOT, capture_output=True, text=True, env=clean_environment(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert (PYTHON_MODULES / "pyhost" / "py.typed").exists()


def test_a_type_checker_finds_violations_of_the_contract(tmp_path: Path) -> None:
    needs_package("mypy")
    (tmp_path / "good.py").write_text(
        "from typing import Any\nfrom pyhost import Factory, Module\n"
        "class M:\n    def run(self) -> dict[str, int]: return {}\n"
        "def create(state: dict[str, Any]) -> M: return M()\n"
        "factory: Factory = create\nmodule: Module = create({})\n"
    )
    text = (tmp_path / "good.py").read_text()
    (tmp_path / "bad.py").write_text(text.replace("def run(self)", "def go(self)"))
    results = []
    for name in ("good.py", "bad.py"):
        words = [*mypy(), name]
        environment = clean_environment(MYPYPATH=str(PYTHON_MODULES))
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
        results.append(done.stdout)
    assert results[0].startswith("Success"), results[0]
    assert results[1].count("error:") == 2, results[1]


def test_the_protocols_can_be_used_with_isinstance() -> None:
    from pyhost import Factory, Module

    class Runs:
        def run(self) -> None: ...

    assert isinstance(Runs(), Module) and not isinstance(object(), Module)
    assert isinstance(lambda state: Runs(), Factory)
    with pytest.raises(ImportError):
        from pyhost import nothing_of_the_kind  # type: ignore[attr-defined]  # noqa: F401


def test_importing_pyhost_imports_no_other_module() -> None:
    code = (
        f"import sys; sys.path.append({str(PYTHON_MODULES)!r}); before = set(sys.modules)\n"
        "import pyhost; print(sorted(set(sys.modules) - before))\n"
        "import pyhost.pytest_fixtures; print('pytest' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['pyhost']\nFalse\n"


def test_a_module_in_a_host_can_import_pyhost(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "typed.py").write_text(
        "import pyhost\nfrom pyhost import Module\n"
        + MODULE.replace("return {}", "return [isinstance(self, Module), pyhost.__file__]")
    )
    done = pyhost("run", "typed")
    assert json.loads(done.stdout) == [True, str(PYTHON_MODULES / "pyhost" / "__init__.py")]


def test_async_and_yielding_modules_run_as_in_a_host() -> None:
    assert isinstance(over_fixtures("awaits"), int)
    assert over_fixtures("yields", {"items": [1, "two"]}) == [1, "two"]
    assert over_fixtures("yields_async", {"items": [1, "two"]}) == [1, "two"]


def test_life_cycle_functions_are_called_as_by_a_host() -> None:
    told: list[str] = []
    sys.told = told  # type: ignore[attr-defined]
    with Modules([FIXTURES]) as modules:
        modules.run("tells_of_its_life", {"name": "one"})
        with pytest.raises(ValueError, match="as requested"):
            modules.run("tells_of_its_life", {"name": "two", "raises": True})
        with pytest.raises(ConnectionError):
            modules.run("raises_in_on_load", {})
        assert "modules.raises_in_on_load" not in sys.modules
    assert told == ["load", "run one", "close one", "run two", "close two", "unload"]


def test_cancelled_is_never_set_without_a_host() -> None:
    from pyhost import Stopped, cancelled

    assert not cancelled.is_set()
    assert not cancelled.wait(0)
    assert not issubclass(Stopped, Exception)
    assert f"{Stopped.__module__}.{Stopped.__qualname__}" == "pyhost.Stopped"


def test_current_run_is_available_during_run_module(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    from pyhost import Scheduled, current_run

    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sees.py").write_text(
        "import pyhost\n\ncreated = []\n"
        + MODULE.replace(
            "return {}", "return [str(created[0]), str(pyhost.current_run())]"
        ).replace("return M", "created.append(pyhost.current_run().scheduled); return M")
    )
    nightly = Scheduled("nightly", datetime(2026, 12, 24, 2, 30, tzinfo=timezone.utc), 2)
    created, run = run_module("sees", {}, module_paths=[tmp_path], scheduled=nightly)
    assert created == str(nightly)
    assert run.startswith("Run(module='sees', id=") and run.endswith(f"scheduled={nightly})")
    assert run_module("sees", module_paths=[tmp_path])[1].endswith("scheduled=None)")
    assert current_run() is None
    with pytest.raises(SystemExit):
        over_fixtures("raises_in_run", {"what": "exit"})
    assert current_run() is None


def test_the_fixture_run_module_accepts_the_schedule_of_a_run(tmp_path: Path) -> None:
    test = (
        "from datetime import datetime, timezone\nimport pyhost\n"
        "def test_it(run_module):\n"
        "    due = datetime(2026, 12, 24, 2, 30, tzinfo=timezone.utc)\n"
        "    assert run_module('sees', scheduled=pyhost.Scheduled('nightly', due)) == '2026-12-24'\n"
    )
    sees = MODULE.replace("return {}", "return str(current_run().scheduled.due.date())")
    done = run_pytest(tmp_path, test=test, sees="from pyhost import current_run\n" + sees)
    assert done.returncode == 0, done.stdout
