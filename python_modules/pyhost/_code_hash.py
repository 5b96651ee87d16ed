"""Computes the version of the modules: one hash over their source files. Nothing is imported."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator


def code_hash(folders: list[str]) -> str:
    """Returns the SHA-256, in hex, of the relative path and the bytes of each .py file in the folders."""
    return hash_of(each for folder in folders for each in _sources(folder))


def hash_of(sources: Iterable[tuple[str, bytes]]) -> str:
    """Returns the same for files that were read already: relative paths and bytes, in order within each folder."""
    digest = hashlib.sha256()
    for path, source in sources:
        digest.update(b"%s\0%d\0" % (os.fsencode(path), len(source)))
        digest.update(source)
    return digest.hexdigest()


def _sources(folder: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(_python_files(folder)):
        try:
            with open(os.path.join(folder, path), "rb") as file:
                yield path, file.read()
        except OSError:  # a file that cannot be read cannot be imported either
            yield path, b""


def _python_files(folder: str) -> list[str]:
    found = []
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        identity = os.path.realpath(here)
        if identity in seen:  # a link to a parent folder
            folders.clear()
            continue
        seen.add(identity)
        found += [
            os.path.relpath(os.path.join(here, each), folder)
            for each in files
            if each.endswith(".py")
        ]
    return found
