"""Runs the files of docs/clusters.md. Only hosts, folders and numbers of workers are replaced."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, driver_environment, needs_dask
from conftest import PATIENCE, ROOT, answers, clean_environment, missing, needs_package
from manifests import check_manifests

PAGE = (ROOT / "docs" / "clusters.md").read_text()
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
JOIN = "cat results-*.jsonl >results.jsonl"
MODULE = """
import time

class Price:
    def __init__(self, state):
        self.number = state["number"]

    def run(self):
        time.sleep(0.01)
        if self.number % 100 == 7:
            raise ValueError("no price")
        return 2 * self.number

def create(state):
    return Price(state)
"""


def recipe(name: str) -> str:
    """The text of the file of this name on the page."""
    (text,) = (block for block in BLOCKS if f"# {name}\n" in block)
    return str(text)


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path, program: str) -> Path:
    """The folder that replaces /srv/jobs."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "price.py").write_text(MODULE)
    (tmp_path / "states.jsonl").write_text("".join(f'{{"number":{i}}}\n' for i in range(400)))
    write_program(tmp_path / ".venv" / "bin" / "pyhost", f'exec {program} "$@"')
    return tmp_path


def outcomes(file: Path) -> dict[int, tuple[Any, ...]]:
    """The outcomes by index. If two lines have the same index, the later one counts."""
    lines = map(json.loads, file.read_text().splitlines())
    keys = ("status", "hash", "code", "result")
    return {line["index"]: tuple(line.get(key) for key in keys) for line in lines}


def expected(project: Path) -> dict[int, tuple[Any, ...]]:
    """The outcomes of one local call of pyhost map."""
    words = "map price --states states.jsonl -o local.jsonl --keep-going --quiet".split()
    done = subprocess.run(
        [".venv/bin/pyhost", *words], cwd=project, env=clean_environment(), timeout=PATIENCE
    )
    assert done.returncode == 1  # four states have no price
    return outcomes(project / "local.jsonl")


def check_results(project: Path, folder: Path) -> None:
    """Compares the results with those of a local call, and runs the command of the page that checks them."""
    results = folder / "results.jsonl"
    assert outcomes(results) == expected(project)
    assert len(results.read_text().splitlines()) == 400
    (check,) = (block for block in BLOCKS if block.startswith("/srv/jobs/.venv/bin/pyhost map"))
    done = subprocess.run(
        ["sh", "-c", check.replace("/srv/jobs", str(project))], cwd=folder, capture_output=True,
        text=True, env=clean_environment(PYHOST_MODULE_PATH=str(project)),
    )  # fmt: skip
    assert "4 of 4 states failed, 396 already done" in done.stderr


class Machine:
    """A separate machine as seen by ssh: an sshd with its own port and key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        make_key(folder / f"{name}.key")
        (folder / f"{name}.config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/{name}.key\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.key.pub\nStrictModes no\nUsePAM no\n"
            f"SetEnv HOME={folder}\n"
        )
        with open(folder / "ssh_config", "a") as config:
            config.write(
                f"Host {name}\nHostName 127.0.0.1\nPort {port}\nIdentityFile {folder}/user.key\n"
                f"StrictHostKeyChecking no\nUserKnownHostsFile {folder}/known\nLogLevel ERROR\n"
            )
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", folder / f"{name}.config", "-E", folder / f"{name}.log"]
        )
        Cluster.wait_until(lambda: answers(port))

    def processes(self) -> list[int]:
        """The processes of sshd: the daemon and one or more for each connection."""
        family = [self._process.pid]
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                pid, name, _, parent = stat.read_text().split()[:4]
                if name.startswith("(sshd"):
                    parents[int(pid)] = int(parent)
        for each in family:
            family += [pid for pid, parent in parents.items() if parent == each]
        return family

    def kill(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)


@pytest.fixture
def machines(project: Path) -> Iterator[list[Machine]]:
    for path, package in (("/usr/sbin/sshd", "openssh-server"), ("/usr/bin/parallel", "parallel")):
        if shutil.which(path) is None:
            missing(f"the package {package} is not installed")
    if os.getuid() == 0:  # as root, sshd needs this folder, which the system's service makes
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    write_program(
        project / "bin" / "ssh", f'exec {shutil.which("ssh")} -F {project}/ssh_config "$@"'
    )
    make_key(project / "user.key")
    started: list[Machine] = []
    try:
        for name in ("one", "two"):
            started.append(Machine(project, name))
        (project / "machines").write_text("one\ntwo\n")
        text = recipe("by-ssh.sh")
        assert "--block 10M" in text
        (project / "by-ssh.sh").write_text(
            text.replace("/srv/jobs", str(project)).replace("--block 10M", "--block 1k")
        )
        yield started
    finally:
        for machine in started:
            machine.kill()


def start_by_ssh(project: Path) -> subprocess.Popen[bytes]:
    path = f"{project}/bin:{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "by-ssh.sh"], cwd=project, start_new_session=True,
        env=clean_environment(PATH=path, PARALLEL_HOME=str(project / ".parallel")),
    )  # fmt: skip


def blocks_done(project: Path) -> list[tuple[int, str]]:
    """The number and the machine of each finished block."""
    log = project / "blocks" / "log"
    rows = [line.split("\t") for line in log.read_text().splitlines()[1:]] if log.exists() else []
    return [(int(row[0]), row[1]) for row in rows if row[6:8] == ["0", "0"]]


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_blocks_of_a_machine_that_dies_run_on_another_machine(
    project: Path, machines: list[Machine], is_interrupted: bool
) -> None:
    one, two = machines
    command = start_by_ssh(project)
    Cluster.wait_until(lambda: {name for _, name in blocks_done(project)} == {"one", "two"})
    Cluster.wait_until(lambda: len(two.processes()) > 1)  # it is running another block
    two.kill()
    if is_interrupted:
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(PATIENCE) != 0
        assert not (project / "results.jsonl").exists()
        command = start_by_ssh(project)
    assert command.wait(PATIENCE) == 0
    numbers = [number for number, _ in blocks_done(project)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))  # each block ran once
    check_results(project, project)


def test_a_block_that_fails_to_load_ends_the_command_with_its_exit_code(
    project: Path, machines: list[Machine]
) -> None:
    (project / "modules" / "price.py").write_text("1 / 0\n")
    assert start_by_ssh(project).wait(PATIENCE) == 3
    assert not (project / "results.jsonl").exists()


def test_the_parts_that_are_started_by_hand_run_all_states(project: Path) -> None:
    (command,) = (block for block in BLOCKS if "--shard 1/4" in block)
    for part in "1234":
        text = command.replace("1/4", f"{part}/4").replace("results-1", f"results-{part}")
        subprocess.run(["sh", "-c", text], cwd=project, env=clean_environment(), timeout=PATIENCE)
    subprocess.run(["sh", "-c", JOIN], cwd=project, check=True)
    check_results(project, project)


# Valid options, from the manual page sbatch(1).
SBATCH = {
    "job-name": r"\w+", "array": r"0-\d+", "chdir": r"/\S+", "cpus-per-task": r"\d+", "mem": r"\d+[KMGT]",
    "time": r"\d\d:\d\d:\d\d", "requeue": "", "open-mode": "append|truncate", "output": r"\S+%a\S*",
}  # fmt: skip


def test_the_options_of_the_slurm_script_are_valid() -> None:
    lines = recipe("price.sbatch").splitlines()
    options = [line.split()[1] for line in lines if line.startswith("#SBATCH")]
    for option in options:
        name, _, value = option.removeprefix("--").partition("=")
        assert re.fullmatch(SBATCH[name], value), option
    # Slurm reads options only before the first command.
    assert lines[0] == "#!/bin/bash" and lines[2 : 2 + len(options)] == [
        f"#SBATCH {option}" for option in options
    ]


def test_the_tasks_of_the_slurm_array_run_all_states(project: Path) -> None:
    (project / "price.sbatch").write_text(recipe("price.sbatch"))
    write_program(project / "bin" / "scontrol", 'echo "$*" >>scontrol.log')
    requeued = project / "scontrol.log"

    def run_task(number: int, **more: str) -> int:
        names = {"JOB_ID": 77, "TASK_ID": number, "TASK_MIN": 0, "TASK_MAX": 3, "TASK_COUNT": 4}
        variables = {f"SLURM_ARRAY_{name}": str(value) for name, value in names.items()}
        path = f"{project}/bin:{os.environ['PATH']}"
        env = clean_environment(PATH=path, **variables, **more)
        return subprocess.run(["bash", "price.sbatch"], cwd=project, env=env).returncode

    assert [run_task(number) for number in range(4)] == [0, 0, 0, 1]
    assert requeued.read_text() == "requeue 77_3\n"  # the last task has the states without a price
    assert JOIN in PAGE
    subprocess.run(["sh", "-c", JOIN], cwd=project, check=True)
    check_results(project, project)
    # The task is not requeued after the third restart, nor if the module cannot be loaded.
    assert run_task(3, SLURM_RESTART_COUNT="3") == 1
    (project / "modules" / "price.py").write_text("1 / 0\n")
    assert run_task(3) == 3
    assert requeued.read_text() == "requeue 77_3\n"


def manifests_of(text: str) -> list[Any]:
    needs_package("yaml")
    return list(importlib.import_module("yaml").safe_load_all(text))


def only_container(workload: Any) -> Any:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container


def check_job(job: Any) -> None:
    """Checks values that the API validates and the types of the fields do not show."""
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    rules = job["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "FailJob"
    codes = rules[0]["onExitCodes"]
    assert codes == {
        "containerName": only_container(job)["name"], "operator": "In", "values": [2, 3]
    }  # fmt: skip
    for rule in rules[1:]:
        assert rule["action"] == "Ignore" and set(rule) == {"action", "onPodConditions"}


def copy_states(project: Path) -> Path:
    """The folder that replaces the volume of the pods."""
    (project / "data").mkdir()
    shutil.copy(project / "states.jsonl", project / "data")
    return project / "data"


def test_kubernetes_knows_each_field_of_the_manifests() -> None:
    check_manifests(
        *(each for name in ("job", "dask") for each in manifests_of(recipe(f"price-{name}.yaml")))
    )


def test_the_pods_of_the_indexed_job_run_all_states(project: Path) -> None:
    (job,) = manifests_of(recipe("price-job.yaml"))
    check_job(job)
    container = only_container(job)
    assert job["spec"]["completionMode"] == "Indexed"
    assert container["env"] == [
        {"name": "JOB_COMPLETIONS", "value": str(job["spec"]["completions"])}
    ]
    data = copy_states(project)
    for index in range(4):
        env = clean_environment(JOB_COMPLETION_INDEX=str(index), JOB_COMPLETIONS="4")
        done = subprocess.run(container["command"], cwd=project, env=env, timeout=PATIENCE)
        assert done.returncode == (index == 3)
    subprocess.run(["sh", "-c", JOIN], cwd=data, check=True)
    check_results(project, data)


def test_dask_on_slurm_runs_all_states(project: Path, program: str) -> None:
    needs_dask()
    needs_package("dask_jobqueue")
    text = recipe("dask_on_slurm.py")
    assert "cores=16" in text and "jobs=32" in text
    (project / "dask_on_slurm.py").write_text(
        text.replace("cores=16", "cores=1").replace("jobs=32", "jobs=2")
    )
    # Each fake job runs in its own session, whose id is the job's number. Like Slurm, it runs a copy of the script.
    write_program(
        project / "bin" / "sbatch",
        'setsid bash -c "$(cat "$1")" >>jobs.log 2>&1 &\necho "Submitted batch job $!"',
    )
    write_program(project / "bin" / "scancel", 'for job; do kill -- "-$job"; done')
    env = clean_environment(**driver_environment(project, program))
    done = subprocess.run(
        [sys.executable, "dask_on_slurm.py"], cwd=project, capture_output=True, text=True,
        env=env | {"PATH": f"{project}/bin:{os.environ['PATH']}"}, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "4 of 400 states failed" in done.stderr
    check_results(project, project)


def test_dask_on_kubernetes_runs_all_states(project: Path, program: str) -> None:
    needs_dask()
    text = recipe("price-dask.yaml")
    service, scheduler, worker, job = manifests_of(text)
    check_job(job)
    for deployment in (scheduler, worker):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"] == {"matchLabels": labels}
    assert service["spec"]["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]
    (port,) = (each["port"] for each in service["spec"]["ports"])
    address = f"{service['metadata']['name']}:{port}"
    assert f"tcp://{address}" in only_container(worker)["command"]
    assert f"--engine=dask://{address}" in only_container(job)["command"]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        local = free.getsockname()[1]
    data = copy_states(project)
    env = clean_environment(**driver_environment(project, program))
    write_program(project / ".venv" / "bin" / "dask", f'exec {sys.executable} -m dask "$@"')
    text = text.replace("/srv/jobs/.venv", str(project / ".venv")).replace(
        "--nthreads=4", "--nthreads=1"
    )
    text = text.replace(address, f"127.0.0.1:{local}").replace(f'"{port}"', f'"{local}"')
    commands = [only_container(each)["command"] for each in manifests_of(text)[1:]]
    with contextlib.ExitStack() as ends:
        for command in commands[:2]:
            process = subprocess.Popen(command, cwd=project, env=env)
            ends.callback(process.wait, PATIENCE)
            ends.callback(process.terminate)
        done = subprocess.run(commands[2], cwd=project, env=env, timeout=PATIENCE)
    assert done.returncode == 1
    check_results(project, data)
