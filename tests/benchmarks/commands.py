"""Measures pyhost list and check over many modules, compared with python3 -m compileall over the same modules.

    python3 tests/benchmarks/commands.py build/release/pyhost [MODULES [RUNS]]

Makes a folder of 1,000 modules, every tenth of them broken, and runs the three commands in turn. Prints the
median time of each, and the median of the ratios in each turn.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHIPPED = Path(__file__).resolve().parent.parent.parent / "python_modules" / "modules"


def make_modules(folder: Path, count: int) -> None:
    folder.mkdir()
    sources = [file.read_text() for file in sorted(SHIPPED.glob("[a-z]*.py"))]
    for i in range(count):
        broken = "\n\ndef broken(:\n" if i % 10 == 0 else ""
        (folder / f"module{i}.py").write_text(sources[i % len(sources)] + broken)


def seconds(command: list[str], codes: tuple[int, ...]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - start
    if done.returncode not in codes:
        sys.exit(f"{command} ended with {done.returncode}")
    return taken


def main() -> None:
    program = sys.argv[1] if len(sys.argv) > 1 else "pyhost"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    with tempfile.TemporaryDirectory() as folder:
        make_modules(Path(folder, "modules"), count)
        # Without -f, the second run would find everything compiled. The exit code is 1, because some are broken.
        anchor = [sys.executable, "-m", "compileall", "-q", "-f", folder]
        commands = {
            "list": ([program, "list", "-m", folder], (0,)),
            "check": ([program, "check", "-m", folder], (3,)),
        }
        anchors: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(runs + 1):  # the first turn is a warm-up
            anchors.append(seconds(anchor, (1,)))
            for name, (command, codes) in commands.items():
                taken[name].append(seconds(command, codes))
            if run == 0:
                anchors.clear()
                for each in taken.values():
                    each.clear()
    print(f"{count} modules, medians of {runs} interleaved runs")
    print(f"compileall  {statistics.median(anchors):.3f} s")
    for name, each in taken.items():
        ratio = statistics.median(a / b for a, b in zip(each, anchors))
        print(f"{name:<10}  {statistics.median(each):.3f} s, {ratio:.2f} x the time of compileall")


if __name__ == "__main__":
    main()
