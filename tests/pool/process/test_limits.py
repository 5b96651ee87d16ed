"""Pools under limits of the system, a user or a container."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment

STATES = '{"give": "1"}\n' * 50
MAP = ("map", "evaluates", "--states", "-", "-m", str(FIXTURES))


def test_fewer_workers_complete_all_runs_under_a_limit_of_threads(program: str) -> None:
    # Runs as a user without other processes, who may still read all files. Two capabilities would lift the limit.
    as_user = [
        "setpriv", f"--ruid={50_000 + os.getpid() % 10_000}", "--securebits=+no_setuid_fixup",
        "--bounding-set=-sys_resource,-sys_admin",
    ]  # fmt: skip
    if os.getuid() != 0 or subprocess.run([*as_user, "true"], check=False).returncode != 0:
        pytest.skip("only root can start a process of another user")
    done = subprocess.run(
        [*as_user, program, *MAP, "-j", "4"],
        input=STATES, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (12, 12)),
    )  # fmt: skip
    assert "50 states done" in done.stderr
    assert "RLIMIT_NPROC (ulimit -u) is 12" in done.stderr
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 50)


def test_fewer_workers_complete_all_runs_under_a_limit_of_descriptors(pyhost: Run) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = pyhost(*MAP, "-j", "60", input=STATES, preexec_fn=limit)
    assert "50 states done" in done.stderr
    assert "RLIMIT_NOFILE (ulimit -n) is 64" in done.stderr
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 50)


@pytest.fixture
def small_group() -> Iterator[Path]:
    """The file cgroup.procs of a control group with 200 MB of memory."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    groups = {controllers: path.lstrip("/") for _, controllers, path in lines}
    root = Path("/sys/fs/cgroup")
    version_1 = "memory" in groups
    parent = root / "memory" / groups["memory"] if version_1 else root / groups.get("", "")
    group = parent / f"pyhost-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as refused:
        pytest.skip(f"control groups cannot be created: {refused}")
    limit = group / ("memory.limit_in_bytes" if version_1 else "memory.max")
    try:
        if not limit.exists():
            pytest.skip("control groups here do not limit memory")
        limit.write_text("200000000")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def test_a_worker_killed_by_the_out_of_memory_killer_is_reported_as_such(
    pyhost: Run, small_group: Path
) -> None:
    def enter() -> None:
        small_group.write_text(str(os.getpid()))

    words = ("--isolation", "process", "-m", str(FIXTURES))
    large = ("run", "evaluates", "-p", "give=len(b'x' * 1_000_000_000)", *words)
    done = pyhost(*large, preexec_fn=enter)
    assert done.returncode == 137
    assert "signal 9 (SIGKILL) of the kernel's out-of-memory killer" in done.stderr
    assert "hint: allow its control group more memory" in done.stderr
    killed = pyhost("run", "ruins_its_process", "-p", "how=kill", *words, preexec_fn=enter)
    assert "signal 9 (SIGKILL)\n" in killed.stderr
