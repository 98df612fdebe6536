"""`malha init`, `show` and `remove`: what they print, what they write, what they refuse."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from malha.overlay.yaml_source import load_overlay
from tests.unit.cli_overlay.conftest import TEXT, Run


def test_init_writes_a_file_that_every_command_takes(tmp_path: Path, malha: Run) -> None:
    assert malha("init", "--name", "no", "--prefix", "fd50::/48").returncode == 0
    overlay = load_overlay(tmp_path / "overlay.yaml")
    assert (overlay.name, str(overlay.regions[0].subnets[0])) == ("no", "fd50::/64")
    text = (tmp_path / "overlay.yaml").read_text()
    for word in ("hub  ", "regional  ", "full  ", '"full mesh"'):
        assert word in text
    assert malha("add", "nrt", "--region", "central").returncode == 0
    assert malha("show").returncode == 0


@pytest.mark.parametrize("order", [1, -1])
def test_init_takes_both_families(tmp_path: Path, malha: Run, order: int) -> None:
    prefixes = ["10.60.0.0/16", "fd60::/48"][::order]
    options = [word for prefix in prefixes for word in ("--prefix", prefix)]
    assert malha("init", *options).returncode == 0
    overlay = load_overlay(tmp_path / "overlay.yaml")
    assert {str(prefix) for prefix in overlay.prefixes} == set(prefixes)
    assert list(map(str, overlay.regions[0].subnets)) == ["10.60.0.0/24", "fd60::/64"]
    assert list(map(str, overlay.nodes[0].addresses)) == ["10.60.0.1", "fd60::1"]


def test_init_says_how_to_give_two_prefixes(tmp_path: Path, malha: Run) -> None:
    result = malha("init", "--prefix", "10.50.0.0/16,fd50::/48")
    assert result.returncode == 2
    assert "repeat the option" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_never_overwrites(file: Path, malha: Run) -> None:
    result = malha("init")
    assert (result.returncode, file.read_text()) == (2, TEXT)
    assert "exists already" in result.stderr


def test_init_leaves_a_dangling_link_alone(tmp_path: Path, malha: Run) -> None:
    (tmp_path / "overlay.yaml").symlink_to("elsewhere.yaml")
    assert malha("init").returncode == 2
    assert not (tmp_path / "elsewhere.yaml").exists()


@pytest.mark.parametrize("option", [["--prefix", "10.50.0.1/16"], ["--name", "../x"]])
def test_init_refuses_nonsense(tmp_path: Path, malha: Run, option: list[str]) -> None:
    assert malha("init", *option).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_init_in_a_read_only_folder(malha: Run) -> None:
    result = malha("init", "--overlay", "/sys/kernel/overlay.yaml")  # not even root can
    assert result.returncode == 3
    assert "read-only" in result.stderr
    assert "mend: ls -ld /sys/kernel" in result.stderr


def test_init_in_a_missing_folder(malha: Run) -> None:
    result = malha("init", "--overlay", "none/overlay.yaml")
    assert result.returncode == 3
    assert "mkdir -p" in result.stderr


def test_show_fits_80_columns(file: Path, malha: Run) -> None:
    lines = malha("show").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "test: regional topology, 10.50.0.0/16"
    assert lines[3].split() == ["node", "region", "role", "address", "endpoint", "key", "location"]
    assert lines[5].split() == ["hkg", "hkg", "pop", "10.50.5.9", "192.0.2.2:51820", "none"]
    assert lines[6].split() == ["nrt", "ap", "backend", "10.50.4.1", "dials", "out", "none"]


def test_show_one_node(file: Path, malha: Run) -> None:
    lines = malha("show", "nrt").stdout.splitlines()
    assert lines[0] == "nrt"
    assert "  address       10.50.4.1" in lines
    assert "  linked to     hub-1, hkg" in lines


def test_show_one_region(file: Path, malha: Run) -> None:
    assert malha("show", "ap").stdout.splitlines()[1:] == [
        "  subnet        10.50.4.0/24",
        "  nodes         nrt, sin",
    ]


def test_show_as_json(file: Path, malha: Run) -> None:
    tree = json.loads(malha("show", "--json").stdout)
    assert tree["overlay"] == "test"
    assert [node["name"] for node in tree["nodes"]] == ["hub-1", "hkg", "nrt", "sin"]
    assert ["hub-1", "sin"] in tree["linked"]
    assert ["nrt", "sin"] not in tree["linked"]
    assert json.loads(malha("show", "hkg", "--json").stdout)["linked"] == ["hub-1", "nrt", "sin"]
    assert json.loads(malha("show", "ap", "--json").stdout)["nodes"] == ["nrt", "sin"]


def test_show_what_is_not_there(file: Path, malha: Run) -> None:
    result = malha("show", "hgk")
    assert result.returncode == 2
    assert "did you mean 'hkg'?" in result.stderr


def test_show_draws(file: Path, malha: Run) -> None:
    svg = malha("show", "--graph", "svg").stdout
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert malha("show", "--graph", "mermaid").stdout.startswith("flowchart")
    assert malha("show", "--graph", "svg", "--json").returncode == 2


def test_show_names_every_problem_and_its_place(file: Path, malha: Run) -> None:
    file.write_text(TEXT.replace("role: pop", "rolle: pop").replace("10.50.4.0/24", "10.50.0.0/25"))
    result = malha("show", "--json")
    assert result.returncode == 2
    problems = json.loads(result.stdout)["problems"]
    assert [(p["line"], p["column"], p["code"]) for p in problems] == [
        (7, 16, "overlapping-subnets"),
        (12, 22, "unknown-key"),
        (12, 34, "serves-without-pop"),
    ]
    assert "overlay.yaml:12:22: " in result.stderr


def test_remove_keeps_the_others_where_they_are(file: Path, malha: Run) -> None:
    result = malha("remove", "nrt")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "removed nrt",
        "must change: hub-1, hkg",
        "stay as they are: 1 of 3 nodes",
    ]
    expected = TEXT.replace("  nrt: {region: ap}   # Tokyo\n", "")
    expected = expected.replace("sin: {region: ap}", "sin: {region: ap, address: 10.50.4.2}")
    assert file.read_text() == expected.replace("[[hkg, nrt]]", "[]")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_remove_says_that_the_private_key_stays(file: Path, malha: Run, options: list[str]) -> None:
    assert "stays" not in malha("remove", "sin", *options).stderr
    malha("keys", "new")
    result = malha("remove", "nrt", *options)
    key = file.parent / "keys" / "nrt.key"
    assert f"{key} stays: delete it if the node is gone for good\n" in result.stderr
    assert key.exists()


def test_remove_takes_the_comment_of_the_node_with_it(file: Path, malha: Run) -> None:
    assert json.loads(malha("remove", "hkg", "--json").stdout)["node"] == "hkg"
    assert "the pop" not in file.read_text()
    assert "# our overlay" in file.read_text()


def test_remove_takes_round_trips_out_of_the_latency_file(file: Path, malha: Run) -> None:
    latency = file.parent / "rtt.yaml"
    latency.write_text("rtt_ms:  # measured\n  hub-1: {nrt: 250, sin: 166}\n  nrt: {sin: 9}\n")
    file.write_text(TEXT + "latency: rtt.yaml\n")
    assert malha("remove", "nrt").returncode == 0
    assert latency.read_text() == "rtt_ms:  # measured\n  hub-1: {sin: 166}\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [("hub-1", "needs a node with 'role: hub'"), ("ntr", "did you mean 'nrt'?")],
)
def test_what_cannot_be_removed(file: Path, malha: Run, name: str, words: str) -> None:
    result = malha("remove", name)
    assert (result.returncode, file.read_text()) == (2, TEXT)
    assert words in result.stderr


def test_an_exit_in_use_is_not_removed(file: Path, malha: Run) -> None:
    text = TEXT.replace("role: pop", "role: pop, exit: true")
    file.write_text(text.replace("sin: {region: ap", "sin: {region: ap, via_exit: hkg"))
    result = malha("remove", "hkg")
    assert result.returncode == 2
    assert "is the exit of sin" in result.stderr
