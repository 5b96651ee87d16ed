"""Finds the files of modules in the `modules` folders of all module paths, by the same rules as Python's import."""

import os
import stat
from collections.abc import Iterator
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from keyword import iskeyword
from typing import Any, NamedTuple, Optional

from pyhost._report import Finding, printable

_MOST_FILES = 50_000
_LONGEST_NAME = 255

# In the order of precedence of Python's import.
_KINDS = {
    **dict.fromkeys(EXTENSION_SUFFIXES, "extension"),
    **dict.fromkeys(SOURCE_SUFFIXES, "source"),
    **dict.fromkeys(BYTECODE_SUFFIXES, "bytecode"),
}
_RANKS = {"package": 0, "extension": 1, "source": 2, "bytecode": 3, "unreadable": 4, "folder": 5}


class ModuleFile(NamedTuple):
    """A file that may be the module of its name, or a folder that may be its package."""

    kind: str  # a key of _RANKS
    file: str
    folder: str = ""  # for a package or a plain folder: the folder to search for submodules


class FoundModule(NamedTuple):
    name: str
    file: ModuleFile
    hidden_by: Optional[ModuleFile]


class ModuleFiles:
    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self.strays: list[tuple[str, Finding]] = []
        self.left = _MOST_FILES

    def all(self) -> Iterator[FoundModule]:
        yield from self._below("", self.folders, tuple(map(_identity, self.folders)))

    def named(self, name: str) -> list[FoundModule]:
        """Returns the module and the files that it hides. Empty if there is no such module."""
        folders = self.folders
        found: list[ModuleFile] = []
        for part in name.split("."):
            found = self._in(folders).get(part, [])
            if not found:
                return []
            folders = _search_path(found)
        self.strays.clear()
        return _modules(name, found)

    def _below(
        self, parents: str, folders: list[str], around: tuple[Any, ...]
    ) -> Iterator[FoundModule]:
        for part, found in sorted(self._in(folders).items()):
            name = parents + part
            if len(name) > _LONGEST_NAME:
                continue
            if found[0].kind != "folder":
                yield from _modules(name, found)
            inner = [each for each in _search_path(found) if _identity(each) not in around]
            if inner:
                yield from self._below(f"{name}.", inner, (*around, *map(_identity, inner)))

    def _in(self, folders: list[str]) -> dict[str, list[ModuleFile]]:
        """Returns the names in these folders, each with its files. Python imports the first file."""
        names: dict[str, list[ModuleFile]] = {}
        for folder in folders:
            here: dict[str, list[ModuleFile]] = {}
            for name, file in self._entries(folder):
                here.setdefault(name, []).append(file)
            for name, files in here.items():
                names.setdefault(name, []).extend(sorted(files, key=_rank))
        for files in names.values():
            # Files that Python can import come before the others, regardless of the order of the paths.
            files.sort(key=lambda file: max(_rank(file), _RANKS["bytecode"]))
        return names

    def _entries(self, folder: str) -> Iterator[tuple[str, ModuleFile]]:
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
                    folder,
                    "too-large",
                    f"more than {_MOST_FILES:,} files: not all of them were checked",
                )
                return
            self.left -= 1
            name, file = _candidate(entry)
            if file is None or (name.startswith("__") and name.endswith("__")):
                continue
            if _can_be_a_name(name):
                yield name, file
            elif file.kind in ("package", "source"):
                self._stray(file.file, "bad-name", f"{printable(name)!r} cannot be a module's name")

    def _stray(self, path: str, code: str, message: str) -> None:
        self.strays.append((path, Finding(1, 0, code, message)))


def _candidate(entry: "os.DirEntry[str]") -> tuple[str, Optional[ModuleFile]]:
    try:
        mode = entry.stat().st_mode
    except OSError:  # a broken link, or a ring of links
        mode = 0
    if stat.S_ISDIR(mode):
        for suffix in _KINDS:
            file = f"{entry.path}/__init__{suffix}"
            if os.path.isfile(file):
                return entry.name, ModuleFile("package", file, entry.path)
        return entry.name, ModuleFile("folder", entry.path, entry.path)
    for suffix, kind in _KINDS.items():
        if entry.name.endswith(suffix):
            name = entry.name[: -len(suffix)]
            if kind == "extension" and "." in name:
                return name, None  # for another version of Python
            return name, ModuleFile(kind if stat.S_ISREG(mode) else "unreadable", entry.path)
    return entry.name, None


def _rank(file: ModuleFile) -> int:
    return _RANKS[file.kind]


def _modules(name: str, found: list[ModuleFile]) -> list[FoundModule]:
    first, *rest = found
    # A plain folder beside the module is not a module of the same name.
    others = [FoundModule(name, file, first) for file in rest if file.kind != "folder"]
    return [FoundModule(name, first, None), *others]


def _search_path(found: list[ModuleFile]) -> list[str]:
    first = found[0]
    if first.kind == "folder":
        return [file.folder for file in found]  # Python merges plain folders into one package
    return [first.folder] if first.kind == "package" else []


def _identity(folder: str) -> Any:
    try:
        status = os.stat(folder)
    except OSError:
        return folder
    return status.st_dev, status.st_ino


def _can_be_a_name(part: str) -> bool:
    return part.isascii() and part.isidentifier() and not iskeyword(part)
