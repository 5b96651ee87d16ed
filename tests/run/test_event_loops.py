"""Modules that run their own event loop with asyncio.run(), uvloop.run() or trio.run()."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run, ctrl_c_after_start, kept_venv

# run() runs main() in an event loop. In some loops, main() waits for a busy callback that the deadline interrupts.
MODULE = """
import time
{first}


async def wait():
    try:
        print("started", flush=True)
        await {wait}
    finally:
        print("cleaned up", flush=True)


async def main():
    await wait()


async def main_in_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep_forever()


async def main_with_busy_callback():
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def work():
        end = time.monotonic() + 100_000
        while time.monotonic() < end:
            pass
        done.set_result(1)

    loop.call_soon(work)
    try:
        print("started", flush=True)
        await done
    finally:
        print("cleaned up", flush=True)


class Module:
    def run(self):
        return {run}


def create(state):
    return Module()
"""

LOOPS = {
    "asyncio": ("import asyncio", "asyncio.sleep(100_000)", "asyncio.run(main())"),
    "asyncio_with_busy_callback": (
        "import asyncio",
        "asyncio.sleep(0)",
        "asyncio.run(main_with_busy_callback())",
    ),
    "uvloop": ("import asyncio, uvloop", "asyncio.sleep(100_000)", "uvloop.run(main())"),
    "uvloop_of_its_own": (
        "import asyncio, uvloop",
        "asyncio.sleep(100_000)",
        "uvloop.new_event_loop().run_until_complete(main())",
    ),
    "uvloop_with_busy_callback": (
        "import asyncio, uvloop",
        "asyncio.sleep(0)",
        "uvloop.run(main_with_busy_callback())",
    ),
    "trio": ("import trio", "trio.sleep(100_000)", "trio.run(main)"),
    "trio_in_a_nursery": ("import trio", "trio.sleep(100_000)", "trio.run(main_in_nursery)"),
}


# The deadlines below leave time for the import of the loop on a busy machine.
@pytest.fixture
def words(loop: str, tmp_path: Path) -> tuple[str, ...]:
    """Writes a module with this loop; returns its name and options."""
    first, wait, run = LOOPS[loop]
    (tmp_path / "modules").mkdir()
    source = MODULE.format(first=first, wait=wait, run=run)
    (tmp_path / "modules" / "loops.py").write_text(source)
    if loop.startswith("asyncio"):
        return ("loops", "-m", str(tmp_path))
    venv = kept_venv("venv-with-loops", ("uvloop", "trio"))
    return ("loops", "-m", str(tmp_path), "--venv", str(venv))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_deadline_on_the_main_thread_cancels_the_tasks_of_a_loop(
    pyhost: Run, words: tuple[str, ...]
) -> None:
    done = pyhost("run", *words, "--timeout", "3s")
    assert done.returncode == 124, done.stderr
    assert "was stopped at its deadline of 3 s" in done.stderr
    assert done.stdout == "started\ncleaned up\n"
    assert (
        len(done.stderr.splitlines()) < 60
    )  # few messages: each exception at most once, not each wait


@pytest.mark.parametrize("loop", LOOPS)
def test_a_deadline_on_a_thread_of_a_pool_cancels_the_tasks_of_a_loop(
    pyhost: Run, words: tuple[str, ...]
) -> None:
    done = pyhost(
        *("map", *words, "--isolation", "shared", "-j", "1", "--timeout", "3s", "--states", "-"),
        input="{}\n",
    )
    assert done.returncode == 1, done.stderr
    assert "was stopped at its deadline of 3 s" in done.stdout
    assert "cleaned up" in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) < 60


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio", "trio_in_a_nursery"])
@pytest.mark.parametrize("more", [(), ("--timeout", "1h")], ids=["", "with a timeout"])
def test_ctrl_c_in_a_loop_ends_the_program_by_the_signal(
    program: str, words: tuple[str, ...], more: tuple[str, ...]
) -> None:
    assert "KeyboardInterrupt" in ctrl_c_after_start(program, *words, *more)
