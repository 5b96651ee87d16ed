"""importlib.resources for the package `modules`, whose `__path__` is a plain list: importlib's own NamespaceReader
refuses that."""

import os
from collections.abc import Iterable
from importlib.readers import MultiplexedPath, NamespaceReader
from pathlib import Path


def namespace_reader(folders: Iterable[str]) -> NamespaceReader:
    """Returns what reads the files of all these folders as resources of one package."""
    reader = NamespaceReader.__new__(NamespaceReader)
    reader.path = MultiplexedPath(*(Path(folder) for folder in folders if os.path.isdir(folder)))
    return reader
