"""The fixture run_module for pytest. If pyhost is installed, pytest loads this file automatically.

    def test_rows(run_module):
        assert run_module("csv_summary", {"text": "a\\n1\\n"})["rows"] == 1

    def test_nightly(run_module):
        due = datetime(2026, 12, 24, 2, 30, tzinfo=timezone.utc)
        run_module("reports", scheduled=pyhost.Scheduled("nightly", due))

The ini option pyhost_module_paths sets where it looks for modules. The default is the nearest folder above the test
that contains python_modules/ or modules/, with the same rules as for a host that is started there. Each test imports
the modules again.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # without pytest, this package can still be imported
    import pytest

    from pyhost.testing import RunModule


def pytest_addoption(parser: "pytest.Parser") -> None:
    parser.addini(
        "pyhost_module_paths",
        "folders that contain modules/, for the fixture run_module",
        type="paths",
        default=[],
    )


def pytest_configure(config: "pytest.Config") -> None:
    import pytest

    class Fixtures:
        @pytest.fixture
        def run_module(self, request: pytest.FixtureRequest) -> "Iterator[RunModule]":
            """Loads and runs a module as a host does: run_module("name", {"key": "value"}).

            Returns the result. Raises the exceptions of the module, and pyhost.testing.ContractError.
            """
            from pyhost.testing import Modules

            with Modules(_module_paths(request.config, request.path)) as modules:

                def run_module(name: str, state: Any = None, /, *, scheduled: Any = None) -> Any:
                    return modules.run(name, {} if state is None else state, scheduled)

                yield run_module

    config.pluginmanager.register(Fixtures(), "pyhost fixtures")


def _module_paths(config: "pytest.Config", test: Path) -> "list[str]":
    from pyhost.testing import default_module_paths

    given = config.getini("pyhost_module_paths")
    if given:
        return [os.fspath(path) for path in given]
    for folder in test.parents:
        if (folder / "python_modules/modules").is_dir() or (folder / "modules").is_dir():
            return default_module_paths(folder)
    return default_module_paths(config.invocation_params.dir)
