"""The module that the helper process of a scheduler runs. Each run answers one call; its state has the arguments.

The process keeps the open databases and the entries from run to run. Every state has

    call                its name, see below
    source              {"connection": NAME}, or {"file": PATH} of a history
    table               true if the entries are in pyhost_schedule of the source
    entries_version     otherwise, the version of the entries
    entries             only if {"need": "entries"} was returned for this version
    lease, keep_days, keep_runs

and the arguments of its call

    entries             next
    step                owner, room, renew, finished, dry_run, until, repeats
    trigger             owner, name
    history             name, failed, limit
    set_enabled         name, enabled

Expected failures are returned as {"error": {"kind", "message", "hint"}}. Times are microseconds since 1970 UTC.
"""

import json
import os
from dataclasses import asdict
from typing import Any, Optional

from pyhost import _connections
from pyhost._connection_urls import without_secrets
from pyhost._schedule.database import ScheduleFailed, open_connection, open_file
from pyhost._schedule.entries import Entry, Problem, check_entries
from pyhost._schedule.plan import Plan
from pyhost.errors import ConnectionFailed

# A setting of libpq: a server that accepts a connection but does not respond must not delay the leases.
os.environ.setdefault("PGCONNECT_TIMEOUT", "5")


class _Source:
    """The database of a schedule, and the entries that were read last."""

    def __init__(self, source: dict[str, Any]) -> None:
        if "file" in source:
            self.plan = Plan(open_file(source["file"]))
        else:
            name = source["connection"]
            url, secrets = _connections.find_url(name)
            self.plan = Plan(
                open_connection(name, url, lambda text: without_secrets(secrets, text))
            )
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self.version: Any = None
        self.rows: Optional[list[dict[str, Any]]] = None  # of the table
        self.reported: list[Problem] = []

    def read(self, raw: list[dict[str, Any]]) -> None:
        self.entries, self.problems = check_entries(raw)


_sources: dict[str, _Source] = {}


class Claims:
    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def run(self) -> dict[str, Any]:
        try:
            return self._answer()
        except ScheduleFailed as error:
            return {"error": error.as_dict()}
        except ConnectionFailed as error:
            return {"error": ScheduleFailed("refused", str(error)).as_dict()}

    def _answer(self) -> dict[str, Any]:
        state = self._state
        key = json.dumps(state["source"], sort_keys=True)
        source = _sources.get(key) or _sources.setdefault(key, _Source(state["source"]))
        plan = source.plan
        for option in ("lease", "keep_days", "keep_runs"):
            if state.get(option) is not None:
                setattr(plan, option, state[option])
        if state["call"] == "set_enabled":
            return self._set_enabled(plan)
        if not self._read_entries(source):
            return {"need": "entries"}
        return self._calls[state["call"]](self, source)

    def _read_entries(self, source: _Source) -> bool:
        """Returns False if the host must send the entries."""
        state = self._state
        if state.get("table"):
            if state["call"] in ("step", "trigger") and not state.get("dry_run"):
                source.plan.tables.make(has_schedule=True)
            # At each step. With outdated entries, a process could end the run of an entry that it does not know,
            # without a retry.
            rows = source.plan.tables.schedule()
            if rows != source.rows:
                source.read(rows)
                source.rows = rows
        elif "entries" in state:
            source.read(state["entries"])
            source.version = state.get("entries_version")
        elif source.version is None or source.version != state.get("entries_version"):
            return False
        return True

    def _entries(self, source: _Source) -> dict[str, Any]:
        problems = list(source.problems)
        if self._state.get("table") and not source.plan.tables.exist("pyhost_schedule"):
            problems.append(
                Problem(
                    f"connection {self._state['source']['connection']!r} has no table pyhost_schedule",
                    hint="`pyhost schedule tick` creates it",
                )
            )
        return source.plan.listing(source.entries, problems, self._state.get("next", 1))

    def _step(self, source: _Source) -> dict[str, Any]:
        state = self._state
        answer = source.plan.step(
            source.entries,
            state["owner"],
            state["room"],
            state.get("renew", []),
            state.get("finished", []),
            state.get("dry_run", False),
            state.get("until"),
            state.get("repeats", False),
        )
        answer["problems"] = [asdict(each) for each in source.problems]
        answer["problems_changed"] = source.problems != source.reported
        source.reported = source.problems
        return answer

    def _trigger(self, source: _Source) -> dict[str, Any]:
        return source.plan.trigger(source.entries, self._state["owner"], self._state["name"])

    def _history(self, source: _Source) -> dict[str, Any]:
        state = self._state
        name, failed, limit = state.get("name"), state.get("failed", False), state.get("limit", 20)
        return source.plan.history(source.entries, name, failed, limit)

    def _set_enabled(self, plan: Plan) -> dict[str, Any]:
        if not self._state.get("table"):
            raise ScheduleFailed(
                "refused",
                "only an entry of a database can be paused and resumed",
                "write enabled = false in the file of the entry",
            )
        return plan.set_enabled(self._state["name"], self._state["enabled"])

    _calls = {"entries": _entries, "step": _step, "trigger": _trigger, "history": _history}


def create(state: dict[str, Any]) -> Claims:
    return Claims(state)
