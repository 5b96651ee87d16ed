"""Pools under the limits that a system, a user or a container sets."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess

from conftest import FIXTURES, PATIENCE, Run, clean_environment, missing

STATES = '{"give": "1"}\n' * 50
MAP = ("map", "evaluates", "--states", "-", "-m", str(FIXTURES))


def test_the_workers_that_fit_into_the_limit_of_threads_make_the_runs(program: str) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.getuid() != 0:
        missing("only root can become a user who has no other processes")
    # Root's files with the limits of another user: the two capabilities would lift them.
    user = [setpriv, f"--ruid={50_000 + os.getpid() % 10_000}"]
    done = subprocess.run(
        [*user, "--bounding-set=-sys_resource,-sys_admin", "--securebits=+no_setuid_fixup", program, *MAP, "-j", "4"],
        input=STATES, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (12, 12)),
    )  # fmt: skip
    assert "50 states done" in done.stderr
    assert "RLIMIT_NPROC (ulimit -u) is 12" in done.stderr
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 50)


def test_the_workers_that_fit_into_the_limit_of_descriptors_make_the_runs(pyhost: Run) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = pyhost(*MAP, "-j", "60", input=STATES, preexec_fn=limit)
    assert "50 states done" in done.stderr
    assert "RLIMIT_NOFILE (ulimit -n) is 64" in done.stderr
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 50)
