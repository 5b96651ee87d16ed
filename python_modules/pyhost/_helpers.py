"""Finds the helpers that are unloaded together with a module.

A helper is a module of the package `modules` that another module imports. Python does not record imports of modules
that are already loaded, so imports are read from the sources.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name
from typing import Any, Optional


def unused_helpers(gone: str, imported: Iterable[str], loaded: Iterable[str]) -> list[str]:
    """Returns the helpers of the module `gone` that no other module uses.

    `imported` is the modules that were first imported while `gone` was loaded. `loaded` is the modules that the host has
    loaded.
    """
    own = {*_within(gone)}
    every = {*_within("modules")}
    if not every - own - {*loaded}:
        return []
    users = [
        user
        for name in every
        if name in loaded or _is_being_imported(name)
        for user in _within(name)
    ]
    used_by_others = _used_by(users, without=own, by_unknown=every)
    unused = (every & {*imported} | _used_by(own)) - used_by_others - own
    if every != {*_within("modules")}:  # another thread has imported a module meanwhile
        return unused_helpers(gone, imported, loaded)
    return sorted(unused)


def _within(package: str) -> Iterator[str]:
    """Yields the imported modules of a package, and the package itself unless it is `modules`."""
    for name in list(sys.modules):
        if f"{name}.".startswith(f"{package}.") and name != "modules":
            yield name


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _used_by(
    users: Iterable[str], without: Iterable[str] = (), by_unknown: Iterable[str] = ()
) -> set[str]:
    """Returns these modules and their imports, direct and indirect. Skips the modules in `without`.

    `by_unknown` is used as the imports of a module whose source cannot be read.
    """
    used: set[str] = set()
    waiting = [*users]
    while waiting:
        name = waiting.pop()
        if name in used or name in without or name not in sys.modules or "." not in name:
            continue
        used.add(name)
        waiting.append(name.rpartition(".")[0])
        imports = _imports_of(name)
        waiting += by_unknown if imports is None else imports
    return used


def _imports_of(name: str) -> Optional[list[str]]:
    """Returns the modules that a module imports anywhere in its source. None if the source cannot be read.

    The importer of a package may use everything that was imported from it, so this includes those modules.
    """
    try:
        spec: Any = sys.modules[name].__spec__
        tree = ast.parse(spec.loader.get_source(name))
        return [
            inner
            for node in ast.walk(tree)
            for imported in _imported_by(node, spec.parent)
            if imported.startswith("modules.")
            for inner in _within(imported)
        ]
    except Exception:  # a loader or a broken source may raise anything
        return None


def _imported_by(statement: ast.AST, package: str) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        module = resolve_name("." * statement.level + (statement.module or ""), package)
        for alias in statement.names:
            inner = f"{module}.{alias.name}"
            yield inner if inner in sys.modules else module
    elif isinstance(statement, ast.Constant) and isinstance(statement.value, str):
        yield statement.value  # it may be passed to importlib.import_module
