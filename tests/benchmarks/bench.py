"""Measures pyhost, the bare C API and other libraries in the same run, and prints their times and ratios.

Times are medians over interleaved repetitions, so that other load on the machine affects all of them
alike. Within a process they are processor time. A ratio below 1 means that pyhost is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import counts
import report
from pools import measure_and_print
from report import CONVERSIONS, PROCESS, Row, shown_time

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ALTERNATIVES = [
    "C API", "C API, lookup", "pybind11", "pybind11_json", "orjson", "json", "article's host",
]  # fmt: skip
HEADING = (
    "pyhost's time, then its ratio to the time of each alternative; below 1, pyhost is faster\n"
)


def clean_environment() -> dict[str, str]:
    hiding = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME")
    return {k: v for k, v in os.environ.items() if k not in hiding}


def make_texts(folder: Path, share: float = 1) -> None:
    """Writes texts of the three kinds that are common in benchmarks of JSON: prose, numbers, records."""
    chance = random.Random(7)
    words = 'the quick brown fox état naïve 日本語 こんにちは 世界 привет \\ " line\n 😀'.split(" ")
    tweets = [
        {
            "id": chance.getrandbits(62),
            "created_at": "Sun Aug 31 00:29:15 +0000 2014",
            "text": " ".join(chance.choices(words, k=20)),
            "user": {"id": i, "name": chance.choice(words), "url": None, "verified": i % 7 == 0},
            "entities": {"hashtags": [], "urls": [{"indices": [i, i + 22]}]},
        }
        for i in range(int(1500 * share))
    ]
    rings = [
        [[chance.uniform(-141, -52), chance.uniform(41, 83)] for _ in range(200)]
        for _ in range(int(280 * share))
    ]
    records = {
        str(chance.getrandbits(28)): {"areas": [{"areaId": i, "blockIds": []}], "price": i * 10}
        for i in range(int(12000 * share))
    }
    made = {"prose": {"statuses": tweets}, "numbers": {"coordinates": rings}, "records": records}
    for name, value in made.items():
        indent = 2 if name == "records" else None
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def in_process(program: Path, data: Path, repetitions: int, only: str) -> dict[str, Row]:
    """Measures calls and conversions. Returns the nanoseconds of each library, by row."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        done = subprocess.run(
            [
                str(program),
                "--data", str(data),
                "--site", sysconfig.get_path("purelib"),
                f"--benchmark_filter={only}",
                f"--benchmark_repetitions={repetitions}",
                "--benchmark_enable_random_interleaving=true",
                "--benchmark_min_time=0.05",
                f"--benchmark_out={out}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(f"the benchmarks failed: {done.stderr}")
        text = out.read_text()
        runs = json.loads(text)["benchmarks"] if text else []
    rows: dict[str, Row] = {}
    for run in runs:
        if run.get("aggregate_name") == "median":
            row, library = run["run_name"].split("/process_time")[0].split("|")
            scale = {"ns": 1.0, "us": 1e3, "ms": 1e6}[run["time_unit"]]
            rows.setdefault(row, {})[library] = run["cpu_time"] * scale
    return rows


def wall_of_processes(commands: dict[str, list[str]], folder: Path, repetitions: int) -> Row:
    """Runs the commands in turns. Returns the nanoseconds from start to end of each process."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repetitions):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, check=True, env=clean_environment()
            )
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) * 1e9 for name, each in seconds.items()}


def start_of_the_process(build: Path, python: str) -> Row:
    """Measures an installed pyhost and its Python, in an empty virtual environment.

    Installing copies the program. Processes of the file that the linker has written are up to 20 % slower,
    because its pages are scattered in memory.
    """
    with tempfile.TemporaryDirectory() as made:
        folder, prefix, venv = Path(made) / "work", Path(made) / "prefix", Path(made) / "venv"
        (folder / "modules").mkdir(parents=True)
        shutil.copy(ROOT / "python_modules" / "modules" / "mod1.py", folder / "modules")
        shutil.copy(HERE / "article_host.py", folder / "host.py")
        install = ["cmake", "--install", build, "--component", "program", "--prefix", prefix]
        subprocess.run(install, stdout=subprocess.DEVNULL, check=True)
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        commands = {
            "pyhost": [f"{prefix}/bin/pyhost", "run", "mod1", "-m", ".", "--venv", str(venv)],
            "article's host": [f"{venv}/bin/python3", "host.py"],
        }
        wall_of_processes(commands, folder, 2)  # writes the .pyc files
        return wall_of_processes(commands, folder, 41)


def peak_kib(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=clean_environment())
    read: dict[str, float] = json.loads(done.stdout)
    return read


ORJSON_READS = """
import sys; sys.path.append(sys.argv[2])
import json, orjson, resource
text = open(sys.argv[1], "rb").read()
state = orjson.loads(text)
print(json.dumps({"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def memory_for_a_large_state(program: Path, python: str, data: Path) -> dict[str, Row]:
    """The peak memory of a process that reads a state of 100 MB, for each kind of text."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(data.glob("*.json")):
            text = file.read_bytes()
            large = Path(folder) / "large.json"
            with large.open("wb") as out:
                out.write(b'{"all":[' + text)
                for _ in range(100_000_000 // len(text)):
                    out.write(b"," + text)
                out.write(b"]}")
            site = sysconfig.get_path("purelib")
            rows[f"peak memory with a state of 100 MB, {file.name}"] = {
                "pyhost": peak_kib([str(program), "--read", str(large)])["peak_kib"],
                "orjson": peak_kib([python, "-c", ORJSON_READS, str(large), site])["peak_kib"],
            }
    return rows


def shown_kib(kib: float) -> str:
    return f"{kib / 1024:.0f} MiB"


def print_rows(rows: dict[str, Row], shown: Callable[[float], str]) -> None:
    for row, values in sorted(rows.items()):
        if "pyhost" not in values:
            continue
        ratios = [
            f"{values['pyhost'] / values[other]:5.2f} x {other} ({shown(values[other])})"
            for other in ALTERNATIVES
            if other in values
        ]
        print(f"{row:<44} {shown(values['pyhost']):>10}   " + "   ".join(ratios))


def print_mean_ratios(rows: dict[str, Row]) -> None:
    """Prints geometric means over the texts."""
    for kind in CONVERSIONS:
        for other in ALTERNATIVES:
            ratios = [
                row["pyhost"] / row[other]
                for name, row in rows.items()
                if name.startswith(f"{kind}, ") and other in row
            ]
            if ratios:
                mean = statistics.geometric_mean(ratios)
                print(f"{kind + ', geometric mean':<44} {'':>10}   {mean:5.2f} x {other}")


def count(program: Path, only: str, check: bool, accept: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_texts(data, share=0.01)  # callgrind is slow
        rows = counts.Counter(program, data).count(only)
    key = counts.versions(program)
    print(
        f"{key}\n\npyhost's instructions per call, then their ratio to those of each alternative\n"
    )
    print_rows(rows, lambda instructions: f"{instructions:.0f}")
    print_mean_ratios(rows)
    ratios = counts.ratios_of(rows)
    if accept:
        counts.accept(key, ratios)
    elif check and not counts.check(key, ratios):
        sys.exit(1)


def main() -> None:
    words = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    words.add_argument(
        "--data", type=Path, help="a folder with .json files to use instead of generated ones"
    )
    words.add_argument("--json", type=Path, help="write all figures to this file")
    words.add_argument(
        "--report",
        action="store_true",
        help="write docs/performance.md, its chart and the table of the README",
    )
    words.add_argument("--repetitions", type=int, default=9)
    words.add_argument(
        "--only",
        default=".",
        help="measure only rows within a process that match this regular expression; pools: only pools",
    )
    words.add_argument(
        "--count",
        action="store_true",
        help="count instructions under callgrind instead of measuring times",
    )
    words.add_argument(
        "--check",
        action="store_true",
        help="with --count: fail if a ratio is more than 3 %% above the stored one",
    )
    words.add_argument("--accept", action="store_true", help="with --count: store the ratios")
    words.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    words.add_argument("--python", required=True, help=argparse.SUPPRESS)
    given = words.parse_args()
    if (given.check or given.accept) and not given.count:
        words.error("--check and --accept need --count")
    if given.report and (given.count or given.only != "." or given.data):
        words.error("--report measures everything: leave out --count, --only and --data")
    if given.only == "pools":
        measure_and_print(given.build, given.python, clean_environment(), given.repetitions)
        return
    program = given.build / "tests" / "benchmarks" / "crossing_bench"
    if given.count:
        count(program, given.only, given.check, given.accept)
        return
    with tempfile.TemporaryDirectory() as made:
        data = given.data or Path(made)
        if not given.data:
            # The time of larger texts depends on how fast the machine maps new memory.
            make_texts(data, share=0.1 if given.report else 1)
        times = in_process(program, data, given.repetitions, given.only)
        memory: dict[str, Row] = {}
        million: dict[str, float] = {}
        if given.only == ".":
            times[PROCESS] = start_of_the_process(given.build, given.python)
            memory = memory_for_a_large_state(program, given.python, data)
            million = peak_kib([str(program), "--million"])
        print(HEADING)
        print_rows(times, shown_time)
        print_mean_ratios(times)
        print_rows(memory, shown_kib)
    if million:
        print(
            f"1,000,000 x create+run: memory grew by {million['grown_kib']:.0f} KiB after the first 100,000; "
            f"the last 100,000 took {million['last'] / million['first']:.2f} x the time of the first"
        )
    of_pools: dict[str, Row] = {}
    if given.only == ".":
        rounds = given.repetitions if given.report else 5
        of_pools = measure_and_print(given.build, given.python, clean_environment(), rounds)
    if given.report:
        figures = {
            "versions": counts.versions(program),
            "repetitions": given.repetitions,
            "cores": len(os.sched_getaffinity(0)),
            "nanoseconds": times,
            "pools": of_pools,
        }
        report.store(f"{sys.version_info.major}.{sys.version_info.minor}", figures)
    if given.json:
        figures = {"nanoseconds": times, "peak_kib": memory, "million": million, "pools": of_pools}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
