"""The results file of `pyhost map -o`: one process at a time may write it, and --resume continues it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import FIXTURES, Run, clean_environment

MAP = (
    "map",
    "evaluates",
    "-m",
    str(FIXTURES),
    "--isolation",
    "shared",
    "--states",
    "-",
    "-o",
    "out",
)


def gives(*expressions: str) -> str:
    return "".join(json.dumps({"give": each}) + "\n" for each in expressions)


# --- two calls with one file


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_second_call_on_one_results_file_is_refused(
    pyhost: Run, program: str, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "out").write_text("" if more else "results of before")
    with subprocess.Popen(
        [program, *MAP, *more], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=clean_environment(),
    ) as first:  # fmt: skip
        assert first.stdin is not None and first.stderr is not None
        first.stdin.write(gives("open('begun', 'w').close()"))
        first.stdin.flush()
        while not (tmp_path / "out").read_text().startswith('{"index":0'):
            assert first.poll() is None
        second = pyhost(*MAP, *more, input=gives("2", "3"))
        first.stdin.write(gives("4"))
        first.stdin.close()
        assert first.wait() == 0
    assert second.returncode == 2
    assert f"process {first.pid} is writing its results to 'out'" in second.stderr
    assert [json.loads(line)["index"] for line in (tmp_path / "out").read_text().splitlines()] == [
        0,
        1,
    ]
    assert pyhost(*MAP, *more, input=gives("1")).returncode == 0  # the lock has been released


def test_removing_the_results_file_during_a_map_is_an_error(pyhost: Run, tmp_path: Path) -> None:
    done = pyhost(*MAP, input=gives("__import__('os').remove('out')"))
    assert (done.returncode, done.stderr.count("'out' was removed")) == (74, 1)


def test_a_call_that_fails_at_once_leaves_no_file_behind(pyhost: Run, tmp_path: Path) -> None:
    assert pyhost("map", "missing", *MAP[2:], input=gives("1")).returncode == 3
    assert not (tmp_path / "out").exists()


# --- --resume


def lines_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 200, b'{"index":3,"sta' + b"\0" * 200, b"\n\n", b" \r\n\r\n", b"\0" * 200 + b"\n"],
    ids=[
        "NUL",
        "half a line and NUL",
        "blank lines",
        "blank lines of Windows",
        "NUL and a newline",
    ],
)
def test_resume_drops_an_incomplete_end_that_a_crash_left(
    pyhost: Run, tmp_path: Path, tail: bytes
) -> None:
    out = tmp_path / "out"
    assert pyhost(*MAP, "--ordered", input=gives("0", "1", "2")).returncode == 0
    whole = out.read_bytes()
    out.write_bytes(whole + tail)
    resumed = pyhost(*MAP, "--resume", input=gives("0", "1", "2", "3"))
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.startswith("pyhost: 1 state done, 3 already done")
    assert out.read_bytes().startswith(whole)
    assert [line["result"] for line in lines_of(out)] == [0, 1, 2, 3]


def test_resume_starts_over_from_a_file_of_nul_bytes(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"\0" * 4096)
    assert pyhost(*MAP, "--resume", input=gives("0")).returncode == 0
    assert [line["result"] for line in lines_of(tmp_path / "out")] == [0]


def test_resume_refuses_nul_bytes_between_results(pyhost: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pyhost(*MAP, "--ordered", input=gives("0", "1")).returncode == 0
    first, second = out.read_bytes().splitlines(keepends=True)
    damaged = first + b'{"index":' + b"\0" * 9 + second + second
    out.write_bytes(damaged)
    resumed = pyhost(*MAP, "--resume", input=gives("0", "1"))
    assert (resumed.returncode, resumed.stderr.count("out:2: this line is damaged")) == (2, 1)
    assert out.read_bytes() == damaged


def rewritten(text: str, how: str) -> str:
    if how == "CRLF":
        return text.replace("\n", "\r\n")
    if how == "byte order mark":
        return "\ufeff" + text
    keys = how == "other order"
    return "".join(
        json.dumps(json.loads(line), sort_keys=keys) + "\n" for line in text.splitlines()
    )


@pytest.mark.parametrize("how", ["CRLF", "byte order mark", "spaces", "other order"])
def test_resume_reads_results_that_another_program_has_rewritten(
    pyhost: Run, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    pyhost(*MAP, "--ordered", "--keep-going", input=gives("0", "1", "1 / 0"))
    out.write_bytes(rewritten(out.read_text(), how).encode())
    resumed = pyhost(*MAP, "--resume", input=gives("0", "1", "2"))
    assert resumed.stderr.startswith("pyhost: 1 state done, 2 already done")


def test_resume_reports_the_number_of_results_whose_states_are_gone(
    pyhost: Run, tmp_path: Path
) -> None:
    pyhost(*MAP, input=gives("0", "1", "2", "3"))
    resumed = pyhost(*MAP, "--resume", input=gives("0", "1"))
    said = "warning: 2 results in out are of states that no longer exist"
    assert resumed.stderr.splitlines()[0] == said
    assert pyhost(*MAP, "--resume", "-q", input=gives("0", "1")).stderr == ""
    assert "warning" not in pyhost(*MAP, "--resume", input=gives("0", "1", "2", "3")).stderr


# --- versions of the modules


def version(folder: Path, result: int) -> tuple[str, ...]:
    """Writes a version of the module; returns the arguments that map it. Its size makes Python recompile it."""
    (folder / "modules" / "parts").mkdir(parents=True, exist_ok=True)
    (folder / "modules" / "parts" / "number.py").write_text(f"NUMBER = {result}{result * chr(10)}")
    (folder / "modules" / "own.py").write_text(
        "from modules.parts.number import NUMBER\n\nclass Own:\n    def run(self):\n"
        "        return NUMBER\n\ndef create(state):\n    return Own()\n"
    )
    return ("map", "own", "-m", ".", "--isolation", "shared", "--states", "-", "-o", "out")


def test_each_result_has_the_version_of_the_modules(pyhost: Run, tmp_path: Path) -> None:
    codes = []
    for result in (1, 2, 1):
        pyhost(*version(tmp_path, result), input="{}\n")
        codes.append(lines_of(tmp_path / "out")[0]["code"])
    assert len(str(codes[0])) == 64
    assert codes[0] == codes[2] != codes[1]


def test_resume_warns_of_results_from_another_version_of_the_modules(
    pyhost: Run, tmp_path: Path
) -> None:
    pyhost(*version(tmp_path, 1), input="{}\n{}\n")
    words = (*version(tmp_path, 2), "--resume")
    resumed = pyhost(*words, input="{}\n{}\n{}\n")
    said = "warning: 2 results in out came from another version of the modules"
    assert resumed.stderr.startswith(said + "; --redo-changed runs their states again\n")
    assert [line["result"] for line in lines_of(tmp_path / "out")] == [1, 1, 2]
    again = pyhost(*words, "--redo-changed", "--ordered", input="{}\n{}\n{}\n")
    assert again.stderr.startswith("pyhost: 2 states done, 1 already done")
    assert [line["result"] for line in lines_of(tmp_path / "out")] == [1, 1, 2, 2, 2]
    once_more = pyhost(*words, "--redo-changed", input="{}\n{}\n{}\n")
    assert once_more.stderr.startswith("pyhost: 0 states done, 3 already done")


def test_modules_that_are_edited_during_a_call_are_reported(pyhost: Run, tmp_path: Path) -> None:
    words = version(tmp_path, 1)
    edits = "        open('modules/parts/number.py', 'a').write('# more')\n        return NUMBER"
    own = tmp_path / "modules" / "own.py"
    own.write_text(own.read_text().replace("        return NUMBER", edits))
    assert "warning: the modules were changed meanwhile" in pyhost(*words, input="{}\n").stderr


def test_redo_changed_is_refused_without_resume(pyhost: Run) -> None:
    done = pyhost(*MAP, "--redo-changed", input=gives("0"))
    assert (done.returncode, done.stderr.count("--redo-changed needs --resume")) == (2, 1)
