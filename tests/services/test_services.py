"""The services of a host, as seen by type checkers and by tests without a host."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, Run, clean_environment, mypy, needs_package, small_program

PYTHON_MODULES = ROOT / "python_modules"
sys.path.append(str(PYTHON_MODULES))

import pyhost as package  # noqa: E402

CALLS = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import host_services as services
else:
    from pyhost import services
services.quote(symbol="ABC")
services.quote({"symbol": "ABC"})
"""


def test_a_type_checker_checks_calls_of_services_against_their_stubs(tmp_path: Path) -> None:
    needs_package("mypy")
    (tmp_path / "modules").mkdir()
    module = "def create(state):\n    class M:\n        def run(self): pass\n    return M()\n"
    (tmp_path / "modules" / "desk.py").write_text(module)
    program = BUILD / "tests" / "docs_services_hints"
    done = subprocess.run(
        [program], cwd=tmp_path, capture_output=True, text=True, env=clean_environment()
    )
    (tmp_path / "host_services.pyi").write_text(done.stdout[done.stdout.index("#") :])
    seen = []
    for more in ("", 'services.quote("ABC")\n', "services.qoute()\n"):
        (tmp_path / "calls.py").write_text(CALLS + more)
        words = [*mypy(), "calls.py"]
        environment = clean_environment(MYPYPATH=str(PYTHON_MODULES))
        checked = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, env=environment
        )
        seen.append(checked.stdout)
    assert seen[0].startswith("Success"), seen[0]
    assert "No overload variant" in seen[1], seen[1]
    assert "qoute" in seen[2], seen[2]


def test_a_type_checker_accepts_services_that_hide_names_of_python(tmp_path: Path) -> None:
    needs_package("mypy")
    words = small_program("prints_stubs")
    stubs = subprocess.check_output(words, cwd=tmp_path, env=clean_environment())
    (tmp_path / "host_services.pyi").write_bytes(stubs)
    calls = (
        "import host_services as services\n"
        'services.Any(), services.dict({"a": 1}), services.overload(a=1), services.str(a=1)\n'
        'services.bytes("ABC")\n'
    )
    (tmp_path / "calls.py").write_text(calls)
    words = [*mypy(), "calls.py"]
    checked = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env=clean_environment()
    )
    assert "Found 1 error in 1 file" in checked.stdout, checked.stdout
    assert 'No overload variant of "bytes"' in checked.stdout, checked.stdout
    docs = [
        ast.get_docstring(each, clean=False)
        for each in ast.parse(stubs).body
        if isinstance(each, ast.FunctionDef)
    ]
    assert docs[0] == 'What a "Any" costs, \N{GRINNING FACE},\nand not \\ more.'


def test_the_program_reports_that_it_provides_no_services(pyhost: Run) -> None:
    done = pyhost("stubs")
    assert done.returncode == 0
    assert "This host provides no services" in done.stdout
    compile(done.stdout, "services.pyi", "exec")


def test_without_a_host_a_service_raises_and_a_test_can_replace_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(package.HostClosed, match="there is no host in this process"):
        package.services.quote()
    monkeypatch.setattr("pyhost.services.quote", lambda symbol: symbol * 2, raising=False)
    assert package.services.quote(symbol="A") == "AA"


def test_a_service_error_can_be_pickled() -> None:
    error = package.ServiceError("quote", "std::runtime_error", "no market")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "service 'quote': std::runtime_error: no market"
    assert (again.service, again.type, again.message, again.kind) == error.args


def test_a_module_on_the_command_line_can_test_for_a_service(pyhost: Run) -> None:
    fixtures = str(ROOT / "tests" / "fixtures")
    first = "first=from pyhost import services"
    give = 'give=[hasattr(services, "quote"), dir(services)]'
    done = pyhost("run", "evaluates", "-m", fixtures, "-p", first, "-p", give)
    assert done.stdout == "[false,[]]\n", done.stderr
