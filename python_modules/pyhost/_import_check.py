"""Checks modules by importing them, for faults that their source does not show."""

import importlib
import inspect
import sys
import types
from typing import Any, Optional

from pyhost import _contract_rules as rules
from pyhost._report import Finding, ModuleReport

_SETTLED = {"create-unseen", "run-unseen", "no-source", "too-large"}
_Findings = list[tuple[str, Finding]]  # each with its file


class ImportCheck:
    def __init__(self) -> None:
        self.package: Any = sys.modules["modules"]
        self.path = list(self.package.__path__)

    def findings(self, report: ModuleReport) -> _Findings:
        """Returns all findings, including those of an import. Does not import a module that is already known to fail."""
        file = report.file
        known = report.findings
        kept = [each for each in known if each[1].code not in _SETTLED]
        if any(finding.code != "syntax-warning" for _, finding in kept):
            return known
        # Modules that were imported before may have changed these.
        sys.modules["modules"] = self.package
        self.package.__path__ = self.path
        try:
            module = importlib.import_module(f"modules.{report.name}")
            broken = _broken_lazy_imports(module, report)
            needs_create = not broken and (hasattr(module, "create") or report.needs_create)
        except BaseException as error:  # such as SystemExit
            line = _line_in(error, file)
            return [*kept, (file, _import_failed(error, line, "importing it"))]
        if broken:
            return kept + broken
        if not needs_create:
            return kept
        try:
            found = _check_module(module, file, report.class_name)
        except BaseException as error:  # reading its attributes may raise anything
            message = f"reading its attribute create raised {_error_text(error)}"
            return [*kept, (file, Finding(1, 0, "create-unseen", message))]
        if found is None:
            return [each for each in known if each[1].code not in _SETTLED - {"run-unseen"}]
        return kept + found


def _broken_lazy_imports(module: Any, report: ModuleReport) -> _Findings:
    """Resolves the lazy imports of Python 3.15, which otherwise fail at the first use of the name."""
    lazy: Any = getattr(types, "LazyImportType", ())
    values = list(getattr(module, "__dict__", {}).items())
    names = [name for name, value in values if isinstance(value, lazy)]
    broken: dict[int, Finding] = {}
    for name in names:
        try:
            getattr(module, name)
        except BaseException as error:
            line = _line_in(error, report.file)
            broken[line] = _import_failed(error, line, "a lazy import")
    for name, line in report.submodules:  # for `import a.b`, the name a resolves only the package
        if name.partition(".")[0] in names:
            try:
                importlib.import_module(name)
            except BaseException as error:
                broken.setdefault(line, _import_failed(error, line, "a lazy import"))
    return [(report.file, broken[line]) for line in sorted(broken)]


def _check_module(module: Any, file: str, class_name: Optional[str]) -> Optional[_Findings]:
    """Returns what is wrong. None if nothing is, but the type of the result of create is unknown."""
    try:
        create = module.create
    except AttributeError as error:
        trace = error.__traceback__
        broken = rules.broken_module(module, error, trace and trace.tb_next)
        if not broken:
            raise
        return _findings(broken, file)
    broken = rules.check_callable("create", create, module)
    broken = broken or rules.check_signature("create", create, 1)
    if not broken and inspect.iscoroutinefunction(create):
        broken = rules.broken_by("async-create", rules.ASYNC_CREATE, create)
    if not broken and inspect.isgeneratorfunction(create):
        broken = rules.broken_by("no-run", rules.CREATE_YIELDS, create)
    if broken:
        return _findings(broken, file)
    cls = create if isinstance(create, type) else vars(module).get(class_name or "")
    return _check_class(cls, file) if isinstance(cls, type) else None


def _check_class(cls: type, file: str) -> Optional[_Findings]:
    run = inspect.getattr_static(cls, "run", None)
    if run is None:
        if hasattr(cls, "__getattr__"):
            return None
        return _findings(
            rules.broken_by("no-run", rules.class_without_run(cls.__name__), cls), file
        )
    given = 0 if isinstance(run, staticmethod) else 1
    run = run.__func__ if isinstance(run, (staticmethod, classmethod)) else run
    if not callable(run) and hasattr(run, "__get__"):
        return None  # a property may return something callable
    broken = rules.check_callable("run", run, cls) or rules.check_signature("run", run, given)
    return _findings(broken, file) if broken else []


def _findings(broken: rules.Broken, file: str) -> _Findings:
    if not broken.line:  # in the module itself, or unknown
        return [(file, Finding(1, 0, broken.code, broken.problem))]
    return [(broken.file, Finding(broken.line, 0, broken.code, broken.problem))]


def _import_failed(error: BaseException, line: int, subject: str) -> Finding:
    return Finding(line, 0, "import-failed", f"{subject} raised {_error_text(error)}")


def _line_in(error: BaseException, file: str) -> int:
    """Returns the last line in the module's own file on the way to the exception."""
    line = 1
    # The line of a lazy import is in the traceback of the cause.
    for each in (error.__cause__, error):
        trace = each.__traceback__ if each else None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == file:
                line = trace.tb_lineno or line
            trace = trace.tb_next
    return line


def _error_text(error: BaseException) -> str:
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException:  # its own __str__ may raise anything
        return f"{name}, whose str() fails"
    return f"{name}: {text[:1000]}" if text else name
