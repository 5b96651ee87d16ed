"""The file formats that `pyhost map` reads states from."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from conftest import FIXTURES, PATIENCE, Run, clean_environment, embedded_version

MAP = (
    "map",
    "returns_state",
    "-m",
    str(FIXTURES),
    "--isolation",
    "shared",
    "--ordered",
    "--states",
)
LINES = b"".join(json.dumps({"i": i}).encode() + b"\n" for i in range(20_000))


def results(done: subprocess.CompletedProcess[str]) -> list[object]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["result"]["i"] for line in done.stdout.splitlines()]


# --- compressed


@pytest.mark.parametrize("members", [1, 3])
def test_states_in_gzip_are_read_from_a_file(pyhost: Run, tmp_path: Path, members: int) -> None:
    (tmp_path / "states").write_bytes(gzip.compress(LINES) * members)
    assert results(pyhost(*MAP, "states")) == list(range(20_000)) * members


def test_states_in_gzip_are_read_from_a_pipe(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, *MAP, "-"], input=gzip.compress(LINES), capture_output=True, timeout=PATIENCE,
        env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 20_000), done.stderr


def test_an_array_of_states_in_gzip_is_read(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "states").write_bytes(gzip.compress(b'[{"i": 0},\n{"i": 1}]'))
    assert results(pyhost(*MAP, "states")) == [0, 1]


@pytest.mark.parametrize("states", [b"", b"\n"])
def test_gzip_without_states_has_no_results(pyhost: Run, tmp_path: Path, states: bytes) -> None:
    (tmp_path / "states").write_bytes(gzip.compress(states))
    assert results(pyhost(*MAP, "states")) == []


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_gzip_is_an_error(pyhost: Run, tmp_path: Path, damage: str) -> None:
    whole = bytearray(gzip.compress(LINES))
    if damage == "cut":
        del whole[len(whole) // 2 :]
    else:
        whole[len(whole) - 6] ^= 1  # the checksum
    (tmp_path / "states").write_bytes(whole)
    done = pyhost(*MAP, "states")
    assert (
        done.returncode,
        done.stderr.count("error: cannot read the states from 'states': "),
    ) == (2, 1)


def test_a_map_that_fails_does_not_decompress_the_rest(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "states").write_bytes(gzip.compress(b"7\n" + LINES * 50))
    assert pyhost(*MAP, "states").returncode == 1


def test_states_in_zstd_are_read_if_python_supports_zstd(pyhost: Run, tmp_path: Path) -> None:
    frame = (
        b"\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00" + b'{"i": 42}\n'
    )  # one block that is not compressed
    (tmp_path / "states").write_bytes(frame)
    done = pyhost(*MAP, "states")
    if embedded_version() >= (3, 14):
        assert results(done) == [42]
    else:
        said = "cannot read the states from 'states': Python 3.14 or the package zstandard is needed for zstd"
        assert (done.returncode, done.stderr.count(said)) == (2, 1)


# --- files that are refused


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_states_in_utf_16_are_refused_by_the_name_of_the_encoding(
    pyhost: Run, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "states").write_bytes('{"a": 1}\n{"a": 2}\n'.encode(encoding))
    done = pyhost(*MAP, "states")
    assert done.returncode == 2
    assert done.stderr.startswith("error: states:1: this is UTF-")


@pytest.mark.parametrize("indent", [0, 2, "\t"])
@pytest.mark.parametrize("value", [{"a": 1}, {"a": {"b": [1, 2]}}, {"a": []}, {"}": "{", "b": 1}])
def test_an_object_over_several_lines_is_refused_with_a_hint(
    pyhost: Run, tmp_path: Path, indent: int | str, value: object
) -> None:
    text = json.dumps(value, indent=indent)
    (tmp_path / "states").write_text("\n" + text + "\n" + text)
    done = pyhost(*MAP, "states", "--keep-going")
    assert done.returncode == 2
    assert done.stderr.startswith("error: states:2: this object spans several lines")
    assert done.stdout == ""
    (tmp_path / "states").write_text(f"[{text},\n{text}]")
    assert pyhost(*MAP, "states").returncode == 0


def test_an_incomplete_first_line_is_one_invalid_state(pyhost: Run, tmp_path: Path) -> None:
    (tmp_path / "states").write_text('{"i":\n{"i": 1}\n')
    done = pyhost(*MAP, "states", "--keep-going")
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["invalid", "ok"]
