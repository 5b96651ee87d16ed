"""The report of a survey on modules, and its conversion to JSON."""

from typing import Any, NamedTuple, Optional


class Finding(NamedTuple):
    line: int
    column: int  # from 0
    code: str
    message: str


class ModuleReport:
    """The report on one module."""

    def __init__(self, name: str, file: str, hidden_by: Optional[str]) -> None:
        self.name = name
        self.file = file
        self.hidden_by = hidden_by  # the file with the same module name that is imported instead
        self.doc = ""
        self.class_name: Optional[str] = None  # the class of the object that create returns
        self.needs_create = True
        self.submodules: list[tuple[str, int]] = []  # the name in each `import a.b`, with its line
        self.findings: list[tuple[str, Finding]] = []  # each with its file

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "file": printable(self.file),
            "doc": printable(self.doc),
            "hidden_by": printable(self.hidden_by) if self.hidden_by else "",
            "diagnostics": [finding_as_json(file, finding) for file, finding in self.findings],
        }


def finding_as_json(file: str, finding: Finding) -> dict[str, Any]:
    line, column, code, message = finding
    return {
        "file": printable(file),
        "line": line,
        "column": column + 1,
        "code": code,
        "message": printable(message),
    }


def printable(text: str) -> str:
    """Returns text that UTF-8 can encode. Undecodable bytes of file names and lone surrogates are escaped."""
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")
