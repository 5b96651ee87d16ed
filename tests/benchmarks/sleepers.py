"""An executor whose workers only sleep, so that one machine can measure an engine's driver with hundreds of workers."""

from __future__ import annotations

import concurrent.futures
import functools
import heapq
import itertools
import json
import os
import threading
import time
from typing import Any, Callable

Future = concurrent.futures.Future[bytes]


@functools.lru_cache(maxsize=256)
def lines(count: int) -> bytes:
    """The outcomes of `count` states in the format of a worker."""
    names = {"status": "ok", "hash": "0" * 64, "code": "0" * 64, "seconds": 0.001, "result": 1}
    each = (json.dumps({"index": i, **names}, separators=(",", ":")) for i in range(count))
    return "".join(line + "\n" for line in each).encode()


class Sleepers(concurrent.futures.Executor):
    """Simulates `workers` workers that take `seconds` for each state."""

    def __init__(self, workers: int, seconds: float) -> None:
        self._max_workers = workers
        self._seconds = seconds
        self._free = [0.0] * workers  # the time when each worker becomes idle, as a heap
        self._ends: list[tuple[float, int, Future, int]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._end_chunks, daemon=True).start()

    def submit(self, function: Callable[..., bytes], /, *arguments: Any, **_: Any) -> Any:  # type: ignore[override]
        count = arguments[2].count(b"\n")
        future = Future()
        with self._changed:
            end = max(self._free[0], time.monotonic()) + count * self._seconds
            heapq.heapreplace(self._free, end)
            heapq.heappush(self._ends, (end, next(self._numbers), future, count))
            self._changed.notify()
        return future

    def _end_chunks(self) -> None:
        while True:
            with self._changed:
                wait = self._ends[0][0] - time.monotonic() if self._ends else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, future, count = heapq.heappop(self._ends)
            head = json.dumps({"first": 0, "seconds": count * self._seconds}).encode() + b"\n"
            future.set_result(head + lines(count))


def make() -> Sleepers:
    """Simulates SLEEPERS workers that take SLEEP seconds for each state."""
    return Sleepers(int(os.environ["SLEEPERS"]), float(os.environ["SLEEP"]))
