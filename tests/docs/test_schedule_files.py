"""Checks the SQL tables, the cron line, the systemd units and the Kubernetes manifest of schedule-deployment.md."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run, missing, needs_package
from manifests import check_manifests
from test_readme import blocks, write_files, write_modules

PAGE = ROOT / "docs" / "schedule-deployment.md"
MODULES = ROOT / "docs" / "schedule.md"
INSTALLED = "/srv/jobs/.venv/bin/pyhost"
CREATED = [block for block in blocks(PAGE, "sql") if "create table" in block]
ROWS = [block for block in blocks(PAGE, "sql") if "create table" not in block]


def columns(database: sqlite3.Connection) -> dict[str, list[Any]]:
    """The columns of each table: name, type, not null, default and primary key."""
    tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
    return {
        name: database.execute(f"select * from pragma_table_info('{name}')").fetchall()
        for (name,) in tables
    }


@pytest.fixture
def on_database(tmp_path: Path) -> Path:
    """The example folder of the page whose entries are in a database."""
    write_modules(MODULES, tmp_path)
    write_files(PAGE, tmp_path)
    return tmp_path / "on-database"


def test_the_tables_on_the_page_are_those_that_the_program_creates(
    pyhost: Run, on_database: Path
) -> None:
    assert pyhost("schedule", "tick", cwd=on_database).returncode == 0
    shown = sqlite3.connect(":memory:")
    for block in CREATED:
        shown.executescript(block)
    assert len(columns(shown)) == 4
    assert columns(shown) == columns(sqlite3.connect(on_database / "jobs.db"))


def test_rows_that_another_program_inserts_become_entries(pyhost: Run, on_database: Path) -> None:
    needs_package("cronsim")
    with sqlite3.connect(on_database / "jobs.db") as database:
        for block in [
            CREATED[0],
            *ROWS,
        ]:  # the page says that users may create the first table themselves
            database.executescript(block)
    done = pyhost("schedule", "--json", cwd=on_database)
    listed = {each["name"]: each for each in json.loads(done.stdout)["entries"]}
    assert listed["diary"]["enabled"] is False
    assert listed["diary"]["after"] == "morning"
    done = pyhost("schedule", "resume", "diary", cwd=on_database)
    assert done.returncode == 0, done.stderr
    assert pyhost("schedule", "trigger", "diary", cwd=on_database).returncode == 0
    (row,) = sqlite3.connect(on_database / "jobs.db").execute(
        "select status, exit_code, result, lease_until from pyhost_runs where entry = 'diary'"
    )
    assert row == ("succeeded", 0, '{"entry":"diary","attempt":1}', None)


def cron_line() -> tuple[str, str]:
    """The schedule and the command of the cron line."""
    (line,) = blocks(PAGE, "crontab")
    time = re.match(r"(?:\S+ ){5}", line)
    assert time
    return time[0].strip(), line[time.end() :].strip()


def test_the_cron_line_runs_each_minute() -> None:
    needs_package("cronsim")
    begin = datetime(2026, 3, 1)
    times = importlib.import_module("cronsim").CronSim(cron_line()[0], begin)
    assert [next(times) - begin for _ in range(2)] == [timedelta(minutes=1), timedelta(minutes=2)]


def test_the_command_of_the_cron_line_is_silent_on_success(
    program: str, pyhost: Run, tmp_path: Path
) -> None:
    command = cron_line()[1]
    assert "%" not in command  # cron reads it as a line break
    (tmp_path / "pyhost.toml").write_text(
        '[[schedule.entry]]\nname = "once"\nmodule = "mod1"\nevery = "1h"\n'
    )
    done = subprocess.run(
        ["sh", "-c", command.replace(INSTALLED, program).replace("/srv/jobs", str(tmp_path))],
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def units(folder: Path, program: str) -> dict[str, Path]:
    """Writes the units of the page to the folder, with the path of the built program."""
    written = {}
    for text in blocks(PAGE, "ini"):
        name = re.match(r"# /etc/systemd/system/(\S+)\n", text)
        assert name, "a unit must begin with the name of its file"
        assert "ExecStart" not in text or f"ExecStart={INSTALLED} schedule" in text
        written[name[1]] = folder / name[1]
        written[name[1]].write_text(text.replace(INSTALLED, program))
    return written


def test_systemd_accepts_the_units(program: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze, which verifies units, is not installed")
    files = units(tmp_path, program)
    assert sorted(files) == ["pyhost-schedule.service", "pyhost-tick.service", "pyhost-tick.timer"]

    def complaints() -> str:
        done = subprocess.run(
            ["systemd-analyze", "verify", *files.values()], capture_output=True, text=True
        )
        # systemd-analyze also reports problems of other units on this machine.
        return "\n".join(line for line in done.stderr.splitlines() if "pyhost" in line)

    assert complaints() == ""
    service = files["pyhost-schedule.service"]
    service.write_text(service.read_text().replace("KillMode=mixed", "KillMood=mixed"))
    assert "KillMood" in complaints()


def cron_job() -> Any:
    needs_package("yaml")
    (text,) = blocks(PAGE, "yaml")
    return importlib.import_module("yaml").safe_load(text)


def test_kubernetes_knows_each_field_of_the_manifest() -> None:
    check_manifests(cron_job())


def test_the_manifest_is_a_valid_cron_job_whose_command_runs(pyhost: Run, tmp_path: Path) -> None:
    needs_package("psycopg")
    manifest = cron_job()
    assert manifest["kind"] == "CronJob"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    spec = manifest["spec"]
    assert spec["schedule"] == cron_line()[0]
    assert spec["concurrencyPolicy"] in ("Allow", "Forbid", "Replace")
    # Kubernetes checks every 10 s, and gives up if it counts 100 missed starts within this many seconds.
    assert 10 < spec["startingDeadlineSeconds"] < 100 * 60
    job = spec["jobTemplate"]["spec"]
    assert job["template"]["spec"]["restartPolicy"] in ("Never", "OnFailure")
    (container,) = job["template"]["spec"]["containers"]
    assert container["name"] and container["image"]
    command, *words = container["command"]
    assert command == INSTALLED
    write_files(PAGE, tmp_path)
    project = tmp_path / "on-kubernetes"
    # The container sets every variable that the connection uses.
    variables = {each["name"]: "a long password" for each in container["env"]}
    done = pyhost(*words, cwd=project, env=variables | {"VIRTUAL_ENV": sys.prefix})
    assert done.returncode == 75, done.stderr  # the database does not exist
