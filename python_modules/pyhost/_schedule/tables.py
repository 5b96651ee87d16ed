"""Creates, reads and prunes the tables of a schedule."""

from collections.abc import Sequence

from .database import Database, Row, ScheduleFailed
from .entries import Entry
from .turn import KEY, OPEN

VERSION = 1

_COLUMNS = (
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
# The rows that may be removed. They exclude open runs, and the newest row of each entry, which is needed if the clock
# is put back.
_OLD = f"""
select entry, due, attempt from (
  select entry, due, attempt, finished, {OPEN} as is_open,
    row_number() over (partition by entry order by due desc, attempt desc) as place
  from pyhost_runs) as ranked
where not is_open and place > 1 and (place > :most or finished < :oldest)
order by entry, due limit :limit
"""
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_MOST_REMOVED = 5000  # rows in one transaction


class Tables:
    """The tables of one database, and its clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exist(self, table: str = "pyhost_schema") -> bool:
        """Returns whether the table exists, without creating anything. Refuses tables of a newer version."""
        self._database.refresh()
        found = self._database.found_tables
        if table not in found and self._database.has_table(table):
            if table == "pyhost_schema":
                self.now()
            found.add(table)
        return table in found

    def make(self, has_schedule: bool = False) -> None:
        """Creates the missing tables. `has_schedule` means that the entries are in a table, too."""
        if self.exist() and (not has_schedule or self.exist("pyhost_schedule")):
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

    def now(self) -> int:
        """Returns the time by the clock of the database. Refuses tables of a newer version."""
        clock = self._database.clock
        sql = f"select version, clock_shift, {clock} as clock from pyhost_schema"
        found = self._database.rows(sql)[0]
        if found["version"] > VERSION:
            raise ScheduleFailed(
                "refused",
                f"the schedule's tables have version {found['version']}, but this pyhost supports only up to {VERSION}",
                "use a newer pyhost",
            )
        return int(found["clock"] + found["clock_shift"])

    def schedule(self) -> list[Row]:
        """Returns the raw entries of pyhost_schedule."""
        self.exist()  # refuses a newer version; another program may have created only pyhost_schedule
        if not self.exist("pyhost_schedule"):
            return []
        return [
            {column: row[column] for column in _COLUMNS if column in row}
            | {"place": f"pyhost_schedule, row {row.get('name')!r}"}
            for row in self._database.rows("select * from pyhost_schedule order by name")
        ]

    def entries(self) -> dict[str, Row]:
        found = self._database.rows("select * from pyhost_entries")
        return {each["entry"]: each for each in found}

    def open_runs(self) -> dict[str, list[Row]]:
        """Returns the runs of each entry that are queued, are running, or wait for their next attempt."""
        runs: dict[str, list[Row]] = {}
        for each in self._database.rows(f"select * from pyhost_runs where {OPEN}"):
            runs.setdefault(each["entry"], []).append(each)
        return runs

    def remember(self, entries: Sequence[Entry]) -> dict[str, Row]:
        """Returns the rows of all entries. Adds rows for new entries, and resets those whose time rule has changed."""
        rows, now = self.entries(), self.now()
        changed = [
            entry
            for entry in sorted(entries, key=lambda each: each.name)
            if entry.name not in rows
            or rows[entry.name]["rule"] != entry.rule
            or rows[entry.name]["created"] > now  # the clock was put back
        ]
        if not changed:
            return rows
        with self._database.transaction():
            for entry in changed:
                values = {"entry": entry.name, "rule": entry.rule, "now": self.now()}
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
        return self.entries()

    def baseline(self, row: Row, now: int) -> int:
        """Returns the time up to which all due times of the entry were handled."""
        last = row["last_due"]
        if last is not None and last > now:  # the clock was put back
            last = self._database.rows(
                "select max(due) as due from pyhost_runs where entry = :entry and triggered = 0 and due <= :now",
                entry=row["entry"], now=now,
            )[0]["due"]  # fmt: skip
        handled = [each for each in (last, row["pruned"]) if each is not None and each <= now]
        return int(max([row["created"], *handled]))

    def due_after(self, entry: Entry, row: Row) -> list[tuple[int, int]]:
        """Returns the due times and end times of the runs that this entry must follow."""
        found = self._database.rows(
            "select due, finished from pyhost_runs r where entry = :other and status = 'succeeded' "
            "and finished >= :created and due > :pruned and not exists "
            "(select 1 from pyhost_runs where entry = :entry and due = r.due) order by due",
            other=entry.after, entry=entry.name, created=row["created"], pruned=row["pruned"],
        )  # fmt: skip
        return [(each["due"], each["finished"]) for each in found]

    def prune(self, now: int, keep_days: int, keep_runs: int) -> None:
        """Removes old rows. Does so at most once an hour, in one of the processes."""
        seen = self._database.rows("select pruned_at from pyhost_schema")[0]["pruned_at"]
        if 0 <= now - seen < _HOUR:
            return
        is_mine = self._database.execute(
            "update pyhost_schema set pruned_at = :now where pruned_at = :seen", now=now, seen=seen
        )
        removed = _MOST_REMOVED if is_mine else 0
        while removed == _MOST_REMOVED:
            removed = self._remove(now - keep_days * _DAY, keep_runs)

    def _remove(self, oldest: int, most: int) -> int:
        with self._database.transaction():
            old = self._database.rows(_OLD, most=most, oldest=oldest, limit=_MOST_REMOVED)
            newest = {
                run["entry"]: run["due"] for run in old
            }  # rows are in the order of their due times
            for entry, due in newest.items():
                self._database.execute(
                    "update pyhost_entries set pruned = :due where entry = :entry and pruned < :due",
                    entry=entry, due=due,
                )  # fmt: skip
            if old:
                self._database.execute_all(f"delete from pyhost_runs {KEY}", old)
        return len(old)
