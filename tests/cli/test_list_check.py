"""pyhost list and pyhost check: they describe valid and broken modules without running them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, clean_environment, embedded_version

GOOD = "class M:\n    def run(self):\n        return 1\n\n\ndef create(state):\n    return M()\n"


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        file = folder / "modules" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def listed(pyhost: Run, *words: str) -> dict[str, Any]:
    done = pyhost("list", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def names(document: dict[str, Any]) -> list[str]:
    return [module["name"] for module in document["modules"]]


def checked(pyhost: Run, *words: str) -> list[tuple[str, int, int, str]]:
    """The diagnostics of check --json for the current folder, as (name, line, column, code)."""
    done = pyhost("check", "--json", "-m", ".", *words)
    document = json.loads(done.stdout)
    assert done.returncode == (3 if document["errors"] else 0)
    return [
        (found["module"], found["line"], found["column"], found["code"])
        for found in document["diagnostics"]
    ]


# --- list


def test_list_shows_name_docstring_and_file(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"b.py": '"""\n  Does b.\n\nMore.\n"""\n' + GOOD, "a.py": "'Does a.'\n" + GOOD})
    done = pyhost("list", "-m", ".")
    assert done.stdout == "a  Does a.  modules/a.py\nb  Does b.  modules/b.py\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_one_broken_module_cannot_break_the_list(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": GOOD, "b.py": "x = 1\ndef broken(:\n", "c.py": GOOD})
    lines = pyhost("list", "-m", ".").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert lines[1].startswith("b  broken, line 2: invalid syntax")
    error = listed(pyhost, "-m", ".")["modules"][1]["error"]
    assert (error["line"], error["code"]) == (2, "syntax-error")


def test_list_and_check_run_nothing(pyhost: Run, tmp_path: Path) -> None:
    sabotage = "import os\nos.mkdir('it_ran')\n" + GOOD
    write(tmp_path, {"bad.py": sabotage, "pack/__init__.py": sabotage, "pack/part.py": sabotage})
    assert names(listed(pyhost, "-m", ".")) == ["bad", "pack", "pack.part"]
    assert pyhost("check", "-m", ".").returncode == 0
    assert not (tmp_path / "it_ran").exists()
    assert pyhost("check", "-m", ".", "bad", "--import").returncode == 0
    assert (tmp_path / "it_ran").exists()


def test_modules_in_packages_and_folders_have_dotted_names(pyhost: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pack/__init__.py": "",
            "pack/inner/deep.py": GOOD,
            "plain/one.py": GOOD,
            "__init__.py": "raise RuntimeError",
            "pack/__main__.py": "",
            "__pycache__/x.py": "",
            ".hidden/x.py": "",
            "data/table.csv": "",
        },
    )
    assert names(listed(pyhost, "-m", ".")) == ["pack", "pack.inner.deep", "plain.one"]
    for name in ("pack.inner.deep", "plain.one"):
        assert pyhost("run", name, "-m", ".").stdout == "1\n"


def test_a_module_that_an_earlier_path_hides_is_reported(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path / "one", {"both.py": GOOD, "pack/__init__.py": GOOD, "pack/a.py": GOOD})
    write(tmp_path / "two", {"both.py": "broken(", "pack/b.py": GOOD, "pack.py": GOOD})
    words = ("-m", "one", "-m", "two")
    document = listed(pyhost, *words)
    assert names(document) == ["both", "both", "pack", "pack", "pack.a"]
    hidden = [module["hidden_by"] for module in document["modules"]]
    assert hidden[:2] == [None, str(tmp_path / "one/modules/both.py")]
    assert hidden[3] == str(tmp_path / "one/modules/pack/__init__.py")
    assert "hidden by one/modules/both.py" in pyhost("list", *words).stdout
    assert pyhost("check", *words).returncode == 0
    assert "[hidden]" in pyhost("check", "both", *words).stdout
    # An import finds the same module as the list.
    assert pyhost("run", "both", *words).stdout == "1\n"
    assert pyhost("run", "pack.b", *words).returncode == 3


def test_a_plain_folder_spans_paths_and_is_hidden_by_a_module(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path / "one", {"plain/a.py": GOOD, "given/x.py": GOOD})
    write(tmp_path / "two", {"plain/b.py": GOOD, "given.py": GOOD})
    words = ("-m", "one", "-m", "two")
    assert names(listed(pyhost, *words)) == ["given", "plain.a", "plain.b"]
    for name in ("given", "plain.a", "plain.b"):
        assert pyhost("run", name, *words).stdout == "1\n"
    assert pyhost("run", "given.x", *words).returncode == 3


def test_files_without_a_valid_module_name_are_listed_separately(
    pyhost: Run, tmp_path: Path
) -> None:
    odd = ["my-mod.py", "class.py", "2fast.py", "naïve.py", "a.b.py"]
    write(tmp_path, {"fine.py": GOOD, **dict.fromkeys(odd, GOOD)})
    (tmp_path / "modules" / os.fsdecode(b"\xff.py")).write_text(GOOD)
    done = pyhost("list", "-m", ".")
    assert done.stdout == "fine    modules/fine.py\n"
    assert len(done.stderr.splitlines()) == len(odd) + 1
    assert "warning: modules/my-mod.py: 'my-mod' cannot be a module's name" in done.stderr
    assert "\\xff.py" in done.stderr
    document = json.loads(pyhost("list", "-m", ".", "--json").stdout)
    assert {stray["code"] for stray in document["strays"]} == {"bad-name"}


def test_terminal_escapes_in_a_docstring_are_escaped(pyhost: Run, tmp_path: Path) -> None:
    text = "red \\x1b[31m bell \\x07 back \\x9b and \\u202e turned \\ufeff"
    write(tmp_path, {"m.py": f'"{text}"\n' + GOOD})
    out = pyhost("list", "-m", ".").stdout
    assert text in out
    doc = listed(pyhost, "-m", ".")["modules"][0]["doc"]
    assert doc.startswith("red \x1b[31m bell \x07")


def test_a_docstring_with_a_lone_surrogate_is_shown(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"m.py": '"a lone \\ud800"\n' + GOOD})
    done = pyhost("list", "-m", ".")
    # From Python 3.13 on this is an error in the module, so an import fails, too.
    assert done.returncode == 0
    assert "\\ud800" in done.stdout


def test_an_empty_module_path_has_a_hint(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    done = pyhost("list", "-m", ".")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"no modules in {tmp_path}/modules\nhint: `pyhost new NAME` creates one\n"


def in_terminal(command: list[str], columns: int, folder: Path, **variables: str) -> str:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = clean_environment(TERM="xterm", **variables)
    environment.pop("COLUMNS", None) if "COLUMNS" not in variables else None
    if "NO_COLOR" not in variables:
        environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, cwd=folder, stdout=terminal, env=environment) as process:
        os.close(terminal)
        out = b""
        while True:
            try:
                part = os.read(controller, 4096)
            except OSError:  # Linux reports the closed other end as an error
                break
            if not part:
                break
            out += part
        process.wait()
    os.close(controller)
    return out.decode().replace("\r\n", "\n")


def width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


@pytest.mark.parametrize("columns", [20, 40, 60, 79, 120])
def test_the_table_fits_the_terminal(program: str, tmp_path: Path, columns: int) -> None:
    long = "a_module_with_a_name_that_is_longer_than_most"
    write(
        tmp_path,
        {
            "wide.py": '"' + "模块运行" * 30 + '"\n' + GOOD,
            "accents.py": '"' + "e\u0301" * 60 + '"\n' + GOOD,
            f"{long}.py": '"' + "word " * 40 + '"\n' + GOOD,
            "broken.py": "def x(:\n",
        },
    )
    out = in_terminal([program, "list", "-m", "."], columns, tmp_path, LC_ALL="C.UTF-8")
    lines = re.sub("\x1b\\[[0-9;]*m", "", out).splitlines()
    assert len(lines) == 4
    for line in lines:
        assert width(line) <= columns, line
        assert "…" in line or columns > 60 or "broken" in line
    wider = in_terminal([program, "list", "-m", "."], columns, tmp_path, COLUMNS="400")
    assert long in wider and "模块运行" * 30 in wider


def test_colour_is_for_terminals_and_can_be_switched_off(program: str, tmp_path: Path) -> None:
    write(tmp_path, {"broken.py": "def x(:\n"})
    for command in ("list", "check"):
        words = [program, command, "-m", "."]
        assert "\x1b[31m" in in_terminal(words, 80, tmp_path)
        assert "\x1b" not in in_terminal(words, 80, tmp_path, NO_COLOR="1")
        piped = subprocess.run(words, cwd=tmp_path, capture_output=True, env=clean_environment())
        assert b"\x1b" not in piped.stdout


# --- malformed and hostile files


def test_hostile_files_do_not_stop_list_and_check(pyhost: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "good.py": GOOD,
            "null.py": b"x = 1\n\0",
            "latin.py": b"x = 1\ny = 'caf\xe9'\n",
            "unknown.py": b"# coding: no-such-encoding\n",
            "deep.py": "x = " + "-" * 100_000 + "1\n",
            "parens.py": "(" * 10_000,
            "chain.py": "a" + ".b" * 100_000,
            "huge.py": "x = 1\n" * 400_000,
            "returns.py": "return 1\n",
        },
    )
    modules = tmp_path / "modules"
    os.mkfifo(modules / "fifo.py")
    (modules / "zero.py").symlink_to("/dev/zero")
    (modules / "nowhere.py").symlink_to("no/such/file")
    (modules / "ring.py").symlink_to("ring.py")
    (modules / "loop").symlink_to(".")
    (modules / "io_error.py").symlink_to("/proc/self/mem")
    found = {name: (line, code) for name, line, _, code in checked(pyhost)}
    assert found == {
        "null": (2, "syntax-error"),
        "latin": (2, "syntax-error"),
        "unknown": (1, "syntax-error"),
        "deep": (1, "syntax-error"),
        "parens": (1, "syntax-error"),
        "chain": (1, "syntax-error"),
        "huge": (1, "too-large"),
        "returns": (1, "syntax-error"),
        "fifo": (1, "unreadable"),
        "zero": (1, "unreadable"),
        "nowhere": (1, "unreadable"),
        "ring": (1, "unreadable"),
        "io_error": (1, "unreadable"),
    }
    assert "good" in names(listed(pyhost, "-m", "."))
    assert "deep.py:1:1: nested too deeply for Python to read" in pyhost("check", "-m", ".").stdout


def test_sources_are_read_as_python_reads_them(pyhost: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "bom.py": b"\xef\xbb\xbf'Has a BOM.'\n" + GOOD.encode(),
            "latin.py": b"# coding: latin-1\n'caf\xe9'\n" + GOOD.encode(),
            "dos.py": b"'Has DOS lines.'\r\n" + GOOD.replace("\n", "\r\n").encode(),
            "empty_doc.py": '""\n' + GOOD,
        },
    )
    assert checked(pyhost) == []
    docs = [module["doc"] for module in listed(pyhost, "-m", ".")["modules"]]
    assert docs == ["Has a BOM.", "Has DOS lines.", "", "café"]


def test_modules_without_source_are_listed_as_not_checked(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"native.so": b"\x7fELF", "other.cpython-27-x.so": b"", "compiled.pyc": b""})
    assert [(n, c) for n, _, _, c in checked(pyhost)] == [
        ("compiled", "no-source"),
        ("native", "no-source"),
    ]
    assert ("native", 1, 1, "import-failed") in checked(pyhost, "--import")


# --- check

# Each source with the line, column and code of its error.
BAD = [
    ("", 1, 1, "no-create"),
    ("x = 1\nif __name__ == '__main__':\n    def create(state): return None\n", 1, 1, "no-create"),
    ("def create(state): return 1\ndel create\n", 1, 1, "no-create"),
    ("x = 1\ncreate = 42\n", 2, 10, "create-not-callable"),
    ("make = create = [1]\n", 1, 17, "create-not-callable"),
    ("def create(): return M()\n", 1, 1, "create-arguments"),
    ("def create(state, more): return M()\n", 1, 1, "create-arguments"),
    ("def create(*, state): return M()\n", 1, 1, "create-arguments"),
    ("def create(state, *, key): return M()\n", 1, 1, "create-arguments"),
    ("create = lambda: 1\n", 1, 10, "create-arguments"),
    ("class create:\n    def run(self): pass\n", 1, 1, "create-arguments"),
    ("class create:\n    def __init__(self): pass\n    def run(self): pass\n", 2, 5, "create-arguments"),
    ("x = 1; y = 'é'; create = 1\n", 1, 26, "create-not-callable"),
    ("async def create(state): return M()\n", 1, 1, "async-create"),
    ("def create(state): pass\n", 1, 1, "no-run"),
    ("def create(state):\n    return\n", 2, 5, "no-run"),
    ("class M:\n    def run(self): pass\ndef create(state):\n    M()\n", 3, 1, "no-run"),
    ("def create(state):\n    return {'run': 1}\n", 2, 12, "no-run"),
    ("def create(state):\n    yield 1\n", 1, 1, "no-run"),
    ("class M: pass\ncreate = lambda state: M()\n", 1, 1, "no-run"),
    ("from abc import ABC\nclass M(ABC): pass\ndef create(s): return M()\n", 2, 1, "no-run"),
    ("class B: pass\nclass M(B): pass\ndef create(s): return M()\n", 2, 1, "no-run"),
    ("def create(s):\n    class M: pass\n    return M()\n", 2, 5, "no-run"),
    ("class M:\n    run = None\ndef create(s): return M()\n", 2, 11, "run-not-callable"),
    ("class M:\n    def run(): pass\ndef create(s): return M()\n", 2, 5, "run-arguments"),
    ("class M:\n    def run(self, x): pass\ndef create(s): return M()\n", 2, 5, "run-arguments"),
    ("class M:\n    @staticmethod\n    def run(x): pass\ndef create(s): return M()\n", 3, 5, "run-arguments"),
    ("class B:\n    def run(self, x): pass\nclass M(B): pass\ndef create(s): return M()\n", 2, 5, "run-arguments"),
    ("class M:\n    async def run(self, x): pass\ndef create(s): return M()\n", 2, 5, "run-arguments"),
    ("from x import create\n", 1, 1, "create-unseen"),
    ("from x import *\n", 1, 1, "create-unseen"),
    ("globals()['create'] = 1\n", 1, 1, "create-unseen"),
    ("def __getattr__(name): return 1\n", 1, 1, "create-unseen"),
    ("@some\ndef create(): pass\n", 2, 1, "create-unseen"),
    ("create = functools.partial(M)\n", 1, 10, "create-unseen"),
    ("if x:\n    def create(): pass\nelse:\n    def create(s): return M()\n", 2, 5, "create-unseen"),
    ("from x import Base\nclass M(Base): pass\ndef create(s): return M()\n", 2, 1, "run-unseen"),
    ("class M:\n    def __init__(self): self.run = print\ndef create(s): return M()\n", 1, 1, "run-unseen"),
    ("class M:\n    @property\n    def run(self): pass\ndef create(s): return M()\n", 3, 5, "run-unseen"),
    ("def create(s):\n    return make(s)\n", 2, 12, "run-unseen"),
    ("class M: pass\ndef create(s):\n    m = M()\n    m.run = print\n    return m\n", 5, 12, "run-unseen"),
    ("class M:\n    def run(self): pass\ndef create(s):\n    if s: return M()\n    return 1\n", 5, 12, "run-unseen"),
    ("class M:\n    def run(self): pass\ndef create(s):\n    return M() if s else None\n", 4, 26, "run-unseen"),
    ("class M: pass\ndef create(s):\n    if s: return M()\n    return M()\n", 1, 1, "no-run"),
    ("class create:\n    if x:\n        def __init__(self): pass\n    else:\n        def __init__(self, s): pass\n    def run(self): pass\n", 1, 1, "create-unseen"),
    ("def create(s):\n    nonlocal x\n", 2, 5, "syntax-error"),
    ("print 'x'\n", 1, None, "syntax-error"),
    ("if x:\n\ty = 1\n        z = 1\n", 3, None, "syntax-error"),
    (GOOD + 'x = "\\d"\n', 8, 1, "syntax-warning"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "column", "code"), BAD)
def test_check_says_what_is_wrong_and_where(
    pyhost: Run, tmp_path: Path, source: str, line: int, column: int | None, code: str
) -> None:
    write(tmp_path, {"m.py": source})
    found = checked(pyhost)
    assert [(name, line, code) for name, line, _, code in found] == [("m", line, code)]
    assert column is None or found[0][2] == column


FINE = [
    GOOD,
    "class M:\n    def run(self): pass\ncreate = M if False else M\nclass M2(M):\n    def __init__(self, s): pass\ncreate = M2\n",
    "class B:\n    def run(self): pass\nclass M(B): pass\ndef create(state): return M()\n",
    "class create:\n    def __init__(self, state): pass\n    def run(self): pass\n",
    "class create:\n    def __new__(cls, state): return object.__new__(cls)\n    def run(self): pass\n",
    "class M:\n    def run(self, *, fast=True): pass\ndef create(state, *more, x=1, **rest): return M()\n",
    "class M:\n    run = lambda self: 1\ncreate = lambda state: M()\n",
    "class M:\n    def work(self): pass\n    run = work\ndef create(*a): return M()\n",
    "class M:\n    @classmethod\n    def run(cls): pass\ndef create(state, /): return M()\n",
    "class M:\n    @staticmethod\n    def run(): pass\ndef create(state): return M()\n",
    "class M:\n    async def run(self): pass\ndef create(state): return M()\n",
    "class M:\n    def run(self): yield 1\ndef create(state): return M()\n",
    "def create(state):\n    raise NotImplementedError\n",
    "def create(state):\n    if state:\n        raise ValueError\n    else:\n        raise KeyError\n",
    "class M:\n    def run(self):\n        def inner():\n            yield 1\n        return list(inner())\ndef create(state): return M()\n",
    "try:\n    import fast\nexcept ImportError:\n    fast = None\n" + GOOD,
    "if True:\n" + "".join(f"    {line}\n" for line in GOOD.splitlines()),
    "class M:\n    def run(self): pass\ndef create(state):\n    m = M()\n    m.x = 1\n    return m\n",
    "from abc import ABC, abstractmethod\nclass B(ABC):\n    def run(self): pass\nclass M(B): pass\ndef create(s): return M()\n",
]  # fmt: skip


@pytest.mark.parametrize("source", FINE)
def test_check_accepts_valid_modules(pyhost: Run, tmp_path: Path, source: str) -> None:
    write(tmp_path, {"m.py": source})
    assert checked(pyhost) == []


def test_the_shipped_modules_pass_check(pyhost: Run) -> None:
    done = pyhost("check", "--import")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "4 modules checked, no error\n"


def test_each_fixture_that_check_rejects_fails_to_run(pyhost: Run) -> None:
    """A module that runs has no errors in check."""
    done = pyhost("check", "-m", str(FIXTURES), "--import", "--json")
    errors = {
        found["module"]
        for found in json.loads(done.stdout)["diagnostics"]
        if found["severity"] == "error"
    }
    assert len(errors) >= 10
    for name in names(listed(pyhost, "-m", str(FIXTURES))):
        code = pyhost("run", name, "-m", str(FIXTURES)).returncode
        # 1: a module may raise before it gets to the error that check has found.
        assert code in (1, 3) or name not in errors, f"{name} ended with {code}"


IMPORTED = [
    ("import functools\nclass M:\n    def run(self): pass\ncreate = functools.partial(M)\n", "create-arguments"),
    ("from collections import OrderedDict as create\n", "no-run"),
    ("from math import pi as create\n", "create-not-callable"),
    ("def __getattr__(name): raise AttributeError(name)\n", "no-create"),
    ("import asyncio\nasync def make(state): pass\nlocals()['create'] = make\n", "async-create"),
    ("def deco(f): return lambda: f\n@deco\ndef create(state): pass\n", "create-arguments"),
    ("from collections import UserDict\nclass M(UserDict): pass\ndef create(s): return M()\n", "no-run"),
    ("class B:\n    async def run(self, x): pass\nB2 = type('B2', (B,), {})\nclass M(B2): pass\ndef create(s): return M()\n", "run-arguments"),
    ("x = 1\n1 / 0\n" + GOOD, "import-failed"),
    ("import sys\nsys.exit(0)\n" + GOOD, "import-failed"),
    ("import no_such_thing\n" + GOOD, "import-failed"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "code"), IMPORTED)
def test_check_with_import_finds_errors_that_the_source_does_not_show(
    pyhost: Run, tmp_path: Path, source: str, code: str
) -> None:
    write(tmp_path, {"m.py": source})
    without = [c for _, _, _, c in checked(pyhost)]
    assert without in ([], ["create-unseen"], ["run-unseen"])
    assert [c for _, _, _, c in checked(pyhost, "--import")] == [code]


def test_check_with_import_accepts_modules_that_the_source_leaves_undecided(
    pyhost: Run, tmp_path: Path
) -> None:
    write(
        tmp_path,
        {
            "base.py": GOOD,
            "takes_create.py": "from modules.base import create\n",
            "inherits.py": "from modules.base import M\nclass N(M): pass\ndef create(s): return N()\n",
            "sabotage.py": "import modules\nmodules.__path__ = []\n" + GOOD,
            "static.py": "class M:\n    @staticmethod\n    def run(): pass\ncreate = vars()['M']\n"
            "class M2(M):\n    def __init__(self, state): pass\ncreate = vars()['M2']\n",
            "zz.py": "from modules.base import create\n",
        },
    )
    assert [c for _, _, _, c in checked(pyhost)] == [
        "run-unseen",
        *["create-unseen"] * 3,
    ]
    assert checked(pyhost, "--import") == []


LAZY = [
    "import no_such_thing",
    "from json import no_such_name",
    "import modules._raises",
    "import modules._raises_from",
]


@pytest.mark.parametrize("broken", LAZY)
def test_check_with_import_reports_broken_lazy_imports(
    pyhost: Run, tmp_path: Path, broken: str
) -> None:
    if embedded_version() < (3, 15):
        pytest.skip("lazy imports need Python 3.15")
    helpers = {
        "_raises.py": "1 / 0\n",
        "_raises_from.py": "raise ValueError('x') from KeyError('y')\n",
    }
    explicit = {"m.py": GOOD + f"lazy import json\nlazy {broken}\n"}
    write(tmp_path, helpers | explicit)
    assert checked(pyhost, "m") == []
    assert checked(pyhost, "m", "--import") == [("m", 9, 1, "import-failed")]
    # A module can also list its lazy imports, and all imports can be made lazy.
    package = broken.split()[1]
    write(tmp_path, {"m.py": f"__lazy_modules__ = [{package!r}]\n{broken}\n" + GOOD})
    assert checked(pyhost, "m", "--import") == [("m", 2, 1, "import-failed")]
    write(tmp_path, {"m.py": f"import sys\nsys.set_lazy_imports('all')\n{broken}\n" + GOOD})
    done = pyhost("check", "-m", ".", "m", "--import")
    assert done.stdout.startswith("modules/m.py:3:1: a lazy import raised "), done.stdout


def test_output_of_an_import_is_not_mixed_with_diagnostics(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"m.py": "import os\nprint('loud')\nos.system('echo child')\n" + GOOD})
    done = pyhost("check", "-m", ".", "--import", "--format", "json")
    assert json.loads(done.stdout)["modules"] == 1
    assert "loud" in done.stderr and "child" in done.stderr


def test_a_diagnostic_is_file_line_column_message_code(pyhost: Run, tmp_path: Path) -> None:
    write(
        tmp_path, {"m.py": "def create(): pass\n", "n.py": "from x import create\n", "o.py": GOOD}
    )
    done = pyhost("check", "-m", ".")
    assert done.stdout == (
        "modules/m.py:1:1: create(state) cannot be called: create takes no argument [create-arguments]\n"
        "modules/n.py:1:1: note: it is unknown what create is [create-unseen]\n"
    )
    assert done.stderr == "3 modules checked, 1 error, 1 note\n"
    assert done.returncode == 3


def test_helpers_need_no_create_unless_they_are_named(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"_shared.py": "x = 1\n", "pack/__init__.py": "", "pack/a.py": GOOD})
    assert checked(pyhost) == []
    assert checked(pyhost, "--import") == []
    assert [c for _, _, _, c in checked(pyhost, "_shared")] == ["no-create"]
    assert [c for _, _, _, c in checked(pyhost, "pack")] == ["no-create"]
    write(tmp_path, {"_broken.py": "x(\n"})
    assert [c for _, _, _, c in checked(pyhost)] == ["syntax-error"]


def test_only_the_modules_named_are_checked(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x(\n", "pack/b.py": "y = 1\n", "c.py": GOOD})
    assert checked(pyhost, "c") == []
    assert [c for _, _, _, c in checked(pyhost, "pack.b", "a")] == ["no-create", "syntax-error"]
    assert [(n, c) for n, _, _, c in checked(pyhost, "pack")] == [("pack", "no-create")]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["check", "nope"], 3, "no module 'nope'; looked in "),
        (["check", "mod2"], 3, "did you mean 'mod1'?"),
        (["check", "../x"], 2, "cannot be a module's name"),
        (["check", "mod1", "class"], 2, "keyword"),
        (["check", "--format", "xml"], 2, "xml"),
        (["check", "-m", "no/such"], 70, "does not exist"),
        (["list", "-m", "no/such"], 70, "does not exist"),
        (["list", "surplus"], 2, "surplus"),
    ],
)
def test_a_usage_error_has_a_message_and_an_exit_code(
    pyhost: Run, words: list[str], code: int, message: str
) -> None:
    done = pyhost(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr


def test_every_flag_has_a_variable_and_the_flag_wins(pyhost: Run, tmp_path: Path) -> None:
    write(tmp_path, {"m.py": "1 / 0\n" + GOOD})
    variables = {"PYHOST_MODULE_PATH": str(tmp_path), "PYHOST_IMPORT": "1", "PYHOST_FORMAT": "json"}
    done = pyhost("check", env=variables)
    assert json.loads(done.stdout)["diagnostics"][0]["code"] == "import-failed"
    assert "[import-failed]" in pyhost("check", "--format", "text", env=variables).stdout
    assert names(json.loads(pyhost("list", env={**variables, "PYHOST_JSON": "1"}).stdout)) == ["m"]


def test_with_json_a_failure_is_a_document(pyhost: Run) -> None:
    for words in (["check", "nope"], ["list", "-m", "no/such"]):
        done = pyhost(*words, "--json")
        assert "kind" in json.loads(done.stdout)["error"]
        assert done.returncode in (3, 70)


def test_every_code_is_explained_and_tested(pyhost: Run) -> None:
    explained = dict(
        line.split(maxsplit=2)[:2] for line in pyhost("check", "--codes").stdout.splitlines()
    )
    told_elsewhere = {"unreadable", "too-large", "no-source", "hidden", "bad-name"}
    tested = {row[3] for row in BAD} | {row[1] for row in IMPORTED} | told_elsewhere
    assert set(explained) == tested
    assert set(explained.values()) == {"error", "warning", "note"}


def test_sarif_output_follows_the_schema(pyhost: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        {"odd name/x.py": "", "m.py": "x = 'é'; create = 1\n", "é-2.py": "", "ok.py": GOOD},
    )
    done = pyhost("check", "-m", ".", "--format", "sarif")
    assert done.returncode == 3
    log = json.loads(done.stdout)
    # The schema of SARIF 2.1.0 requires these.
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "pyhost"
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids) >= 17
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    results = run["results"]
    assert [result["ruleId"] for result in results] == ["create-not-callable", "bad-name"]
    for result in results:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert re.fullmatch(r"(file:///)?[A-Za-z0-9._~/%-]+", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1
    first = results[0]["locations"][0]["physicalLocation"]
    assert first["artifactLocation"]["uri"] == "modules/m.py"
    assert first["region"] == {"startLine": 1, "startColumn": 19}
    assert results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(
        "%C3%A9-2.py"
    )


@pytest.mark.parametrize("command", ["list", "check", "new"])
def test_help_begins_with_examples_and_names_the_exit_codes(pyhost: Run, command: str) -> None:
    done = pyhost(command, "-h")
    assert done.returncode == 0
    assert done.stdout.index("Examples:") < done.stdout.index("\n  -h,")
    assert done.stdout.count(f"  pyhost {command}") >= 3
    assert "Exit codes: 0 " in done.stdout


def test_a_list_that_cannot_be_written_fails(pyhost: Run) -> None:
    for command in ("list", "check"):
        words = ["--json"] if command == "check" else []
        with open("/dev/full", "w") as full:
            done = pyhost(
                command, *words, capture_output=False, stdout=full, stderr=subprocess.PIPE
            )
        assert done.returncode == 74
