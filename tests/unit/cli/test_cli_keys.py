"""`malha keys`: what is made, what is never touched, and that no private key is ever shown."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from malha.overlay.yaml_source import load_overlay
from malha.secrets import folder as key_folder
from malha.secrets.folder import make_key, read_key
from malha.secrets.keys import derive_public_key
from tests.unit.cli_overlay.conftest import Run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_key_for_each_node_for_its_owner_alone(keyed: Path, malha: Run) -> None:
    keys = keyed.parent / "keys"
    names = {".gitignore", "hub-1.key", "hkg.key", "nrt.key", "sin.key"}
    assert {path.name for path in keys.iterdir()} == names
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in keys.glob("*.key")}
    assert modes == {0o600}
    for node in load_overlay(keyed).nodes:
        assert node.public_key == derive_public_key(read_key(keys, node.name))
        assert node.addresses_written


def test_git_ignores_the_keys(keyed: Path) -> None:
    root = keyed.parent
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    command = ["git", "-C", str(root), "status", "--porcelain", "-uall"]
    status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "overlay.yaml" in status
    assert "key" not in status


def test_nothing_that_exists_is_touched(keyed: Path, malha: Run) -> None:
    before, text = contents(keyed.parent / "keys"), keyed.read_bytes()
    result = malha("keys", "new", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["made"] == []
    assert contents(keyed.parent / "keys") == before
    assert keyed.read_bytes() == text


def test_a_key_in_the_folder_is_used_when_the_file_lost_its_public_half(
    keyed: Path, malha: Run
) -> None:
    before, text = contents(keyed.parent / "keys"), keyed.read_text()
    public = str(load_overlay(keyed).node_by_name["nrt"].public_key)
    keyed.write_text(text.replace(f", public_key: {public}", ""))
    answer = json.loads(malha("keys", "new", "--json").stdout)
    assert (answer["made"], answer["public_keys_written"]) == ([], ["nrt"])
    assert answer["reused"] == ["nrt"]
    assert contents(keyed.parent / "keys") == before
    assert keyed.read_text() == text
    keyed.write_text(text.replace(f", public_key: {public}", ""))
    assert malha("keys", "new").stdout.startswith(
        f"0 private keys made in {keyed.parent / 'keys'}, 1 reused\n"
    )


def test_a_pipe_in_a_keys_place_is_refused_and_not_waited_for(keyed: Path, malha: Run) -> None:
    path = keyed.parent / "keys" / "nrt.key"
    path.unlink()
    os.mkfifo(path, 0o600)
    for command in (["render"], ["keys", "list"]):
        result = malha(*command)
        assert result.returncode == 2
        assert "nrt.key is no regular file" in result.stderr


def test_a_public_key_whose_private_half_is_elsewhere_stays(keyed: Path, malha: Run) -> None:
    (keyed.parent / "keys" / "nrt.key").unlink()
    text = keyed.read_bytes()
    assert json.loads(malha("keys", "new", "--json").stdout)["made"] == []
    assert keyed.read_bytes() == text
    assert not (keyed.parent / "keys" / "nrt.key").exists()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_that_others_can_enter_is_refused(file: Path, malha: Run, mode: int) -> None:
    (file.parent / "keys").mkdir()
    (file.parent / "keys").chmod(mode)
    text = file.read_bytes()
    result = malha("keys", "new")
    assert result.returncode == 2
    assert "chmod 700" in result.stderr
    assert list((file.parent / "keys").iterdir()) == []
    assert file.read_bytes() == text


def test_a_folder_that_cannot_be_made_is_named(file: Path, malha: Run) -> None:
    result = malha("keys", "new", "--keys", "no/such/folder")
    assert result.returncode == 2
    assert "no/such/folder" in result.stderr


def test_a_folder_name_no_kernel_takes(keyed: Path, malha: Run) -> None:
    result = malha("render", "--keys", "x" * 300, "--json")
    assert result.returncode == 2
    assert "file name too long" in json.loads(result.stdout)["error"]


def test_six_at_once_make_one_key_for_each_node(file: Path) -> None:
    command = [sys.executable, "-m", "malha", "keys", "new", "--json", "--overlay", str(file)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)
    ]
    ended = [(*run.communicate(), run.returncode) for run in runs]
    assert [code for _, _, code in ended] == [0] * 6, ended
    made = [name for out, _, _ in ended for name in json.loads(out)["made"]]
    assert sorted(made) == ["hkg", "hub-1", "nrt", "sin"]
    for node in load_overlay(file).nodes:
        assert node.public_key == derive_public_key(read_key(file.parent / "keys", node.name))
    assert sorted(path.name for path in file.parent.iterdir()) == ["keys", "overlay.yaml"]
    assert len(list((file.parent / "keys").iterdir())) == 5


def test_who_comes_second_gets_the_firsts_key(tmp_path: Path) -> None:
    """Two commands with two overlay files, and so two locks, may share one folder of keys."""
    first, second = make_key(tmp_path, "a"), make_key(tmp_path, "a")
    assert first == second == read_key(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_what_a_killed_run_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".a.{os.getpid()}.key").touch()
    assert make_key(tmp_path, "a") == read_key(tmp_path, "a")


def test_a_key_is_on_disk_before_anybody_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        key_folder, "sync_folder", lambda f: synced.append((f, (f / "a.key").exists()))
    )
    make_key(tmp_path, "a")
    assert synced == [(tmp_path, True)]


def test_list(keyed: Path, malha: Run) -> None:
    keys = keyed.parent / "keys"
    (keys / "nrt.key").unlink()
    (keys / "sin.key").write_bytes((keys / "hkg.key").read_bytes())
    answer = json.loads(malha("keys", "list", "--json").stdout)
    assert [(row["node"], row["private_key"]) for row in answer["nodes"]] == [
        ("hub-1", "here"),
        ("hkg", "here"),
        ("nrt", "absent"),
        ("sin", "here, but it does not fit: malha check"),
    ]
    public = {node.name: str(node.public_key) for node in load_overlay(keyed).nodes}
    assert {row["node"]: row["public_key"] for row in answer["nodes"]} == public


def test_no_command_ever_prints_a_private_key(keyed: Path, malha: Run) -> None:
    private = [path.read_text().strip() for path in (keyed.parent / "keys").glob("*.key")]
    assert len(private) == 4
    commands = ["keys new", "keys list", "check", "path nrt sin", "render", "show", "show nrt"]
    commands += ["check out", "path nrt sin --overlay out", "add x --region ap", "remove x"]
    for command in commands:
        for more in ([], ["--json"]):
            result = malha(*command.split(), *more)
            said = result.stdout + result.stderr
            assert not [key for key in private if key[:12] in said], command
    assert not [key for key in private if key in keyed.read_text()]
