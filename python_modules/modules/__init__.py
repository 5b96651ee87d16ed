"""The package of all modules: its __path__ is the module paths of the host that runs this process.

A host makes this package itself. This file makes the same one in its children (multiprocessing with
spawn or forkserver), which know of the host only what it put on sys.path. In plain Python, with no host
anywhere, it is an ordinary package.
"""

import sys

_MARK = "pyhost-module-path:"  # as in cpp/src/interpreter/modules_package.cpp
_marked = [entry[len(_MARK) :] + "/modules" for entry in sys.path if entry.startswith(_MARK)]
if _marked:
    __path__ = _marked
    if sys.version_info >= (3, 10):  # 3.9 reads no resources of a package of several folders

        def _get_resource_reader(name: str) -> object:
            from pyhost._resources import namespace_reader

            return namespace_reader(_marked)

        __spec__.loader.get_resource_reader = _get_resource_reader  # type: ignore[union-attr]
