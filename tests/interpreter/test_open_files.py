"""Files that a module leaves open are complete after the process has ended, as under python3."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shelve
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, cached, make_venv, write_module

TEXT = "hello\n" * 1000


def read_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("member").decode()


def read_tar(path: Path) -> str:
    with tarfile.open(path) as archive:
        member = archive.extractfile("member")
        assert member is not None
        return member.read().decode()


def read_shelf(path: Path) -> str:
    with shelve.open(str(path)) as shelf:
        return "".join(shelf["texts"])


WRITTEN: dict[str, tuple[str, Callable[[Path], str]]] = {
    "gzip": (
        "f = gzip.open(path, 'wt'); f.write(text); keep.append(f)",
        lambda path: gzip.decompress(path.read_bytes()).decode(),
    ),
    "bz2": (
        "f = bz2.open(path, 'wt'); f.write(text); keep.append(f)",
        lambda path: bz2.decompress(path.read_bytes()).decode(),
    ),
    "xz": (
        "f = lzma.open(path, 'wt'); f.write(text); keep.append(f)",
        lambda path: lzma.decompress(path.read_bytes()).decode(),
    ),
    "gzip in gzip": (
        "keep.append(gzip.open(path, 'wb')); keep.insert(0, gzip.GzipFile(fileobj=keep[0], mode='wb'));"
        " keep[0].write(text.encode())",
        lambda path: gzip.decompress(gzip.decompress(path.read_bytes())).decode(),
    ),
    "zip with an open member": (
        "f = open(path, 'wb'); z = zipfile.ZipFile(f, 'w');"
        " m = io.TextIOWrapper(z.open('member', 'w')); m.write(text); keep.extend([f, z, m])",
        read_zip,
    ),
    "tar.gz": (
        "t = tarfile.open(path, 'w:gz'); info = tarfile.TarInfo('member'); info.size = len(text);"
        " t.addfile(info, io.BytesIO(text.encode())); keep.append(t)",
        read_tar,
    ),
    "shelf": (
        "s = shelve.open(path, writeback=True); s['texts'] = []; s['texts'].extend([text]); keep.append(s)",
        read_shelf,
    ),
    "dumb shelf": (
        "s = shelve.Shelf(dbm.dumb.open(path), writeback=True); s['texts'] = []; s['texts'].extend([text]);"
        " keep.append(s)",
        lambda path: "".join(shelve.Shelf(dbm_dumb(path))["texts"]),
    ),
}


def dbm_dumb(path: Path) -> shelve.Shelf[object]:
    import dbm.dumb

    return dbm.dumb.open(str(path))  # type: ignore[return-value]


IMPORTS = "import bz2, dbm.dumb, gzip, io, lzma, shelve, tarfile, tempfile, threading, time, zipfile\nkeep = []"


@pytest.mark.parametrize("isolation", ["host", "process"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_a_file_left_open_is_complete_after_the_end(
    pyhost: Run, tmp_path: Path, kind: str, isolation: str
) -> None:
    write, read = WRITTEN[kind]
    body = f"path = {str(tmp_path / 'written')!r}\ntext = {TEXT!r}\n{write}"
    words = write_module(tmp_path, "leaves", body, IMPORTS)
    done = pyhost(*words, "--isolation", isolation)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read(tmp_path / "written") == TEXT


def venv_whose_start_opens(file: Path, folder: Path) -> tuple[str, str]:
    """Makes a virtual environment whose .pth file writes TEXT to `starts.f`; returns the words that choose it."""
    make_venv(folder, cached("Python_EXECUTABLE"))
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "starts.pth").write_text(
        "import starts\n"
    )  # `site` runs a line twice, but a module once
    (site / "starts.py").write_text(f"f = open({str(file)!r}, 'w')\nf.write({TEXT!r})\n")
    return ("--venv", str(folder))


@pytest.mark.parametrize("isolation", ["host", "process"])
def test_a_file_left_open_by_the_start_of_python_is_complete_after_the_end(
    pyhost: Run, tmp_path: Path, isolation: str
) -> None:
    file = tmp_path / "written"
    venv = venv_whose_start_opens(file, tmp_path / "venv")
    done = pyhost(*write_module(tmp_path, "quiet", "pass"), "--isolation", isolation, *venv)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert file.read_text() == TEXT


def test_a_file_of_the_start_is_closed_when_its_last_reference_is_dropped(
    pyhost: Run, tmp_path: Path
) -> None:
    file = tmp_path / "written"
    venv = venv_whose_start_opens(file, tmp_path / "venv")
    body = f"import starts\ndel starts.f\nreturn len(open({str(file)!r}).read())"
    done = pyhost(*write_module(tmp_path, "drops", body), *venv)
    assert (done.returncode, done.stdout) == (0, f"{len(TEXT)}\n")


@pytest.mark.parametrize("isolation", ["host", "process"])
def test_an_object_left_behind_can_write_in_its_destructor(
    pyhost: Run, tmp_path: Path, isolation: str
) -> None:
    words = write_module(
        tmp_path,
        "leaves",
        "keep.append(Writer())",
        IMPORTS + "\nclass Writer:\n    def __del__(self): print('the footer')",
    )
    done = pyhost(*words, "--isolation", isolation)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the footer\n", "")


def test_a_shutdown_with_a_hanging_destructor_is_cut_short_and_its_place_is_reported(
    pyhost: Run, tmp_path: Path
) -> None:
    words = write_module(
        tmp_path,
        "leaves",
        "keep.append(Hangs())",
        IMPORTS + "\nclass Hangs:\n    def __del__(self): time.sleep(60)",
    )
    done = pyhost(*words, "--shutdown-timeout", "0.3")
    assert done.returncode == 0
    assert "a destructor is still running at" in done.stderr
    assert "in __del__" in done.stderr


def test_temporary_files_and_folders_left_open_are_removed(pyhost: Run, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    words = write_module(
        tmp_path,
        "leaves",
        f"keep.append(tempfile.NamedTemporaryFile(dir={str(folder)!r}))\n"
        f"keep.append(tempfile.NamedTemporaryFile('w', dir={str(folder)!r}))\n"
        f"keep.append(tempfile.TemporaryDirectory(dir={str(folder)!r}))",
        IMPORTS,
    )
    done = pyhost(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []


def test_the_standard_streams_stay_open_at_the_end(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path,
        "leaves",
        "keep.append(open(1, 'w', closefd=False)); keep[0].write('by another object ')\n"
        "keep.append(open(__file__))\n"
        "class Speaks(io.StringIO):\n"
        "    def close(self): self.closed or print('after all', flush=True); super().close()\n"
        "keep.append(Speaks())",
        IMPORTS,
    )
    done = pyhost(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.replace("object ", "object\n").splitlines()) == [
        "after all",
        "by another object",
    ]


def test_an_error_of_a_daemon_thread_whose_file_was_closed_is_not_printed(
    pyhost: Run, tmp_path: Path
) -> None:
    words = write_module(
        tmp_path,
        "leaves",
        f"f = open({str(tmp_path / 'written')!r}, 'w')\n"
        "def work():\n    while True: f.write('x'); f.flush()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "keep.extend(gzip.open('/dev/null', 'w') for _ in range(50))",
        IMPORTS,
    )
    done = pyhost(*words)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_cannot_be_closed_is_reported(pyhost: Run, tmp_path: Path) -> None:
    words = write_module(
        tmp_path, "leaves", "f = open('/dev/full', 'w'); f.write('x'); keep.append(f)", IMPORTS
    )
    done = pyhost(*words)
    assert done.returncode == 0
    assert done.stderr == (
        "pyhost: '/dev/full' was left open, and closing it failed: [Errno 28] No space left on device\n"
    )


def test_a_shutdown_with_a_file_that_hangs_in_close_is_cut_short_and_reported(
    pyhost: Run, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = write_module(
        tmp_path,
        "hangs",
        f"f = os.fdopen(os.open({str(pipe)!r}, os.O_RDWR), 'wb', 1 << 20); f.write(b'x' * 1_000_000); keep.append(f)",
        IMPORTS.replace("import ", "import os, ", 1),
    )
    done = pyhost(*words, "--shutdown-timeout", "0.3")
    assert done.returncode == 0
    assert "closing a file that a module left open does not return" in done.stderr
