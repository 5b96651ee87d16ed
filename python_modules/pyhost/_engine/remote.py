"""Runs chunks of states on a worker of an engine, with a `pyhost map --coprocess` that is kept between chunks."""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import archive as archives
from .errors import BadEngine

NEED = b'{"need": "modules"}\n'


def _program() -> str:
    given = os.environ.get("PYHOST_PROGRAM")
    if given:
        return given
    beside = Path(sys.executable).parent / "pyhost"
    return str(beside) if beside.exists() else shutil.which("pyhost") or str(beside)


class _Chunk:
    def __init__(self, first: int, count: int) -> None:
        self.first = first
        self.count = count
        self.lines: list[bytes] = []
        self.done = threading.Event()


class _Coprocess:
    """A `pyhost map --coprocess`. Several threads may run chunks in it concurrently."""

    def __init__(self, order: dict[str, Any], module_paths: list[str], width: int) -> None:
        order.pop("map", None)
        wanted = {key: order.pop(key) for key in ("pyhost", "python", "code")}
        order.update(module_paths=module_paths, workers=width)
        # A session of its own, because signals to the process group of the engine's worker are not meant for it.
        try:
            self._process = subprocess.Popen(
                [_program(), "map", "--coprocess"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise BadEngine(
                f"the worker {worker_name()} cannot start the program pyhost: {error}"
            ) from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._sent = 0
        self._end: bytes | None = None  # the line with the reason why it ended
        self.refused = ""
        self._write(json.dumps(order).encode() + b"\n")
        self._check(wanted)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _write(self, data: bytes) -> None:
        # If the coprocess has ended, the reader notices.
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(data)
            self._stdin.flush()

    def _check(self, wanted: dict[str, str]) -> None:
        line = self._stdout.readline()
        if line.startswith(b'{"failed":'):
            self._end = line
        elif line.startswith(b'{"hello":'):
            self.refused = _mismatch(json.loads(line)["hello"], wanted)
        elif line:
            self._process.kill()
            self.refused = _unfit(f"it wrote {line[:80].decode(errors='replace').strip()!r}")
        else:
            death = self._death()
            self._end = _died(death)
            if self._process.returncode >= 0:  # otherwise another attempt may succeed
                self.refused = _unfit(f"it {death}")

    def _death(self) -> str:
        code = self._process.wait()
        return f"ended with signal {-code}" if code < 0 else f"ended with status {code}"

    def _read(self) -> None:
        for line in self._stdout:
            if line.startswith(b'{"index":'):
                self._add(int(line[9 : line.index(b",")]), line)
            elif line.startswith(b'{"failed":'):
                self._end = line
        end = self._end or _died(self._death())
        with self._lock:
            self._end = end
            for chunk in self._chunks:
                chunk.done.set()
        self._process.wait()

    def _add(self, index: int, line: bytes) -> None:
        with self._lock:
            at = bisect.bisect_right([chunk.first for chunk in self._chunks], index) - 1
            chunk = self._chunks[at]
            chunk.lines.append(line)
            if len(chunk.lines) == chunk.count:
                del self._chunks[at]
                chunk.done.set()

    def has_ended(self) -> bool:
        return self._end is not None

    def run(self, states: bytes) -> bytes | None:
        """Runs a chunk, and returns a line of facts and the lines of outcomes. Returns None if the coprocess was
        closed."""
        begun = time.monotonic()
        # The coprocess numbers states in the order in which they are written.
        with self._writing:
            if self._stdin.closed:
                return None
            with self._lock:
                chunk = _Chunk(self._sent, states.count(b"\n"))
                self._sent += chunk.count
                self._chunks.append(chunk)
                if self._end is not None:
                    chunk.done.set()
            self._write(states)
        chunk.done.wait()
        seconds = time.monotonic() - begun
        head = {"first": chunk.first, "seconds": seconds, "worker": worker_name()}
        end = self._end if len(chunk.lines) < chunk.count else None
        return json.dumps(head).encode() + b"\n" + b"".join(chunk.lines) + (end or b"")

    def close(self) -> None:
        """Lets it end when its chunks are done."""
        with self._writing, contextlib.suppress(OSError):
            self._stdin.close()

    def wait(self) -> None:
        self._reader.join()

    def kill(self) -> None:
        self._process.kill()


def _died(reason: str) -> bytes:
    return json.dumps({"died": reason}).encode() + b"\n"


def _unfit(reason: str) -> str:
    return f"the worker {worker_name()} cannot run states with the program {_program()}: {reason}"


def _mismatch(hello: dict[str, str], wanted: dict[str, str]) -> str:
    """Returns why a coprocess with this hello cannot be used, or an empty text if it can."""
    for key, name in (("pyhost", "pyhost"), ("python", "Python")):
        if hello[key] != wanted[key]:
            return (
                f"the worker {worker_name()} has {name} {hello[key]}, but the states need {wanted[key]}: "
                "install the same version on each machine"
            )
    if hello["code"] != wanted["code"]:
        return (
            f"the modules on the worker {worker_name()} were changed after they had been sent: "
            f"remove {archives.cache()} there"
        )
    return ""


_coprocess: _Coprocess | None = None
_key: tuple[str, str] | None = None
_ended: set[str] = set()  # orders of maps that were cancelled
_opening = threading.Lock()


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _open(order: str, digest: str, module_paths: list[str], width: int) -> _Coprocess:
    """Returns the coprocess for this order. A coprocess for another order ends when its chunks are done."""
    global _coprocess, _key
    with _opening:
        if order in _ended:
            raise BadEngine("the map was cancelled")
        if _coprocess is None or _key != (order, digest) or _coprocess.has_ended():
            if _coprocess is not None:
                _coprocess.close()
            _coprocess, _key = _Coprocess(json.loads(order), module_paths, width), (order, digest)
        return _coprocess


def end_runs(orders: list[str]) -> None:
    """Ends the runs of this process for these orders, and refuses later ones."""
    with _opening:
        _ended.update(orders)
        if _coprocess is not None and _key is not None and _key[0] in orders:
            _coprocess.kill()


def close() -> None:
    """Ends the coprocess of this process, and waits until it has ended."""
    global _coprocess
    with _opening:
        if _coprocess is not None:
            _coprocess.close()
            _coprocess.wait()
        _coprocess = None


def run_chunk(
    order: str, digest: str, states: bytes, archive: bytes | None = None, *, width: int = 1
) -> bytes:
    """Runs the module for each line of states. Returns a line with facts about the chunk, followed by the lines of its
    outcomes. Returns NEED if the modules are not on this machine and `archive` is missing. `width` is how many chunks
    this process runs at once."""
    module_paths = archives.find(digest)
    if module_paths is None:
        if archive is None:
            return NEED
        try:
            module_paths = archives.unpack(digest, archive)
        except OSError as error:
            raise BadEngine(
                f"the worker {worker_name()} cannot store the modules in {archives.cache()}: {error}",
                "free space there, or choose another folder with XDG_CACHE_HOME",
            ) from None
    answer = None
    while answer is None:  # repeated if another thread, for its order, has closed the coprocess
        coprocess = _open(order, digest, module_paths, width)
        if coprocess.refused:
            return json.dumps({"refused": coprocess.refused}).encode() + b"\n"
        answer = coprocess.run(states)
    return answer
