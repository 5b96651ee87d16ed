"""Runs the benchmarks and prints one table: pyhost beside its floor and its anchors, from the same run.

Times are processor time, medians over repetitions that are interleaved, so that a busy machine
weighs on all columns alike. A ratio below 1 says that pyhost is the faster one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pools import measure_and_print

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
Row = dict[str, float]
ORDER = ["pyhost", "floor", "pybind11", "pybind11_json", "orjson", "json", "article"]


def clean_environment() -> dict[str, str]:
    hiding = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME")
    return {k: v for k, v in os.environ.items() if k not in hiding}


def make_texts(folder: Path) -> None:
    """Texts of the three characters that readers of JSON are measured by: prose, numbers, records."""
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
        for i in range(1500)
    ]
    rings = [
        [[chance.uniform(-141, -52), chance.uniform(41, 83)] for _ in range(200)]
        for _ in range(280)
    ]
    records = {
        str(chance.getrandbits(28)): {"areas": [{"areaId": i, "blockIds": []}], "price": i * 10}
        for i in range(12000)
    }
    made = {"prose": {"statuses": tweets}, "numbers": {"coordinates": rings}, "records": records}
    for name, value in made.items():
        indent = 2 if name == "records" else None
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def in_process(program: Path, data: Path, repetitions: int, only: str) -> dict[str, Row]:
    """Row by row the nanoseconds of pyhost, floor and anchors."""
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
            row, who = run["run_name"].split("/process_time")[0].split("|")
            scale = {"ns": 1.0, "us": 1e3, "ms": 1e6}[run["time_unit"]]
            rows.setdefault(row, {})[who] = run["cpu_time"] * scale
    return rows


def wall_of_processes(commands: dict[str, list[str]], repetitions: int) -> Row:
    """Nanoseconds from start to end of whole processes, run in turns."""
    seconds: dict[str, list[float]] = {who: [] for who in commands}
    for _ in range(repetitions):
        for who, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.PIPE, check=True, env=clean_environment())
            seconds[who].append(time.perf_counter() - start)
    return {who: statistics.median(all_of) * 1e9 for who, all_of in seconds.items()}


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
            "article": [python, str(host)],
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
    """Peak of a process that holds a text of 100 MB and what it becomes, for texts of three characters."""
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
            rows[f"memory of a state of 100 MB, {file.name}"] = {
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
        others = [who for who in ORDER if who in values and who != "pyhost"]
        told = [
            f"{values['pyhost'] / values[who]:5.2f} x {who} ({shown(values[who])})"
            for who in others
        ]
        print(f"{row:<44} {shown(values['pyhost']):>10}   " + "   ".join(told))


def geometric_means(rows: dict[str, Row], files: Iterable[str]) -> None:
    for kind in ("text to dict", "DOM to dict", "dict to text", "dict to DOM"):
        of_files = [rows[f"{kind}, {file}"] for file in files if f"{kind}, {file}" in rows]
        for who in ORDER[1:]:
            ratios = [row["pyhost"] / row[who] for row in of_files if who in row]
            if ratios:
                print(
                    f"{kind + ', geometric mean':<44} {'':>10}   {statistics.geometric_mean(ratios):5.2f} x {who}"
                )


def main() -> None:
    words = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    words.add_argument(
        "--data", type=Path, help="a folder of .json files, instead of generated ones"
    )
    words.add_argument("--json", type=Path, help="write the figures to this file")
    words.add_argument("--repetitions", type=int, default=7)
    words.add_argument(
        "--only",
        default=".",
        help="a regular expression for rows; leaves whole processes out. pools: those alone",
    )
    words.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    words.add_argument("--python", required=True, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.only == "pools":
        measure_and_print(given.build, given.python, clean_environment(), given.repetitions)
        return
    program = given.build / "tests" / "benchmarks" / "crossing_bench"
    with tempfile.TemporaryDirectory() as made:
        data = given.data or Path(made)
        if not given.data:
            make_texts(data)
        times = in_process(program, data, given.repetitions, given.only)
        memory: dict[str, Row] = {}
        million: dict[str, float] = {}
        if given.only == ".":
            times["start of the process, mod1"] = start_of_the_process(
                given.build / "pyhost", given.python
            )
            memory = memory_for_a_large_state(program, given.python, data)
            million = peak_kib([str(program), "--million"])
        print_rows(times, shown_time)
        geometric_means(times, sorted(file.name for file in data.glob("*.json")))
        print_rows(memory, shown_kib)
    if million:
        print(
            f"1,000,000 create+run: {million['grown_kib']:.0f} KiB more after the first 100,000; "
            f"the last 100,000 took {million['last'] / million['first']:.2f} x the first"
        )
    of_pools: dict[str, object] = {}
    if given.only == ".":
        of_pools = measure_and_print(given.build, given.python, clean_environment(), 5)
    if given.json:
        figures = {"nanoseconds": times, "peak_kib": memory, "million": million, "pools": of_pools}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
