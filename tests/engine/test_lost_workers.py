"""pyhost map --engine when workers or the connection to them are lost: each state still has one outcome."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import (
    ROOT,
    Cluster,
    driver_environment,
    needs_dask,
    results_of,
    running_cluster,
    start_driver,
    words_of,
    write_modules,
    write_states,
)
from conftest import PATIENCE, Run
from proxy import Proxy

needs_dask()
sys.path.insert(0, str(ROOT / "python_modules"))

from pyhost._engine import archive, dask_engine  # noqa: E402
from pyhost._engine import driver as engine_driver  # noqa: E402
from pyhost._engine.errors import Unreachable  # noqa: E402


@pytest.fixture
def cluster(tmp_path: Path, program: str) -> Iterator[Cluster]:
    with running_cluster(tmp_path, program) as cluster:
        yield cluster


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_modules(tmp_path)
    return tmp_path


def test_no_outcome_is_lost_when_the_connection_is_cut(
    project: Path, program: str, cluster: Cluster
) -> None:
    write_states(project, [{"seconds": 0.001} for _ in range(10_000)])
    proxy = Proxy(cluster.address())
    driver = start_driver(project, program, words_of(f"dask://{proxy.address}"))
    proxy.cut(10)
    _, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, stderr
    assert results_of(project) == {i: 2 * i for i in range(10_000)}


def test_a_suspended_worker_does_not_delay_the_start(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    write_states(project, [{} for _ in range(100)])
    words = words_of(f"dask://{cluster.address()}")
    env = driver_environment(project, program)
    assert pyhost(*words, env=env).returncode == 0
    (project / "out").unlink()
    cluster.workers[0].send_signal(signal.SIGSTOP)
    done = pyhost(*words, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert results_of(project) == {i: 2 * i for i in range(100)}


def test_the_name_of_a_chunk_has_its_module_and_states(cluster: Cluster) -> None:
    engine = dask_engine.DaskEngine(cluster.address(), {})
    driver = engine_driver.Driver(engine, 3, archive.Packed("0" * 64, b"", "", []))
    try:
        for number in (1, 2):
            driver.submit(number, '{"module": "work"}', b"{}\n{}\n")
        names = [key.rsplit("-", 2)[0] for key in sorted(engine._client.futures)]
        assert names == ["pyhost-work-0-1", "pyhost-work-2-3"]
    finally:
        driver.close()


def test_the_loss_of_all_workers_makes_the_engine_unreachable(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = dask_engine.DaskEngine(cluster.address(), {})
    try:
        Cluster.wait_until(lambda: engine.slots() == 2)
        monkeypatch.setattr(dask_engine, "WORKERS_SECONDS", 2)
        for worker in cluster.workers:
            worker.kill()
        with pytest.raises(Unreachable, match="no worker for 2 s"):
            Cluster.wait_until(lambda: engine.slots() > 2)
    finally:
        engine.close()


def test_a_worker_that_cannot_store_the_modules_is_an_error(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{} for _ in range(100)])
    full = {"XDG_CACHE_HOME": "/dev/null/cache"}
    with running_cluster(project, program, more=full) as cluster:
        for engine in ("modules.pools:two", f"dask://{cluster.address()}"):
            done = pyhost(*words_of(engine), env=driver_environment(project, program) | full)
            assert done.returncode == 2, done.stderr
            assert "cannot store the modules in " in done.stderr
            assert "hint: free space there" in done.stderr


def test_a_state_that_kills_workers_does_not_affect_other_states(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{"kill": i == 50} for i in range(100)])
    # Dask gives up a chunk when its first worker is lost; this keeps the test short.
    more = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with running_cluster(project, program, workers=0, more=more) as cluster:
        cluster.add_worker("--nanny", "--nworkers", "2")
        for engine in ("modules.pools:two", f"dask://{cluster.address()}"):
            done = pyhost(*words_of(engine), env=driver_environment(project, program))
            assert done.returncode == 1, done.stderr
            results = results_of(project)
            (project / "out").unlink()
            assert results.pop(50) == "crashed", done.stderr
            assert results == {i: 2 * i for i in range(100) if i != 50}


@pytest.mark.parametrize("executor", ["forks", "threads"])
def test_any_executor_runs_the_states(
    pyhost: Run, project: Path, program: str, executor: str
) -> None:
    write_states(project, [{} for _ in range(1000)])
    env = driver_environment(project, program)
    done = pyhost(*words_of(f"modules.pools:{executor}"), env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert results_of(project) == {i: 2 * i for i in range(1000)}
