"""Packs modules into an archive for other machines, and unpacks it there. Its name is the hash of its content."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .._code_hash import hash_of
from .errors import BadEngine

MAX_BYTES = 100_000_000
UNUSED_DAYS = 30
LEFT_OUT = {"pyhost.toml", ".env", ".git", ".venv", "__pycache__"}


class Packed(NamedTuple):
    digest: str  # of the archive
    data: bytes
    code: str  # what code_hash() returns for the files of the archive
    left_out: list[str]  # links whose targets are outside the modules, or are never sent

    def notices(self) -> list[str]:
        """Returns messages for the user."""
        if not self.left_out:
            return []
        most = 5
        names = ", ".join(self.left_out[:most])
        more = f" and {len(self.left_out) - most} more" if len(self.left_out) > most else ""
        message = "these links are not sent, because they lead out of modules/ or to files that are never sent"
        return [f"{message}: {names}{more}"]


def _files_of(folder: Path, around: tuple[Path, ...], left_out: list[str]) -> Iterator[Path]:
    """Yields the regular files in the folder, in order. `around` are the resolved folders around it, outermost first.
    Links are followed if their target is within the outermost folder. A link to one of `around` would be a loop, and
    is ignored."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # it does not exist or is not readable, so that no import can read it either
        return
    for name in names:
        path = folder / name
        target = Path(os.path.realpath(path))
        is_folder = target.is_dir()
        if name in LEFT_OUT or target in around or not (is_folder or target.is_file()):
            continue
        whole = around[0]
        if whole not in target.parents or not LEFT_OUT.isdisjoint(target.relative_to(whole).parts):
            left_out.append(str(path))
        elif is_folder:
            yield from _files_of(path, (*around, target), left_out)
        else:
            yield path


def pack(module_paths: list[str]) -> Packed:
    """Packs the files below `modules/` in each path. Raises BadEngine if they are too large."""
    tar = io.BytesIO()
    total = 0
    sources: list[tuple[str, bytes]] = []
    left_out: list[str] = []
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, module_path in enumerate(module_paths):
            folder = Path(module_path) / "modules"
            found: list[tuple[str, bytes]] = []
            for path in _files_of(folder, (Path(os.path.realpath(folder)),), left_out):
                total += path.stat().st_size
                if total > MAX_BYTES:
                    raise BadEngine(
                        f"the files in {folder} are too large to be sent: in total they exceed 100 MB",
                        "keep data elsewhere, or choose the module paths with -m",
                    )
                name = str(path.relative_to(folder))
                content = path.read_bytes()
                entry = tarfile.TarInfo(f"{number}/modules/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
                if name.endswith(".py"):
                    found.append((name, content))
            sources += sorted(found)
    data = tar.getvalue()
    return Packed(
        digest=hashlib.sha256(data).hexdigest(),
        data=gzip.compress(data, mtime=0),
        code=hash_of(sources),
        left_out=left_out,
    )


def cache() -> Path:
    """Returns the folder where this user keeps modules that were sent."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "pyhost" / "modules"


def _module_paths(folder: Path) -> list[str]:
    numbers = sorted((each.name for each in folder.iterdir() if each.name.isdigit()), key=int)
    # An empty list would mean the default module paths of the worker.
    return [str(folder / number) for number in numbers] or [str(folder)]


def find(digest: str) -> list[str] | None:
    """Returns the module paths of an archive that was already unpacked here, or None."""
    folder = cache() / digest
    try:
        os.utime(folder)  # marks it as used
    except OSError:
        return None
    return _module_paths(folder)


def _entries(digest: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the files of an archive. Raises BadEngine if it is not an archive as pack() makes it."""
    with gzip.open(io.BytesIO(data)) as packed:
        tar = packed.read(2 * MAX_BYTES + 1)
    if hashlib.sha256(tar).hexdigest() != digest:
        raise BadEngine("the archive of the modules is damaged: its hash is wrong")
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for entry in archive:
            parts = entry.name.split("/")
            if not entry.isreg() or os.path.isabs(entry.name) or ".." in parts:
                raise BadEngine(f"the archive of the modules must not contain {entry.name!r}")
            content = archive.extractfile(entry)
            assert content is not None  # it is a regular file
            yield entry.name, content.read()


def unpack(digest: str, data: bytes) -> list[str]:
    """Unpacks an archive into the cache of this user, and returns the module paths. Raises BadEngine if it is not an
    archive as pack() makes it."""
    folder = cache()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_unused(folder)
    target = folder / digest
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        for name, content in _entries(digest, data):
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _module_paths(target)


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for each in folder.iterdir():
        try:
            if each.stat().st_mtime < oldest:
                shutil.rmtree(each, ignore_errors=True)
        except OSError:
            continue  # another process has removed it
