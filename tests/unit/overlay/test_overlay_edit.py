"""Edits in layouts that people really write; what goes with a node, and what is refused."""

from __future__ import annotations

import pytest

from malha.errors import InputError
from malha.overlay.edit import (
    add_node,
    add_region,
    remove_node,
    remove_rtts,
    set_node_fields,
    set_topology,
)
from malha.overlay.model import Topology
from malha.overlay.splice import render_value
from tests.unit.overlay.overlay_sample import SAMPLE, changed, overlay_of

BLOCK = """\
overlay: t
prefixes: [10.0.0.0/8]
regions:
  r: {subnet: 10.0.0.0/24}
nodes:
  # all that follow are in r
  first:
    region: r      # where
    # about its address
    address: 10.0.0.1

  # the second
  second:          # its comment
    region: r
      # deeper, so it is about the second

# single links
links:
  add:
    # because of the rack
    - [first, second]   # why
    - - second
      - first
  pin: []
latency: {rtt_ms: {first: {second: 1}}}
"""


def test_a_block_node_goes_with_its_comments_and_links() -> None:
    assert remove_node(BLOCK, "second") == BLOCK.replace(
        """
  # the second
  second:          # its comment
    region: r
      # deeper, so it is about the second
""",
        "\n",
    ).replace(
        """
    # because of the rack
    - [first, second]   # why
    - - second
      - first
""",
        "\n",
    ).replace("{second: 1}", "{}")


def test_a_new_node_is_written_as_its_neighbours_are() -> None:
    added = add_node(BLOCK, "third", {"region": "r", "endpoint": "192.0.2.1:1"})
    about = "      # deeper, so it is about the second\n"
    node = '  third:\n    region: r\n    endpoint: "192.0.2.1:1"\n'
    assert added == BLOCK.replace(about, about + node)


def test_a_new_node_stands_in_the_column_of_its_neighbours() -> None:
    text = BLOCK[: BLOCK.index("nodes:")] + "nodes:\n  ab:   {region: r}\n  abcd: {region: r}\n"
    assert add_node(text, "xyz", {"region": "r"}) == text + "  xyz:  {region: r}\n"
    assert add_node(text, "much-longer", {"region": "r"}).endswith("  much-longer: {region: r}\n")


FLOW = """\
overlay: t
prefixes: [10.0.0.0/8]
regions: {r: {subnet: 10.0.0.0/24}}
nodes: {a: {region: r}, b: {region: r}, c: {region: r}}   # all of them
"""


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("a", "{b: {region: r}, c: {region: r}}"),
        ("b", "{a: {region: r}, c: {region: r}}"),
        ("c", "{a: {region: r}, b: {region: r}}"),
    ],
)
def test_a_node_on_one_line_with_the_others(name: str, left: str) -> None:
    expected = FLOW.replace("{a: {region: r}, b: {region: r}, c: {region: r}}", left)
    assert remove_node(FLOW, name) == expected


LINES = """\
overlay: t
prefixes: [10.0.0.0/8]
nodes: {
  # about a
  a: {region: r},  # a's
  # about b
  b: {region: r},  # b's
  c: {region: r}   # c's
}
"""


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("a", "  # about a\n  a: {region: r},  # a's\n"),
        ("b", "  # about b\n  b: {region: r},  # b's\n"),
        ("c", "  c: {region: r}   # c's\n"),
    ],
)
def test_flow_nodes_on_lines_of_their_own(name: str, gone: str) -> None:
    assert remove_node(LINES, name) == LINES.replace(gone, "")


def test_the_sample_without_one_node_is_still_an_overlay() -> None:
    for name in ("nrt", "sin"):
        overlay = overlay_of(remove_node(SAMPLE, name))
        assert name not in overlay.node_by_name
    assert "pin: []" in remove_node(SAMPLE, "nrt")
    assert "hub-1: {hkg: 242}" in remove_node(SAMPLE, "nrt")


def test_an_exit_that_is_used_stays() -> None:
    with pytest.raises(InputError, match="'hkg' is the exit of nrt"):
        remove_node(SAMPLE, "hkg")


def test_round_trips_in_a_file_of_their_own() -> None:
    text = "rtt_ms:\n  a:\n    b: 1  # by ping\n    c: 2\n  # from b\n  b: {a: 1, c: 3}\n"
    assert remove_rtts(text, "b") == "rtt_ms:\n  a:\n    c: 2\n"
    assert remove_rtts(text, "a") == "rtt_ms:\n  # from b\n  b: {c: 3}\n"
    assert remove_rtts(text, "x") == text


def test_topology_is_one_word() -> None:
    assert set_topology(SAMPLE, Topology.HUB) == changed("topology: regional", "topology: hub")
    absent = changed("topology: regional\n", "")
    expected = changed("topology: regional", "topology: full")
    assert set_topology(absent, Topology.FULL) == expected


def test_a_key_is_set_in_place_or_added_at_the_end() -> None:
    text = set_node_fields(SAMPLE, {"sin": {"public_key": "x"}, "hkg": {"location": "HK 2"}})
    expected = changed("description: a phone}", "description: a phone, public_key: x}")
    assert text == expected.replace("location: asia-east2", 'location: "HK 2"')


def test_regions_and_nodes_are_made_where_there_are_none() -> None:
    text = "overlay: t\nprefixes: [10.0.0.0/8]\nregions: {}  # none yet"
    text = add_region(text, "r", {"subnet": "10.0.0.0/24"})
    assert text.endswith("regions: {r: {subnet: 10.0.0.0/24}}  # none yet")
    text = add_node(text, "n", {"region": "r"})
    assert text.endswith("  # none yet\nnodes: {n: {region: r}}")
    assert overlay_of(text.replace("nodes", "topology: full\nnodes")).nodes[0].name == "n"


@pytest.mark.parametrize("name", ["hub-1", "sin"])
def test_what_is_declared_is_not_added(name: str) -> None:
    with pytest.raises(InputError, match=f"node '{name}' is declared already"):
        add_node(SAMPLE, name, {"region": "ap"})


def test_what_is_not_declared_is_neither_removed_nor_set() -> None:
    with pytest.raises(InputError, match="no node is named 'x'"):
        remove_node(SAMPLE, "x")
    with pytest.raises(InputError, match="no node is named 'x'"):
        set_node_fields(SAMPLE, {"x": {"region": "ap"}})


def test_a_layout_that_cannot_be_edited_is_refused_not_mangled() -> None:
    # Line breaks of a bare CR are YAML's, but nobody's editor's.
    text = "overlay: t\rnodes:\r  a: {region: r}\r  b: {region: r}\r"
    with pytest.raises(InputError, match="edit it by hand"):
        remove_node(text, "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10.50.0.0/24", "10.50.0.0/24"),
        ("fd00::1", '"fd00::1"'),
        ("a b", '"a b"'),
        ("no", '"no"'),
        ("12", '"12"'),
        ("1e3", '"1e3"'),
        ("2001-01-01", '"2001-01-01"'),
        ("", '""'),
        ("a: b", '"a: b"'),
        ("#x", '"#x"'),
        ("São Paulo", '"São Paulo"'),
        ('"', '"\\""'),
        (True, "true"),
        (25, "25"),
        (["a", "b"], "[a, b]"),
        ({}, "{}"),
    ],
)
def test_values_are_quoted_where_they_must_be(value: object, text: str) -> None:
    assert render_value(value) == text
