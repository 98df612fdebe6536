"""`malha render`: who may read the files, what is written, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path

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
