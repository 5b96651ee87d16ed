"""Looks at modules: which files they are, what they say of themselves, whether they keep the contract.

The host calls survey() once for all of them. Nothing of a module runs, unless it is asked to import.
"""

import ast
import os
import stat
import warnings
from collections.abc import Iterator
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from keyword import iskeyword
from typing import Any, NamedTuple, Optional

from pyhost._judge import Finding, judge

_LARGEST_SOURCE = 2 * 1024 * 1024  # a syntax tree takes a hundred times the room of its source
_MOST_FILES = 50_000
_LONGEST_NAME = 255

# In the order in which Python's import takes them.
_KINDS = {
    **dict.fromkeys(EXTENSION_SUFFIXES, "extension"),
    **dict.fromkeys(SOURCE_SUFFIXES, "source"),
    **dict.fromkeys(BYTECODE_SUFFIXES, "bytecode"),
}
_RANKS = {"package": 0, "extension": 1, "source": 2, "bytecode": 3, "unreadable": 4, "folder": 5}


class _File(NamedTuple):
    """One file that could be the module of its name, or a folder that could be its package."""

    kind: str  # a key of _RANKS
    file: str
    folder: str = ""  # of a package or of a plain folder: where to look for what is below


class _Module(NamedTuple):
    name: str
    file: _File
    hidden_by: Optional[_File]


def survey(folders: list[str], names: list[str], also_import: bool) -> dict[str, Any]:
    """What is in the folders `modules` of all module paths; with names, only these, and which are missing.

    The values are those of JSON, and all text can be written as UTF-8.
    """
    walk = _Walk(folders)
    missing: list[str] = []
    if names:
        found: list[_Module] = []
        for name in names:
            modules = walk.named(name)
            found += modules
            missing += [] if modules else [name]
    else:
        found = list(walk.all())
    described = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for module in found:
            described.append(_describe(module, bool(names), warned))
    if also_import:
        from pyhost._look import Look

        look = Look()
        for module, told in zip(found, described):
            if module.hidden_by is None and module.file.kind != "folder":
                told.findings = look.closer(module.name, module.file.file, told)
    return {
        "modules": [told.as_json() for told in described],
        "strays": [_as_json(_text(path), finding) for path, finding in walk.strays],
        "missing": missing,
    }


class Told:
    """What is told of one module."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.doc = ""
        self.class_name: Optional[str] = None  # of what create returns
        self.needs_create = True
        self.findings: list[tuple[str, Finding]] = []  # with the file that each is in

    def as_json(self) -> dict[str, Any]:
        hidden_by = self.module.hidden_by
        return {
            "name": self.module.name,
            "file": _text(self.module.file.file),
            "doc": _text(self.doc),
            "hidden_by": _text(hidden_by.file) if hidden_by else "",
            "diagnostics": [_as_json(_text(file), finding) for file, finding in self.findings],
        }


def _as_json(file: str, finding: Finding) -> dict[str, Any]:
    line, column, code, message = finding
    return {
        "file": file,
        "line": line,
        "column": column + 1,
        "code": code,
        "message": _text(message),
    }


def _text(text: str) -> str:
    """As UTF-8 can write it: a byte of a file's name that is no text, or a lone surrogate, is escaped."""
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


# --- which files


class _Walk:
    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self.strays: list[tuple[str, Finding]] = []
        self.left = _MOST_FILES

    def all(self) -> Iterator[_Module]:
        yield from self._below("", self.folders, tuple(map(_identity, self.folders)))

    def named(self, name: str) -> list[_Module]:
        """The module and the files that it hides; none if there is no such module."""
        folders = self.folders
        found: list[_File] = []
        for part in name.split("."):
            found = self._in(folders).get(part, [])
            if not found:
                return []
            folders = _search_path(found)
        self.strays.clear()
        return _modules(name, found)

    def _below(
        self, parents: str, folders: list[str], around: tuple[Any, ...]
    ) -> Iterator[_Module]:
        for part, found in sorted(self._in(folders).items()):
            name = parents + part
            if len(name) > _LONGEST_NAME:
                continue
            if found[0].kind != "folder":
                yield from _modules(name, found)
            inner = [each for each in _search_path(found) if _identity(each) not in around]
            if inner:
                yield from self._below(f"{name}.", inner, (*around, *map(_identity, inner)))

    def _in(self, folders: list[str]) -> dict[str, list[_File]]:
        """The names in these folders, each with its files, the one that Python takes first."""
        names: dict[str, list[_File]] = {}
        for folder in folders:
            here: dict[str, list[_File]] = {}
            for name, file in self._entries(folder):
                here.setdefault(name, []).append(file)
            for name, files in here.items():
                names.setdefault(name, []).extend(sorted(files, key=_rank))
        for files in names.values():
            # What Python can import comes before what it cannot, whichever path has it.
            files.sort(key=lambda file: max(_rank(file), _RANKS["bytecode"]))
        return names

    def _entries(self, folder: str) -> Iterator[tuple[str, _File]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._stray(folder, "unreadable", f"this folder cannot be read: {error.strerror}")
            return
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if self.left <= 0:
                self._stray(
                    folder, "too-large", f"more than {_MOST_FILES:,} files: not all were looked at"
                )
                return
            self.left -= 1
            name, file = _candidate(entry)
            if file is None or (name.startswith("__") and name.endswith("__")):
                continue
            if _can_be_a_name(name):
                yield name, file
            elif file.kind in ("package", "source"):
                self._stray(file.file, "bad-name", f"{_text(name)!r} cannot be a module's name")

    def _stray(self, path: str, code: str, message: str) -> None:
        self.strays.append((path, Finding(1, 0, code, message)))


def _candidate(entry: "os.DirEntry[str]") -> tuple[str, Optional[_File]]:
    try:
        mode = entry.stat().st_mode
    except OSError:  # a link to nowhere, or in a ring
        mode = 0
    if stat.S_ISDIR(mode):
        for suffix in _KINDS:
            file = f"{entry.path}/__init__{suffix}"
            if os.path.isfile(file):
                return entry.name, _File("package", file, entry.path)
        return entry.name, _File("folder", entry.path, entry.path)
    for suffix, kind in _KINDS.items():
        if entry.name.endswith(suffix):
            name = entry.name[: -len(suffix)]
            if kind == "extension" and "." in name:
                return name, None  # for another Python than this one
            return name, _File(kind if stat.S_ISREG(mode) else "unreadable", entry.path)
    return entry.name, None


def _rank(file: _File) -> int:
    return _RANKS[file.kind]


def _modules(name: str, found: list[_File]) -> list[_Module]:
    first, *rest = found
    # A plain folder beside the module is none of its rivals.
    others = [_Module(name, file, first) for file in rest if file.kind != "folder"]
    return [_Module(name, first, None), *others]


def _search_path(found: list[_File]) -> list[str]:
    first = found[0]
    if first.kind == "folder":
        return [file.folder for file in found]  # of plain folders Python makes one package
    return [first.folder] if first.kind == "package" else []


def _identity(folder: str) -> Any:
    try:
        status = os.stat(folder)
    except OSError:
        return folder
    return status.st_dev, status.st_ino


def _can_be_a_name(part: str) -> bool:
    return part.isascii() and part.isidentifier() and not iskeyword(part)


# --- what is in them


def _describe(module: _Module, asked_for: bool, warned: list[Any]) -> Told:
    told = Told(module)
    file = module.file.file
    if module.hidden_by:
        what = f"hidden by {_text(module.hidden_by.file)}, which comes first"
        told.findings = [(file, Finding(1, 0, "hidden", what))]
    elif module.file.kind == "folder":
        what = "the module has no create(state): it is a folder without __init__.py"
        told.findings = [(file, Finding(1, 0, "no-create", what))]
    elif file.endswith(tuple(SOURCE_SUFFIXES)):
        # A helper of other modules or a package that only holds some need no create of its own.
        helper = module.file.kind == "package" or module.name.rpartition(".")[2].startswith("_")
        told.needs_create = asked_for or not helper
        findings = _read(told, file, warned)
        told.findings = [(file, finding) for finding in findings]
    else:
        what = "this is no source, so what it has cannot be seen"
        told.findings = [(file, Finding(1, 0, "no-source", what))]
    return told


def _read(told: Told, file: str, warned: list[Any]) -> list[Finding]:
    try:
        source = _source(file)
    except OSError as error:
        return [Finding(1, 0, "unreadable", f"cannot be read: {error.strerror or error}")]
    if len(source) > _LARGEST_SOURCE:
        return [Finding(1, 0, "too-large", f"larger than {_LARGEST_SOURCE:,} bytes: not looked at")]
    before = len(warned)
    try:
        # As an import does it: what only the second half of the compiler finds is an error as well. It
        # also comes first because it never overruns the stack; a tree of the same depth might.
        compile(source, file, "exec", dont_inherit=True)
        findings = [_from_warning(each.message, each.lineno) for each in warned[before:]]
        tree: Any = compile(source, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return [_from_syntax_error(error, source)]
    except (MemoryError, RecursionError):
        return [Finding(1, 0, "syntax-error", "nested too deeply for Python to read")]
    except Exception as error:  # a null byte, an encoding that fails
        return [Finding(_line_of_fault(source), 0, "syntax-error", f"{error}")]
    doc = ast.get_docstring(tree, clean=False) or ""
    told.doc = next((line.strip() for line in doc.splitlines() if line.strip()), "")
    judgement = judge(tree, told.needs_create)
    told.class_name = judgement.class_name
    lines = source.splitlines() if judgement.findings else []
    return findings + [_in_characters(each, lines) for each in judgement.findings]


def _source(file: str) -> bytes:
    # What is no regular file could keep us for ever, also if it took a file's place just now.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        return stream.read(min(status.st_size, _LARGEST_SOURCE) + 1)


def _from_syntax_error(error: SyntaxError, source: bytes) -> Finding:
    message = error.msg
    if message.startswith("Missing parentheses in call to"):
        message += " This looks like Python 2."
    line = error.lineno or _line_of_fault(source)
    return Finding(line, max((error.offset or 1) - 1, 0), "syntax-error", message)


def _from_warning(message: Any, line: int) -> Finding:
    return Finding(line, 0, "syntax-warning", str(message))


def _line_of_fault(source: bytes) -> int:
    """Where Python names no line, it is mostly one byte that is wrong."""
    at = source.find(b"\0")
    if at < 0:
        try:
            source.decode("utf-8")
            return 1
        except UnicodeDecodeError as error:
            at = error.start
    return source.count(b"\n", 0, at) + 1


def _in_characters(finding: Finding, lines: list[bytes]) -> Finding:
    line = lines[finding.line - 1] if finding.line <= len(lines) else b""
    before = line[: finding.column].decode("utf-8", "replace")
    return finding._replace(column=len(before))
