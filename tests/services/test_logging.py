"""Logging of modules on the command line."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
from conftest import FIXTURES, Run, clean_environment

EXTRA = 'extra={"symbol": "ABC"}'


def logged(pyhost: Run, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return pyhost("run", "logs", "-m", str(FIXTURES), *words, **options)


def test_without_the_options_logging_is_as_under_python3(pyhost: Run) -> None:
    assert logged(pyhost).stderr == "spread is 0.5\n"
    configured = logged(pyhost, "-p", "first=logging.basicConfig(level=20)", "-p", "level=20")
    assert configured.stderr == "INFO:desk:spread is 0.5\n"


def test_a_record_is_one_line_with_time_level_logger_message_and_fields(pyhost: Run) -> None:
    done = logged(pyhost, "--log-level", "warning", "-p", EXTRA)
    line = r'\d\d:\d\d:\d\d\.\d\d\d warning desk: spread is 0\.5 \{"symbol":"ABC"\}\n'
    assert re.fullmatch(line, done.stderr), done.stderr
    assert done.stdout == ""


def test_the_json_format_has_one_document_per_line(pyhost: Run) -> None:
    done = logged(pyhost, "--log-format", "json", "-p", EXTRA, "-p", "times=2")
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [record["message"] for record in records] == ["spread is 0.5"] * 2
    assert records[0]["fields"] == {"symbol": "ABC"}
    assert (records[0]["module"], records[0]["level"]) == ("logs", "warning")


@pytest.mark.parametrize("where", ["host", "process"])
def test_the_number_of_dropped_records_is_reported_at_the_end(program: str, where: str) -> None:
    words = ["run", "logs", "-m", str(FIXTURES), "--log-level", "info", "-p", "times=30000"]
    # On a busy machine, the last records of a worker process may take longer than the default five seconds.
    words += ["--isolation", where, "--shutdown-timeout", "60"]
    with subprocess.Popen(
        [program, *words, "-p", "last=all are logged"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as slow:
        assert slow.stdout is not None and slow.stderr is not None
        # Nothing reads stderr until then, so the pipe fills up.
        assert slow.stdout.readline() == "all are logged\n"
        lines = slow.stderr.read().splitlines()
    told = [re.fullmatch(r"warning: (\d+) log records were dropped, .*", line) for line in lines]
    dropped = [int(match[1]) for match in told if match]
    assert len(dropped) == 1
    assert len(lines) - 1 + dropped[0] == 30000


@pytest.mark.parametrize(
    ("level", "number", "shown"),
    [("debug", 10, True), ("info", 10, False), ("error", 30, False), ("off", 50, False)],
)
def test_records_below_the_level_are_not_shown(
    pyhost: Run, level: str, number: int, shown: bool
) -> None:
    done = logged(pyhost, "--log-level", level, "-p", f"level={number}")
    assert bool(done.stderr) == shown, done.stderr


def test_variables_set_level_and_format(pyhost: Run) -> None:
    environment = {"PYHOST_LOG_LEVEL": "info", "PYHOST_LOG_FORMAT": "json"}
    done = logged(pyhost, "-p", "level=20", env=environment)
    assert json.loads(done.stderr)["level"] == "info"


def test_an_unknown_level_is_refused(pyhost: Run) -> None:
    done = logged(pyhost, "--log-level", "loud")
    assert done.returncode == 2
    assert "--log-level" in done.stderr


def test_a_module_that_configures_the_console_does_not_double_its_lines(pyhost: Run) -> None:
    words = ("--log-level", "info", "-p", "level=20")
    once = logged(pyhost, *words, "-p", "first=logging.basicConfig(level=10)")
    assert once.stderr.count("spread is") == 1, once.stderr
    forced = logged(pyhost, *words, "-p", "first=logging.basicConfig(level=10, force=True)")
    assert forced.stderr.count("spread is") == 2, forced.stderr


def test_a_module_can_log_to_its_own_file(pyhost: Run, tmp_path: object) -> None:
    first = "first=logging.basicConfig(filename='own.log')"
    done = logged(pyhost, "--log-level", "info", "-p", first)
    assert done.stderr.count("spread is") == 1, done.stderr
    assert (tmp_path / "own.log").read_text() == "WARNING:desk:spread is 0.5\n"  # type: ignore[operator]


def test_records_come_before_the_error_of_their_run(pyhost: Run) -> None:
    fail = "logging.error('first'); raise ValueError('then')"
    done = logged(pyhost, "--log-level", "info", "-p", f"first={fail}")
    assert done.returncode == 1
    assert done.stderr.index("first") < done.stderr.index("error: module 'logs' raised")


def test_a_logged_exception_is_shown_with_its_traceback(pyhost: Run) -> None:
    first = "first=try:\n  1/0\nexcept ZeroDivisionError:\n  logging.exception('no price')"
    done = logged(pyhost, "--log-level", "info", "-p", first, "-p", "times=0")
    told = "error root: no price\nZeroDivisionError: division by zero\n  <string>:2 in <module>\n"
    assert told in done.stderr


def test_a_record_cannot_control_the_terminal(pyhost: Run) -> None:
    first = "first=logging.error('a\\n\\t\\x1b[31mb')"
    done = logged(pyhost, "--log-level", "info", "-p", first, "-p", "times=0")
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "error root: a  \\x1b[31mb\n" in done.stderr


def test_logging_is_imported_only_if_a_module_imports_it(pyhost: Run) -> None:
    give = "give='logging' in __import__('sys').modules"
    words = ("-m", str(FIXTURES), "--log-level", "info")
    assert pyhost("run", "evaluates", *words, "-p", give).stdout == "false\n"
    late = "first=import logging; logging.warning('late')"
    done = pyhost("run", "evaluates", *words, "-p", late, "-p", give)
    assert done.stdout == "true\n"
    assert "warning root: late" in done.stderr


def logged_by_a_child(pyhost: Run, first: str = "pass") -> subprocess.CompletedProcess[str]:
    forks = "pid = os.fork()\nif pid == 0:\n  logging.warning('child')\n  os._exit(0)\nos.waitpid(pid, 0)"
    given = f"first=import os\n{first}\n{forks}"
    return logged(pyhost, "--log-level", "info", "-p", given, "-p", "times=0")


def test_a_forked_child_logs_as_under_python3(pyhost: Run) -> None:
    assert logged_by_a_child(pyhost).stderr == "WARNING:root:child\n"


ANEW = "import logging\nlogging.getLogger('desk').warning('anew')"


@pytest.mark.parametrize(
    "first",
    [
        "import importlib, logging\nimportlib.reload(logging)\n" + ANEW,
        "import importlib.util\nimportlib.util.find_spec('logging')\n" + ANEW,
        "import sys, logging\ndel sys.modules['logging']\n" + ANEW,
        "import sys, logging\nold = sys.modules.pop('logging')\nimport logging\n"
        "sys.modules['logging'] = old\n" + ANEW,
        "import sys\nfrom importlib import util\nspec = util.find_spec('logging')\n"
        "module = util.module_from_spec(spec)\nsys.modules['logging'] = module\n"
        "spec.loader.exec_module(module)\nassert spec.loader.is_package('logging')\n" + ANEW,
        "class Stops:\n  def find_spec(self, name, path, target=None):\n"
        "    if name == 'weakref': raise KeyboardInterrupt\n"
        "import sys\nsys.modules.pop('weakref', None)\nsys.meta_path.insert(0, Stops())\n"
        "try: import logging\nexcept KeyboardInterrupt: del sys.meta_path[0]\n" + ANEW,
    ],
)
def test_a_module_that_imports_logging_by_its_own_loader_logs_to_the_host(
    pyhost: Run, first: str
) -> None:
    words = ("-m", str(FIXTURES), "--log-level", "info", "-p", "give=None", "-p", f"first={first}")
    done = pyhost("run", "evaluates", *words)
    assert re.fullmatch(r"\S+ warning desk: anew\n", done.stderr), done.stderr


def test_a_logger_from_before_a_reload_still_logs_to_the_host(pyhost: Run) -> None:
    first = "import importlib; log = logging.getLogger('desk'); importlib.reload(logging); log.info('old')"
    done = logged(pyhost, "--log-level", "info", "-p", f"first={first}", "-p", "times=0")
    assert re.fullmatch(r"\S+ info desk: old\n", done.stderr), done.stderr


def test_handlers_of_a_module_that_configures_the_console_are_called(
    pyhost: Run, tmp_path: object
) -> None:
    first = (
        "logging.basicConfig(level=20)\n"
        "logging.getLogger().handlers[0].setFormatter(logging.Formatter('%(message)s'))\n"
        "logging.getLogger().addHandler(logging.FileHandler('own.log'))"
    )
    words = ("--log-level", "info", "-p", "level=20", "-p", f"first={first}")
    done = logged(pyhost, *words)
    assert done.stderr.count("spread is") == 1, done.stderr
    assert (tmp_path / "own.log").read_text() == "spread is 0.5\n"  # type: ignore[operator]


def test_arguments_of_basic_config_are_checked_as_under_python3(pyhost: Run) -> None:
    wrong = logged(pyhost, "--log-level", "info", "-p", "first=logging.basicConfig(nonsense=1)")
    assert "ValueError: Unrecognised argument(s): nonsense" in wrong.stderr, wrong.stderr


def test_a_child_has_the_console_that_its_parent_configured(pyhost: Run) -> None:
    done = logged_by_a_child(pyhost, "logging.basicConfig(format='%(message)s!')")
    assert done.stderr == "child!\n"


@pytest.mark.parametrize("where", ["host", "process"])
def test_a_stalled_reader_gets_the_number_of_dropped_records(program: str, where: str) -> None:
    words = ["run", "logs", "-m", str(FIXTURES), "--log-level", "info", "-p", "times=3000"]
    words += ["--isolation", where, "--shutdown-timeout", "0.3", "-p", 'last="all are logged"']
    with subprocess.Popen(
        [program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as slow:
        assert slow.stdout is not None and slow.stderr is not None
        assert slow.stdout.readline() == "all are logged\n"
        time.sleep(3)  # usually longer than the program waits
        lines = slow.stderr.read().splitlines()
    told = [re.fullmatch(r"pyhost: (\d+) log records were dropped, .*", line) for line in lines]
    dropped = [int(match[1]) for match in told if match]
    assert len(lines) - len(dropped) + sum(dropped) == 3000


@pytest.mark.parametrize("where", ["host", "process"])
def test_records_from_on_unload_are_printed(pyhost: Run, where: str) -> None:
    first = "import sys; sys.modules['modules.logs'].on_unload = lambda: logging.warning('bye')"
    words = ("--log-level", "info", "--isolation", where, "-p", f"first={first}")
    done = logged(pyhost, *words)
    assert re.fullmatch(r".* desk: spread is 0\.5\n\S+ warning root: bye\n", done.stderr)
