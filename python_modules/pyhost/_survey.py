"""Surveys modules: their files, their documentation, and whether they fulfil the contract.

The host calls survey() once for all modules. No code of a module runs, unless the survey imports the modules.
"""

import ast
import os
import stat
import warnings
from importlib.machinery import SOURCE_SUFFIXES
from typing import Any

from pyhost._contract_check import check_contract
from pyhost._contract_rules import NO_CREATE
from pyhost._module_files import FoundModule, ModuleFiles
from pyhost._report import Finding, ModuleReport, finding_as_json, printable

_LARGEST_SOURCE = (
    2 * 1024 * 1024
)  # a syntax tree takes about a hundred times the memory of its source


def survey(folders: list[str], names: list[str], also_import: bool) -> dict[str, Any]:
    """Reports on the modules in these folders. With names, reports only on these, and on names that do not exist.

    The result consists of JSON values, and all text can be encoded as UTF-8.
    """
    files = ModuleFiles(folders)
    missing: list[str] = []
    if names:
        found: list[FoundModule] = []
        for name in names:
            modules = files.named(name)
            found += modules
            missing += [] if modules else [name]
    else:
        found = list(files.all())
    reports = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for module in found:
            reports.append(_report_on(module, bool(names), warned))
    if also_import:
        from pyhost._import_check import ImportCheck

        check = ImportCheck()
        for module, report in zip(found, reports):
            if module.hidden_by is None and module.file.kind != "folder":
                report.findings = check.findings(report)
    return {
        "modules": [report.as_json() for report in reports],
        "strays": [finding_as_json(path, finding) for path, finding in files.strays],
        "missing": missing,
    }


def _report_on(module: FoundModule, asked_for: bool, warned: list[Any]) -> ModuleReport:
    file = module.file.file
    hidden_by = module.hidden_by.file if module.hidden_by else None
    report = ModuleReport(module.name, file, hidden_by)
    if hidden_by:
        message = f"hidden by {printable(hidden_by)}, which comes first"
        report.findings = [(file, Finding(1, 0, "hidden", message))]
    elif module.file.kind == "folder":
        message = f"{NO_CREATE}: it is a folder without __init__.py"
        report.findings = [(file, Finding(1, 0, "no-create", message))]
    elif file.endswith(tuple(SOURCE_SUFFIXES)):
        # Helpers of other modules, and packages that only contain modules, need no create.
        helper = module.file.kind == "package" or module.name.rpartition(".")[2].startswith("_")
        report.needs_create = asked_for or not helper
        findings = _read(report, file, warned)
        report.findings = [(file, finding) for finding in findings]
    else:
        message = "this is not source code, so its functions are unknown"
        report.findings = [(file, Finding(1, 0, "no-source", message))]
    return report


def _read(report: ModuleReport, file: str, warned: list[Any]) -> list[Finding]:
    try:
        source = _source(file)
    except OSError as error:
        return [Finding(1, 0, "unreadable", f"cannot be read: {error.strerror or error}")]
    if len(source) > _LARGEST_SOURCE:
        return [Finding(1, 0, "too-large", f"larger than {_LARGEST_SOURCE:,} bytes: not checked")]
    before = len(warned)
    try:
        # Compiles like an import, because some errors are found only by the later stages of the compiler. This comes
        # first because it never overruns the stack, whereas building a tree of the same depth might.
        compile(source, file, "exec", dont_inherit=True)
        findings = [_from_warning(each.message, each.lineno) for each in warned[before:]]
        tree: Any = compile(source, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return [_from_syntax_error(error, source)]
    except (MemoryError, RecursionError):
        return [Finding(1, 0, "syntax-error", "nested too deeply for Python to read")]
    except Exception as error:  # such as for a null byte, or an encoding that fails
        return [Finding(_line_of_fault(source), 0, "syntax-error", f"{error}")]
    doc = ast.get_docstring(tree, clean=False) or ""
    report.doc = next((line.strip() for line in doc.splitlines() if line.strip()), "")
    imports = [node for node in tree.body if isinstance(node, ast.Import)]
    names = [(each, node.lineno) for node in imports for each in node.names if not each.asname]
    report.submodules = [(each.name, line) for each, line in names if "." in each.name]
    check = check_contract(tree, report.needs_create)
    report.class_name = check.class_name
    lines = source.splitlines() if check.findings else []
    return findings + [_in_characters(each, lines) for each in check.findings]


def _source(file: str) -> bytes:
    # Opening a pipe or a device could block for ever, and one may just have replaced the file.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        return stream.read(min(status.st_size, _LARGEST_SOURCE) + 1)


def _from_syntax_error(error: SyntaxError, source: bytes) -> Finding:
    message = error.msg
    if message.startswith("Missing parentheses in call to"):
        message += " This looks like Python 2."
    line = error.lineno or _line_of_fault(source)
    return Finding(line, max((error.offset or 1) - 1, 0), "syntax-error", message)


def _from_warning(message: Any, line: int) -> Finding:
    return Finding(line, 0, "syntax-warning", str(message))


def _line_of_fault(source: bytes) -> int:
    """Returns the line of the first invalid byte, for errors for which Python reports no line."""
    at = source.find(b"\0")
    if at < 0:
        try:
            source.decode("utf-8")
            return 1
        except UnicodeDecodeError as error:
            at = error.start
    return source.count(b"\n", 0, at) + 1


def _in_characters(finding: Finding, lines: list[bytes]) -> Finding:
    line = lines[finding.line - 1] if finding.line <= len(lines) else b""
    before = line[: finding.column].decode("utf-8", "replace")
    return finding._replace(column=len(before))
