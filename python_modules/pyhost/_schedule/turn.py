"""The changes that one transaction makes to the runs of one entry."""

import json
from typing import Optional

from .database import Database, Row
from .entries import Entry
from .times import local_text

# SQLite uses the index of open runs only if a condition contains the terms of the index exactly as written there.
OPEN = "(status = 'queued' or status = 'running' or retry_at is not null)"
KEY = "where entry = :entry and due = :due and attempt = :attempt"
END = (
    "update pyhost_runs set status = :new, finished = :now, lease_until = null, exit_code = :exit_code, "
    "result = :result, error = :error, retry_at = :retry_at"
)
_RUN = "update pyhost_runs set status = 'running', owner = :owner, lease_until = :until, started = :now"
_INSERT = (
    "insert into pyhost_runs (entry, due, attempt, status, owner, lease_until, started, finished, error, triggered) "
    "values (:entry, :due, :attempt, :status, :owner, :until, :started, :finished, :error, :triggered) "
    "on conflict do nothing"
)
_FIRST_PAUSE = 10_000_000
_LONGEST_PAUSE = 600_000_000


def retry_time(entry: Optional[Entry], attempt: int, status: str, now: int) -> Optional[int]:
    """Returns the time of the attempt after one that ended with this status, or None if there is none."""
    if entry is None or attempt > entry.retries or status not in ("failed", "lost"):
        return None
    pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
    return now if status == "lost" else now + pause


def is_ready(run: Row, now: int) -> bool:
    """Returns whether the next attempt of this run is due, or the clock was put back since its time was set."""
    retry_at = run["retry_at"]
    return retry_at is not None and not now < retry_at <= now + _LONGEST_PAUSE


def claim_of(entry: Entry, due: int, attempt: int) -> Row:
    """Returns the data that the owner of a claim needs to make the run."""
    return {
        "entry": entry.name,
        "module": entry.module,
        "state": entry.state,
        "due": due,
        "attempt": attempt,
        "timeout": entry.timeout,
    }


class Turn:
    """A transaction that has locked the row of one entry. Its claims and notes are valid after the commit."""

    def __init__(
        self,
        database: Database,
        entry: Entry,
        row: Row,
        owner: str,
        room: int,
        now: int,
        lease: int,
    ) -> None:
        self.row = row
        self.room = room
        self.now = now
        self.claimed: list[Row] = []
        self.ended: list[Row] = []
        self._database = database
        self._entry = entry
        self._owner = owner
        self._until = now + lease
        sql = f"select * from pyhost_runs where entry = :entry and {OPEN} order by due, attempt"
        self._runs = database.rows(sql, entry=entry.name)
        self._queued = [run for run in self._runs if run["status"] == "queued"]
        # When the runs of the entry that are in progress began.
        self.running = sorted(r["started"] for r in self._runs if r["status"] == "running")

    def may_run(self) -> bool:
        return self.room > 0 and (self._entry.overlap == "allow" or not self.running)

    def retry(self) -> None:
        """Claims the next attempts of failed and lost runs whose pauses are over."""
        for run in self._runs:
            if not is_ready(run, self.now) or not self.may_run():
                continue
            key = {"entry": run["entry"], "due": run["due"], "attempt": run["attempt"]}
            self._database.execute(f"update pyhost_runs set retry_at = null {KEY}", **key)
            self.claim(run["due"], run["attempt"] + 1, run["triggered"])

    def take_queued(self) -> None:
        """Claims queued runs, which have waited for the end of another run."""
        while self._queued and self.may_run():
            run = self._queued.pop(0)
            is_mine = self._database.execute(
                f"{_RUN} {KEY} and status = 'queued'",
                entry=run["entry"], due=run["due"], attempt=run["attempt"],
                owner=self._owner, until=self._until, now=self.now,
            )  # fmt: skip
            if is_mine:
                self._add(run["due"], run["attempt"])

    def take(self, due: int, since: int, waits: bool) -> bool:
        """Claims, queues or skips a run that has been due since then. Returns False if it stays due, for lack of room.

        If `waits`, a run is queued, not skipped, if the run in progress began after this one was due."""
        if self.may_run():
            self.claim(due, 1)
        elif self._entry.overlap == "allow" or not self.running:
            return False
        elif (waits and since <= self.running[-1]) or (
            self._entry.overlap == "queue" and not self._queued
        ):
            if self._insert(due, 1, "queued"):
                self._queued.append({"due": due})
        else:
            began = local_text(self.running[-1], self._entry.zone)
            self.note(due, "skipped", f"the run that began at {began} had not ended yet")
        return True

    def claim(self, due: int, attempt: int, triggered: int = 0) -> bool:
        """Returns False if that run already exists."""
        is_mine = self._insert(
            due, attempt, "running",
            owner=self._owner, until=self._until, started=self.now, triggered=triggered,
        )  # fmt: skip
        if is_mine:
            self._add(due, attempt)
        return is_mine

    def note(self, due: int, status: str, message: str) -> None:
        """Stores why there is no run for a due time."""
        error = json.dumps({"message": message})
        if self._insert(due, 1, status, finished=self.now, error=error):
            self.ended.append(
                {"entry": self._entry.name, "due": due, "attempt": 1, "status": status, "message": message}
            )  # fmt: skip

    def _insert(
        self,
        due: int,
        attempt: int,
        status: str,
        owner: Optional[str] = None,
        until: Optional[int] = None,
        started: Optional[int] = None,
        finished: Optional[int] = None,
        error: Optional[str] = None,
        triggered: int = 0,
    ) -> bool:
        is_new = self._database.execute(
            _INSERT,
            entry=self._entry.name, due=due, attempt=attempt, status=status, owner=owner, until=until,
            started=started, finished=finished, error=error, triggered=triggered,
        )  # fmt: skip
        return is_new == 1

    def _add(self, due: int, attempt: int) -> None:
        self.running.append(self.now)
        self.room -= 1
        self.claimed.append(claim_of(self._entry, due, attempt))
