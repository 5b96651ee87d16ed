"""Writes docs/performance.md, its chart and the table of the README from stored figures.

figures.json has the times of each Python that `./dev bench --report` was run with, counts.json its instructions.
"""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import counts

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIGURES = HERE / "figures.json"
PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
README = ROOT / "README.md"
Row = dict[str, float]
PROCESS = "process of `pyhost run mod1`"
CONVERSIONS = {
    "text to dict": ("JSON text to `dict`", "orjson"),
    "dict to text": ("`dict` to JSON text", "orjson"),
    "DOM to dict": ("`nlohmann::json` to `dict`", "pybind11_json"),
    "dict to DOM": ("`dict` to `nlohmann::json`", "pybind11_json"),
}


@dataclass
class Line:
    """A line of a table: a row of the figures, and the library that it is compared with."""

    row: str
    other: str
    title: str
    other_title: str


CALLS = [
    Line("create+run, main thread", "C API", "`create` and `run`", "C API"),
    Line("create+run, another thread", "C API", "`create` and `run` on another thread", "C API"),
    Line(
        "create+run, instance destroyed later",
        "C API",
        "`create` and `run`, instance destroyed later",
        "C API",
    ),
    Line(
        "host.run(name), C API acquires the GIL once",
        "C API, lookup",
        "`host.run(name)`",
        "C API with a hash table",
    ),
]
START = Line(PROCESS, "article's host", "whole process, `pyhost run mod1`", "`python3 host.py`")


def lines_of(kind: str) -> list[Line]:
    title, other = CONVERSIONS[kind]
    return [
        Line(f"{kind}, {text}", other, f"{title}, {text.removesuffix('.json')}", f"`{other}`")
        for text in ("40 B", "1 KB", "numbers.json", "prose.json", "records.json")
    ]


class Measured:
    """The figures of one Python."""

    def __init__(self, python: str, figures: dict[str, Any]) -> None:
        self.python = python
        self.versions: str = figures["versions"]
        self.cores: int = figures["cores"]
        self.repetitions: int = figures["repetitions"]
        self.pools: dict[str, Row] = figures["pools"]
        self._times: dict[str, Row] = figures["nanoseconds"]
        self._instructions = counts.stored_sets().get(self.versions, {})

    def time(self, line: Line) -> float:
        return self._times[line.row]["pyhost"]

    def ratio(self, line: Line) -> float:
        return self._times[line.row]["pyhost"] / self._times[line.row][line.other]

    def instructions(self, line: Line) -> float | None:
        return self._instructions.get(line.row, {}).get(line.other)

    def mean_ratio(self, kind: str) -> float:
        return statistics.geometric_mean(self.ratio(line) for line in lines_of(kind))

    def mean_instructions(self, kind: str) -> float | None:
        ratios = [self.instructions(line) for line in lines_of(kind)]
        known = [ratio for ratio in ratios if ratio is not None]
        return statistics.geometric_mean(known) if len(known) == len(ratios) else None


def shown_time(nanoseconds: float) -> str:
    if nanoseconds >= 1e6:
        return f"{nanoseconds / 1e6:.2f} ms"
    return f"{nanoseconds / 1e3:.1f} us" if nanoseconds >= 1e4 else f"{nanoseconds:.0f} ns"


def shown_ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def store(python: str, figures: dict[str, Any]) -> None:
    """Stores the figures of one Python, such as 3.11, and writes the page, the chart and the README's table."""
    stored = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    stored[python] = figures
    FIGURES.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    write()


def write() -> None:
    all_measured = measured()
    PAGE.write_text(page(all_measured))
    CHART.write_text(chart(all_measured))
    README.write_text(readme(README.read_text(), all_measured[0]))


def measured() -> list[Measured]:
    stored = json.loads(FIGURES.read_text())
    by_version = sorted(stored, key=lambda python: int(python.partition(".")[2]))
    return [Measured(python, stored[python]) for python in by_version]


# --- Markdown


def table(heads: list[str], rows: list[list[str]]) -> str:
    kinds = ["---", "---"] + ["--:"] * (len(heads) - 2)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, kinds, *rows])


def comparison(lines: list[Line], pythons: list[Measured], *, mean_of: str = "") -> str:
    heads = ["operation", "compared with"]
    for each in pythons:
        heads += [f"{each.python}: time", "ratio", "instructions"]
    rows = []
    for line in lines:
        cells = [line.title, line.other_title]
        for each in pythons:
            cells += [
                shown_time(each.time(line)),
                shown_ratio(each.ratio(line)),
                shown_ratio(each.instructions(line)),
            ]
        rows.append(cells)
    if mean_of:
        cells = ["geometric mean", ""]
        for each in pythons:
            cells += ["", shown_ratio(each.mean_ratio(mean_of))]
            cells += [shown_ratio(each.mean_instructions(mean_of))]
        rows.append(cells)
    return table(heads, rows)


def pools(pythons: list[Measured]) -> str:
    rows: dict[tuple[str, str], dict[str, str]] = {}

    def add(title: str, other: str, python: str, value: str) -> None:
        rows.setdefault((title, other), {})[python] = value

    for each in pythons:
        rates = each.pools["rates_of_empty_runs"]
        levels = list(each.pools["speedup_at_100_us"])
        for level in levels:
            title = f"empty runs, 2 workers, level {level}"
            add(title, "", each.python, f"{rates[level]:,.0f}/s")
            for other, rate in rates.items():
                if other not in levels:
                    add(title, f"`{other}`", each.python, f"{rates[level] / rate:.2f} x")
        for level in levels:
            speedup = each.pools["speedup_at_100_us"][level]
            title = f"runs of 100 us, 2 workers, level {level}"
            add(title, "1 worker", each.python, f"{speedup:.2f} x")
        for level in levels:
            mib = each.pools["kib_of_a_worker"][level] / 1024
            title = f"private memory of a further worker, level {level}"
            add(title, "", each.python, f"{mib:.1f} MiB")
    names = [each.python for each in pythons]
    cells = [
        [*titles, *(values.get(name, "") for name in names)] for titles, values in rows.items()
    ]
    return table(["pool", "compared with", *names], cells)


def page(pythons: list[Measured]) -> str:
    cores, repetitions = pythons[0].cores, min(each.repetitions for each in pythons)
    parts = [
        "# Performance: measured times and instructions\n",
        "`./dev bench --report` measures these figures with the chosen Python and writes this page. Do not edit it.\n",
        f"![Bars: pyhost's time divided by the time of the alternative]({CHART.name})\n",
        "## How it is measured\n",
        f"- *Time* is the time of pyhost on a machine with {cores} cores: the median of {repetitions} repetitions. pyhost and the\n"
        "  alternatives run in turns. For calls and conversions it is processor time, for a process it is the time until its end.\n"
        "- *Ratio* is the time of pyhost divided by that of the alternative. Below 1, pyhost is faster.\n"
        "- *Instructions* is the same ratio for instructions, which callgrind counts. It hardly varies between machines,\n"
        "  and `.ci/run` fails if one grows by more than 3 %. `./dev bench --count` prints it. callgrind has no AVX-512,\n"
        "  with which pyhost and orjson escape strings where the processor has it.\n"
        "- *C API* makes the same calls to Python directly and without any checks. It looks up `create` in advance. Only\n"
        "  the one *with a hash table* looks up the module by its name.\n",
        "The figures were measured with:\n",
        "".join(f"- {each.versions}\n" for each in pythons),
        "## Calls\n",
        "The module's `create` and `run` do nothing.\n",
        comparison(CALLS, pythons),
        "## Conversions\n",
        "The texts are states of 40 bytes and 1 KB, and three of 50 to 250 KB: arrays of numbers, prose in several languages,\n"
        "and records of small integers. Instructions are counted with a tenth of these three.\n",
    ]
    for kind in CONVERSIONS:
        parts.append(comparison(lines_of(kind), pythons, mean_of=kind))
    parts += ["## Process\n", comparison([START], pythons)]
    parts += ["## Pools\n", pools(pythons)]
    return "\n".join(parts)


def readme(text: str, first: Measured) -> str:
    """Returns the text of the README with its table of figures replaced."""
    chosen = [
        CALLS[0],
        CALLS[3],
        lines_of("text to dict")[1],
        lines_of("dict to text")[1],
        START,
    ]
    rows = [
        [line.title, line.other_title, shown_time(first.time(line)), shown_ratio(first.ratio(line))]
        for line in chosen
    ]
    rates = first.pools["rates_of_empty_runs"]
    other = "ProcessPoolExecutor, chunksize 100"
    ratio = rates[other] / rates["process"]
    run_in_pool = [
        "empty run in a pool of 2 processes",
        f"`{other}`",
        shown_time(1e9 / rates["process"]),
        shown_ratio(ratio),
    ]
    rows.insert(-1, run_in_pool)
    made = table(["operation", "compared with", "pyhost's time", "ratio"], rows)
    return re.sub(r"^\| operation \|.*\n(\|.*\n)+", made, text, count=1, flags=re.MULTILINE)


# --- chart

WIDTH, LABELS, BAR, GAP = 760, 330, 9, 12
COLORS = ("#3f51b5", "#00897b", "#ef6c00")


def chart(pythons: list[Measured]) -> str:
    """Returns an SVG with the ratios of time: one bar per Python, and a line where both would be equally fast."""
    bars: list[tuple[str, list[float]]] = [
        (f"{line.title} / {line.other_title}", [each.ratio(line) for each in pythons])
        for line in [*CALLS, START]
    ]
    for kind, (title, other) in CONVERSIONS.items():
        bars.append((f"{title}, mean / {other}", [each.mean_ratio(kind) for each in pythons]))
    most = max(1.2, *(ratio for _, ratios in bars for ratio in ratios))
    scale = (WIDTH - LABELS - 50) / most
    step = len(pythons) * BAR + GAP
    height = 40 + len(bars) * step + 10
    one = LABELS + scale
    halo = 'paint-order="stroke" stroke="#ffffff" stroke-width="3"'  # over the line
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for i, each in enumerate(pythons):
        x = LABELS + i * 110
        out.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{COLORS[i]}"/>')
        out.append(f'<text x="{x + 15}" y="19">Python {each.python}</text>')
    out.append(f'<path d="M{one:.1f} 32V{height - 8}" stroke="#c62828" stroke-dasharray="4 3"/>')
    for number, (title, ratios) in enumerate(bars):
        top = 40 + number * step
        middle = top + len(ratios) * BAR / 2 + 4
        label = title.replace("`", "").replace("<", "&lt;")
        out.append(f'<text x="{LABELS - 8}" y="{middle:g}" text-anchor="end">{label}</text>')
        for i, ratio in enumerate(ratios):
            y = top + i * BAR
            size = f'width="{ratio * scale:.1f}" height="{BAR - 1}"'
            out.append(f'<rect x="{LABELS}" y="{y}" {size} fill="{COLORS[i]}"/>')
            end = LABELS + ratio * scale + 4
            out.append(
                f'<text x="{end:.1f}" y="{y + BAR - 1}" font-size="9" {halo}>{ratio:.2f}</text>'
            )
    out.append(
        f'<text x="{one:.1f}" y="30" text-anchor="middle" font-size="9" fill="#c62828">1</text>'
    )
    return "\n".join([*out, "</svg>", ""])
