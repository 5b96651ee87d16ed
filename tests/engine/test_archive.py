"""The archive in which modules are sent to other machines."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "python_modules"))

from pyhost._code_hash import code_hash  # noqa: E402
from pyhost._engine import archive, remote  # noqa: E402
from pyhost._engine.errors import BadEngine  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pyhost" / "modules"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    (path / "modules" / "tests").mkdir(parents=True)
    (path / "modules" / "m.py").write_text("x = 1\n")
    (path / "modules" / "tests" / "data.bin").write_bytes(b"\0\1")
    return path


def unpacked(packed: archive.Packed) -> str:
    (module_path,) = archive.unpack(packed.digest, packed.data)
    return module_path


def files_of(module_path: str) -> set[str]:
    folder = Path(module_path)
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_unpacked_modules_are_found_by_their_digest(project: Path, cache: Path) -> None:
    packed = archive.pack([str(project)])
    assert archive.find(packed.digest) is None
    here = unpacked(packed)
    assert archive.find(packed.digest) == [here]
    assert files_of(here) == {"modules/m.py", "modules/tests/data.bin"}
    assert stat.S_IMODE((cache / packed.digest).stat().st_mode) == 0o700
    assert unpacked(packed) == here  # as if another process had unpacked it first
    assert [each.name for each in cache.iterdir()] == [packed.digest]


def test_an_empty_module_path_is_unpacked_as_an_empty_folder(tmp_path: Path, cache: Path) -> None:
    packed = archive.pack([str(tmp_path)])
    assert unpacked(packed) == str(cache / packed.digest)


def test_the_digest_depends_on_the_content_only(project: Path) -> None:
    before = archive.pack([str(project)])
    os.utime(project / "modules" / "m.py", (1, 1))
    assert archive.pack([str(project)]) == before
    (project / "modules" / "m.py").write_text("x = 2\n")
    assert archive.pack([str(project)]).digest != before.digest


def test_secrets_caches_and_links_to_the_outside_are_not_packed(project: Path) -> None:
    modules = project / "modules"
    for name in (".env", "pyhost.toml"):
        (modules / name).write_text("secret")
    for folder in (".git", ".venv", "__pycache__"):
        (modules / folder).mkdir()
        (modules / folder / "file").write_text("")
    (project / "outside").write_text("secret")
    (modules / "leaves.py").symlink_to(project / "outside")
    (modules / "leaves").symlink_to(project)
    (modules / "leads_to_secret.py").symlink_to(modules / ".env")
    (modules / "leads_into_git.py").symlink_to(modules / ".git" / "file")
    (modules / "stays.py").symlink_to(modules / "m.py")
    (modules / "is_gone.py").symlink_to(modules / "gone.py")
    packed = archive.pack([str(project)])
    expected = {"modules/m.py", "modules/stays.py", "modules/tests/data.bin"}
    assert files_of(unpacked(packed)) == expected
    names = ("leads_into_git.py", "leads_to_secret.py", "leaves", "leaves.py")
    assert packed.left_out == [str(modules / name) for name in names]
    (notice,) = packed.notices()
    assert str(modules / "leaves.py") in notice


def test_links_to_folders_of_the_modules_are_followed_without_loops(project: Path) -> None:
    modules = project / "modules"
    (modules / "package").mkdir()
    (modules / "package" / "p.py").write_text("")
    (modules / "package" / "back").symlink_to("..")
    (modules / "also").symlink_to("package")
    (modules / "itself").symlink_to("itself")
    packed = archive.pack([str(project)])
    expected = {"m.py", "tests/data.bin", "package/p.py", "also/p.py"}
    assert files_of(unpacked(packed)) == {f"modules/{name}" for name in expected}
    assert packed.left_out == []
    assert packed.notices() == []


def test_the_code_hash_covers_the_files_that_are_packed(project: Path) -> None:
    modules = project / "modules"
    (project / "outside.py").write_text("x = 3\n")
    (modules / "leaves.py").symlink_to(project / "outside.py")
    (modules / "is_gone.py").symlink_to("gone.py")
    (modules / ".venv").mkdir()
    (modules / ".venv" / "installed.py").write_text("")
    (modules / "also_tests").symlink_to("tests")
    (modules / "tests" / "test_m.py").write_text("")
    packed = archive.pack([str(project)])
    assert packed.code == code_hash([f"{unpacked(packed)}/modules"])


def test_a_worker_with_a_full_disk_leaves_no_partly_unpacked_modules(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(full))
        (project / "modules" / "large").write_bytes(b"x" * 100_000)
        packed = archive.pack([str(project)])
        with pytest.raises(
            BadEngine, match="cannot store the modules in .*full.*No space"
        ) as raised:
            remote.run_chunk("{}", packed.digest, b"{}\n", packed.data)
        assert "free space there" in raised.value.hint
        assert [each for each in full.rglob("*") if each.name not in ("pyhost", "modules")] == []
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_files_beyond_the_total_size_limit_are_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 3)
    with pytest.raises(BadEngine, match="too large"):
        archive.pack([str(project)])


def packed(*entries: tarfile.TarInfo) -> tuple[str, bytes]:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as writer:
        for entry in entries:
            writer.addfile(entry, io.BytesIO(b"x" * entry.size))
    return hashlib.sha256(tar.getvalue()).hexdigest(), gzip.compress(tar.getvalue())


def entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = "/etc/passwd"
    return made


@pytest.mark.parametrize(
    "bad",
    [
        entry("/etc/evil"),
        entry("0/../../evil"),
        entry("0/modules/link", tarfile.SYMTYPE),
        entry("0/modules/hard", tarfile.LNKTYPE),
        entry("0/modules/pipe", tarfile.FIFOTYPE),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(bad: tarfile.TarInfo, cache: Path) -> None:
    with pytest.raises(BadEngine, match="must not contain"):
        archive.unpack(*packed(entry("0/modules/m.py"), bad))
    assert list(cache.iterdir()) == []


def test_a_damaged_archive_is_refused(project: Path) -> None:
    digest = archive.pack([str(project)]).digest
    with pytest.raises(BadEngine, match="damaged"):
        archive.unpack(digest, packed(entry("0/modules/m.py"))[1])


def test_modules_unused_for_a_month_are_removed(project: Path, cache: Path) -> None:
    old = cache / ("0" * 64)
    old.mkdir(parents=True)
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    unpacked(archive.pack([str(project)]))
    assert not old.exists()
