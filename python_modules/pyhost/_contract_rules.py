"""The rules of the contract, and the messages for each violation.

The host and pyhost.testing ask this module why a call into a module failed. `pyhost check` uses the same messages.
"""

from types import CoroutineType, TracebackType
from typing import Any, NamedTuple, Optional

_HINT = "a module exports create(state), which returns an object with run()"
NO_CREATE = "the module has no create(state)"
ASYNC_CREATE = "create must not be async: it returns a coroutine"
CREATE_YIELDS = "create yields, so it returns a generator, which has no run"


def not_callable(name: str, type_name: str) -> str:
    return f"{name} is not callable but of type {type_name}"


def cannot_be_called(name: str, why: object) -> str:
    return f"{'create(state)' if name == 'create' else 'run()'} cannot be called: {why}"


def no_run(value: str, verb: str = "returns") -> str:
    return f"create {verb} {value}, which has no run"


def class_without_run(name: str) -> str:
    return f"class {name} has no run"


class Broken(NamedTuple):
    """How an object violates the contract. The host reads these fields in this order."""

    code: str  # as in `pyhost check`
    problem: str
    sentence: str  # the problem, to follow "module 'name' breaks the contract: "
    hint: str
    file: str  # the file that defines the object; empty if unknown
    line: int  # 0 for the whole file, or if unknown


# Why a call failed. `trace` begins below the frame that made the call, so it is None if Python itself raised.


def broken_module(
    module: Any, raised: BaseException, trace: Optional[TracebackType]
) -> Optional[Broken]:
    """For an exception from the look-up of module.create."""
    return broken_by("no-create", NO_CREATE, module) if _is_missing(raised, trace) else None


def broken_create(
    create: Any, raised: BaseException, trace: Optional[TracebackType]
) -> Optional[Broken]:
    """For an exception from the call create(state)."""
    return check_signature("create", create, 1, raised) if _is_of_call(raised, trace) else None


def broken_run(
    instance: Any, create: Any, raised: BaseException, trace: Optional[TracebackType]
) -> Optional[Broken]:
    """For an exception from the call run() of an object that create returned."""
    is_missing, is_of_call = _is_missing(raised, trace), _is_of_call(raised, trace)
    if not is_missing and not is_of_call:
        return None
    try:
        run = instance.run
    except BaseException:  # a property may raise anything
        return _broken_without_run(instance, create) if is_missing else None
    broken = check_callable("run", run, type(instance))
    return broken or (check_signature("run", run, 0, raised) if is_of_call else None)


def _broken_without_run(instance: Any, create: Any) -> Broken:
    if type(instance) is CoroutineType:
        instance.close()  # otherwise Python warns that it was never awaited
        return broken_by("async-create", ASYNC_CREATE, create)
    value = "None" if instance is None else f"an object of type {type_name(instance)}"
    at = create if instance is None else type(instance)
    return broken_by("no-run", no_run(value, "returned"), at)


def _is_missing(raised: BaseException, trace: Optional[TracebackType]) -> bool:
    """Returns whether Python, or the __getattr__ of the owner, reported that the attribute does not exist."""
    if not issubclass(type(raised), AttributeError):
        return False
    return trace is None or (
        trace.tb_next is None and trace.tb_frame.f_code.co_name == "__getattr__"
    )


def _is_of_call(raised: BaseException, trace: Optional[TracebackType]) -> bool:
    """Returns whether the call itself failed, before any line of the module ran."""
    return issubclass(type(raised), TypeError) and trace is None


# Checks without a call


def check_callable(name: str, value: Any, at: Any) -> Optional[Broken]:
    if callable(value):
        return None
    return broken_by(f"{name}-not-callable", not_callable(name, type_name(value)), at)


def check_signature(name: str, function: Any, given: int, why: object = None) -> Optional[Broken]:
    """Returns a Broken if the function cannot be called with `given` arguments, otherwise None."""
    import inspect

    try:
        signature = inspect.signature(function)
    except Exception:  # C functions may have no signature
        return None
    try:
        signature.bind(*[None] * given)
    except TypeError as error:
        return broken_by(f"{name}-arguments", cannot_be_called(name, why or error), function)
    return None


def broken_by(code: str, problem: str, at: Any) -> Broken:
    """Returns a Broken. `at` is the object whose source has the fault."""
    import inspect

    file, line = "", 0
    try:
        file = inspect.getsourcefile(at) or ""
        line = inspect.getsourcelines(at)[1]
    except Exception:  # the object is not written in Python, or not in a file
        pass
    sentence = problem
    if problem == NO_CREATE:
        sentence = NO_CREATE.replace("the module", "it")
    elif problem.startswith(("create ", "run ")):
        sentence = f"its {problem}"
    return Broken(code, problem, sentence, _HINT, file, line)


def type_name(value: Any) -> str:
    """Returns the qualified name of the value's type, read from the type itself, so a metaclass cannot change it."""
    cls = type(value)
    name: str = vars(type)["__qualname__"].__get__(cls)
    try:
        home = vars(type)["__module__"].__get__(cls)
    except AttributeError:  # the class was created where there is no __name__
        return name
    return name if home == "builtins" or not isinstance(home, str) else f"{home}.{name}"
