"""Modules travel to other machines as an archive that is named by the hash of its content."""

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

from .errors import BadEngine

MAX_BYTES = 100_000_000
UNUSED_DAYS = 30
LEFT_OUT = {"pyhost.toml", ".env", ".git", ".venv", "__pycache__"}


def _files_of(folder: Path) -> Iterator[Path]:
    """The regular files in the folder, in order; links count as what they lead to, unless that is outside."""
    whole = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in LEFT_OUT)
        for name in sorted(names):
            path = Path(parent) / name
            target = path.resolve()
            if name in LEFT_OUT or not target.is_file() or whole not in target.parents:
                continue
            if LEFT_OUT.isdisjoint(target.relative_to(whole).parts):
                yield path


def pack(module_paths: list[str]) -> tuple[str, bytes]:
    """Returns the hash of the files below `modules/` of each path, and an archive of them. Raises BadEngine if they are
    too large."""
    tar = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, module_path in enumerate(module_paths):
            folder = Path(module_path) / "modules"
            for path in _files_of(folder):
                total += path.stat().st_size
                if total > MAX_BYTES:
                    raise BadEngine(
                        f"the files in {folder} are too large to be sent: together they have more than 100 MB",
                        "keep data elsewhere, or choose the module paths by -m",
                    )
                content = path.read_bytes()
                entry = tarfile.TarInfo(f"{number}/modules/{path.relative_to(folder)}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    data = tar.getvalue()
    return hashlib.sha256(data).hexdigest(), gzip.compress(data, mtime=0)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "pyhost" / "modules"


def _module_paths(folder: Path) -> list[str]:
    numbers = sorted((each.name for each in folder.iterdir() if each.name.isdigit()), key=int)
    return [str(folder / number) for number in numbers]


def find(digest: str) -> list[str] | None:
    """Returns the module paths of an archive that was unpacked here before; None if it was not."""
    folder = _cache() / digest
    try:
        os.utime(folder)  # it is in use
    except OSError:
        return None
    return _module_paths(folder)


def _entries(digest: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The checked files of an archive. Raises BadEngine for what pack() does not make."""
    with gzip.open(io.BytesIO(data)) as packed:
        tar = packed.read(2 * MAX_BYTES + 1)
    if hashlib.sha256(tar).hexdigest() != digest:
        raise BadEngine("the archive of the modules is damaged: its hash is another one")
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for entry in archive:
            parts = entry.name.split("/")
            if not entry.isreg() or os.path.isabs(entry.name) or ".." in parts:
                raise BadEngine(
                    f"the archive of the modules has what it must not have: {entry.name!r}"
                )
            content = archive.extractfile(entry)
            assert content is not None  # it is a regular file
            yield entry.name, content.read()


def unpack(digest: str, data: bytes) -> list[str]:
    """Unpacks an archive into the cache of this user, and returns the module paths. Raises BadEngine if it is not what
    pack() makes."""
    cache = _cache()
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_unused(cache)
    target = cache / digest
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
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


def _remove_unused(cache: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for each in cache.iterdir():
        try:
            if each.stat().st_mtime < oldest:
                shutil.rmtree(each, ignore_errors=True)
        except OSError:
            continue  # another process has removed it
