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
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
STORED = HERE / "counts.json"
CALLS = 200  # as in counting.hpp
TOLERANCE = 1.03
SIMDJSON = "haswell" if platform.machine() == "x86_64" else "arm64"
Row = dict[str, float]
Ratios = dict[str, dict[str, float]]


def count(program: Path, data: Path, only: str) -> dict[str, Row]:
    """Returns the instructions of one call of each library, by row."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        done = subprocess.run(
            [
                "valgrind",
                "--quiet",
                "--tool=callgrind",
                "--instr-atstart=no",
                "--combine-dumps=yes",
                f"--callgrind-out-file={out}",
                str(program),
                "--data", str(data),
                "--site", sysconfig.get_path("purelib"),
                f"--benchmark_filter=({only}).*[|](pyhost|C API.*|pybind11_json|orjson)/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONHASHSEED": "0",
                "SIMDJSON_FORCE_IMPLEMENTATION": SIMDJSON,
            },
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(f"counting failed: {done.stderr}")
        found = re.findall(
            r"^desc: Trigger: Client Request: (.*)\|(.*)\n(?:.*\n)*?totals: (\d+)",
            out.read_text(),
            re.MULTILINE,
        )
    rows: dict[str, Row] = {}
    for row, library, total in found:
        rows.setdefault(row, {})[library] = int(total) / CALLS
    return rows


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
