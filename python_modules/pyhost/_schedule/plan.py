"""What is due, and who runs it: claims, leases, retries and the history, in tables that several processes share.

Whoever claims for an entry has its row of pyhost_entries locked, reads again, and decides then. The primary key of
pyhost_runs is the last guard: a run is claimed only by the one who inserted its row. All times are microseconds since
1970 UTC, by the database's clock.
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
from .times import due_between, in_words, local_text, next_due
from .turn import END, KEY, OPEN, Turn, retry_time

VERSION = 1
COLUMNS = (
    "name", "module", "state", "cron", "every", "at", "after", "zone", "overlap", "late", "missed",
    "timeout", "retries", "enabled",
)  # fmt: skip

_TABLES = """
create table if not exists pyhost_schema (
  version integer not null, clock_shift bigint not null default 0, pruned_at bigint not null default 0);
create table if not exists pyhost_entries (
  entry text primary key, rule text not null, created bigint not null, last_due bigint,
  pruned bigint not null default 0);
create table if not exists pyhost_runs (
  entry text not null, due bigint not null, attempt integer not null, status text not null, owner text,
  lease_until bigint, started bigint, finished bigint, exit_code integer, result text, error text,
  triggered integer not null default 0, retry_at bigint, primary key (entry, due, attempt));
create index if not exists pyhost_runs_open on pyhost_runs (entry)
  where status = 'queued' or status = 'running' or retry_at is not null
"""
_SCHEDULE = """
create table if not exists pyhost_schedule (
  name text primary key, module text not null, state text, cron text, every text, "at" text, "after" text, zone text,
  overlap text, late text, missed text, timeout text, retries integer, enabled boolean default true)
"""
# What may be removed: never an open run, and never an entry's newest row, from which a clock that went back goes on.
_OLD = f"""
select entry, due, attempt from (
  select entry, due, attempt, finished, {OPEN} as is_open,
    row_number() over (partition by entry order by due desc, attempt desc) as place
  from pyhost_runs) as ranked
where not is_open and place > 1 and (place > :most or finished < :oldest)
order by entry, due limit :limit
"""
# The newest ended row of each entry, without its result, which may be large.
_LAST = """
select r.entry, r.due, r.attempt, r.status, r.owner, r.started, r.finished, r.exit_code, r.error, r.triggered,
  r.retry_at
from pyhost_entries e join pyhost_runs r on r.entry = e.entry
  and r.due = (select max(due) from pyhost_runs where entry = e.entry and finished is not null)
  and r.attempt = (
    select max(attempt) from pyhost_runs where entry = e.entry and due = r.due and finished is not null)
"""
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_MOST_DUE = 1000
_MOST_REMOVED = 5000  # rows in one transaction
_LARGEST_RESULT = 1_000_000  # bytes

Key = Sequence[Any]  # entry, due, attempt


class Plan:
    """The runs of a schedule in one database. Several processes may have one each."""

    def __init__(self, database: Database) -> None:
        self.lease = 30_000_000
        self.keep_days = 30
        self.keep_runs = 1000
        self._database = database
        # The first due time after a baseline. It holds until the baseline moves.
        self._first: dict[str, tuple[tuple[str, int, int], Optional[int]]] = {}

    # --- the calls

    def step(
        self,
        entries: Sequence[Entry],
        owner: str,
        room: int,
        renew: Iterable[Key] = (),
        finished: Iterable[Row] = (),
        dry_run: bool = False,
        until: Optional[int] = None,
    ) -> Row:
        """Writes what has ended, renews leases, and claims what is due, but nothing that is due after `until`. A call
        may be repeated.

        If a part of it fails after the first changes, the answer tells of them and has the failure as "failure"."""
        known = {entry.name: entry for entry in entries}
        answer: Row = {"claimed": [], "lost": [], "next": None, "ended": []}
        if dry_run and not self._has_tables():
            now = answer["now"] = self._clock()
            dues = [next_due(entry, now, now) for entry in entries if entry.enabled]
            answer["next"] = min((due for due in dues if due is not None), default=None)
            return answer
        self.make_tables()
        with self._database.transaction(undo=True) if dry_run else nullcontext():
            answer["now"] = self._now()
            renew, finished = sorted(map(tuple, renew)), sorted(finished, key=_key_of)
            if renew or finished:
                answer["lost"] = self._keep(known, owner, renew, finished)
            if room <= 0:
                return answer
            try:
                self._advance_all(known, owner, room, until, answer)
                if not dry_run:
                    self._prune(answer["now"])
            except ScheduleFailed as error:
                if dry_run or not (renew or finished or answer["claimed"] or answer["ended"]):
                    raise
                answer["failure"] = error.as_dict()
                answer["next"] = answer["now"] + 1_000_000
        return answer

    def trigger(self, entries: Sequence[Entry], owner: str, name: str) -> Row:
        """Claims a run of the entry that is due now."""
        entry = _find(name, entries)
        self.make_tables()
        self._remember([entry])
        with self._database.transaction():
            turn = self._turn(entry, owner, 1)
            if not turn.may_run():
                raise ScheduleFailed(
                    "refused",
                    f"a run of {name!r} goes on since {local_text(turn.running[-1], entry.zone)}",
                    'wait for its end, or set overlap = "allow"',
                )
            due = turn.now
            while not turn.claim(due, 1, triggered=1):
                due += 1
        return {"claimed": turn.claimed[0]}

    def listing(self, entries: Sequence[Entry], problems: Sequence[Problem], count: int = 1) -> Row:
        """What `pyhost schedule` shows. It makes no table and no file."""
        there = self._has_tables()
        now = self._now() if there else self._clock()
        known = self._rows_of_entries() if there else {}
        last = {each["entry"]: each for each in self._database.rows(_LAST)} if there else {}
        open_runs = self._open_runs() if there else {}
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
        """The rows of runs, the newest first."""
        conditions = ["entry = :name"] if name is not None else []
        if failed:
            conditions.append("status in ('failed', 'lost')")
        where = f"where {' and '.join(conditions)}" if conditions else ""
        order = "order by due desc, attempt desc, entry limit :limit"
        runs: list[Row] = []
        if self._has_tables():
            self._now()  # refuses a newer version
            values = {"limit": limit} | ({"name": name} if name is not None else {})
            runs = self._database.rows(f"select * from pyhost_runs {where} {order}", **values)
        if name is not None and not runs and not self._was_known(name):
            _find(name, entries)
        return {"runs": runs}

    def set_enabled(self, name: str, enabled: bool) -> Row:
        there = self._database.has_table("pyhost_schedule")
        sql = "update pyhost_schedule set enabled = :enabled where name = :name"
        if not there or not self._database.execute(sql, name=name, enabled=enabled):
            names = self._database.rows("select name from pyhost_schedule") if there else []
            raise _unknown(name, [str(each["name"]) for each in names])
        return {}

    def read_table(self) -> list[Row]:
        """The raw entries of pyhost_schedule."""
        if not self._database.has_table("pyhost_schedule"):
            return []
        return [
            {column: row[column] for column in COLUMNS if column in row}
            | {"place": f"pyhost_schedule, row {row.get('name')!r}"}
            for row in self._database.rows("select * from pyhost_schedule order by name")
        ]

    def make_tables(self, has_schedule: bool = False) -> None:
        """Makes the tables that are not there; that of the entries only if a schedule is to be in it."""
        wanted = "pyhost_schedule" if has_schedule else "pyhost_schema"
        if self._has_tables() and (not has_schedule or self._database.has_table(wanted)):
            return
        with self._database.transaction():
            self._database.lock_tables()
            for statement in _TABLES.split(";"):
                self._database.execute(statement)
            if has_schedule:
                self._database.execute(_SCHEDULE)
            self._database.execute(
                "insert into pyhost_schema (version) select :version where not exists "
                "(select 1 from pyhost_schema)",
                version=VERSION,
            )
        self._database.is_prepared = True

    # --- parts of a step

    def _keep(
        self, known: Mapping[str, Entry], owner: str, renew: Iterable[Key], finished: Iterable[Row]
    ) -> list[list[Any]]:
        """Returns the keys of runs that this owner has lost. Rows are changed in the order of their keys, so that two
        processes do not wait for each other."""
        lost: list[list[Any]] = []
        with self._database.transaction():
            now = self._now()
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

    def _finish(self, entry: Optional[Entry], owner: str, run: Row, now: int) -> bool:
        key: Row = dict(zip(("entry", "due", "attempt"), _key_of(run)))
        status = run["status"]
        is_written = self._database.execute(
            f"{END} {KEY} and owner = :owner and status = 'running'",
            **key, owner=owner, new=status, now=now, exit_code=run.get("exit_code"),
            result=_cut(run.get("result")), error=_cut(run.get("error")),
            retry_at=retry_time(entry, key["attempt"], status, now),
        )  # fmt: skip
        if is_written:
            return True
        # The answer to an earlier call with the same end may have been lost.
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
        now = answer["now"] if until is None else min(until, answer["now"])
        rows = self._remember(list(known.values()))
        answer["ended"] += self._end_lost(known)
        open_runs = self._open_runs()
        waiting = []
        for entry in known.values():
            if not entry.enabled:
                continue
            runs = open_runs.get(entry.name, [])
            first = self._first_due(entry, rows[entry.name], now)
            is_busy = entry.overlap != "allow" and any(r["status"] == "running" for r in runs)
            goes_on = not is_busy and any(
                r["status"] == "queued" or (r["retry_at"] or now + 1) <= now for r in runs
            )
            if goes_on or (first is not None and first <= now):
                waiting.append((not goes_on, first or now, entry.name))
        soon: list[int] = []
        for _, _, name in sorted(waiting):
            if len(answer["claimed"]) >= room:
                break
            left = room - len(answer["claimed"])
            turn, is_new = self._advance(known[name], rows[name], owner, left, now)
            answer["claimed"] += turn.claimed
            answer["ended"] += turn.ended
            if is_new:
                soon.append(now)
        answer["next"] = min(soon + self._later(known, owner, now), default=None)

    def _advance(
        self, entry: Entry, seen: Row, owner: str, room: int, now: int
    ) -> tuple[Turn, bool]:
        """Returns what it did, and whether another process has meanwhile changed what is due."""
        found, missed = self._split(entry, seen, now)
        with self._database.transaction():
            turn = self._turn(entry, owner, room)
            turn.retry()
            turn.take_queued()
            if entry.after is not None:
                for due, since in self._due_after(entry, turn.row):
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
        self, entry: Entry, row: Row, now: int
    ) -> tuple[list[int], Optional[tuple[int, str]]]:
        """Returns the due times that run, and the newest of those that do not, with what to say of them."""
        start = self._baseline(row, now)
        found, older = due_between(entry, row["created"], start, now, _MOST_DUE + 1)
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
        until = local_text(newest, entry.zone)
        message = f"the due time {until} was missed"
        if missed + older > 1:
            oldest = next_due(entry, row["created"], start) or newest
            since = local_text(oldest, entry.zone)
            message = f"{missed + older} due times from {since} to {until} were missed"
        return found[missed:], (newest, message)

    def _due_after(self, entry: Entry, row: Row) -> list[tuple[int, int]]:
        """The due times of the ended runs that this entry comes after, and when they ended."""
        found = self._database.rows(
            "select due, finished from pyhost_runs r where entry = :other and status = 'succeeded' "
            "and finished >= :created and due > :pruned and not exists "
            "(select 1 from pyhost_runs where entry = :entry and due = r.due) order by due",
            other=entry.after, entry=entry.name, created=row["created"], pruned=row["pruned"],
        )  # fmt: skip
        return [(each["due"], each["finished"]) for each in found]

    def _end_lost(self, known: Mapping[str, Entry]) -> list[Row]:
        """Ends the runs whose owners have not renewed their leases."""
        ended = []
        with_leases = "select * from pyhost_runs where status = 'running' and "
        beyond = "(lease_until < :now or lease_until > :far)"
        now = self._now()
        far = now + 2 * self.lease
        for run in self._database.rows(with_leases + beyond, now=now, far=far):
            key = {"entry": run["entry"], "due": run["due"], "attempt": run["attempt"]}
            unchanged = f"{KEY} and status = 'running' and lease_until = :seen"
            if run["lease_until"] > far:  # the clock went back
                self._database.execute(
                    f"update pyhost_runs set lease_until = :until {unchanged}",
                    **key, seen=run["lease_until"], until=now + self.lease,
                )  # fmt: skip
                continue
            message = (
                "its process ended, or could not reach the database until the end of its lease"
            )
            retry_at = retry_time(known.get(run["entry"]), run["attempt"], "lost", now)
            is_ended = self._database.execute(
                f"{END} {unchanged}",
                **key, seen=run["lease_until"], new="lost", now=now, retry_at=retry_at,
                exit_code=None, result=None, error=json.dumps({"message": message}),
            )  # fmt: skip
            if is_ended:
                ended.append(key | {"status": "lost", "message": message})
        return ended

    def _later(self, known: Mapping[str, Entry], owner: str, now: int) -> list[int]:
        """When something is to be done next, without what waits for room or for a run."""
        rows = self._rows_of_entries()
        times: list[Optional[int]] = []
        for entry in known.values():
            if entry.enabled and entry.after is None:
                first = self._first_due(entry, rows[entry.name], now)
                if first is not None and first <= now:
                    first = next_due(entry, rows[entry.name]["created"], now)
                times.append(first)
        for name, runs in self._open_runs().items():
            for run in runs:
                if run["status"] == "running" and run["owner"] != owner:
                    times.append(run["lease_until"] + 1)
                elif name in known and known[name].enabled:
                    times.append(run["retry_at"])
        return [each for each in times if each is not None and each > now]

    def _prune(self, now: int) -> None:
        """Removes old rows, at most once an hour for all processes."""
        schema = self._database.rows("select pruned_at from pyhost_schema")[0]
        if 0 <= now - schema["pruned_at"] < _HOUR:
            return
        is_mine = self._database.execute(
            "update pyhost_schema set pruned_at = :now where pruned_at = :seen",
            now=now, seen=schema["pruned_at"],
        )  # fmt: skip
        old: list[Row] = [{}] * _MOST_REMOVED if is_mine else []
        while len(old) == _MOST_REMOVED:
            old = self._remove(now - self.keep_days * _DAY)

    def _remove(self, oldest: int) -> list[Row]:
        with self._database.transaction():
            old = self._database.rows(_OLD, most=self.keep_runs, oldest=oldest, limit=_MOST_REMOVED)
            newest = {run["entry"]: run["due"] for run in old}  # the last one of an entry counts
            for entry, due in newest.items():
                self._database.execute(
                    "update pyhost_entries set pruned = :due where entry = :entry and pruned < :due",
                    entry=entry, due=due,
                )  # fmt: skip
            if old:
                self._database.execute_all(f"delete from pyhost_runs {KEY}", old)
        return old

    # --- the tables

    def _has_tables(self) -> bool:
        self._database.refresh()
        if not self._database.is_prepared:
            self._database.is_prepared = self._database.has_table("pyhost_schema")
        return self._database.is_prepared

    def _clock(self) -> int:
        """The time where there are no tables."""
        return time.time_ns() // 1000

    def _now(self) -> int:
        clock = self._database.clock
        sql = f"select version, clock_shift, {clock} as clock from pyhost_schema"
        found = self._database.rows(sql)[0]
        if found["version"] > VERSION:
            raise ScheduleFailed(
                "refused",
                f"the schedule's tables are of version {found['version']}, and this pyhost knows those up to {VERSION}",
                "use a newer pyhost",
            )
        return int(found["clock"] + found["clock_shift"])

    def _rows_of_entries(self) -> dict[str, Row]:
        found = self._database.rows("select * from pyhost_entries")
        return {each["entry"]: each for each in found}

    def _remember(self, entries: Sequence[Entry]) -> dict[str, Row]:
        """Returns the rows of the entries, which are made at the first sight of one, and begun anew for a new rule."""
        rows, now = self._rows_of_entries(), self._now()
        changed = [
            entry
            for entry in sorted(entries, key=lambda each: each.name)
            if entry.name not in rows
            or rows[entry.name]["rule"] != entry.rule
            or rows[entry.name]["created"] > now
        ]
        if not changed:
            return rows
        with self._database.transaction():
            for entry in changed:
                values = {"entry": entry.name, "rule": entry.rule, "now": self._now()}
                self._database.execute(
                    "insert into pyhost_entries (entry, rule, created) values (:entry, :rule, :now) "
                    "on conflict do nothing",
                    **values,
                )
                self._database.execute(
                    "update pyhost_entries set rule = :rule, created = :now, last_due = null "
                    "where entry = :entry and rule <> :rule",
                    **values,
                )
                self._database.execute(
                    "update pyhost_entries set created = :now where entry = :entry and created > :now",
                    entry=entry.name, now=values["now"],
                )  # fmt: skip
        return self._rows_of_entries()

    def _baseline(self, row: Row, now: int) -> int:
        """All due times up to this one were handled."""
        last = row["last_due"]
        if last is not None and last > now:  # the clock went back
            last = self._database.rows(
                "select max(due) as due from pyhost_runs where entry = :entry and triggered = 0 and due <= :now",
                entry=row["entry"], now=now,
            )[0]["due"]  # fmt: skip
        handled = [each for each in (last, row["pruned"]) if each is not None and each <= now]
        return int(max([row["created"], *handled]))

    def _first_due(self, entry: Entry, row: Row, now: int) -> Optional[int]:
        if entry.after is not None:
            return min((due for due, _ in self._due_after(entry, row)), default=None)
        key = (entry.rule, row["created"], self._baseline(row, now))
        found = self._first.get(entry.name)
        if found is None or found[0] != key:
            found = self._first[entry.name] = (key, next_due(entry, key[1], key[2]))
        return found[1]

    def _open_runs(self) -> dict[str, list[Row]]:
        runs: dict[str, list[Row]] = {}
        for each in self._database.rows(f"select * from pyhost_runs where {OPEN}"):
            runs.setdefault(each["entry"], []).append(each)
        return runs

    def _was_known(self, name: str) -> bool:
        sql = "select 1 from pyhost_entries where entry = :name"
        return self._has_tables() and bool(self._database.rows(sql, name=name))

    def _turn(self, entry: Entry, owner: str, room: int) -> Turn:
        """Locks the entry's row. Only then it reads the time, since it may have waited."""
        sql = f"select * from pyhost_entries where entry = :entry{self._database.lock}"
        row = self._database.rows(sql, entry=entry.name)[0]
        return Turn(self._database, entry, row, owner, room, self._now(), self.lease)


def _key_of(run: Row) -> tuple[str, int, int]:
    return run["entry"], run["due"], run["attempt"]


def _cut(text: Optional[str]) -> Optional[str]:
    size = len(text.encode(errors="replace")) if text else 0
    if text is None or size <= _LARGEST_RESULT:
        return text
    return json.dumps({"cut": True, "bytes": size, "begin": text[:1000]})


def _find(name: str, entries: Iterable[Entry]) -> Entry:
    found = {entry.name: entry for entry in entries}
    if name not in found:
        raise _unknown(name, list(found))
    return found[name]


def _unknown(name: str, names: list[str]) -> ScheduleFailed:
    close = get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else "`pyhost schedule` lists the entries"
    return ScheduleFailed("refused", f"there is no entry {name!r}", hint)
