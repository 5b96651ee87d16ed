"""Makes the runs of pool_bench with concurrent.futures. Prints the number of runs per second."""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import sys
import time
from typing import Any

sys.path.insert(0, sys.argv[1])


def run(name_and_state: tuple[str, str]) -> str:
    name, state = name_and_state
    module = importlib.import_module("modules." + name)
    return json.dumps(module.create(json.loads(state)).run())


def main() -> None:
    executor_name, workers, chunk, name, state, count = sys.argv[2:]
    executor: Any = getattr(concurrent.futures, executor_name)(int(workers))
    with executor:
        tasks = [(name, state)] * int(count)
        list(executor.map(run, tasks[: len(tasks) // 10 + 100], chunksize=int(chunk)))
        begun = time.perf_counter()
        for _ in executor.map(run, tasks, chunksize=int(chunk)):
            pass
        print(json.dumps({"rate": int(count) / (time.perf_counter() - begun)}))


if __name__ == "__main__":
    main()
