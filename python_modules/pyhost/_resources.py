"""Supports importlib.resources for the package `modules`.

Its `__path__` is a plain list, which importlib's own NamespaceReader does not accept. Python 3.9 does not have that
reader, so importing this module there raises ImportError.
"""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Imported by name, because type checkers for Python 3.9 do not find it.
_readers: Any = importlib.import_module("importlib.readers")


def namespace_reader(folders: Iterable[str]) -> Any:
    """Returns a reader for the files of all these folders, as resources of one package."""
    reader = _readers.NamespaceReader.__new__(_readers.NamespaceReader)
    reader.path = _readers.MultiplexedPath(
        *(Path(folder) for folder in folders if os.path.isdir(folder))
    )
    return reader
