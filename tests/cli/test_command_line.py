"""The command line of pyhost: streams, exit codes, messages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FIXTURES, ROOT, Run, cached, clean_environment, embedded_version

MODULES = ("-m", str(FIXTURES))


def test_the_articles_module_runs(pyhost: Run) -> None:
    done = pyhost("run", "mod1")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "This is module1 doing its thing\n",
        "",
    )


def test_a_result_is_one_line_after_the_modules_output(pyhost: Run) -> None:
    done = pyhost("run", "prints", *MODULES)
    assert done.returncode == 0
    assert done.stdout == 'from print\nfrom fd 1\nfrom a child\nno newline{"printed":true}\n'
    assert done.stderr == "from stderr\n"


def test_with_json_stdout_is_one_document_and_prints_go_to_stderr(pyhost: Run) -> None:
    done = pyhost("run", "prints", "--json", *MODULES)
    document = json.loads(done.stdout)
    assert document["name"] == "prints"
    assert document["result"] == {"printed": True}
    assert 0 < document["seconds"] < 60
    for part in ("from print", "from fd 1", "from a child", "from stderr", "no newline"):
        assert part in done.stderr


def test_json_of_a_module_that_prints_can_be_piped_into_json_tool(program: str) -> None:
    done = subprocess.run(
        f"{program} run prints --json -m {FIXTURES} | {sys.executable} -m json.tool",
        shell=True,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["result"] == {"printed": True}


def test_with_json_an_error_is_the_document(pyhost: Run) -> None:
    done = pyhost("run", "raises_in_create", "--json", *MODULES)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "ModuleRaised"
    assert error["exception"]["type"] == "ValueError"
    assert error["exception"]["frames"][0]["line"] == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ([], "{}"),
        (["-s", '{"b": 1, "a": 2}'], '{"b":1,"a":2}'),
        (["--state", '{"n": ' + "7" * 400 + "}"], '{"n":' + "7" * 400 + "}"),
        (["-p", "x=1"], '{"x":1}'),
        (["-p", "x=one", "-p", "y=[1, 2]", "-p", "z=a=b", "-p", 'q="1"'],
         '{"x":"one","y":[1,2],"z":"a=b","q":"1"}'),
        (["-s", '{"x": 0, "y": 9}', "-p", "x=1"], '{"x":1,"y":9}'),
        (["-s", " { } ", "-p", "x="], '{"x":""}'),
        (["-p", "n=" + "7" * 400], '{"n":' + "7" * 400 + "}"),
        (["-p", 'a"b=1'], '{"a\\"b":1}'),
    ],
)  # fmt: skip
def test_a_state_can_be_given_as_text_and_parameters(
    pyhost: Run, words: list[str], result: str
) -> None:
    done = pyhost("run", "returns_state", *words, *MODULES)
    assert (done.returncode, done.stdout, done.stderr) == (0, result + "\n", "")


def test_a_state_can_come_from_a_file_or_from_stdin(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"from": "file"}')
    assert (
        pyhost("run", "returns_state", "-s", "@state.json", *MODULES).stdout == '{"from":"file"}\n'
    )
    done = pyhost(
        "run", "returns_state", "-s", "-", "-p", "x=1", *MODULES, input='{"from": "stdin"}'
    )
    assert done.stdout == '{"from":"stdin","x":1}\n'


def test_stdin_belongs_to_the_module_unless_the_state_comes_from_it(pyhost: Run) -> None:
    words = ["run", "evaluates", "-p", "give=__import__('sys').stdin.read()", *MODULES]
    assert pyhost(*words, input="typed").stdout == '"typed"\n'


def test_every_flag_has_a_variable_and_the_flag_wins(pyhost: Run) -> None:
    variables = {
        "PYHOST_MODULE_PATH": f"{FIXTURES}/first_path:{FIXTURES}",
        "PYHOST_STATE": '{"a":1}',
    }
    assert pyhost("run", "returns_state", env=variables).stdout == '{"a":1}\n'
    assert pyhost("run", "wins", env=variables).stdout == '"first"\n'
    assert pyhost("run", "wins", *MODULES, env=variables).stdout == '"second"\n'
    assert pyhost("run", "returns_state", "-s", "{}", env=variables).stdout == "{}\n"


def test_the_default_module_paths_are_the_current_folder_and_the_shipped_modules(
    pyhost: Run, tmp_path: Path
) -> None:
    module = "class M:\n    def run(self): return {!r}\ndef create(state): return M()\n"
    for folder in ("modules", "python_modules/modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "both.py").write_text(module.format(folder))
        (tmp_path / folder / f"only_{folder[:6]}.py").write_text(module.format(folder))
    assert pyhost("run", "both").stdout == '"python_modules/modules"\n'
    assert pyhost("run", "only_module").stdout == '"modules"\n'
    assert pyhost("run", "mod1").stdout == "This is module1 doing its thing\n"


def test_a_result_file_is_replaced_only_if_the_run_succeeds(pyhost: Run, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    done = pyhost("run", "prints", "-o", str(file), *MODULES)
    assert file.read_text() == '{"printed":true}\n'
    assert done.stdout.endswith("no newline")
    assert pyhost("run", "raises_in_create", "-o", str(file), *MODULES).returncode == 1
    assert file.read_text() == '{"printed":true}\n'
    assert pyhost("run", "mod1", "-o", str(file)).returncode == 0
    assert file.read_text() == "null\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "raises_in_create"], 1, "raised ValueError: bad threshold: -3"),
        (["run", "raises_in_run", "-p", "what=exit"], 1, "raised SystemExit: 0"),
        (["run", "raises_in_run", "-p", "what=interrupt"], 1, "raised KeyboardInterrupt"),
        (["run", "../x"], 2, "'../x' cannot be a module's name"),
        (["run", "class"], 2, "keyword"),
        (["run", "__init__"], 2, "underscores"),
        (["run", ""], 2, "it is empty"),
        (["run", "mod1", "-s", "{"], 2, "line 1, column 2"),
        (["run", "mod1", "-s", "[]"], 2, "not an object"),
        (["run", "mod1", "-s", "null"], 2, "not an object"),
        (["run", "mod1", "-s", ""], 2, "the end of the text instead of a value"),
        (["run", "mod1", "-s", '{"a":NaN}'], 2, "found 'N' instead of a value"),
        (["run", "mod1", "-s", "@no/such/file"], 2, "cannot read the state from 'no/such/file': No such file"),
        (["run", "mod1", "-s", "@/"], 2, "cannot read the state from '/': Is a directory"),
        (["run", "mod1", "-p", "x"], 2, "-p must be key=value"),
        (["run", "mod1", "-o", "no/such/folder/x"], 2, "cannot write to 'no/such/folder/x'"),
        (["run", "mod1", "-o", "/"], 2, "is a folder"),
        (["run", "mod1", "--no-such-flag"], 2, "--no-such-flag"),
        (["run"], 2, "NAME"),
        (["no-such-command"], 2, "no-such-command"),
        ([], 2, "subcommand"),
        (["run", "no_such_module"], 3, "no module 'no_such_module'; looked in "),
        (["run", "returns_stat"], 3, "did you mean 'returns_state'?"),
        (["run", "os.path"], 3, "no module 'os.path'"),
        (["run", "good.py"], 3, "without .py"),
        (["run", "is_python2"], 3, "this looks like Python 2"),
        (["run", "raises_in_import"], 3, "could not be imported: ZeroDivisionError"),
        (["run", "exits_in_import"], 3, "could not be imported: SystemExit"),
        (["run", "has_no_create"], 3, "breaks the contract: it has no create"),
        (["run", "has_no_run"], 3, "has no run"),
        (["run", "evaluates", "-p", "give=float('nan')"], 4, "the result is NaN"),
        (["run", "evaluates", "-p", "give={'a': {1}}"], 4, "the result at /a is of type set"),
        (["run", "mod1", "-m", "no/such/folder"], 70, "module path 'no/such/folder' does not exist"),
    ],
)  # fmt: skip
def test_an_error_says_what_is_wrong_and_has_its_exit_code(
    pyhost: Run, words: list[str], code: int, message: str
) -> None:
    if "-m" not in words and words[:1] == ["run"]:
        words = words + list(MODULES) + ["-m", str(ROOT / "python_modules")]
    done = pyhost(*words)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_state_nested_100000_deep_is_refused(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    done = pyhost("run", "returns_state", "-s", "@deep.json", *MODULES)
    assert done.returncode == 2
    assert "more than 1000 levels" in done.stderr
    assert len(done.stderr) < 1000


def test_a_module_that_raises_is_shown_with_its_own_lines(pyhost: Run) -> None:
    done = pyhost("run", "raises_in_create", *MODULES)
    assert done.stderr.splitlines() == [
        "error: module 'raises_in_create' raised ValueError: bad threshold: -3",
        f"  {FIXTURES}/modules/raises_in_create.py:2 in create",
        '    raise ValueError("bad threshold: -3")',
    ]


def test_a_result_that_cannot_be_written_fails_with_74(pyhost: Run) -> None:
    with open("/dev/full", "w") as full:
        done = pyhost(
            "run",
            "returns_state",
            *MODULES,
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 74
    assert "the result could not be written to stdout: No space left on device" in done.stderr


def test_a_file_left_open_is_flushed_and_atexit_handlers_run(pyhost: Run, tmp_path: Path) -> None:
    file = tmp_path / "open.txt"
    done = pyhost("run", "leaves_a_file_open", "-p", f"path={file}", *MODULES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "at exit\n", "")
    assert file.read_text() == "all of it"


@pytest.mark.skipif(
    embedded_version() < (3, 10),
    reason="importlib.resources reads namespace packages from Python 3.10 on",
)
@pytest.mark.parametrize("child", [False, True])
def test_files_beside_modules_are_readable_by_importlib_resources(
    pyhost: Run, tmp_path: Path, child: bool
) -> None:
    for folder, text in (("a", "first"), ("b", "second")):
        (tmp_path / folder / "modules").mkdir(parents=True)
        (tmp_path / folder / "modules" / f"{folder}.txt").write_text(text)
    (tmp_path / "a" / "modules" / "reads.py").write_text(
        "import importlib.resources, multiprocessing\n"
        "def read(name):\n"
        "    return importlib.resources.files(__package__).joinpath(name).read_text()\n"
        "class M:\n"
        "    def __init__(self, state): self.child = state['child']\n"
        "    def run(self):\n"
        "        names = ['a.txt', 'b.txt']\n"
        "        if not self.child: return list(map(read, names))\n"
        "        with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(read, names)\n"
        "def create(state): return M(state)\n"
    )
    done = pyhost("run", "reads", "-m", "a", "-m", "b", "-p", f"child={json.dumps(child)}")
    assert (done.returncode, done.stdout) == (0, '["first","second"]\n'), done.stderr


@pytest.mark.skipif(cached("PYHOST_SANITIZE") == "ON", reason="AddressSanitizer itself needs /proc")
@pytest.mark.parametrize("on_path", [False, True])
def test_the_shipped_modules_are_found_without_proc(
    program: str, tmp_path: Path, on_path: bool
) -> None:
    name = "pyhost" if on_path else program
    words = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs none /proc && exec {name} run mod1"]
    path = f"{Path(program).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env=clean_environment(PATH=path)
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"/proc cannot be hidden here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (0, "This is module1 doing its thing\n"), done.stderr


def test_children_of_multiprocessing_find_the_modules(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "spreads.py").write_text(
        "import multiprocessing, os\n"
        "from modules import returns_state\n"
        "def work(n):\n"
        "    import modules, json\n"
        "    return [n * n, modules.__path__, json.__name__, returns_state.__name__]\n"
        "class M:\n"
        "    def __init__(self, state): self.method = state['method']\n"
        "    def run(self):\n"
        "        with multiprocessing.get_context(self.method).Pool(1) as pool:\n"
        "            return pool.map(work, [3])\n"
        "def create(state): return M(state)\n"
    )
    (tmp_path / "json.py").write_text("raise RuntimeError('not this json')")
    for method in ("spawn", "forkserver"):
        done = pyhost("run", "spreads", "-p", f"method={method}", "-m", ".", *MODULES)
        assert done.stderr == ""
        paths = [str(tmp_path / "modules"), str(FIXTURES / "modules")]
        assert json.loads(done.stdout) == [[9, paths, "json", "modules.returns_state"]]


def test_help_begins_with_examples_and_names_the_exit_codes(pyhost: Run) -> None:
    done = pyhost("run", "-h")
    assert done.returncode == 0
    assert done.stdout.index("Examples:") < done.stdout.lower().index("\noptions:")
    assert done.stdout.count("  pyhost run ") == 3
    assert "Exit codes: 0 ok" in done.stdout
    assert pyhost("-h").stdout.startswith("Runs Python modules")


@pytest.mark.parametrize(
    "command", ["run", "map", "list", "check", "new", "doctor", "schedule", "stubs"]
)
def test_the_first_word_selects_the_command_whose_options_are_made(
    pyhost: Run, command: str
) -> None:
    help_text = pyhost(command, "-h").stdout
    assert f"pyhost {command}" in help_text
    assert help_text == pyhost("-h", command).stdout  # here all commands are made
    assert f"\n  {command} " in pyhost("-h").stdout


def test_a_module_may_have_the_name_of_a_command(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    shutil.copy(FIXTURES / "modules" / "returns_state.py", tmp_path / "modules" / "list.py")
    assert pyhost("run", "list", "-m", str(tmp_path)).stdout == "{}\n"


def test_version_prints_the_version_of_the_project(pyhost: Run) -> None:
    version = (ROOT / "CMakeLists.txt").read_text().split("VERSION ")[2].split()[0]
    assert pyhost("--version").stdout == f"pyhost {version}\n"


def test_a_foreign_python_first_on_path_is_not_used(pyhost: Run, tmp_path: Path) -> None:
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\nexit 99\n")
    fake.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONHOME": "/nonexistent",
        "PYTHONPATH": str(FIXTURES),
    }
    done = pyhost("run", "imports_json", *MODULES, env=environment)
    assert done.returncode == 0
    assert json.loads(done.stdout)[1] == [1]


def test_a_module_whose_import_fails_is_imported_once(pyhost: Run) -> None:
    done = pyhost("run", "prints_and_imports_what_is_missing", *MODULES)
    assert (done.returncode, done.stdout) == (3, "imported\n")


def test_a_broken_pipe_raises_in_the_module(pyhost: Run) -> None:
    assert pyhost("run", "writes_to_a_broken_pipe", *MODULES).stdout == '"told"\n'
