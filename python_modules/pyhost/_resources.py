"""importlib.resources for the package `modules`, whose `__path__` is a plain list: importlib's own NamespaceReader
refuses that. Python 3.9 has no such reader; there, importing this module raises ImportError."""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Imported by name, since type checkers that look for Python 3.9 do not find it.
_readers: Any = importlib.import_module("importlib.readers")


def namespace_reader(folders: Iterable[str]) -> Any:
    """Returns what reads the files of all these folders as resources of one package."""
    reader = _readers.NamespaceReader.__new__(_readers.NamespaceReader)
    reader.path = _readers.MultiplexedPath(
        *(Path(folder) for folder in folders if os.path.isdir(folder))
    )
    return reader
