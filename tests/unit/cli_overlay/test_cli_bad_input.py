"""Every kind of bad overlay file, through the command line: exit 2, its place, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli_overlay.conftest import Run
from tests.unit.overlay.overlay_sample import SAMPLE, changed

MISTAKES = Path(__file__).parents[1] / "overlay" / "mistakes.jsonl"
CASES = [json.loads(line) for line in MISTAKES.read_text(encoding="utf-8").splitlines()]

NAMED = {
    "duplicate address": changed("sin: {region: ap", "sin: {region: ap, address: 10.50.4.7"),
    "nonsense address": changed("10.50.4.7", "10.50.4.777"),
    "port 99999": changed("192.0.2.1:51820", "192.0.2.1:99999"),
    "two nodes behind NAT linked": changed("add: [[hub-1, nrt]]", "add: [[nrt, sin]]"),
    "overlapping subnets": changed("subnet: 10.50.5.0/24", "subnet: 10.50.4.0/25"),
    "a region too small": changed("subnet: 10.50.4.0/24", "subnet: 10.50.4.7/32"),
    "an unbracketed IPv6 endpoint": changed('"192.0.2.1:51820"', '"2001:db8::1:51820"'),
    "a duplicate YAML key": changed("  nrt: {", "  hub-1: {"),
    "no as a region's name": changed("  ap:    ", "  no:    "),
    "a node called ../../evil": changed("  nrt: {", "  ../../evil: {"),
    "a newline that injects PostUp": changed("a phone", '"a\\nPostUp = reboot"'),
    "an empty file": "",
    "a binary file": "\x7fELF\x00\x01",
    "a file of 100 MB": "#" * 100_000_000,
    "a missing hub": changed("role: hub", "role: backend"),
    "an unknown key": changed("nrt: {region", "nrt: {regoin"),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("command", [["show"], ["add", "x", "--region", "ap"], ["remove", "sin"]])
def test_a_bad_file(tmp_path: Path, malha: Run, name: str, command: list[str]) -> None:
    file = tmp_path / "overlay.yaml"
    file.write_text(NAMED[name])
    before = file.stat()
    result = malha(*command)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "overlay.yaml" in result.stderr
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.yaml"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[2]} {case[1]}")
def test_a_mistake_ends_the_command_with_its_code(
    tmp_path: Path, malha: Run, case: list[str]
) -> None:
    old, new, code, _, words = case
    (tmp_path / "overlay.yaml").write_text(SAMPLE.replace(old, new))
    result = malha("show", "--json")
    assert result.returncode == 2
    assert code in {problem["code"] for problem in json.loads(result.stdout)["problems"]}
    assert words in result.stderr
    assert f"[{code}]" in result.stderr
