"""`malha add`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from malha.overlay.yaml_source import load_overlay
from tests.unit.cli_overlay.conftest import TEXT, Run

WRITTEN = TEXT.replace("nrt: {region: ap}", "nrt: {region: ap, address: 10.50.4.1}").replace(
    "sin: {region: ap}", "sin: {region: ap, address: 10.50.4.2}"
)
"""The file once all allocated addresses stand in it."""


def test_the_address_and_the_nodes_that_must_change(file: Path, malha: Run) -> None:
    result = malha("add", "syd", "--region", "ap", "--location", "Sydney, AU")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "added syd to region ap: backend, 10.50.4.3",
        "must change: hub-1, hkg",
        "stay as they are: 2 of 4 nodes",
    ]
    line = "  sin: {region: ap, address: 10.50.4.2}\n"
    added = '  syd: {region: ap, location: "Sydney, AU", address: 10.50.4.3}\n'
    assert file.read_text() == WRITTEN.replace(line, line + added)


def test_the_answer_as_json(file: Path, malha: Run) -> None:
    options = ["--address", "10.50.0.9", "--unmanaged", "--listen-port", "4000", "--json"]
    result = malha("add", "phone", "--region", "central", *options)
    assert json.loads(result.stdout) == {
        "node": "phone",
        "region": "central",
        "region_is_new": False,
        "role": "backend",
        "addresses": ["10.50.0.9"],
        "must_change": ["hub-1"],
        "must_be_changed_by_owner": [],
        "unchanged": 3,
    }
    node = load_overlay(file).node_by_name["phone"]
    assert (node.managed, node.listen_port) == (False, 4000)


def test_owners_are_told_apart(file: Path, malha: Run) -> None:
    file.write_text(TEXT.replace("nrt: {region: ap}", "nrt: {region: ap, managed: false}"))
    result = malha("add", "pop-2", "--region", "ap", "--role", "pop", "--endpoint", "192.0.2.3:1")
    assert "must be changed by their owners: nrt\n" in result.stdout


def test_a_pop_that_serves_more(file: Path, malha: Run) -> None:
    options = ["--role", "pop", "--endpoint", "[2001:db8::1]:51820", "--serves", "ap"]
    assert malha("add", "pop-2", "--region", "central", *options).returncode == 0
    node = load_overlay(file).node_by_name["pop-2"]
    assert (node.serves, str(node.endpoint)) == (("central", "ap"), "[2001:db8::1]:51820")


def test_a_new_region_gets_the_next_free_subnet(file: Path, malha: Run) -> None:
    result = malha("add", "--region", "eu", "--description", "Europe", "--json")
    assert json.loads(result.stdout) == {
        "region": "eu",
        "subnets": ["10.50.1.0/24"],
        "must_change": [],
        "must_be_changed_by_owner": [],
        "unchanged": 4,
    }
    assert "  eu: {subnet: 10.50.1.0/24, description: Europe}\n" in file.read_text()


KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["../../evil", "--region", "ap"], "'../../evil' is not a name"),
        (["a\nPostUp = x", "--region", "ap"], "is not a name"),
        (["x", "--region", "ap", "--location", "a\nPostUp = x"], "one line only"),
        (["no", "--region", "ap", "--role", "pop"], "pop 'no' needs an endpoint"),
        (["x", "--region", "app"], "did you mean 'ap'?"),
        (["nrt", "--region", "ap"], "node 'nrt' is declared already"),
        (["x", "--region", "ap", "--address", "10.50.5.9"], "already the address of node 'hkg'"),
        (["x", "--region", "ap", "--address", "10.50.0.9"], "lies outside 10.50.4.0/24"),
        (["x", "--region", "ap", "--address", "nonsense"], "is not an address"),
        (["x", "--region", "ap", "--endpoint", "192.0.2.9:99999"], "1 to 65535"),
        (["x", "--region", "ap", "--endpoint", "2001:db8::1:51820"], "needs brackets"),
        (["x", "--region", "ap", "--listen-port", "99999"], "1 to 65535"),
        (["x", "--region", "ap", "--public-key", KEY + "x"], "not a WireGuard key"),
        (["x", "--region", "ap", "--role", "boss"], "'boss' is not one of"),
        (["x", "--region", "ap", "--subnet", "10.50.9.0/24"], "--subnet is for a new region"),
        (["--region", "eu", "--role", "hub"], "--role is for a node"),
        (["--region", "ap"], "region 'ap' is declared already"),
        (["--region", "eu", "--subnet", "10.50.4.0/25"], "overlaps 10.50.4.0/24"),
        (["--region", "eu", "--subnet", "10.99.0.0/24"], "outside the overlay's prefixes"),
        (["x"], "Missing option '--region'"),
    ],
)
def test_what_cannot_be_added(file: Path, malha: Run, arguments: list[str], words: str) -> None:
    result = malha("add", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert KEY not in result.stderr
    assert result.stdout == ""
    assert file.read_text() == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["overlay.yaml"]


def test_a_name_that_yaml_would_misread_is_quoted(file: Path, malha: Run) -> None:
    assert malha("add", "1e3", "--region", "ap").returncode == 0
    assert '  "1e3": {region: ap, address: 10.50.4.3}\n' in file.read_text()


def test_the_file_is_named_by_option_or_environment(tmp_path: Path, malha: Run) -> None:
    for name, environment in (("a.yaml", {}), ("b.yaml", {"MALHA_OVERLAY": "b.yaml"})):
        (tmp_path / name).write_text(TEXT)
        option = [] if environment else ["--overlay", name]
        assert malha("add", "x", "--region", "ap", *option, **environment).returncode == 0
        assert "  x: {region: ap" in (tmp_path / name).read_text()


def test_no_file(malha: Run, tmp_path: Path) -> None:
    result = malha("add", "x", "--region", "ap")
    assert (result.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "'malha init' writes one" in result.stderr


@pytest.mark.slow
def test_twenty_at_once_lose_none(file: Path, tmp_path: Path) -> None:
    def call(number: int) -> int:
        command = [sys.executable, "-m", "malha", "add", f"n{number}", "--region", "ap"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(call, range(20))) == [0] * 20
    overlay = load_overlay(file)
    assert {f"n{number}" for number in range(20)} < set(overlay.node_by_name)
    assert len({node.addresses for node in overlay.nodes}) == 24
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.yaml"]


def test_a_region_that_does_not_exist_is_made_with_the_next_free_subnet(
    file: Path, malha: Run
) -> None:
    result = malha("add", "bom", "--region", "india", "--json")
    answer = json.loads(result.stdout)
    assert answer["region_is_new"] is True
    assert answer["addresses"] == ["10.50.1.1"]
    assert "  india: " in file.read_text()


def test_a_slip_in_a_regions_name_makes_no_region(file: Path, malha: Run) -> None:
    before = file.read_text()
    result = malha("add", "bom", "--region", "centrall")
    assert result.returncode == 2
    assert "did you mean 'central'?" in result.stderr
    assert file.read_text() == before
