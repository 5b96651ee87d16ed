"""Runs modules in plain Python by the contract, so that they can be tested without a host.

    from pyhost.testing import run_module
    result = run_module("csv_summary", {"text": "city,price\\nOslo,12.5\\n"})

In pytest, the fixture run_module does the same with the module paths of the test's project. Exceptions of the module
are raised unchanged. A violation of the contract raises ContractError.
"""

import contextlib
import importlib
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from keyword import iskeyword
from operator import methodcaller
from types import AsyncGeneratorType, CoroutineType, GeneratorType, ModuleType, TracebackType
from typing import Any, NoReturn, Optional, Protocol, Union

from pyhost._contract_rules import (
    Broken,
    broken_create,
    broken_module,
    broken_run,
    check_callable,
    type_name,
)
from pyhost._running import Run, Scheduled, stand_in

Path = Union[str, "os.PathLike[str]"]

_MOST_LEVELS = 1000
_run_ids = itertools.count(1)
_MARK = "pyhost-module-path:"  # as in modules/__init__.py


class ContractError(Exception):
    """Raised where a host would refuse the state, the module or its result, because it violates the contract."""


class RunModule(Protocol):
    """The type of the fixture run_module, for type checkers."""

    def __call__(
        self, name: str, state: Mapping[str, Any] = ..., /, *, scheduled: Optional[Scheduled] = ...
    ) -> Any:
        """Loads the module, calls create(state) and run(), and returns the result as after a conversion to JSON."""
        ...


def run_module(
    name: str,
    state: Optional[Mapping[str, Any]] = None,
    *,
    module_paths: Iterable[Path] = (),
    scheduled: Optional[Scheduled] = None,
) -> Any:
    """Imports a module again, runs it once, and returns the result.

    pyhost.current_run() returns this run, with `scheduled` as a schedule would set it.

    Module paths are folders that contain `modules`. By default they are those of a host: PYHOST_MODULE_PATH if it is
    set, otherwise ./python_modules and the current folder, and the modules that ship with pyhost.

    Raises ContractError if the module violates the contract. Exceptions of the module are raised unchanged.
    """
    with Modules(module_paths or default_module_paths(os.getcwd())) as modules:
        return modules.run(name, {} if state is None else state, scheduled)


def default_module_paths(folder: Path) -> list[str]:
    """Returns the module paths of a host that is started in this folder."""
    variable = os.environ.get("PYHOST_MODULE_PATH", "")
    if variable:
        return [path for path in variable.split(":") if path]
    paths = [os.path.join(folder, "python_modules"), os.fspath(folder), _shipped()]
    found = [os.path.realpath(p) for p in paths if os.path.isdir(os.path.join(p, "modules"))]
    return list(dict.fromkeys(found))


def _shipped() -> str:
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.isdir(os.path.join(beside, "modules")):
        return beside
    return os.path.join(sys.prefix, "share", "pyhost", "python_modules")  # installed by pip


class Modules:
    """A context manager that provides the package `modules` over the module paths."""

    def __init__(self, module_paths: Iterable[Path]) -> None:
        self.paths = [os.path.abspath(path) for path in module_paths]
        for path in self.paths:
            if not os.path.isdir(os.path.join(path, "modules")):
                raise ContractError(
                    f"module path '{path}' is not a folder that contains a folder 'modules'"
                )
        self.folders = [os.path.join(path, "modules") for path in self.paths]
        self._loaded: list[ModuleType] = []

    def __enter__(self) -> "Modules":
        self._before = _take_modules_out()
        self._sys_path = list(sys.path)
        package = ModuleType("modules")
        package.__path__ = self.folders
        sys.modules["modules"] = package
        # Children of multiprocessing create the same package from these entries.
        sys.path.insert(_before_site_packages(), _shipped())
        sys.path += [_MARK + path for path in self.paths]
        importlib.invalidate_caches()
        return self

    def __exit__(self, *exception: object) -> None:
        for module in reversed(self._loaded):
            vars(module).get("on_unload", _nothing)()
        _take_modules_out()
        sys.modules.update(self._before)
        sys.path[:] = self._sys_path

    def run(
        self, name: str, state: Mapping[str, Any], scheduled: Optional[Scheduled] = None
    ) -> Any:
        """Loads the module if necessary, calls create(state) and run(), and returns the result."""
        before = stand_in.run
        stand_in.run = Run(name, next(_run_ids), scheduled)
        try:
            return self._run(name, state)
        finally:
            stand_in.run = before

    def _run(self, name: str, state: Mapping[str, Any]) -> Any:
        module = self._load(name)
        create = _call(name, partial(broken_module, module), getattr, module, "create")
        _check(name, check_callable("create", create, module))
        fresh = _as_json(state, f"module '{name}': the state")
        if type(fresh) is not dict:
            raise ContractError(
                f"module '{name}': the state is not a dict but of type {type_name(state)}"
            )
        instance = _call(name, partial(broken_create, create), create, fresh)
        with _closing(instance):
            broken = partial(broken_run, instance, create)
            result = _call(name, broken, methodcaller("run"), instance)
            return _as_json(_awaited(result), f"module '{name}': the result")

    def _load(self, name: str) -> Any:
        module = self._import(name)
        if module not in self._loaded:
            try:
                vars(module).get("on_load", _nothing)()
            except BaseException:
                sys.modules.pop(f"modules.{name}", None)
                raise
            self._loaded.append(module)
        return module

    def _import(self, name: str) -> Any:
        if not name or not all(map(_can_be_a_name, name.split("."))):
            raise ContractError(
                f"{name!r} cannot be a module's name: a name is one or more ASCII identifiers joined by dots"
            )
        full = f"modules.{name}"
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            # If the module itself failed to import another one, that error is raised unchanged.
            ours = error.name is not None and f"{full}.".startswith(f"{error.name}.")
            if not ours or not _raised_by_import_alone(error.__traceback__):
                raise
        close = get_close_matches(name, self._names(), 1)
        raise ContractError(
            f"no module '{name}'; looked in {', '.join(self.folders) or 'no folder'}"
            + (f"; did you mean '{close[0]}'?" if close else "")
        )

    def _names(self) -> Iterator[str]:
        for folder in self.folders:
            with contextlib.suppress(OSError):
                yield from (os.path.splitext(entry)[0] for entry in os.listdir(folder))


def _take_modules_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == "modules" or name.startswith("modules.")]
    return {name: sys.modules.pop(name) for name in names}


def _before_site_packages() -> int:
    for index, entry in enumerate(sys.path):
        if entry.endswith(("/site-packages", "/dist-packages")):
            return index
    return len(sys.path)


def _can_be_a_name(part: str) -> bool:
    dunder = part.startswith("__") and part.endswith("__")
    return part.isascii() and part.isidentifier() and not iskeyword(part) and not dunder


def _raised_by_import_alone(trace: Optional[TracebackType]) -> bool:
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        is_import = file.startswith("<frozen importlib") or file.endswith("/importlib/__init__.py")
        if not is_import and file != __file__:
            return False
        trace = trace.tb_next
    return True


def _nothing() -> None:
    """The default on_load and on_unload."""


def _closing(instance: Any) -> "contextlib.AbstractContextManager[Any]":
    cls = type(instance)
    if hasattr(cls, "__enter__") and hasattr(cls, "__exit__"):
        return instance  # type: ignore[no-any-return]
    return contextlib.closing(instance) if hasattr(cls, "close") else contextlib.nullcontext()


def _awaited(returned: Any) -> Any:
    """Awaits an async result, and collects the items of a generator in a list."""
    if isinstance(returned, GeneratorType):
        return list(returned)
    if not isinstance(returned, (CoroutineType, AsyncGeneratorType)):
        return returned
    import asyncio

    async def collected() -> Any:
        if isinstance(returned, CoroutineType):
            return await returned
        return [item async for item in returned]

    return asyncio.run(collected())


def _call(name: str, why: Callable[..., Optional[Broken]], function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (AttributeError, TypeError) as error:
        trace = error.__traceback__
        _check(name, why(error, trace and trace.tb_next))
        raise


def _check(name: str, broken: Optional[Broken]) -> None:
    if broken:
        place = f" ({broken.file}:{max(broken.line, 1)})" if broken.file else ""
        problem = f"module '{name}' breaks the contract: {broken.sentence}{place}; {broken.hint}"
        raise ContractError(problem) from None


# --- conversion to JSON
# A host has the same rules and messages in cpp/src/convert/to_json.cpp, for speed. A test compares them.

_HINTS = {
    **dict.fromkeys(["bytes", "bytearray"], "decode it, or encode it as base64"),
    **dict.fromkeys(["set", "frozenset", "generator", "map"], "convert it to a list"),
    **dict.fromkeys(["dict_keys", "dict_values"], "convert it to a list"),
    "decimal.Decimal": "convert it to a str or a float",
    "coroutine": "await it",
    "pyhost._store.Store": "return dict(store)",
}
_HINT = "use only None, bool, int, float, str, list, tuple and dict"


class _Container:
    """A list, tuple or dict that is being copied."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.copy: Any = []
        self.at: Any = None  # the key or index of the value that is being copied
        # Reads the stored items, even if a subclass overrides the methods.
        if _is(source, dict):
            self.copy = {}
            self.left = iter(list(dict.items(source)))
        else:
            base: Any = list if _is(source, list) else tuple
            self.left = iter(list(enumerate(base.__iter__(source))))

    def put(self, value: Any) -> None:
        if type(self.copy) is dict:
            self.copy[self.at] = value
        else:
            self.copy.append(value)


def _is(value: Any, base: type) -> bool:
    return issubclass(type(value), base)  # isinstance() would trust the object's __class__


def _as_json(value: Any, subject: str) -> Any:
    """Returns a copy that shares nothing with the value, as if it had been written as JSON and read back.

    Without recursion, because a thousand levels are allowed.
    """
    around: list[_Container] = []
    copied = _begin(value, around, subject)
    while around:
        top = around[-1]
        for at, item in top.left:
            top.at = at
            _check_key(around, subject)
            copied = _begin(item, around, subject)
            if around[-1] is not top:
                break  # continue with the inner container; this one waits
            top.put(copied)
        else:
            around.pop()
            copied = top.copy
            if around:
                around[-1].put(copied)
    return copied


def _check_key(around: list[_Container], subject: str) -> None:
    top = around[-1]
    if type(top.copy) is not dict:
        return
    if not _is(top.at, str):
        _refuse(
            around[:-1],
            subject,
            f"has a key that is {type_name(top.at)}, not str; convert the key to a str",
        )
    if not _is_text(top.at):
        _refuse(around[:-1], subject, "has a key with a lone surrogate, which is not a character")
    top.at = str.__str__(top.at)


def _begin(value: Any, around: list[_Container], subject: str) -> Any:
    """Returns the copy of a single value. Pushes a container on `around` instead."""
    if value is None or value is True or value is False:
        return value
    if _is(value, str):
        if not _is_text(value):
            _refuse(around, subject, "is a str with a lone surrogate, which is not a character")
        return str.__str__(value)
    if _is(value, int):
        try:
            int.__repr__(value)
        except ValueError as error:
            _refuse(around, subject, f"is an integer that cannot be written: ValueError: {error}")
        return int.__index__(value)
    if _is(value, float):
        number = float.__float__(value)
        if not math.isfinite(number):
            _refuse(
                around, subject, "is NaN or infinite, which JSON does not have; return None instead"
            )
        return number
    if not (_is(value, list) or _is(value, tuple) or _is(value, dict)):
        name = type_name(value)
        hint = _HINTS.get(name, _HINT)
        if name.startswith("datetime."):
            hint = "return its isoformat()"
        if name.startswith("numpy."):
            hint = "return its tolist()"
        _refuse(around, subject, f"is of type {name}, which JSON does not have; {hint}")
    if len(around) >= _MOST_LEVELS:
        if any(each.source is value for each in around):
            _refuse(around, subject, "contains itself")
        _refuse(around, subject, f"is nested more than {_MOST_LEVELS} levels deep")
    around.append(_Container(value))
    return None


def _is_text(text: str) -> bool:
    try:
        str.encode(text, "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse(around: list[_Container], subject: str, problem: str) -> NoReturn:
    pointer = "".join("/" + str(each.at).replace("~", "~0").replace("/", "~1") for each in around)
    if len(pointer) > 200:
        pointer = pointer[:100] + "…" + pointer[-100:]
    raise ContractError(f"{subject}{' at ' + pointer if pointer else ''} {problem}")
