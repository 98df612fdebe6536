"""Files are replaced whole, with their owner and mode; locks give every command its turn."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from malha.errors import MissingError
from malha.host.files import locked, write_atomic


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key", b"x", mode=0o600)
    write_atomic(tmp_path / "conf", b"x")
    assert (mode_of(tmp_path / "key"), mode_of(tmp_path / "conf")) == (0o600, 0o644)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "key"]


def test_mode_and_owner_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    write_atomic(path, b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_symbolic_link_stays_and_its_target_changes(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("real/file")
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"mkdir -p .*/none"):
        write_atomic(tmp_path / "none" / "file", b"x")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "read-only")],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MissingError, match=words) as caught:
        write_atomic(path, b"new")
    assert caught.value.mend
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_lock_leaves_nothing_behind_and_can_be_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    for _ in range(2):
        with locked(path):
            assert (tmp_path / ".overlay.yaml.lock").read_text() == f"{os.getpid()}\n"
        assert list(tmp_path.iterdir()) == []


def test_waiting_in_vain_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    script = (
        "import sys, pathlib; from malha.host.files import locked\n"
        f"with locked(pathlib.Path({str(path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MissingError, match=f"pid {holder.pid}"), locked(path, timeout_s=0.05):
            pytest.fail("the lock was given twice")
        holder.kill()  # the kernel frees the lock of a dead holder
        holder.wait()
        with locked(path, timeout_s=5):
            pass


COUNT = """
import pathlib, sys
from malha.host.files import locked, write_atomic
path = pathlib.Path(sys.argv[1])
for _ in range(5):
    with locked(path):
        write_atomic(path, str(int(path.read_text()) + 1).encode())
"""


def test_no_change_of_twenty_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    command = [sys.executable, "-c", COUNT, str(path)]
    workers = [subprocess.Popen(command) for _ in range(20)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 20
    assert path.read_text() == "100"
    assert [entry.name for entry in tmp_path.iterdir()] == ["count"]
