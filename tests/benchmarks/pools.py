"""Pools beside concurrent.futures, and beside themselves with one worker more."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
Figures = dict[str, float]
NOTHING = ("quiet", "{}")
BUSY = ("busy", '{"steps": 1500}')


class Pools:
    """Makes its measurements in turns, `rounds` times, and keeps their medians."""

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
        return [self._python, script, str(HERE), executor, "2", str(chunk), *NOTHING, str(count)]

    def medians(self, commands: dict[str, list[str]], of: str = "rate") -> Figures:
        figures: dict[str, list[float]] = {who: [] for who in commands}
        for _ in range(self._rounds):
            for who, command in commands.items():
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, check=True, env=self._environment
                )
                figures[who].append(json.loads(done.stdout)[of])
        return {who: statistics.median(all_of) for who, all_of in figures.items()}

    def rates_of_nothing(self) -> Figures:
        commands = {level: self.pyhost(level, 2, NOTHING, 500_000) for level in self.levels}
        for chunk, count in ((1, 10_000), (100, 100_000)):
            commands[f"ProcessPoolExecutor, chunksize {chunk}"] = self.futures(
                "ProcessPoolExecutor", chunk, count
            )
        if self._version >= (3, 14):
            commands["InterpreterPoolExecutor"] = self.futures("InterpreterPoolExecutor", 1, 10_000)
        return self.medians(commands)

    def of_100_us(self) -> Figures:
        """How many times 2 workers carry what 1 does, which `pool_bench` weighs by turns."""
        commands = {
            level: [*self.pyhost(level, 2, BUSY, 60_000), "beside-one"] for level in self.levels
        }
        return self.medians(commands, of="beside_one")

    def kib_of_a_worker(self) -> Figures:
        commands = {
            f"{level} {workers}": self.pyhost(level, workers, NOTHING, 1000)
            for level in self.levels
            for workers in (1, 5)
        }
        kib = self.medians(commands, of="private_kib")
        return {level: (kib[f"{level} 5"] - kib[f"{level} 1"]) / 4 for level in self.levels}


def measure_and_print(
    build: Path, python: str, environment: dict[str, str], rounds: int
) -> dict[str, object]:
    pools = Pools(build, python, environment, rounds)
    nothing = pools.rates_of_nothing()
    for level in pools.levels:
        others = [who for who in nothing if who not in pools.levels]
        told = "   ".join(
            f"{nothing[level] / nothing[who]:6.2f} x {who} ({nothing[who]:,.0f}/s)"
            for who in others
        )
        print(
            f"{'runs that do nothing, 2 workers, ' + level:<44} {nothing[level]:>10,.0f}/s {told}"
        )
    busy = pools.of_100_us()
    for level, ratio in busy.items():
        print(f"{'2 workers beside 1, 100 us, ' + level:<44} {ratio:10.2f} x")
    kib = pools.kib_of_a_worker()
    for level, one in kib.items():
        print(f"{'private memory of a further worker, ' + level:<44} {one / 1024:8.1f} MiB")
    return {"rates_of_nothing": nothing, "beside_one_at_100_us": busy, "kib_of_a_worker": kib}
