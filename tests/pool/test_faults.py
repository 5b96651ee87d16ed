"""A host runs a module with a fault and then a valid module, and must return the right outcome for both."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, cached, small_program

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import faults  # noqa: E402
import more_faults  # noqa: E402

Fault = dict[str, Any]

# Faults that a host in the same process cannot survive, and why. A pool of worker processes survives them.
ENDS_THE_PROCESS = "it ends the process of the host"
STOPPED_BY_CHANCE = "it catches each cancellation that is raised within its try block, and most are"
BEYOND_US = {
    "kill_abort": ENDS_THE_PROCESS,
    "kill_segv_ctypes": ENDS_THE_PROCESS,
    "kill_sigkill_self": ENDS_THE_PROCESS,
    "kill_py_finalize": "it finalizes the interpreter",
    "kill_fatal_error": ENDS_THE_PROCESS,
    "end_atexit_osexit": "it ends the process during shutdown with its own exit status",
    "kill_catch_all_loop": STOPPED_BY_CHANCE,
    "sab_audit_hook_raises": "an audit hook cannot be removed, and this one refuses every import",
    "sab_setprofile_raises": "Python raises the exception of a profiler in run(), so that there is no result",
    "sab_rlimit_nofile": "no file can be opened any more, and the limit cannot be raised again",
    "sab_fd_leak": "no file can be opened any more, because leaked descriptors stay open in the process",
}  # fmt: skip
# Faults that never return, or take too long. They run with a deadline.
WITH_A_DEADLINE = (
    "imp_infinite_loop",
    "kill_infinite_loop",
    "kill_catch_all_loop",
    "kill_gil_hog_c",
)
SECONDS_FOR_FAULTS_THAT_NEVER_RETURN = 3


def write(root: Path, fault: Fault) -> None:
    files: dict[str, Any] = {"modules/__init__.py": "", "modules/good.py": faults.C}
    if fault["src"] is not None:
        files["modules/fault.py"] = fault["src"]
    for name, content in (files | fault.get("files", {})).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            kind, target = content
            assert kind == "symlink"
            file.symlink_to(target)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())


def run(root: Path, fault: Fault, level: str) -> tuple[int, bytes, bytes]:
    """Returns the exit status, stdout and stderr of the host. Kills all of its processes."""
    limit = fault.get("rlim_as")

    def before_it_starts() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        for descriptor in fault.get("close", ()):
            os.close(descriptor)

    state = fault.get("state", '{"a":1,"b":2}').encode("utf-8", "surrogatepass")
    if len(state) > 100_000:  # near the kernel's limit for one argument
        (root / "state.json").write_bytes(state)
        state = b"@state.json"
    name = fault.get("name", "fault")
    deadline = ["500"] if fault["id"] in WITH_A_DEADLINE else []
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root), "LANG": "C.UTF-8"}
    environment |= {"FB_MARK": str(root / "MARK")} | fault.get("env", {})
    reader, writer = os.pipe()  # a stdin without data that stays open
    out, err = root / "stdout", root / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            [*small_program("fault_host"), level, str(root), name.encode("utf-8", "surrogateescape"), state, *deadline],
            cwd=root, env=environment, stdin=reader, stdout=stdout, stderr=stderr,
            preexec_fn=before_it_starts, start_new_session=True,
        )  # fmt: skip
        try:
            never_returns = level == "host" and fault["id"] in BEYOND_US
            patience = SECONDS_FOR_FAULTS_THAT_NEVER_RETURN if never_returns else PATIENCE
            status = child.wait(patience)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            os.close(reader)
            os.close(writer)
    return status, out.read_bytes(), err.read_bytes()


def verdicts(stdout: bytes, tag: bytes) -> list[Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    texts = re.findall(rb"^@@%s (.*)$" % tag, stdout, re.MULTILINE)
    return [json.loads(text.decode(), parse_constant=refuse) for text in texts]


def cases() -> list[Any]:
    return [
        pytest.param(
            fault,
            id=fault["id"],
            marks=[
                pytest.mark.xfail(
                    reason=BEYOND_US[fault["id"]],
                    strict=BEYOND_US[fault["id"]] != STOPPED_BY_CHANCE,
                )
            ]
            if fault["id"] in BEYOND_US
            else [],
        )
        for fault in faults.F + more_faults.F
    ]


@pytest.mark.parametrize("fault", cases())
def test_a_host_runs_the_next_module_after_a_fault(fault: Fault, tmp_path: Path) -> None:
    check(fault, tmp_path, "host")


@pytest.mark.parametrize("fault", faults.F + more_faults.F, ids=lambda fault: fault["id"])
def test_a_pool_of_processes_runs_the_next_module_after_a_fault(
    fault: Fault, tmp_path: Path
) -> None:
    check(fault, tmp_path, "process")


def check(fault: Fault, tmp_path: Path, level: str) -> None:
    if fault.get("rlim_as") and cached("PYHOST_SANITIZE") == "ON":
        pytest.skip("AddressSanitizer needs more address space than the fault allows")
    if fault.get("since", (3, 9)) > sys.version_info[:2]:
        pytest.skip("the fault needs a newer Python")
    write(tmp_path, fault)
    status, stdout, stderr = run(tmp_path, fault, level)
    told = stderr[-2000:].decode(errors="replace")
    first = verdicts(stdout, b"R")
    assert len(first) == 1, told
    kind, *value = fault["expect"]
    if kind == "ok":
        assert first[0] == {"ok": True, "result": value[0]}, told
    elif kind == "err":
        assert first[0]["ok"] is False
        assert first[0]["type"]
    assert verdicts(stdout, b"C") == [{"ok": True, "result": 3}], told
    assert not (fault.get("mark") and (tmp_path / "MARK").exists()), "a planted file was run"
    assert status == 0, told


def test_each_known_limit_names_a_fault() -> None:
    assert set(BEYOND_US) <= {fault["id"] for fault in faults.F + more_faults.F}
