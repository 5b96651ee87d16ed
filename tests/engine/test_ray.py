"""pyhost map --engine ray://HOST:PORT, with a Ray cluster on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import (
    ROOT,
    Cluster,
    driver_environment,
    results_of,
    words_of,
    write_modules,
    write_states,
)
from conftest import PATIENCE, Run, clean_environment, needs_package
from proxy import Proxy
from ray_clusters import SETTINGS, RayCluster

if sys.version_info < (3, 10):  # the version in tests/requirements.txt does not support it
    pytest.skip("Ray is not installed for this Python", allow_module_level=True)
needs_package("ray")
sys.path.insert(0, str(ROOT / "python_modules"))

from pyhost._engine import ray_engine  # noqa: E402
from pyhost._engine.errors import Unreachable  # noqa: E402


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[RayCluster]:
    cluster = RayCluster(tmp_path_factory.mktemp("ray"), program)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_modules(tmp_path)
    return tmp_path


def driver_settings(project: Path, program: str) -> dict[str, str]:
    return driver_environment(project, program) | SETTINGS


def start_driver(project: Path, program: str, address: str, **env: str) -> subprocess.Popen[str]:
    """Starts a pyhost map in the background and waits until it has written its first results."""
    driver = subprocess.Popen(
        [program, *words_of(f"ray://{address}")], cwd=project, text=True,
        env=clean_environment(**driver_settings(project, program), **env),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out = project / "out"
    Cluster.wait_until(
        lambda: (out.exists() and out.stat().st_size > 0) or driver.poll() is not None
    )
    return driver


def test_ray_runs_all_states_and_an_abort_does_not_affect_other_states(
    pyhost: Run, project: Path, program: str, cluster: RayCluster
) -> None:
    write_states(project, [{"abort": i == 50} for i in range(3000)])
    done = pyhost(*words_of(f"ray://{cluster.address}"), env=driver_settings(project, program))
    assert done.returncode == 1, done.stderr
    results = results_of(project)
    assert results.pop(50) == "crashed"
    assert results == {i: 2 * i for i in range(3000) if i != 50}
    assert done.stdout == ""
    assert all(line.startswith(("pyhost: ", "error: ")) for line in done.stderr.splitlines())


def test_a_coprocess_is_reused_between_chunks_if_tasks_need_a_gpu(
    pyhost: Run, project: Path, program: str, cluster: RayCluster
) -> None:
    write_modules(project, "[7 * i, __import__('os').getppid()]")  # the process id of the coprocess
    write_states(project, [{} for _ in range(100)])
    env = driver_settings(project, program) | {"RAY_ADDRESS": f"ray://{cluster.address}"}
    done = pyhost(*words_of("ray://", "--engine-resources", "GPU=1"), env=env)
    assert done.returncode == 0, done.stderr
    results = results_of(project)
    assert [results[i][0] for i in range(100)] == [7 * i for i in range(100)]
    assert len({coprocess for _, coprocess in results.values()}) == 1


def test_a_state_that_kills_workers_does_not_affect_other_states(
    pyhost: Run, project: Path, program: str, cluster: RayCluster
) -> None:
    write_states(project, [{"kill": i == 5} for i in range(20)])
    words = words_of(f"ray://{cluster.address}", "--engine-retries", "0")
    done = pyhost(*words, env=driver_settings(project, program))
    assert done.returncode == 1, done.stderr
    results = results_of(project)
    assert results.pop(5) == "crashed", done.stderr
    assert results == {i: 2 * i for i in range(20) if i != 5}
    assert done.stdout == ""
    assert "states run again: their worker was lost" in done.stderr


def test_no_outcome_is_lost_with_a_killed_worker(
    project: Path, program: str, cluster: RayCluster
) -> None:
    write_states(project, [{"seconds": 0.001} for _ in range(4000)])
    driver = start_driver(project, program, cluster.address)
    os.kill(cluster.workers()[0], signal.SIGKILL)
    stdout, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, stderr
    assert results_of(project) == {i: 2 * i for i in range(4000)}
    assert stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_map_after_the_states_in_flight(
    project: Path, program: str, cluster: RayCluster, number: signal.Signals
) -> None:
    write_states(project, [{"seconds": 0.001} for _ in range(100_000)])
    driver = start_driver(project, program, cluster.address)
    driver.send_signal(number)
    stdout, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == -number, stderr
    results = results_of(project)
    assert 0 < len(results) < 100_000
    assert all(result == 2 * i for i, result in results.items())
    assert stdout == ""


def test_no_outcome_is_lost_when_the_connection_is_cut_for_a_while(
    project: Path, program: str, cluster: RayCluster
) -> None:
    write_states(project, [{"seconds": 0.001} for _ in range(5000)])
    proxy = Proxy(cluster.address)
    driver = start_driver(project, program, proxy.address)
    proxy.cut(3)
    _, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, stderr
    assert results_of(project) == {i: 2 * i for i in range(5000)}


def test_a_lost_connection_makes_the_engine_unreachable(
    project: Path, program: str, cluster: RayCluster
) -> None:
    write_states(project, [{"seconds": 0.001} for _ in range(100_000)])
    proxy = Proxy(cluster.address)
    driver = start_driver(project, program, proxy.address, RAY_CLIENT_RECONNECT_GRACE_PERIOD="1")
    proxy.cut(6)
    stdout, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 75, stderr
    assert "error: the connection to the Ray cluster was lost\n" in stderr
    assert all(line.startswith(("pyhost: ", "error: ", "hint: ")) for line in stderr.splitlines())
    assert stdout == ""


def test_a_worker_without_pyhost_or_with_another_version_is_refused(
    pyhost: Run, project: Path, program: str, cluster: RayCluster
) -> None:
    other = project / "other"
    other.write_text(
        "#!/bin/sh\nread order\n"
        'echo \'{"hello": {"pyhost": "0.0.9", "python": "3.1", "code": "c"}}\'\ncat > /dev/null\n'
    )
    other.chmod(0o755)
    write_states(project, [{}])
    nodes = {"none": ({}, "No module named 'pyhost'"),
             "old": (cluster.env | {"PYHOST_PROGRAM": str(other)}, "has pyhost 0.0.9")}  # fmt: skip
    for resource, (env, said) in nodes.items():
        cluster.add_node(resource, env)
        words = words_of(f"ray://{cluster.address}", "--engine-resources", f"{resource}=1")
        done = pyhost(*words, env=driver_settings(project, program))
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("error: ") == 1


def test_a_cluster_without_the_resources_of_a_task_is_unreachable(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ray_engine, "WORKERS_SECONDS", 1)
    with pytest.raises(Unreachable, match=r"room for a task with CPU=1, GPU=8 for 1 s"):
        ray_engine.RayEngine(cluster.address, {"GPU": 8})


@pytest.mark.parametrize(
    "engine, status, said",
    [
        ("ray://127.0.0.1:1", 75, "the Ray cluster at 127.0.0.1:1 does not answer"),
        ("ray://head", 2, "must be ray://HOST:PORT, not 'ray://head'"),
        ("ray://", 2, "must be ray://HOST:PORT, not 'head:6379'"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_reported(
    pyhost: Run, project: Path, program: str, engine: str, status: int, said: str
) -> None:
    write_states(project, [{}])
    env = driver_settings(project, program) | {"RAY_ADDRESS": "head:6379"}
    done = pyhost(*words_of(engine), env=env)
    assert done.returncode == status
    assert said in done.stderr
    assert not (project / "out").exists()


def test_a_missing_ray_is_reported_with_its_package(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{}])
    venv = project / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    env = driver_settings(project, program) | {"VIRTUAL_ENV": str(venv)}
    done = pyhost(*words_of("ray://127.0.0.1:1"), env=env)
    assert done.returncode == 2
    assert "error: Ray cannot be imported: No module named 'grpc'\n" in done.stderr
    assert "hint: install the package ray[client] where pyhost runs\n" in done.stderr
