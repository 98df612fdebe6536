"""`malha check`: the contract of its JSON, its exit codes, and files that are no files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from malha.cli import fleet_input
from tests.builders import a_public_key
from tests.repo.checkout import ROOT
from tests.unit.cli_overlay.conftest import TEXT, Run

AS_WRITTEN = ROOT / "examples" / "edgeproxy" / "as-written"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The first user's twelve files, free to be damaged."""
    return Path(shutil.copytree(AS_WRITTEN, tmp_path / "conf"))


def test_an_overlay_in_which_all_can_talk(keyed: Path, malha: Run) -> None:
    result = malha("check", "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 0
    assert [answer[key] for key in ("nodes", "pairs", "reachable")] == [4, 12, 12]
    assert answer["failures"] == answer["findings"] == []
    assert malha("check").stdout == "ok: 12 of 12 pairs can talk, 4 nodes\n"


def test_the_overlay_file_may_be_named_three_ways(keyed: Path, malha: Run) -> None:
    keyed.rename(keyed.with_name("other.yaml"))
    assert malha("check").returncode == 2
    assert malha("check", "other.yaml").returncode == 0
    assert malha("check", "--overlay", "other.yaml").returncode == 0
    assert malha("check", MALHA_OVERLAY="other.yaml").returncode == 0


def test_every_failure_says_who_where_and_why(folder: Path, malha: Run) -> None:
    result = malha("check", str(folder), "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 1
    assert [answer[key] for key in ("nodes", "pairs", "reachable")] == [12, 132, 70]
    failed = {(failure["from"], failure["to"]) for failure in answer["failures"]}
    assert len(failed) == 132 - 70
    for failure in answer["failures"]:
        assert failure.keys() == {"from", "to", "leg", "family", "at", "cause", "detail"}
        assert failure["leg"] in ("request", "reply")
        assert failure["family"] == 4
        assert failure["at"] in failure["detail"]
    assert answer["assumptions"]


def test_people_see_the_first_failures_and_can_ask_for_all(folder: Path, malha: Run) -> None:
    short, long = malha("check", str(folder)), malha("check", str(folder), "--all")
    assert short.returncode == long.returncode == 1
    assert "… and 42 more" in short.stdout
    assert "more: --all" not in long.stdout
    assert len(long.stdout.splitlines()) > 62
    assert short.stdout.splitlines()[-1] == "FAILED: 70 of 132 pairs can talk, 12 nodes"


def test_a_warning_alone_ends_with_0(tmp_path: Path, malha: Run, keyed: Path) -> None:
    text = keyed.read_text().replace("{region: hkg,", "{region: hkg, mtu: 1300,")
    keyed.write_text(text)
    result = malha("check", "--json")
    answer = json.loads(result.stdout)
    assert {finding["severity"] for finding in answer["findings"]} == {"warning"}
    assert {finding["code"] for finding in answer["findings"]} == {"mtu-differs"}
    assert result.returncode == 0


def test_keys_that_are_missing_name_the_command_that_makes_them(tmp_path: Path, malha: Run) -> None:
    (tmp_path / "overlay.yaml").write_text(TEXT)
    result = malha("check")
    assert result.returncode == 2
    assert "malha keys new --overlay overlay.yaml" in result.stderr


DAMAGE = {
    "binary": (b"\x7fELF\x00\xff\xfe" * 9, "unreadable-file"),
    "empty": (b"", "no-private-key"),
    "truncated": (b"[Interface]\nPrivateK", "unreadable-line"),
    "of zeros": (b"\0" * 99, "unreadable-line"),
    "a bad key": (b"[Interface]\nPrivateKey = abc\n[Peer]\nPublicKey = def\n", "bad-key"),
    "another section": (b"[Wire]\nx = y\n", "unknown-section"),
    "no equals": (b"[Interface]\nAddress 10.0.0.1\n[Peer]\n\n[Peer", "unreadable-line"),
    "numbers": (b"[Interface]\nListenPort = 00000070000\nMTU = 9\n", "bad-port"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_a_finding(folder: Path, malha: Run, name: str) -> None:
    content, code = DAMAGE[name]
    (folder / "gru.conf").write_bytes(content)
    result = malha("check", str(folder), "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 1
    assert (code, "error", "gru") in {
        (finding["code"], finding["severity"], finding["node"]) for finding in answer["findings"]
    }
    assert answer["nodes"] == 11
    assert "FAILED" in malha("check", str(folder)).stdout.splitlines()[-1]


@pytest.mark.parametrize("length", range(0, 700, 7))
def test_a_file_cut_off_anywhere_is_no_crash(folder: Path, malha: Run, length: int) -> None:
    content = (folder / "ec2-ireland.conf").read_bytes()
    for path in folder.iterdir():
        path.unlink()
    (folder / "ec2-ireland.conf").write_bytes(content[:length])
    result = malha("check", str(folder), "--json")
    assert result.returncode in (0, 1)
    assert json.loads(result.stdout)["nodes"] in (0, 1)


def test_what_is_no_file_is_a_finding(folder: Path, malha: Run) -> None:
    for name in ("gru", "iad", "ord"):
        (folder / f"{name}.conf").unlink()
    (folder / "gru.conf").mkdir()
    (folder / "iad.conf").symlink_to("nowhere")
    os.mkfifo(folder / "ord.conf")
    (folder / os.fsdecode(b"h\xff\n.conf")).write_text("")
    result = malha("check", str(folder), "--json")
    found = json.loads(result.stdout)["findings"]
    assert result.returncode == 1
    assert [finding["code"] for finding in found] == ["unreadable-file"] * 4
    assert {finding["node"] for finding in found} == {"gru", "iad", "ord", r"h\udcff\n"}
    malha("check", str(folder)).stderr.encode()


def test_a_huge_file_is_a_finding(
    folder: Path, malha: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "gru.conf").open("ab") as file:
        file.truncate(fleet_input.MAX_FILE_BYTES + 1)  # sparse: it takes no room
    monkeypatch.setattr(fleet_input, "MAX_FILE_BYTES", 2**20)
    result = malha("check", str(folder), "--json")
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["node"], finding["code"]) == ("gru", "unreadable-file")
    assert "larger than 1048576 bytes" in finding["detail"]


def test_files_whose_keys_are_elsewhere_are_not_called_fine(keyed: Path, malha: Run) -> None:
    """Files that read their key on the node say nothing about whose key it is."""
    assert malha("render", "--keys", "none", "--out", "out").returncode == 0
    result = malha("check", "out", "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 1
    assert [finding["code"] for finding in answer["findings"]] == ["key-not-in-file"] * 4
    assert malha("check", "out").stdout.startswith("FAILED")


def test_what_render_writes_is_what_check_proves(keyed: Path, malha: Run) -> None:
    malha("render", "--out", "out")
    of_files, of_overlay = malha("check", "out", "--json"), malha("check", "--json")
    assert of_files.returncode == of_overlay.returncode == 0
    for key in ("nodes", "pairs", "reachable", "failures"):
        assert json.loads(of_files.stdout)[key] == json.loads(of_overlay.stdout)[key]


def test_an_empty_folder_and_paths_that_are_none(tmp_path: Path, malha: Run) -> None:
    (tmp_path / "empty").mkdir()
    for path in ("empty", "missing", "x" * 300, "empty/\n"):
        result = malha("check", path, "--json")
        assert result.returncode == 2, path
        assert json.loads(result.stdout)["error"]


def test_no_private_key_of_a_broken_file_is_repeated(folder: Path, malha: Run) -> None:
    path = folder / "gru.conf"
    (line,) = (line for line in path.read_text().splitlines() if line.startswith("PrivateKey"))
    key = line.split(" = ")[1]
    texts = (line, f"PrivateKey{key}", f"Address = {key}", f"{key} = x", f"DNS\n{key}", f"#{key}")
    known = f"PublicKey = {a_public_key('nobody')}\nAllowedIPs = 10.50.0.0/16"
    for text in (*texts, f"Endpoint = {key}:1", f"MTU = {key}", f"#{key}\n{known}"):
        for end in ("", "x"):
            path.write_text(f"[Interface]\n{text}{end}\n[Peer]\n{text}{end}\n")
            for words in (["check", str(folder)], ["check", str(folder), "--json"]):
                result = malha(*words)
                said = (result.stdout + result.stderr).lower()
                assert key[:12].lower() not in said, text


def test_subnets_and_exits_are_counted(keyed: Path, malha: Run) -> None:
    text = keyed.read_text().replace("role: hub,", "role: hub, exit: true,")
    text = text.replace("role: pop,", "role: pop, routes: [172.31.0.0/16], via_exit: hub-1,")
    keyed.write_text(text)
    answer = json.loads(malha("check", "--json").stdout)
    assert answer["subnets"] == [
        {"prefix": "172.31.0.0/16", "node": "hkg", "reached_by": 3, "of": 3}
    ]
    assert answer["exits"] == [{"family": 4, "nodes": ["hub-1"], "reached_by": 1, "of": 1}]
    assert malha("check").stdout.splitlines() == [
        "1 routed subnet reached by 3 of 3 nodes",
        "IPv4 exits (hub-1) reached by 1 of 1 nodes that use one",
        "ok: 12 of 12 pairs can talk, 4 nodes",
    ]
