"""Counts the instructions of calls and conversions under callgrind, and compares their ratios with stored ones.

Counts vary much less than times, and are nearly the same on machines with the same versions. counts.json has
one set of ratios for each combination of versions. Under callgrind no library finds more than AVX2, so orjson
does not use AVX-512.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
STORED = HERE / "counts.json"
CALLS = 200  # as in counting.hpp
TOLERANCE = 1.03
Row = dict[str, float]
Ratios = dict[str, dict[str, float]]
LIBRARIES = ("pyhost", "C API", "C API, lookup", "pybind11_json", "orjson")
NOT_COUNTED = "load, module not loaded yet"  # depends on the lengths of paths
# Without ERMS and FSRM, callgrind does not count each byte of a copy as an instruction. Without fast bins, the work of
# malloc does not depend on what is at the end of the heap.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONHASHSEED": "0",
    "SIMDJSON_FORCE_IMPLEMENTATION": "haswell" if platform.machine() == "x86_64" else "arm64",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-ERMS,-FSRM:glibc.malloc.mxfast=0",
}


class Counter:
    """Counts each benchmark in a process of its own, because the state of the heap affects the counts."""

    def __init__(self, program: Path, data: Path) -> None:
        site = sysconfig.get_path("purelib")
        self._command = [str(program), "--data", str(data), "--site", site]

    def count(self, only: str) -> dict[str, Row]:
        """Returns the instructions of one call of each library, by row."""
        listed = self._run([*self._command, "--benchmark_list_tests"])  # writes the .pyc files
        names = re.findall(r"^(.*)/process_time$", listed, re.MULTILINE)
        chosen = [
            name
            for name in names
            for row, library in [name.split("|")]
            if re.search(only, row) and library in LIBRARIES and row != NOT_COUNTED
        ]
        rows: dict[str, Row] = {}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for name, instructions in zip(chosen, pool.map(self._count_one, chosen)):
                row, library = name.split("|")
                rows.setdefault(row, {})[library] = instructions
        return rows

    def _count_one(self, name: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            callgrind = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"]
            pattern = "^" + re.sub(r"\W", ".", name) + "/"
            self._run(
                [
                    *callgrind,
                    f"--callgrind-out-file={out}",
                    *self._command,
                    f"--benchmark_filter={pattern}",
                ]
            )
            totals = re.findall(r"^totals: (\d+)", Path(f"{out}.1").read_text(), re.MULTILINE)
        return int(totals[0]) / CALLS

    @staticmethod
    def _run(command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
        if done.returncode != 0:
            sys.exit(f"counting failed: {done.stderr}")
        return done.stdout


def ratios_of(rows: dict[str, Row]) -> Ratios:
    return {
        row: {
            other: round(values["pyhost"] / instructions, 4)
            for other, instructions in sorted(values.items())
            if other != "pyhost"
        }
        for row, values in sorted(rows.items())
        if len(values) > 1
    }


def versions(program: Path) -> str:
    """Returns what the ratios depend on, in one line."""
    of_program = subprocess.check_output([program, "--versions"], text=True).strip()
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    options = re.findall(r"--enable-optimizations|--with-lto", configured)
    python = " ".join([platform.python_version(), *options, "by", platform.python_compiler()])
    orjson = metadata.version("orjson")
    return f"Python {python}, {platform.machine()}, {of_program}, orjson {orjson}"


def stored_sets() -> dict[str, Ratios]:
    sets: dict[str, Ratios] = json.loads(STORED.read_text())
    return sets


def accept(key: str, ratios: Ratios) -> None:
    """Stores the ratios. Stored ratios of rows that were not counted remain."""
    sets = stored_sets()
    sets[key] = {**sets.get(key, {}), **ratios}
    STORED.write_text(json.dumps(sets, indent=1, sort_keys=True) + "\n")
    print("stored in tests/benchmarks/counts.json")


def check(key: str, ratios: Ratios) -> bool:
    """Prints the ratios that changed by more than 3 %. Returns false if one grew."""
    stored = stored_sets().get(key, {})
    if not stored:
        print("not checked: no ratios are stored for these versions")
        return True
    grew = False
    for row, others in ratios.items():
        for other, ratio in others.items():
            before = stored.get(row, {}).get(other)
            if before is None:
                print(f"not checked: no ratio is stored for {row}, {other}")
            elif ratio > before * TOLERANCE:
                print(f"grew: {row}, from {before:.3f} to {ratio:.3f} x {other}")
                grew = True
            elif ratio * TOLERANCE < before:
                print(f"shrank: {row}, from {before:.3f} to {ratio:.3f} x {other}")
    if grew:
        print("`./dev bench --count --accept` stores the new ratios")
    else:
        print("checked: no stored ratio grew by more than 3 %")
    return not grew
