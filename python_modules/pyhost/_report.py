"""What a survey reports of modules, and how it becomes JSON."""

from typing import Any, NamedTuple, Optional


class Finding(NamedTuple):
    line: int
    column: int  # from 0
    code: str
    message: str


class ModuleReport:
    """What is reported of one module."""

    def __init__(self, name: str, file: str, hidden_by: Optional[str]) -> None:
        self.name = name
        self.file = file
        self.hidden_by = hidden_by  # the file of the same name that is imported instead
        self.doc = ""
        self.class_name: Optional[str] = None  # of the object that create returns
        self.needs_create = True
        self.submodules: list[tuple[str, int]] = []  # of each `import a.b`, with its line
        self.findings: list[tuple[str, Finding]] = []  # with the file that each is in

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
    """The text as UTF-8 can write it: bytes of a file name that are not text, and lone surrogates, are escaped."""
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")
