"""Measures pools: their rate compared with concurrent.futures, their speedup by a second worker, their memory."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
Figures = dict[str, float]
EMPTY = ("quiet", "{}")
BUSY = ("busy", '{"steps": 1500}')


class Pools:
    """Makes each measurement `rounds` times, in turns with the others, and returns medians."""

    def __init__(self, build: Path, python: str, environment: dict[str, str], rounds: int) -> None:
        self._program = build / "tests" / "benchmarks" / "pool_bench"
        self._python = python
        self._environment = environment
        self._rounds = rounds
        version = subprocess.check_output(
            [python, "-c", "import sys; print(*sys.version_info[:2])"]
        )
        self._version = tuple(map(int, version.split()))
        self.levels = ["process"] if self._version < (3, 13) else ["interpreter", "process"]

    def pyhost(self, level: str, workers: int, module: tuple[str, str], count: int) -> list[str]:
        return [str(self._program), level, str(workers), *module, str(count)]

    def futures(self, executor: str, chunk: int, count: int) -> list[str]:
        script = str(HERE / "pool_of_python.py")
        return [self._python, script, str(HERE), executor, "2", str(chunk), *EMPTY, str(count)]

    def medians(self, commands: dict[str, list[str]], of: str = "rate") -> Figures:
        figures: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(self._rounds):
            for name, command in commands.items():
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, check=True, env=self._environment
                )
                figures[name].append(json.loads(done.stdout)[of])
        return {name: statistics.median(each) for name, each in figures.items()}

    def rates_of_empty_runs(self) -> Figures:
        commands = {level: self.pyhost(level, 2, EMPTY, 500_000) for level in self.levels}
        for chunk, count in ((1, 10_000), (100, 100_000)):
            commands[f"ProcessPoolExecutor, chunksize {chunk}"] = self.futures(
                "ProcessPoolExecutor", chunk, count
            )
        if self._version >= (3, 14):
            commands["InterpreterPoolExecutor"] = self.futures("InterpreterPoolExecutor", 1, 10_000)
        return self.medians(commands)

    def speedups_at_100_us(self) -> Figures:
        """The speedup of 2 workers over 1 with runs of 100 us, which pool_bench measures in turns."""
        commands = {
            level: [*self.pyhost(level, 2, BUSY, 60_000), "speedup"] for level in self.levels
        }
        return self.medians(commands, of="speedup")

    def kib_of_a_worker(self) -> Figures:
        commands = {
            f"{level} {workers}": self.pyhost(level, workers, EMPTY, 1000)
            for level in self.levels
            for workers in (1, 5)
        }
        kib = self.medians(commands, of="private_kib")
        return {level: (kib[f"{level} 5"] - kib[f"{level} 1"]) / 4 for level in self.levels}


def measure_and_print(
    build: Path, python: str, environment: dict[str, str], rounds: int
) -> dict[str, Figures]:
    pools = Pools(build, python, environment, rounds)
    rates = pools.rates_of_empty_runs()
    print(
        "\nruns per second, then their ratio to the rate of each alternative; above 1, pyhost is faster\n"
    )
    for level in pools.levels:
        ratios = "   ".join(
            f"{rates[level] / rate:6.2f} x {name} ({rate:,.0f}/s)"
            for name, rate in rates.items()
            if name not in pools.levels
        )
        print(f"{'empty runs, pool of 2 workers, ' + level:<44} {rates[level]:>10,.0f}/s {ratios}")
    busy = pools.speedups_at_100_us()
    for level, ratio in busy.items():
        print(f"{'speedup of 2 workers, runs of 100 us, ' + level:<44} {ratio:10.2f} x")
    kib = pools.kib_of_a_worker()
    for level, one in kib.items():
        print(f"{'private memory per extra worker, ' + level:<44} {one / 1024:8.1f} MiB")
    return {"rates_of_empty_runs": rates, "speedup_at_100_us": busy, "kib_of_a_worker": kib}
