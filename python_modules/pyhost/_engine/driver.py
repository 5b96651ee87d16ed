"""Runs chunks of states through an engine, and repeats those whose workers are lost. C++ calls it."""

from __future__ import annotations

import json
import queue
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .archive import Packed
from .engines import Engine
from .errors import BadEngine, EngineError
from .remote import NEED


@dataclass
class _Chunk:
    """A chunk that C++ has submitted."""

    number: int
    order: str
    size: int
    name: str
    parts: int = 0  # how many parts the engine runs
    lines: dict[int, bytes] = field(
        default_factory=dict
    )  # outcomes by index, if it was divided into parts
    seconds: float = 0.0
    failure: bytes = b""


@dataclass
class _Part:
    """The states of a chunk that one task runs."""

    chunk: _Chunk
    indices: list[int]
    states: list[bytes]
    losses: int = 0
    is_suspect: bool = (
        False  # it was lost so often that it may be the part that crashes the workers
    )
    attempt: int = 0
    handle: Any = None


class Driver:
    """Submits chunks to an engine, and collects their outcomes. Thread: any, one at a time."""

    def __init__(self, engine: Engine, retries: int, packed: Packed) -> None:
        self._engine = engine
        self._retries = retries
        self._packed = packed
        self._map = _new_map()
        self._events: queue.SimpleQueue[tuple[_Part, int, Any]] = queue.SimpleQueue()
        self._open: dict[int, _Part] = {}
        self._suspects: list[_Part] = []  # they run one at a time
        self._done: list[tuple[int, bytes]] = []
        self._notices = packed.notices()
        self._submitted = 0  # states
        self._slots = -1
        self._next_slots = 0.0

    def slots(self) -> int:
        """Returns how many states run at once now. Asks the engine at most once a second."""
        now = time.monotonic()
        if now >= self._next_slots:
            self._next_slots = now + 1
            slots = self._engine.slots()
            if slots != self._slots:
                self._notices.append(f"the workers of the engine run {slots} states at once")
            self._slots = slots
        return self._slots

    def submit(self, number: int, order: str, states: bytes) -> None:
        lines = states.splitlines(keepends=True)
        order = json.dumps({**json.loads(order), "code": self._packed.code, "map": self._map})
        first, self._submitted = self._submitted, self._submitted + len(lines)
        name = f"{json.loads(order)['module']}-{first}-{self._submitted - 1}"
        chunk = _Chunk(number, order, len(lines), name)
        self._begin(_Part(chunk, list(range(len(lines))), lines))

    def _begin(self, part: _Part, archive: bytes | None = None) -> None:
        chunk = part.chunk
        chunk.parts += 1
        arguments = (chunk.order, self._packed.digest, b"".join(part.states), archive)
        part.attempt = attempt = part.attempt + 1

        def done(outcome: Any) -> None:
            self._events.put((part, attempt, outcome))

        part.handle = self._engine.submit(chunk.name, arguments, done, part.is_suspect)
        self._open[id(part)] = part

    def wait(self, seconds: float) -> list[tuple[int, bytes]]:
        """Waits until a chunk is done, at most for this time. Returns the chunks that are done, each with the output of
        its workers."""
        until = time.monotonic() + seconds
        while True:
            try:
                left = 0.0 if self._done else max(0.0, until - time.monotonic())
                part, attempt, outcome = (
                    self._events.get(timeout=left) if left else self._events.get_nowait()
                )
            except queue.Empty:
                break
            if attempt == part.attempt and self._open.pop(id(part), None) is not None:
                part.handle = (
                    None  # it refers to the part: otherwise only garbage collection would free both
                )
                part.chunk.parts -= 1
                self._end(part, outcome)
        self._replace_silent()
        if self._suspects and not any(part.is_suspect for part in self._open.values()):
            self._begin(self._suspects.pop(0))
        done, self._done = self._done, []
        return done

    def _replace_silent(self) -> None:
        silent = self._engine.silent()
        for part in list(self._open.values()):
            if getattr(part.handle, "key", part.handle) in silent:
                del self._open[id(part)]
                part.chunk.parts -= 1
                self._engine.cancel(part.handle)
                self._lose(part, "their worker does not respond")

    def _end(self, part: _Part, outcome: Any) -> None:
        if isinstance(outcome, bytes):
            if outcome == NEED:
                self._begin(part, self._packed.data)
            else:
                self._take(part, outcome)
        elif self._engine.is_cut(outcome):
            self._notices.append(f"{_again(part)}: the connection to the engine was lost")
            self._begin(part)
        elif self._engine.is_lost(outcome):
            self._lose(part, "their worker was lost", self._engine.is_given_up(outcome))
        elif isinstance(outcome, EngineError):
            raise outcome
        elif isinstance(outcome, ImportError):
            raise BadEngine(
                f"a worker of the engine cannot run the modules: {outcome}",
                "install the same version of pyhost on each machine",
            )
        else:
            raise BadEngine(f"a task of the engine failed: {type(outcome).__name__}: {outcome}")

    def _take(self, part: _Part, answer: bytes) -> None:
        last = answer[answer.rfind(b"\n", 0, -1) + 1 :]
        chunk = part.chunk
        is_whole = len(part.states) == chunk.size
        if is_whole and not last.startswith(b'{"died":'):  # the usual case
            self._done.append((chunk.number, answer))
            return
        head, *lines = answer.splitlines(keepends=True)
        facts = json.loads(head)
        if "refused" in facts:
            chunk.failure = head
            return self._finish(chunk)
        chunk.seconds += facts["seconds"]
        found = set()
        for line in lines:
            if line.startswith(b'{"index":'):
                comma = line.index(b",")
                at = int(line[9:comma]) - facts["first"]
                found.add(at)
                index = part.indices[at]
                chunk.lines.setdefault(index, b'{"index":%d' % index + line[comma:])
            elif line.startswith(b'{"failed":'):
                chunk.failure = line
        left = [at for at in range(len(part.states)) if at not in found]
        if left and not chunk.failure:
            rest = _Part(
                chunk,
                [part.indices[at] for at in left],
                [part.states[at] for at in left],
                part.losses,
                part.is_suspect,
            )
            return self._lose(rest, "the process that ran them ended")
        self._finish(chunk)

    def _lose(self, part: _Part, reason: str, is_given_up: bool = False) -> None:
        """Repeats the states of a lost part. After too many losses, divides it in halves, down to single states. These
        parts run one at a time, because others that run beside them could cause their loss."""
        part.losses += 1
        if not part.is_suspect:
            self._notices.append(f"{_again(part)}: {reason}")
            if part.losses <= self._retries and not is_given_up:
                return self._begin(part)
            part.is_suspect = True
            return self._suspects.append(part)
        middle = len(part.states) // 2
        if middle:
            for some in (slice(0, middle), slice(middle, None)):
                half = _Part(part.chunk, part.indices[some], part.states[some], is_suspect=True)
                self._suspects.append(half)
            return
        part.chunk.lines[part.indices[0]] = _crashed_line(part)
        self._finish(part.chunk)

    def _finish(self, chunk: _Chunk) -> None:
        if chunk.parts or any(part.chunk is chunk for part in self._suspects):
            return
        head = json.dumps({"first": 0, "seconds": chunk.seconds}).encode() + b"\n"
        lines = b"".join(line for _, line in sorted(chunk.lines.items()))
        if chunk.failure.startswith(b'{"refused"'):
            self._done.append((chunk.number, chunk.failure))
        else:
            self._done.append((chunk.number, head + lines + chunk.failure))

    def cancel(self) -> None:
        """Cancels all chunks and their runs."""
        if not self._open:
            return
        for part in self._open.values():
            self._engine.cancel(part.handle)
        orders = {part.chunk.order for part in self._open.values()}
        self._engine.end_runs(sorted(orders))
        self._map = _new_map()  # workers refuse later chunks of the old one
        self._open.clear()
        self._suspects.clear()

    def notices(self) -> list[str]:
        """Returns the messages for the user since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        self.cancel()
        self._engine.close()


def _new_map() -> str:
    """Returns an identifier of chunks that are cancelled together."""
    return uuid.uuid4().hex


def _again(part: _Part) -> str:
    count = len(part.states)
    return f"{count} state{'s run' if count != 1 else ' runs'} again"


def _crashed_line(part: _Part) -> bytes:
    module = json.loads(part.chunk.order)["module"]
    error = {
        "schema": 1,
        "kind": "WorkerCrashed",
        "phase": "run",
        "module": module,
        "message": f"module {module!r} crashed the worker of the engine each time it was run",
        "hint": "",
        "pointer": "",
        "place": None,
        "exception": None,
        "closed": None,
    }
    line = {
        "index": part.indices[0],
        "status": "crashed",
        "hash": "",
        "code": "",
        "seconds": 0.0,
        "error": error,
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
