"""The package of all modules. Its __path__ is the module paths of the host in this process.

A host creates this package itself. In children of multiprocessing (spawn or forkserver) this file creates the
same package from sys.path, which is all that they know of the host. In plain Python, without a host, it is an
ordinary package.
"""

import sys

_MARK = "pyhost-module-path:"  # as in cpp/src/interpreter/modules_package.cpp
_marked = [entry[len(_MARK) :] + "/modules" for entry in sys.path if entry.startswith(_MARK)]
if _marked:
    __path__ = _marked
    # Python 3.9 does not support resources of a package of several folders.
    if sys.version_info >= (3, 10):

        def _get_resource_reader(name: str) -> object:
            from pyhost._resources import namespace_reader

            return namespace_reader(_marked)

        __spec__.loader.get_resource_reader = _get_resource_reader  # type: ignore[union-attr]
