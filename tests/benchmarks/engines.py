"""Measures the throughput of `pyhost map` locally and with each engine, and of its driver with 512 workers.

    python3 tests/benchmarks/engines.py --build build/release-3.11.7 [--only TEXT]

Runs whole processes in turn, and prints medians. Dask and Ray are measured if they are installed for this Python.
Their schedulers and workers are separate processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "engine")]
ROUNDS = 5
MIB = 1024  # KiB
MODULE = """
import time

class Module:
    def __init__(self, state):
        self.seconds = state["seconds"]

    def run(self):
        if self.seconds:
            time.sleep(self.seconds)
        return 1

def create(state):
    return Module(state)
"""


@dataclass
class Took:
    first: float  # seconds until the first result is written
    whole: float
    processor: float  # seconds of the program and its child processes
    peak: int  # KiB of the program

    def after_first(self) -> float:
        return self.whole - self.first


class Map:
    def __init__(self, program: str, folder: Path, environment: dict[str, str]) -> None:
        self._program = program
        self._folder = folder
        self._environment = environment

    def states(self, count: int, seconds: float) -> str:
        path = self._folder / f"{count}-{seconds}.jsonl"
        if not path.exists():
            # Written line by line, because the measured peak memory includes that of this process before the fork.
            with open(path, "w") as states:
                for _ in range(count):
                    states.write(json.dumps({"seconds": seconds}) + "\n")
        return str(path)

    def run(self, count: int, seconds: float, *words: str, **environment: str) -> Took:
        out = self._folder / "out"
        out.unlink(missing_ok=True)
        states = self.states(count, seconds)
        begun = time.monotonic()
        process = subprocess.Popen(
            [self._program, "map", "work", "-m", str(self._folder), "--states", states, "-o", str(out), "-q", *words],
            env=self._environment | environment,
        )  # fmt: skip
        first = None
        while first is None:
            if out.exists() and out.stat().st_size:
                first = time.monotonic() - begun
            elif process.poll() is not None:
                sys.exit(f"{words} ended with {process.returncode}")
            time.sleep(0.001)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        whole = time.monotonic() - begun
        with open(out, "rb") as lines:
            written = sum(1 for _ in lines)
        if process.returncode or written != count:
            sys.exit(f"{words} ended with {process.returncode} and {written} of {count} results")
        return Took(first, whole, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


Way = tuple[str, Callable[[int, float], Took]]


def ways_of(map: Map, stack: ExitStack, folder: Path, program: str, workers: int) -> list[Way]:
    """Functions that run states locally and with each engine, with this number of workers."""

    def by(*words: str) -> Callable[[int, float], Took]:
        return lambda count, seconds: map.run(count, seconds, *words)

    ways = [
        ("local, process", by("--isolation", "process", "-j", str(workers))),
        ("executor", by("--engine", f"modules.pools:pool{workers}")),
    ]
    if find_spec("distributed"):
        from clusters import running_cluster

        place = Path(tempfile.mkdtemp(dir=folder))
        cluster = stack.enter_context(running_cluster(place, program, workers))
        ways.append(("Dask", by("--engine", f"dask://{cluster.address()}")))
    if find_spec("ray") and find_spec("grpc"):
        from ray_clusters import SETTINGS, RayCluster

        nodes = RayCluster(folder, program, workers)
        stack.callback(nodes.close)
        engine = f"ray://{nodes.address}"
        ways.append(
            ("Ray", lambda count, seconds: map.run(count, seconds, "--engine", engine, **SETTINGS))
        )
    return ways


def print_ways(map: Map, folder: Path, program: str) -> None:
    with ExitStack() as stack:
        two = ways_of(map, stack, folder, program, 2)
        one = dict(ways_of(map, stack, folder, program, 1))
        print(
            f"{'2 workers':<18}{'first':>8}{'empty runs':>18}{'peak':>10}{'runs of 1 ms':>15}{'1 worker':>10}{'speedup':>8}"
        )
        took: dict[str, list[tuple[Took, Took, Took]]] = {name: [] for name, _ in two}
        for turn in range(ROUNDS + 1):
            for name, run in two:
                each = run(200_000, 0), run(8_000, 0.001), one[name](4_000, 0.001)
                if turn:  # the first turn sends the modules
                    took[name].append(each)
        for name, rounds in took.items():
            nothing, by_two, by_one = zip(*rounds)
            first = statistics.median(took.first for took in nothing)
            rate = statistics.median(200_000 / took.whole for took in nothing)
            peak = statistics.median(took.peak / MIB for took in nothing)
            rate_of_two = statistics.median(8_000 / took.after_first() for took in by_two)
            rate_of_one = statistics.median(4_000 / took.after_first() for took in by_one)
            print(
                f"{name:<18}{first:>6.2f} s{rate:>16,.0f}/s{peak:>6,.0f} MiB{rate_of_two:>13,.0f}/s"
                f"{rate_of_one:>8,.0f}/s{rate_of_two / rate_of_one:>8.2f}"
            )


def print_memory(map: Map, folder: Path, program: str) -> None:
    with ExitStack() as stack:
        for name, run in ways_of(map, stack, folder, program, 2):
            small, large = run(100_000, 0), run(1_000_000, 0)
            print(
                f"{name:<18} peak memory {small.peak / MIB:,.0f} MiB with 100,000 states, and {large.peak / MIB:,.0f} MiB with "
                f"1,000,000 states, which took {large.whole:.1f} s"
            )


def print_driver(map: Map) -> None:
    print(f"{'512 sleepers':<18}{'at most':>14}{'completed':>14}{'processor':>12}{'peak':>12}")
    for seconds, count in (
        (1.0, 5_000),
        (0.1, 50_000),
        (0.01, 500_000),
        (0.003, 1_000_000),
        (0.001, 1_000_000),
    ):
        took = map.run(
            count, 0, "--engine", "modules.sleepers:make", SLEEPERS="512", SLEEP=str(seconds)
        )
        print(
            f"{f'{seconds * 1000:g} ms a state':<18}{512 / seconds:>12,.0f}/s{count / took.whole:>12,.0f}/s"
            f"{100 * took.processor / took.whole:>10.0f} %{took.peak / MIB:>8,.0f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--only", choices=["ways", "memory", "driver"])
    arguments = parser.parse_args()
    program = str(arguments.build.resolve() / "pyhost")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "modules").mkdir()
        (folder / "modules" / "work.py").write_text(MODULE)
        shutil.copy(HERE / "sleepers.py", folder / "modules")
        (folder / "modules" / "pools.py").write_text(
            "import concurrent.futures, multiprocessing\n"
            "def pool(n):\n"
            "    spawn = multiprocessing.get_context('spawn')\n"
            "    return concurrent.futures.ProcessPoolExecutor(n, mp_context=spawn)\n"
            "def pool1(): return pool(1)\n"
            "def pool2(): return pool(2)\n"
        )
        hiding = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME")
        environment = {key: value for key, value in os.environ.items() if key not in hiding} | {
            "PYHOST_PROGRAM": program,
            "PYTHONPATH": f"{HERE.parent.parent / 'python_modules'}",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "VIRTUAL_ENV": sys.prefix,
        }
        map = Map(program, folder, environment)
        if arguments.only in (None, "ways"):
            print_ways(map, folder, program)
        if arguments.only in (None, "memory"):
            print_memory(map, folder, program)
        if arguments.only in (None, "driver"):
            print_driver(map)


if __name__ == "__main__":
    main()
