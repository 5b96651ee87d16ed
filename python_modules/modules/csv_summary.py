"""Summarises a CSV file: the number of rows, and the contents of each column.

State:
    path or text  the file (UTF-8, read row by row), or the CSV text; exactly one of the two
    delimiter     optional, one character, "," by default
The first row is the header. Blank lines are skipped.

Result:
    {"rows": 3, "columns": [
        {"name": "price", "kind": "number", "count": 3, "missing": 0,
         "min": 1.0, "max": 4.0, "mean": 2.0},
        {"name": "city", "kind": "text", "count": 2, "missing": 1,
         "distinct": 2, "most_common": {"value": "Rome", "count": 1}},
        {"name": "note", "kind": "empty", "count": 0, "missing": 3}]}
A column is "number" if all its values are finite numbers ("nan" and "inf" are text), and "empty" if it
has no values. If several values are most common, the first one is reported. "distinct" and
"most_common" are null for a column with more than 10,000 different values, so memory does not grow
with the file.
"""

import csv
import io
import math
import re
from collections import Counter
from typing import Any, Optional, TextIO

_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_MOST_DISTINCT = 10_000


class Module:
    def __init__(self, state: dict[str, Any]) -> None:
        for key in state:
            if key not in ("path", "text", "delimiter"):
                raise ValueError(f"state.{key} is not a known key")
        if ("path" in state) == ("text" in state):
            raise ValueError('the state needs "path" or "text", and not both')
        self.source = "path" if "path" in state else "text"
        self.value = state[self.source]
        if not isinstance(self.value, str):
            raise ValueError(f"state.{self.source} must be text")
        self.delimiter = state.get("delimiter", ",")
        if not (isinstance(self.delimiter, str) and re.fullmatch(r'[^"\r\n]', self.delimiter)):
            raise ValueError("state.delimiter must be one character, no quote and no line end")

    def run(self) -> dict[str, Any]:
        if self.source == "text":
            return self._summary(io.StringIO(self.value, newline=""), "state.text")
        # utf-8-sig: spreadsheets begin a file with a byte order mark, which is not part of a name.
        with open(self.value, encoding="utf-8-sig", newline="") as file:
            return self._summary(file, self.value)

    def _summary(self, lines: TextIO, where: str) -> dict[str, Any]:
        # strict: otherwise a quote that is never closed would silently swallow the rest of the file.
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        columns: list[_Column] = []
        rows = 0
        try:
            for row in filter(None, reader):
                if not columns:
                    columns = [_Column(name) for name in row]
                    continue
                if len(row) != len(columns):
                    raise csv.Error(f"{len(row)} fields, but the header has {len(columns)}")
                rows += 1
                for column, value in zip(columns, row):
                    column.add(value)
        except csv.Error as error:
            raise ValueError(f"{where}, line {reader.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{where}, after line {reader.line_num}: not UTF-8 text") from None
        if not columns:
            raise ValueError(f"{where} has no header")
        return {"rows": rows, "columns": [column.summary() for column in columns]}


class _Column:
    def __init__(self, name: str) -> None:
        self.name = name
        self.count = self.missing = 0
        self.all_numbers = True
        self.min, self.max = math.inf, -math.inf
        self.total = 0  # in units of 2**-1074, the smallest float: the sum is exact, never too big
        self.values: Optional[Counter[str]] = Counter()

    def add(self, value: str) -> None:
        if not value.strip():
            self.missing += 1
            return
        self.count += 1
        if self.values is not None:
            self.values[value] += 1
            if len(self.values) > _MOST_DISTINCT:
                self.values = None
        number = float(value) if self.all_numbers and _NUMBER.fullmatch(value) else math.nan
        if not math.isfinite(number):
            self.all_numbers = False
            return
        self.min, self.max = min(self.min, number), max(self.max, number)
        numerator, denominator = number.as_integer_ratio()
        self.total += numerator * (2**1074 // denominator)

    def summary(self) -> dict[str, Any]:
        kind = "empty" if not self.count else "number" if self.all_numbers else "text"
        result = {"name": self.name, "kind": kind, "count": self.count, "missing": self.missing}
        if kind == "number":
            mean = self.total / (self.count * 2**1074)
            return {**result, "min": self.min, "max": self.max, "mean": mean}
        if kind == "empty":
            return result
        distinct = most_common = None
        if self.values is not None:
            distinct = len(self.values)
            value, count = self.values.most_common(1)[0]
            most_common = {"value": value, "count": count}
        return {**result, "distinct": distinct, "most_common": most_common}


def create(state: dict[str, Any]) -> Module:
    return Module(state)
