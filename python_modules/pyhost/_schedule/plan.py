"""Decides which runs are due and which process makes them: claims, leases, retries and the history, in shared tables.

To claim a run, a process locks the entry's row of pyhost_entries, reads the state again, and decides then. In addition,
the primary key of pyhost_runs ensures that only one process can insert the row of a run. All times are microseconds
since 1970 UTC, by the clock of the database.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, Optional

from .database import Database, Row, ScheduleFailed
from .entries import Entry, Problem
from .tables import Tables
from .times import due_between, in_words, local_text, next_due
from .turn import END, KEY, OPEN, Turn, claim_of, is_ready, retry_time

# The newest ended row of each entry, without its result, which may be large.
_LAST = """
select r.entry, r.due, r.attempt, r.status, r.owner, r.started, r.finished, r.exit_code, r.error, r.triggered,
  r.retry_at
from pyhost_entries e cross join pyhost_runs r where r.entry = e.entry
  and r.due = (
    select due from pyhost_runs where entry = e.entry and finished is not null order by due desc limit 1)
  and r.attempt = (
    select attempt from pyhost_runs where entry = e.entry and due = r.due and finished is not null
    order by attempt desc limit 1)
"""
_MOST_DUE = 1000
_LARGEST_RESULT = 1_000_000  # bytes

Key = Sequence[Any]  # entry, due, attempt


class Plan:
    """The runs of a schedule in one database. Several processes may work with the same database."""

    def __init__(self, database: Database) -> None:
        self.lease = 30_000_000
        self.keep_days = 30
        self.keep_runs = 1000
        self.tables = Tables(database)
        self._database = database
        # The first due time after a baseline, for each entry. It is valid until the baseline changes.
        self._first: dict[str, tuple[tuple[str, int, int], Optional[int]]] = {}

    # --- the functions that claims.py calls

    def step(
        self,
        entries: Sequence[Entry],
        owner: str,
        room: int,
        renew: Iterable[Key] = (),
        finished: Iterable[Row] = (),
        dry_run: bool = False,
        until: Optional[int] = None,
        repeats: bool = False,
    ) -> Row:
        """Stores the outcomes of finished runs, renews leases, and claims due runs, but none that is due after `until`.
        A call may be repeated: if `repeats`, claims of this owner that are not in `renew` are returned again.

        If a part of it fails after the first changes, the answer contains these changes and the error as "failure"."""
        known = {entry.name: entry for entry in entries}
        answer: Row = {"claimed": [], "lost": [], "next": None, "ended": []}
        if dry_run and not self.tables.exist():
            now = answer["now"] = time.time_ns() // 1000
            dues = [next_due(entry, now, now) for entry in entries if entry.enabled]
            answer["next"] = min((due for due in dues if due is not None), default=None)
            return answer
        self.tables.make()
        with self._database.transaction(undo=True) if dry_run else nullcontext():
            now = answer["now"] = self.tables.now()
            renew, finished = sorted(map(tuple, renew)), sorted(finished, key=_key_of)
            if renew or finished:
                answer["lost"] = self._keep(known, owner, renew, finished)
            if repeats and not dry_run:
                answer["claimed"] = self._repeat(known, owner, renew)
                room -= len(answer["claimed"])
            if room <= 0:
                return answer
            try:
                self._advance_all(known, owner, room, until, answer)
                if not dry_run:
                    self.tables.prune(now, self.keep_days, self.keep_runs)
            except ScheduleFailed as error:
                if dry_run or not (renew or finished or answer["claimed"] or answer["ended"]):
                    raise
                answer["failure"] = error.as_dict()
                answer["next"] = now + 1_000_000
        return answer

    def trigger(self, entries: Sequence[Entry], owner: str, name: str) -> Row:
        """Claims a run of the entry, with the current time as its due time."""
        entry = _find(name, entries)
        self.tables.make()
        self.tables.remember([entry])
        self._end_lost({each.name: each for each in entries}, self.tables.now())
        with self._database.transaction():
            turn = self._turn(entry, owner, 1)
            if not turn.may_run():
                raise ScheduleFailed(
                    "refused",
                    f"a run of {name!r} has been in progress since {local_text(turn.running[-1], entry.zone)}",
                    'wait until it ends, or set overlap = "allow"',
                )
            due = turn.now
            while not turn.claim(due, 1, triggered=1):
                due += 1
        return {"claimed": turn.claimed[0]}

    def listing(self, entries: Sequence[Entry], problems: Sequence[Problem], count: int = 1) -> Row:
        """Returns the data that `pyhost schedule` shows. Creates neither tables nor a file."""
        there = self.tables.exist()
        now = self.tables.now() if there else time.time_ns() // 1000
        known = self.tables.entries() if there else {}
        last = {each["entry"]: each for each in self._database.rows(_LAST)} if there else {}
        open_runs = self.tables.open_runs() if there else {}
        listed = []
        for entry in entries:
            row = known.get(entry.name)
            created = row["created"] if row and row["rule"] == entry.rule else None
            dues: list[int] = []
            while entry.enabled and len(dues) < count:
                start = now if created is None else min(created, now)
                due = next_due(entry, start, dues[-1] if dues else now)
                if due is None:
                    break
                dues.append(due)
            listed.append(
                asdict(entry)
                | {
                    "when": in_words(entry),
                    "created": created,
                    "next": dues,
                    "next_text": [local_text(due, entry.zone) for due in dues],
                    "last": last.get(entry.name),
                    "running": sum(
                        run["status"] == "running" for run in open_runs.get(entry.name, ())
                    ),
                }
            )
        return {"now": now, "entries": listed, "problems": [asdict(each) for each in problems]}

    def history(
        self, entries: Sequence[Entry], name: Optional[str], failed: bool, limit: int
    ) -> Row:
        """Returns the rows of runs, newest first."""
        conditions = ["entry = :name"] if name is not None else []
        if failed:
            conditions.append("status in ('failed', 'lost')")
        where = f"where {' and '.join(conditions)}" if conditions else ""
        order = "order by due desc, attempt desc, entry limit :limit"
        runs: list[Row] = []
        if self.tables.exist():
            values = {"limit": limit} | ({"name": name} if name is not None else {})
            runs = self._database.rows(f"select * from pyhost_runs {where} {order}", **values)
        was_known = self.tables.exist() and name in self.tables.entries()
        if name is not None and not was_known:
            _find(name, entries)
        return {"runs": runs}

    def set_enabled(self, name: str, enabled: bool) -> Row:
        self.tables.exist()  # refuses tables of a newer version; before the first run there may be none
        there = self.tables.exist("pyhost_schedule")
        sql = "update pyhost_schedule set enabled = :enabled where name = :name"
        if not there or not self._database.execute(sql, name=name, enabled=enabled):
            names = self._database.rows("select name from pyhost_schedule") if there else []
            raise _unknown(name, [str(each["name"]) for each in names])
        return {}

    # --- parts of a step

    def _keep(
        self, known: Mapping[str, Entry], owner: str, renew: Iterable[Key], finished: Iterable[Row]
    ) -> list[list[Any]]:
        """Stores the finished runs, and renews the leases of the others. Returns the keys of runs that this owner has
        lost. Rows must be changed in the order of their keys, so that two processes do not deadlock."""
        lost: list[list[Any]] = []
        with self._database.transaction():
            now = self.tables.now()
            for run in finished:
                if not self._finish(known.get(run["entry"]), owner, run, now):
                    lost.append(list(_key_of(run)))
            for entry, due, attempt in renew:
                renewed = self._database.execute(
                    f"update pyhost_runs set lease_until = :until {KEY} and owner = :owner and status = 'running'",
                    entry=entry, due=due, attempt=attempt, owner=owner, until=now + self.lease,
                )  # fmt: skip
                if not renewed:
                    lost.append([entry, due, attempt])
        return lost

    def _repeat(self, known: Mapping[str, Entry], owner: str, renewed: Sequence[Key]) -> list[Row]:
        """Returns the claims that their owner does not know about. The answer with them was lost, so their runs have
        not begun."""
        claimed = []
        sql = f"select * from pyhost_runs where {OPEN} and status = 'running' and owner = :owner"
        for run in self._database.rows(sql, owner=owner):
            entry, key = known.get(run["entry"]), _key_of(run)
            if entry is None or key in renewed:
                continue
            now = self.tables.now()
            if self._database.execute(
                f"update pyhost_runs set lease_until = :until, started = :now {KEY} and status = 'running'",
                entry=key[0], due=key[1], attempt=key[2], until=now + self.lease, now=now,
            ):  # fmt: skip
                claimed.append(claim_of(entry, run["due"], run["attempt"]))
        return claimed

    def _finish(self, entry: Optional[Entry], owner: str, run: Row, now: int) -> bool:
        key: Row = dict(zip(("entry", "due", "attempt"), _key_of(run)))
        status = run["status"]
        is_written = self._database.execute(
            f"{END} {KEY} and owner = :owner and status = 'running'",
            **key, owner=owner, new=status, now=now, exit_code=run.get("exit_code"),
            result=_cut(run.get("result")), error=_cut(run.get("error"), message="it was too large to be stored"),
            retry_at=retry_time(entry, key["attempt"], status, now),
        )  # fmt: skip
        if is_written:
            return True
        # An earlier call may have stored the same outcome, and its answer may have been lost.
        same = f"select 1 from pyhost_runs {KEY} and owner = :owner and status = :status"
        return bool(self._database.rows(same, **key, owner=owner, status=status))

    def _advance_all(
        self,
        known: Mapping[str, Entry],
        owner: str,
        room: int,
        until: Optional[int],
        answer: Row,
    ) -> None:
        rows = self.tables.remember(list(known.values()))
        # Read after the rows. Otherwise due times that others handled meanwhile could be later than this time.
        now = answer["now"] = self.tables.now()
        until = now if until is None else min(until, now)
        answer["ended"] += self._end_lost(known, now)
        open_runs = self.tables.open_runs()
        waiting = []
        for entry in known.values():
            if not entry.enabled:
                continue
            runs = open_runs.get(entry.name, [])
            first = self._first_due(entry, rows[entry.name], now)
            is_busy = entry.overlap != "allow" and any(r["status"] == "running" for r in runs)
            goes_on = not is_busy and any(r["status"] == "queued" or is_ready(r, now) for r in runs)
            if goes_on or (first is not None and first <= until):
                waiting.append((not goes_on, first or now, entry.name))
        soon: list[int] = []
        for _, _, name in sorted(waiting):
            if room <= 0:
                break
            turn, is_outdated = self._advance(known[name], rows[name], owner, room, now, until)
            answer["claimed"] += turn.claimed
            room -= len(turn.claimed)
            answer["ended"] += turn.ended
            if is_outdated:
                soon.append(now)
        answer["next"] = min(soon + self._later(known, owner, now, until), default=None)

    def _advance(
        self, entry: Entry, seen: Row, owner: str, room: int, now: int, until: int
    ) -> tuple[Turn, bool]:
        """Claims, skips and queues runs of one entry. Returns its turn, and whether another process has changed the
        row of the entry meanwhile."""
        found, missed = self._split(entry, seen, now, until)
        with self._database.transaction():
            turn = self._turn(entry, owner, room)
            turn.retry()
            turn.take_queued()
            if entry.after is not None:
                for due, since in self.tables.due_after(entry, turn.row):
                    if not turn.take(due, since, waits=True):
                        break
                return turn, False
            if turn.row != seen:
                return turn, True
            if not found and not missed:
                return turn, False
            last_due = seen["last_due"]
            if missed:
                last_due, message = missed
                turn.note(last_due, "missed", message)
            for due in found:
                if not turn.take(due, due, waits=entry.missed == "all"):
                    break
                last_due = due
            self._database.execute(
                "update pyhost_entries set last_due = :due where entry = :entry",
                due=last_due, entry=entry.name,
            )  # fmt: skip
        return turn, False

    def _split(
        self, entry: Entry, row: Row, now: int, until: int
    ) -> tuple[list[int], Optional[tuple[int, str]]]:
        """Returns the due times to run. If others are missed, also returns the newest of those and a message."""
        start = self.tables.baseline(row, now)
        found, older = due_between(entry, row["created"], start, until, _MOST_DUE + 1)
        if entry.missed == "latest":
            missed = len(found) - 1
        elif entry.missed == "none":
            missed = sum(now - due > entry.late for due in found)
        else:
            missed = 0
        missed = max(missed, len(found) - _MOST_DUE, 0)
        if not missed:
            return found, None
        newest = found[missed - 1]
        last = local_text(newest, entry.zone)
        message = f"the due time {last} was missed"
        if missed + older > 1:
            oldest = next_due(entry, row["created"], start) or newest
            first = local_text(oldest, entry.zone)
            message = f"{missed + older} due times from {first} to {last} were missed"
        return found[missed:], (newest, message)

    def _end_lost(self, known: Mapping[str, Entry], now: int) -> list[Row]:
        """Ends the runs whose owners have not renewed their leases."""
        ended = []
        message = "its process ended, or could not reach the database before its lease expired"
        far = now + 2 * self.lease
        for run in self._database.rows(
            "select * from pyhost_runs where status = 'running' and (lease_until < :now or lease_until > :far)",
            now=now, far=far,
        ):  # fmt: skip
            key = {"entry": run["entry"], "due": run["due"], "attempt": run["attempt"]}
            unchanged = f"{KEY} and status = 'running' and lease_until = :seen"
            if run["lease_until"] > far:  # the clock went back
                self._database.execute(
                    f"update pyhost_runs set lease_until = :until {unchanged}",
                    **key, seen=run["lease_until"], until=now + self.lease,
                )  # fmt: skip
                continue
            retry_at = retry_time(known.get(run["entry"]), run["attempt"], "lost", now)
            is_ended = self._database.execute(
                f"{END} {unchanged}",
                **key, seen=run["lease_until"], new="lost", now=now, retry_at=retry_at,
                exit_code=None, result=None, error=json.dumps({"message": message}),
            )  # fmt: skip
            if is_ended:
                ended.append(key | {"status": "lost", "message": message})
        return ended

    def _later(self, known: Mapping[str, Entry], owner: str, now: int, until: int) -> list[int]:
        """Returns the times of the next due runs, retries and expired leases. Leaves out runs that wait for room or for
        another run."""
        rows = self.tables.entries()
        times: list[Optional[int]] = []
        for entry in known.values():
            if entry.enabled and entry.after is None:
                first = self._first_due(entry, rows[entry.name], now)
                if first is not None and first <= until:
                    first = next_due(entry, rows[entry.name]["created"], until)
                times.append(first)
        for name, runs in self.tables.open_runs().items():
            for run in runs:
                if run["status"] == "running" and run["owner"] != owner:
                    times.append(run["lease_until"] + 1)
                elif name in known and known[name].enabled:
                    times.append(run["retry_at"])
        return [each for each in times if each is not None and each > until]

    def _first_due(self, entry: Entry, row: Row, now: int) -> Optional[int]:
        if entry.after is not None:
            return min((due for due, _ in self.tables.due_after(entry, row)), default=None)
        key = (entry.rule, row["created"], self.tables.baseline(row, now))
        found = self._first.get(entry.name)
        if found is None or found[0] != key:
            found = self._first[entry.name] = (key, next_due(entry, key[1], key[2]))
        return found[1]

    def _turn(self, entry: Entry, owner: str, room: int) -> Turn:
        """Locks the entry's row. Reads the time afterwards, because it may have waited for the lock."""
        sql = f"select * from pyhost_entries where entry = :entry{self._database.lock}"
        row = self._database.rows(sql, entry=entry.name)[0]
        return Turn(self._database, entry, row, owner, room, self.tables.now(), self.lease)


def _key_of(run: Row) -> tuple[str, int, int]:
    return run["entry"], run["due"], run["attempt"]


def _cut(text: Optional[str], **more: str) -> Optional[str]:
    size = len(text.encode()) if text else 0
    if text is None or size <= _LARGEST_RESULT:
        return text
    return json.dumps({"cut": True, "bytes": size, "begin": text[:1000], **more})


def _find(name: str, entries: Iterable[Entry]) -> Entry:
    found = {entry.name: entry for entry in entries}
    if name not in found:
        raise _unknown(name, list(found))
    return found[name]


def _unknown(name: str, names: list[str]) -> ScheduleFailed:
    close = get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else "`pyhost schedule` lists the entries"
    return ScheduleFailed("refused", f"there is no entry {name!r}", hint)
