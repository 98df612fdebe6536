"""`malha render`: who may read the files, what is written, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from malha.wireguard.wg_quick import parse_wg_quick
from tests.builders import a_private_key
from tests.unit.cli_overlay.conftest import Run


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """(inode, time of change, content) of each file."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
    }


def test_one_file_for_each_node_for_its_owner_alone(keyed: Path, malha: Run) -> None:
    result = malha("render", "--json")
    out = keyed.parent / "out"
    names = ["hub-1.conf", "hkg.conf", "nrt.conf", "sin.conf"]
    assert result.returncode == 0
    assert json.loads(result.stdout) == {
        "format": "wg-quick",
        "out": "out",
        "written": names,
        "unchanged": [],
        "without_private_key": [],
        "stale": [],
    }
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for path in out.iterdir():
        file, flaws = parse_wg_quick(path.read_text())
        assert not flaws
        assert len(file.peers) == (3 if path.stem in ("hub-1", "hkg") else 2)


def test_the_same_input_gives_the_same_bytes_and_writes_nothing(keyed: Path, malha: Run) -> None:
    malha("render", "--out", "a")
    before = snapshot(keyed.parent / "a")
    again = malha("render", "--out", "a", "--json")
    assert json.loads(again.stdout)["written"] == []
    assert snapshot(keyed.parent / "a") == before
    malha("render", "--out", "b")
    other = snapshot(keyed.parent / "b")
    assert {name: entry[2] for name, entry in other.items()} == {
        name: entry[2] for name, entry in before.items()
    }


def test_a_new_node_writes_its_neighbours_files_only(keyed: Path, malha: Run) -> None:
    malha("render")
    before = snapshot(keyed.parent / "out")
    assert malha("add", "syd", "--region", "ap").returncode == 0
    assert malha("keys", "new").returncode == 0
    answer = json.loads(malha("render", "--json").stdout)
    assert sorted(answer["written"]) == ["hkg.conf", "hub-1.conf", "syd.conf"]
    after = snapshot(keyed.parent / "out")
    assert {name for name in before if after[name] == before[name]} == {"nrt.conf", "sin.conf"}


def test_a_file_that_others_can_read_is_written_anew(keyed: Path, malha: Run) -> None:
    malha("render")
    (keyed.parent / "out" / "nrt.conf").chmod(0o644)
    assert json.loads(malha("render", "--json").stdout)["written"] == ["nrt.conf"]
    assert stat.S_IMODE((keyed.parent / "out" / "nrt.conf").stat().st_mode) == 0o600


def test_another_machines_private_key_is_refused(keyed: Path, malha: Run) -> None:
    foreign = a_private_key("foreign").reveal()
    (keyed.parent / "keys" / "nrt.key").write_text(f"{foreign}\n")
    for words in (["render"], ["render", "--json"], ["render", "--unproven"]):
        result = malha(*words)
        assert result.returncode == 2
        assert "private keys of nrt do not belong" in result.stderr
        assert foreign not in result.stdout + result.stderr
    assert not (keyed.parent / "out").exists()


def test_a_key_file_that_others_can_read_is_refused(keyed: Path, malha: Run) -> None:
    (keyed.parent / "keys" / "nrt.key").chmod(0o640)
    result = malha("render")
    assert result.returncode == 2
    assert "chmod 600" in result.stderr
    assert not (keyed.parent / "out").exists()


def test_a_file_that_is_no_key_is_refused_and_not_repeated(keyed: Path, malha: Run) -> None:
    path = keyed.parent / "keys" / "nrt.key"
    text = path.read_text().strip()
    path.write_text(f"{text}{text}\n")
    result = malha("render")
    assert result.returncode == 2
    assert "nrt.key" in result.stderr
    assert text[:20] not in result.stdout + result.stderr


def test_an_overlay_with_pairs_that_cannot_talk_is_refused(keyed: Path, malha: Run) -> None:
    rules = "links: {forbid: [[hub-1, sin], [hkg, sin]]}"
    keyed.write_text(keyed.read_text().replace("links: {pin: [[hkg, nrt]]}", rules))
    refused = malha("render", "--json")
    assert refused.returncode == 1
    assert "nothing was written: 6 of 12 pairs" in json.loads(refused.stdout)["error"]
    assert not (keyed.parent / "out").exists()
    assert malha("render", "--unproven").returncode == 0
    assert len(list((keyed.parent / "out").iterdir())) == 4


def test_names_too_long_for_a_device_are_said(keyed: Path, malha: Run) -> None:
    malha("add", "a-backend-in-tokyo-2", "--region", "ap")
    malha("keys", "new")
    result = malha("render")
    assert result.returncode == 0
    assert "longer than a device's name may be (a-backend-in-tokyo-2)" in result.stderr
    assert (keyed.parent / "out" / "a-backend-in-tokyo-2.conf").exists()


def test_without_private_keys_the_node_reads_its_own(keyed: Path, malha: Run) -> None:
    result = malha("render", "--keys", "elsewhere", "--json")
    assert json.loads(result.stdout)["without_private_key"] == ["hub-1", "hkg", "nrt", "sin"]
    for path in (keyed.parent / "out").iterdir():
        file, flaws = parse_wg_quick(path.read_text())
        assert not flaws
        assert file.private_key is None
        assert any("private-key /etc/wireguard/%i.key" in hook.command for hook in file.hooks)


def test_a_folder_that_cannot_be_written(keyed: Path, malha: Run) -> None:
    (keyed.parent / "file").write_text("mine")
    result = malha("render", "--out", "file")
    assert result.returncode in (2, 3)
    assert "file" in result.stderr
    assert (keyed.parent / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_read_names_what_mends_it(
    keyed: Path, malha: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any user but root sees it; root may read everything."""
    (keyed.parent / "out").mkdir()
    can, opened = os.access, os.open

    def is_closed(path: object) -> bool:
        return isinstance(path, str | os.PathLike) and Path(path).name == "out"

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if is_closed(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: not is_closed(path) and can(path, mode))
    result = malha("render", "--json")
    assert result.returncode == 3
    assert "read-only or closed for this user" in json.loads(result.stdout)["error"]
    assert "mend: ls -ld out" in result.stderr


def test_no_option_is_refused_before_it_is_tried(
    keyed: Path, malha: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else click would say what is wrong with a folder or file, without a mend."""
    (keyed.parent / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    options = ["--out", "out", "--keys", "keys", "--overlay", "overlay.yaml"]
    assert malha("render", *options).returncode == 0


def test_files_of_no_node_are_named_and_left_alone(keyed: Path, malha: Run) -> None:
    malha("render")
    assert malha("remove", "nrt").returncode == 0
    before = (keyed.parent / "out" / "nrt.conf").read_bytes()
    (keyed.parent / "out" / "notes.txt").touch()
    assert json.loads(malha("render", "--json").stdout)["stale"] == ["nrt.conf"]
    assert "stale: nrt.conf: no node" in malha("render").stderr
    assert (keyed.parent / "out" / "nrt.conf").read_bytes() == before


def test_a_stale_name_that_cannot_be_printed_is_escaped(keyed: Path, malha: Run) -> None:
    (keyed.parent / "out").mkdir()
    (keyed.parent / "out" / os.fsdecode(b"h\xff\n.conf")).touch()
    assert json.loads(malha("render", "--json").stdout)["stale"] == [r"h\udcff\n.conf"]
    malha("render").stderr.encode()


def test_what_comes_next_is_said_when_something_was_written(keyed: Path, malha: Run) -> None:
    assert "next: copy out/<node>.conf" in malha("render").stderr
    again = malha("render")
    assert again.stdout == "out: 0 files written, 4 unchanged\n"
    assert again.stderr == ""


def test_files_for_nodes_of_others_go_to_their_owners(keyed: Path, malha: Run) -> None:
    assert malha("add", "phone", "--region", "ap", "--unmanaged").returncode == 0
    malha("keys", "new")
    first = malha("render")
    assert "files for unmanaged nodes (phone): give them to their owners\n" in first.stderr
    assert "unmanaged" not in malha("render").stderr


def test_a_pipe_in_a_files_place_is_replaced_and_not_waited_for(keyed: Path, malha: Run) -> None:
    (keyed.parent / "out").mkdir()
    os.mkfifo(keyed.parent / "out" / "nrt.conf", 0o600)
    assert malha("render").returncode == 0
    assert "[Interface]" in (keyed.parent / "out" / "nrt.conf").read_text()
