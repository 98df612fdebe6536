"""`malha path A B`: every hop, there and back, and what is dropped where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.repo.checkout import ROOT
from tests.unit.cli_overlay.conftest import Run

AS_WRITTEN = ROOT / "examples" / "edgeproxy" / "as-written"


def test_hop_by_hop_there_and_back(keyed: Path, malha: Run) -> None:
    result = malha("path", "hub-1", "nrt", "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 0
    assert (answer["from"], answer["to"]) == ("hub-1", "nrt")
    there, back = answer["legs"]
    assert (there["leg"], back["leg"]) == ("request", "reply")
    assert there["arrives"]
    assert back["arrives"]
    assert there["nodes"] == ["hub-1", "nrt"]
    assert back["nodes"] == ["nrt", "hub-1"]
    (step,) = back["steps"]
    assert step["dials"] == "192.0.2.1:51820"
    assert there["steps"][0]["dials"] is None


def test_over_a_relay(keyed: Path, malha: Run) -> None:
    text = keyed.read_text().replace("links: {pin: [[hkg, nrt]]}", "links: {forbid: [[hkg, sin]]}")
    keyed.write_text(text)
    result = malha("path", "sin", "hkg")
    assert result.returncode == 0
    assert "request, IPv4: sin → hkg" in result.stdout
    assert [line.strip() for line in result.stdout.splitlines() if line.startswith("  ")][::2][
        :3
    ] == ["sin", "hub-1", "hkg  ✓ arrives"]


def test_a_drop_says_where_why_and_what_to_do(malha: Run) -> None:
    folder = str(AS_WRITTEN)
    result = malha("path", "hkg", "gru", "--overlay", folder)
    assert result.returncode == 1
    assert "gru  ✗ dropped here: source-not-allowed" in result.stdout
    assert "mend: " in result.stdout
    answer = json.loads(malha("path", "hkg", "gru", "--overlay", folder, "--json").stdout)
    drop = answer["legs"][0]["drop"]
    assert (drop["at"], drop["cause"]) == ("gru", "source-not-allowed")
    assert not answer["legs"][0]["arrives"]


def test_a_node_that_is_not_there(keyed: Path, malha: Run) -> None:
    for words, said in (
        (("path", "hub", "nrt"), "did you mean hub-1?"),
        (("path", "nrt", "nrt"), "needs two nodes"),
    ):
        result = malha(*words, "--json")
        assert result.returncode == 2
        assert said in json.loads(result.stdout)["error"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, malha: Run) -> None:
    folder = shutil.copytree(AS_WRITTEN, tmp_path / "conf")
    (folder / "gru.conf").write_bytes(b"\xff")
    result = malha("path", "hkg", "gru", "--overlay", str(folder))
    assert result.returncode == 2
    assert "gru.conf: not text in UTF-8" in result.stderr


def test_an_address_may_be_the_target(keyed: Path, malha: Run) -> None:
    keyed.write_text(keyed.read_text().replace("role: pop,", "role: pop, routes: [172.31.0.0/16],"))
    result = malha("path", "nrt", "172.31.4.5")
    assert result.returncode == 0
    assert "hkg  ✓ arrives, 172.31.4.5 is beyond" in result.stdout
    assert "reply, IPv4: 172.31.4.5 → nrt" in result.stdout
    there, back = json.loads(malha("path", "nrt", "172.31.4.5", "--json").stdout)["legs"]
    assert (there["nodes"], back["nodes"]) == (["nrt", "hkg"], ["hkg", "nrt"])
    own = json.loads(malha("path", "nrt", "10.50.5.9", "--json").stdout)
    assert own["legs"] == json.loads(malha("path", "nrt", "hkg", "--json").stdout)["legs"]
    lost = json.loads(malha("path", "nrt", "8.8.8.8", "--json").stdout)
    assert [leg["drop"]["cause"] for leg in lost["legs"]] == ["leaked"]


def test_a_link_that_nobody_measured_shows_the_estimate(keyed: Path, malha: Run) -> None:
    assert " ms" not in malha("path", "hub-1", "nrt").stdout
    keyed.write_text(keyed.read_text() + "latency: {rtt_ms: {hub-1: {hkg: 40, nrt: 50}}}\n")
    assert ", 50 ms\n" in malha("path", "hub-1", "nrt").stdout
    assert ", 90 ms (estimate)\n" in malha("path", "hkg", "nrt").stdout
