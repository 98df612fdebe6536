"""What an overlay file may be: text of bounded size and depth; and the sample, read in full."""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from malha.errors import InputError
from malha.overlay import yaml_source
from malha.overlay.model import Latency, LinkRules, Role, Topology
from malha.overlay.yaml_source import MAX_FILE_BYTES, load_overlay, parse_document
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PublicKey
from tests.unit.overlay.overlay_sample import (
    KEY_B,
    SAMPLE,
    changed,
    overlay_of,
    problems_of,
    problems_of_file,
)


def test_the_sample_says_what_it_says() -> None:
    overlay = overlay_of(SAMPLE)
    assert (overlay.name, overlay.topology) == ("sample", Topology.REGIONAL)
    assert overlay.families == (4, 6)
    assert [region.name for region in overlay.regions] == ["central", "ap", "hkg"]
    assert [node.name for node in overlay.nodes] == ["hub-1", "hkg", "nrt", "sin"]
    assert overlay.links == LinkRules((("hub-1", "nrt"),), (("hub-1", "sin"),), (("hkg", "nrt"),))
    assert overlay.latency == Latency(
        rtt_us=((("hkg", "hub-1"), 242_000), (("hub-1", "nrt"), 250_500)),
        estimated_us=((("hkg", "sin"), 38_000),),
        how_estimated="great circle",
    )


def test_a_pop_with_everything() -> None:
    node = overlay_of(SAMPLE).node_by_name["hkg"]
    assert node.role is Role.POP
    assert node.serves == ("hkg", "ap")
    assert node.public_key == PublicKey.parse(KEY_B)
    assert node.endpoint == Endpoint("hkg.example.org", 51820)
    assert node.is_exit
    assert node.routes == (ip_network("192.168.7.0/24"),), "a default route is what an exit is"


def test_what_a_node_does_not_say() -> None:
    node = overlay_of(SAMPLE).node_by_name["sin"]
    assert (node.role, node.endpoint, node.public_key) == (Role.BACKEND, None, None)
    assert (node.managed, node.mtu, node.persistent_keepalive_s) == (False, 1380, None)
    assert node.addresses == (ip_address("10.50.4.1"),)
    assert not node.addresses_written


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "overlay.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "empty-file", 0),
        (b" \n\n", "empty-file", 0),
        (b"# only a comment\n", "empty-file", 0),
        (b"---\n", "empty-file", 0),
        (b"\xef\xbb\xbf\n", "empty-file", 0),
        (b"\x7fELF\x02\x01\x01\x00\x00\xff", "not-text", 1),
        (b"overlay: x\n\x00\n", "not-text", 2),
        (b"overlay: x\n# \x07\n", "not-text", 2),
        ("overlay: x\n".encode("utf-16"), "not-text", 1),
        (b"overlay: caf\xe9\n", "not-text", 1),
        (b"[" * 100_000, "too-deep", 1),
        (b"a: " * 10, "yaml-syntax", 1),
        (b"{? [a]: 1}", "wrong-type", 1),
        (b"- a\n- b\n", "wrong-type", 1),
        (b"just text\n", "wrong-type", 1),
    ],
)
def test_what_is_no_overlay_file(tmp_path: Path, content: bytes, code: str, line: int) -> None:
    problem = problems_of_file(write(tmp_path, content))[0]
    assert (problem.code, problem.line) == (code, line)


def test_a_file_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    problem = problems_of_file(path)[0]
    assert problem.code == "file-too-large"
    assert "16 MiB" in problem.message


def test_the_size_limit_is_of_bytes(tmp_path: Path) -> None:
    filled = SAMPLE.encode() + b"#" * (MAX_FILE_BYTES - len(SAMPLE.encode()))
    assert load_overlay(write(tmp_path, filled)).name == "sample"
    assert problems_of_file(write(tmp_path, filled + b"#"))[0].code == "file-too-large"


def test_aliases_cannot_multiply(tmp_path: Path) -> None:
    bomb = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n'
    for last, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{last}'] * 9)}]\n"
    assert problems_of(bomb)[0].code == "yaml-alias"


def test_what_is_no_file(tmp_path: Path) -> None:
    assert problems_of_file(tmp_path / "none.yaml")[0].code == "no-file"
    assert problems_of_file(tmp_path)[0].code == "unreadable-file"
    os.mkfifo(tmp_path / "pipe")
    assert problems_of_file(tmp_path / "pipe")[0].code == "unreadable-file"
    (tmp_path / "loop").symlink_to("loop")
    assert problems_of_file(tmp_path / "loop")[0].code == "unreadable-file"


LATENCY = "# measured on a Sunday\nrtt_ms:\n  hub-1: {hkg: 242, nrt: 250}\n"
LATENCY_LINES = SAMPLE[SAMPLE.index("latency:") :]


def with_latency_file(tmp_path: Path, latency: str) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "measured.yaml").write_text(latency)
    return write(tmp_path, changed(LATENCY_LINES, "latency: sub/measured.yaml\n").encode())


def test_the_latency_file_stands_beside_the_overlay_file(tmp_path: Path) -> None:
    overlay = load_overlay(with_latency_file(tmp_path, LATENCY))
    assert overlay.latency.rtt_us == ((("hkg", "hub-1"), 242_000), (("hub-1", "nrt"), 250_000))


def test_problems_of_the_latency_file_have_its_places(tmp_path: Path) -> None:
    path = with_latency_file(tmp_path, LATENCY.replace("nrt", "nrtt") + "estimated: {}\n")
    problems = problems_of_file(path)
    file = str(tmp_path / "sub" / "measured.yaml")
    assert [(p.file, p.line, p.column, p.code) for p in problems] == [
        (file, 3, 21, "unknown-node"),
        (file, 4, 1, "unknown-key"),
    ]


def test_a_missing_latency_file_is_named_where_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, changed(LATENCY_LINES, "latency: none.yaml\n").encode())
    problem = problems_of_file(path)[0]
    assert problem.code == "latency-file"
    assert "none.yaml" in problem.message
    assert problem.column == 10


@pytest.mark.parametrize("loader", ["CBaseLoader", "BaseLoader"])
def test_both_loaders_give_the_same_places(monkeypatch: pytest.MonkeyPatch, loader: str) -> None:
    monkeypatch.setattr(yaml_source, "_LOADER", getattr(yaml, loader))
    for text in (SAMPLE, SAMPLE.replace("\n", "\r\n"), "\ufeff" + SAMPLE.replace("phone", "😀")):
        document = parse_document(text, "overlay.yaml")
        entry = document.syntax.entries["nodes"].value.entries["sin"]  # type: ignore[union-attr]
        assert document.text[entry.start : entry.end].startswith("sin: {region: ap")
        assert document.text[entry.start : entry.end].endswith("}")
        assert (entry.key.line, entry.key.column) == (26, 3)
        assert document.tree["defaults"]["mtu"] == "auto"


def test_words_of_yaml() -> None:
    text = "{a: yes, b: 0x10, c: 1e3, d: ~, e: '1', f: 12:30, g: -1, h: .5, i: 1_0, j: 2001-01-01}"
    assert parse_document(text, "").tree == {
        "a": True, "b": "0x10", "c": 1000.0, "d": None, "e": "1", "f": "12:30", "g": -1, "h": 0.5,
        "i": 10.0, "j": "2001-01-01",
    }  # fmt: skip


def test_an_overlay_without_nodes_is_one(tmp_path: Path) -> None:
    text = "overlay: x\nprefixes: 10.0.0.0/8\nregions: {a: {subnet: 10.0.0.0/24}}\nnodes:\n"
    assert load_overlay(write(tmp_path, text.encode())).nodes == ()


def test_the_error_prints_no_key_but_every_problem() -> None:
    with pytest.raises(InputError) as caught:
        overlay_of(changed("role: pop", "rolle: pop"))
    assert [p.code for p in caught.value.problems] == ["unknown-key", "serves-without-pop"]
