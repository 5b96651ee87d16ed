"""pyhost map --engine with executors, and with Dask, whose scheduler and workers are separate processes."""

from __future__ import annotations

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
    needs_dask,
    results_of,
    running_cluster,
    start_driver,
    words_of,
    write_modules,
    write_states,
)
from conftest import PATIENCE, Run, clean_environment

needs_dask()


@pytest.fixture
def cluster(tmp_path: Path, program: str) -> Iterator[Cluster]:
    with running_cluster(tmp_path, program) as cluster:
        yield cluster


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_modules(tmp_path)
    return tmp_path


def test_an_executor_runs_the_states_and_edited_helpers(
    pyhost: Run, project: Path, program: str
) -> None:
    for value, expected in (("2 * i", 2), ("7 * i", 7)):
        write_modules(project, value)
        write_states(project, [{} for _ in range(3000)])
        words = words_of("modules.pools:two")
        done = pyhost(*words, env=driver_environment(project, program))
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr
        assert results_of(project) == {i: expected * i for i in range(3000)}


def test_links_that_are_not_sent_are_reported_once(
    pyhost: Run, project: Path, program: str
) -> None:
    (project / "outside.py").write_text("")
    (project / "modules" / "linked.py").symlink_to(project / "outside.py")
    write_states(project, [{} for _ in range(100)])
    done = pyhost(*words_of("modules.pools:threads"), env=driver_environment(project, program))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(str(project / "modules" / "linked.py")) == 1


def test_dask_runs_the_states_and_edited_helpers(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    env = driver_environment(project, program)
    for value, engine in (("2", f"dask://{cluster.address()}"), ("7", f"dask://{cluster.file}")):
        write_modules(project, f"{value} * i")
        write_states(project, [{} for _ in range(3000)])
        done = pyhost(*words_of(engine, "--ordered"), env=env)
        assert done.returncode == 0, done.stderr
        assert list(results_of(project).items()) == [(i, int(value) * i) for i in range(3000)]


def test_a_state_that_aborts_does_not_affect_other_states(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    write_states(project, [{"abort": i == 50} for i in range(100)])
    for engine in ("modules.pools:two", f"dask://{cluster.address()}"):
        done = pyhost(*words_of(engine), env=driver_environment(project, program))
        assert done.returncode == 1
        results = results_of(project)
        assert results.pop(50) == "crashed"
        assert results == {i: 2 * i for i in range(100) if i != 50}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_no_outcome_is_lost_with_a_worker(
    project: Path, program: str, cluster: Cluster, number: signal.Signals
) -> None:
    count = 4000
    write_states(project, [{"seconds": 0.001} for _ in range(count)])
    env = clean_environment(**driver_environment(project, program))
    driver = subprocess.Popen(
        [program, *words_of(f"dask://{cluster.address()}")], cwd=project, env=env,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out = project / "out"
    cluster.wait_until(lambda: out.exists() and out.stat().st_size > 0)
    cluster.workers[0].send_signal(number)
    _, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, stderr
    assert results_of(project) == {i: 2 * i for i in range(count)}


@pytest.mark.parametrize("engine", ["modules.pools:two", "dask"])
def test_the_first_signal_lets_the_states_in_flight_finish(
    pyhost: Run, project: Path, program: str, cluster: Cluster, engine: str
) -> None:
    count = 10_000
    write_states(project, [{"seconds": 0.001} for _ in range(count)])
    words = words_of(f"dask://{cluster.address()}" if engine == "dask" else engine)
    env = driver_environment(project, program)
    driver = start_driver(project, program, words)
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == -signal.SIGINT, stderr
    assert 0 < len(results_of(project)) < count
    done = pyhost(*words, "--resume", env=env)
    assert done.returncode == 0, done.stderr
    assert results_of(project) == {i: 2 * i for i in range(count)}


@pytest.mark.parametrize("engine", ["modules.pools:two", "modules.pools:threads", "dask"])
def test_the_second_signal_ends_runs_that_do_not_return(
    pyhost: Run, project: Path, program: str, cluster: Cluster, engine: str
) -> None:
    words = words_of(f"dask://{cluster.address()}" if engine == "dask" else engine)
    env = driver_environment(project, program)
    write_states(project, [{}, {"seconds": 3600}])
    driver = start_driver(project, program, words)
    assert driver.stderr is not None
    driver.send_signal(signal.SIGINT)
    said = ""
    while "stopping after the runs in flight" not in said:
        assert driver.poll() is None, said
        said += driver.stderr.readline()
    driver.send_signal(signal.SIGINT)
    _, rest = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == -signal.SIGINT, said + rest
    cluster.wait_until(lambda: not processes_of(project))
    write_states(project, [{} for _ in range(10)])
    done = pyhost(*words, env=env)
    assert done.returncode == 0, done.stderr


def test_a_killed_worker_leaves_no_coprocess_running(
    project: Path, program: str, cluster: Cluster
) -> None:
    write_states(project, [{}, {"seconds": 3600}])
    env = clean_environment(**driver_environment(project, program))
    words = words_of(f"dask://{cluster.address()}")
    driver = subprocess.Popen([program, *words], cwd=project, env=env, stderr=subprocess.DEVNULL)
    out = project / "out"
    cluster.wait_until(lambda: out.exists() and out.stat().st_size > 0)
    assert processes_of(project)
    for worker in cluster.workers:
        worker.kill()
    cluster.wait_until(lambda: not processes_of(project))
    driver.kill()
    driver.communicate()


def processes_of(project: Path) -> list[str]:
    """The running coprocesses and workers of pyhost that use the cache of this project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            variables = (process / "environ").read_bytes()
        except OSError:
            continue
        if (b"--coprocess" in command or b"--worker-of" in command) and (
            f"XDG_CACHE_HOME={project}/".encode() in variables
        ):
            found.append(process.name)
    return found


def test_a_thread_pool_runs_as_many_states_at_once_as_it_has_threads(
    pyhost: Run, project: Path, program: str
) -> None:
    # Each of the two runs waits until the other one has started.
    (project / "modules" / "meets.py").write_text(
        "import pathlib, time\n"
        "class Meets:\n"
        "    def __init__(self, state): self.state = state\n"
        "    def run(self):\n"
        "        mine, other = (pathlib.Path(self.state[name]) for name in ('mine', 'other'))\n"
        "        mine.touch()\n"
        "        while not other.exists(): time.sleep(0.01)\n"
        "        return 1\n"
        "def create(state): return Meets(state)\n"
    )
    names = [str(project / name) for name in ("a", "b")]
    write_states(project, [{"mine": a, "other": b} for a, b in (names, names[::-1])])
    words = ["map", "meets", "-m", ".", "--states", "states", "--engine", "modules.pools:threads"]
    done = pyhost(*words, "--timeout", "60s", env=driver_environment(project, program))
    assert done.returncode == 0, done.stderr


def test_a_resource_limits_the_number_of_concurrent_states(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add_worker("--no-nanny", "--nthreads", "4", "--resources", "GPU=2")
    sys.path.insert(0, str(ROOT / "python_modules"))
    from pyhost._engine import dask_engine
    from pyhost._engine.errors import Unreachable

    engine = dask_engine.DaskEngine(cluster.address(), {"GPU": 1})
    try:
        cluster.wait_until(lambda: engine.slots() == 2)
    finally:
        engine.close()
    monkeypatch.setattr(dask_engine, "WORKERS_SECONDS", 0.5)
    engine = dask_engine.DaskEngine(cluster.address(), {"TPU": 1})
    try:
        with pytest.raises(Unreachable, match="no worker with TPU=1"):
            cluster.wait_until(lambda: engine.slots() > 0)
    finally:
        engine.close()


def test_a_large_result_is_returned_whole(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    size = 50_000_000
    write_modules(project, f"'x' * {size} if i == 2 else i")
    write_states(project, [{} for _ in range(4)])
    for engine in ("modules.pools:two", f"dask://{cluster.address()}"):
        done = pyhost(*words_of(engine), env=driver_environment(project, program))
        assert done.returncode == 0, done.stderr
        results = results_of(project)
        assert len(results.pop(2)) == size
        assert results == {0: 0, 1: 1, 3: 3}


def test_a_module_that_cannot_be_loaded_is_one_error(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    (project / "modules" / "helper.py").write_text("1 / 0\n")
    write_states(project, [{} for _ in range(1000)])
    done = pyhost(
        *words_of(f"dask://{cluster.address()}"), env=driver_environment(project, program)
    )
    assert done.returncode == 3
    assert done.stderr.count("error: ") == 1
    assert "ZeroDivisionError" in done.stderr


def test_resume_continues_from_results_of_other_engines(
    pyhost: Run, project: Path, program: str, cluster: Cluster
) -> None:
    env = driver_environment(project, program)
    ways = ("", "modules.pools:two", f"dask://{cluster.address()}")
    for number, engine in enumerate(ways, 1):
        write_states(project, [{} for _ in range(100 * number)])
        done = pyhost(*words_of(engine, "--resume"), env=env)
        assert done.returncode == 0, done.stderr
        assert results_of(project) == {i: 2 * i for i in range(100 * number)}


def test_a_worker_of_another_version_is_refused(pyhost: Run, project: Path, program: str) -> None:
    other = project / "other"
    other.write_text(
        "#!/bin/sh\nread order\n"
        'echo \'{"hello": {"pyhost": "0.0.9", "python": "3.1", "code": "c"}}\'\ncat > /dev/null\n'
    )
    other.chmod(0o755)
    write_states(project, [{}])
    env = driver_environment(project, program) | {"PYHOST_PROGRAM": str(other)}
    done = pyhost(*words_of("modules.pools:two"), env=env)
    assert done.returncode == 2
    assert " has pyhost 0.0.9" in done.stderr or " has Python 3.1" in done.stderr
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["--engine", "spark://x:1"], "unknown engine"),
        (["--engine", "modules.pools:none"], "cannot be imported"),
        (["--engine", "dask://localhost"], "must be dask://HOST:PORT"),
        (["--engine", "dask://tcp://127.0.0.1:99"], "must be dask://HOST:PORT"),
        (["--engine", "modules.helper:value"], "value"),
        (["--engine", "dask://x:1", "--store", "s"], "--store"),
        (["--engine", "dask://x:1", "-j", "2"], "-j"),
        (["--engine", "dask://x:1", "--engine-resources", "GPU"], "name=number"),
        (["--engine-resources", "GPU=1"], "--engine"),
    ],
)
def test_an_unusable_engine_is_refused(
    pyhost: Run, project: Path, program: str, words: list[str], said: str
) -> None:
    write_states(project, [{}])
    done = pyhost(*words_of("", *words), env=driver_environment(project, program))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (project / "out").exists()


def test_a_missing_scheduler_file_makes_the_engine_unreachable(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{}])
    done = pyhost(*words_of("dask:///missing.json"), env=driver_environment(project, program))
    assert done.returncode == 75
    assert "the scheduler file /missing.json does not exist" in done.stderr


def test_a_scheduler_that_does_not_answer_makes_the_engine_unreachable(
    pyhost: Run, project: Path, program: str
) -> None:
    write_states(project, [{}])
    done = pyhost(*words_of("dask://127.0.0.1:1"), env=driver_environment(project, program))
    assert done.returncode == 75
    assert "127.0.0.1:1" in done.stderr
    assert not (project / "out").exists()
