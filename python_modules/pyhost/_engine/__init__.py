"""Runs states on other machines, through an engine such as Dask. C++ uses it for a pool with an engine."""

from __future__ import annotations

import json

from .archive import pack
from .driver import Driver
from .engines import open_engine


def open_driver(request: str) -> Driver:
    """Connects to an engine. Raises EngineError."""
    wanted = json.loads(request)
    packed = pack(wanted["module_paths"])
    engine = open_engine(wanted["url"], wanted["resources"])
    return Driver(engine, wanted["retries"], packed)
