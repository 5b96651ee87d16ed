"""Measures pyhost, the bare C API and other libraries in the same run, and prints their times and ratios.

Times are medians over interleaved repetitions, so that other load on the machine affects all of them
alike. Within a process they are processor time. A ratio below 1 means that pyhost is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import counts
from pools import Pools, measure_and_print

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
Row = dict[str, float]
ALTERNATIVES = [
    "C API", "C API, lookup", "pybind11", "pybind11_json", "orjson", "json", "article's host",
]  # fmt: skip
CREATE_AND_RUN = "create+run, main thread"
RUN_BY_NAME = "host.run(name), C API acquires the GIL once"
PROCESS = "process of `pyhost run mod1`"
CONVERSIONS = ("text to dict", "dict to text", "DOM to dict", "dict to DOM")
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


def wall_of_processes(commands: dict[str, list[str]], repetitions: int) -> Row:
    """Runs the commands in turns. Returns the nanoseconds from start to end of each process."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repetitions):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.PIPE, check=True, env=clean_environment())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) * 1e9 for name, each in seconds.items()}


def start_of_the_process(program: Path, python: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        modules = Path(folder) / "modules"
        modules.mkdir()
        source = (ROOT / "python_modules" / "modules" / "mod1.py").read_text()
        (modules / "mod1.py").write_text(source)
        host = Path(folder) / "host.py"
        host.write_text((HERE / "article_host.py").read_text())
        commands = {
            "pyhost": [str(program), "run", "mod1", "-m", folder],
            "article's host": [python, str(host)],
        }
        wall_of_processes(commands, 2)  # writes the .pyc files
        return wall_of_processes(commands, 41)


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


def shown_time(nanoseconds: float) -> str:
    if nanoseconds >= 1e6:
        return f"{nanoseconds / 1e6:.2f} ms"
    return f"{nanoseconds / 1e3:.1f} us" if nanoseconds >= 1e4 else f"{nanoseconds:.0f} ns"


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


def mean_ratio(rows: dict[str, Row], kind: str, files: Iterable[str], other: str) -> float | None:
    """The geometric mean, over the files, of pyhost's time divided by that of the other library."""
    of_files = [rows[f"{kind}, {file}"] for file in files if f"{kind}, {file}" in rows]
    ratios = [row["pyhost"] / row[other] for row in of_files if other in row]
    return statistics.geometric_mean(ratios) if ratios else None


def print_mean_ratios(rows: dict[str, Row], files: list[str]) -> None:
    for kind in CONVERSIONS:
        for other in ALTERNATIVES:
            ratio = mean_ratio(rows, kind, files, other)
            if ratio is not None:
                print(f"{kind + ', geometric mean':<44} {'':>10}   {ratio:5.2f} x {other}")


def comparisons(times: dict[str, Row], pools: Row) -> list[str]:
    """Rows with the central ratios, for the README.

    Large texts are left out: page faults dominate them on some machines.
    """

    def row_of(operation: str, ours: float, other: str, theirs: float) -> str:
        cells = (operation, shown_time(ours), other, shown_time(theirs), f"{ours / theirs:.2f}")
        return "| " + " | ".join(cells) + " |"

    def of_row(operation: str, row: str, other: str, other_name: str) -> str:
        return row_of(operation, times[row]["pyhost"], other_name, times[row][other])

    def of_1_kb(operation: str, kind: str, other: str) -> str:
        return of_row(f"{operation}, 1 KB", f"{kind}, 1 KB", other, f"`{other}`")

    def of_pool(executor: str, options: str) -> str:
        ours, theirs = 1e9 / pools["process"], 1e9 / pools[f"{executor}, {options}"]
        return row_of(
            "empty run in a pool of 2 processes", ours, f"`{executor}`, {options}", theirs
        )

    return [
        of_row(
            "`create` and `run` of a loaded module",
            CREATE_AND_RUN,
            "C API",
            "bare C API, two GIL acquisitions",
        ),
        of_row("`host.run(name)`", RUN_BY_NAME, "C API", "bare C API, one GIL acquisition"),
        of_1_kb("JSON text to `dict`", "text to dict", "orjson"),
        of_1_kb("`dict` to JSON text", "dict to text", "orjson"),
        of_1_kb("`nlohmann::json` to `dict`", "DOM to dict", "pybind11_json"),
        of_1_kb("`dict` to `nlohmann::json`", "dict to DOM", "pybind11_json"),
        of_pool("ProcessPoolExecutor", "chunksize 1"),
        of_pool("ProcessPoolExecutor", "chunksize 100"),
        of_row("whole process, `pyhost run mod1`", PROCESS, "article's host", "`python3 host.py`"),
    ]


def print_markdown(rows: list[str]) -> None:
    print("| operation | pyhost | compared with | its time | ratio |")
    print("|---|--:|---|--:|--:|")
    print("\n".join(rows))
    print("\nRatio: pyhost's time divided by the other time; below 1, pyhost is faster.")


def count(program: Path, only: str, check: bool, accept: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_texts(data, share=0.01)  # callgrind is slow
        files = sorted(file.name for file in data.glob("*.json"))
        rows = counts.Counter(program, data).count(only)
    key = counts.versions(program)
    print(
        f"{key}\n\npyhost's instructions per call, then their ratio to those of each alternative\n"
    )
    print_rows(rows, lambda instructions: f"{instructions:.0f}")
    print_mean_ratios(rows, files)
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
        "--markdown",
        action="store_true",
        help="measure only the central ratios; print a Markdown table",
    )
    words.add_argument("--repetitions", type=int, default=7)
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
            make_texts(data)
        files = sorted(file.name for file in data.glob("*.json"))
        if given.markdown:
            rows = [CREATE_AND_RUN, RUN_BY_NAME, *(f"{kind}, 1 KB" for kind in CONVERSIONS)]
            pattern = "|".join("^" + re.sub(r"\W", ".", row) for row in rows)
            times = in_process(program, data, given.repetitions, pattern)
            times[PROCESS] = start_of_the_process(given.build / "pyhost", given.python)
            pools = Pools(given.build, given.python, clean_environment(), 5).rates_of_empty_runs()
            print_markdown(comparisons(times, pools))
            return
        times = in_process(program, data, given.repetitions, given.only)
        memory: dict[str, Row] = {}
        million: dict[str, float] = {}
        if given.only == ".":
            times[PROCESS] = start_of_the_process(given.build / "pyhost", given.python)
            memory = memory_for_a_large_state(program, given.python, data)
            million = peak_kib([str(program), "--million"])
        print(HEADING)
        print_rows(times, shown_time)
        print_mean_ratios(times, files)
        print_rows(memory, shown_kib)
    if million:
        print(
            f"1,000,000 x create+run: memory grew by {million['grown_kib']:.0f} KiB after the first 100,000; "
            f"the last 100,000 took {million['last'] / million['first']:.2f} x the time of the first"
        )
    of_pools: dict[str, object] = {}
    if given.only == ".":
        of_pools = measure_and_print(given.build, given.python, clean_environment(), 5)
    if given.json:
        figures = {"nanoseconds": times, "peak_kib": memory, "million": million, "pools": of_pools}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
