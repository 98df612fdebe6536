"""Random valid overlays: canonical JSON gives them back, and links agree with the compiler's."""

from __future__ import annotations

import contextlib
import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.overlay.canonical import from_json, to_json
from malha.overlay.draft import read_draft
from malha.overlay.flaws import InvalidOverlay
from malha.overlay.linking import links_by_topology, pairs
from malha.overlay.model import Overlay
from malha.overlay.splice import render_value
from malha.overlay.validate import validate_overlay
from malha.overlay.yaml_source import source_of
from malha.topology.links import permitted_links
from tests.builders import a_public_key
from tests.effort import examples

TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=40)


def optional(draw: st.DrawFn, key: str, values: st.SearchStrategy[object]) -> dict[str, object]:
    """The key with a value, or nothing."""
    return {key: draw(values)} if draw(st.booleans()) else {}


@st.composite
def a_node(draw: st.DrawFn, index: int, regions: list[str]) -> dict[str, object]:
    role = "hub" if index == 0 else draw(st.sampled_from(["hub", "pop", "backend", "backend"]))
    node: dict[str, object] = {"region": draw(st.sampled_from(regions)), "role": role}
    if role != "backend" or draw(st.booleans()):
        host = draw(st.sampled_from([f"192.0.2.{index}", f"[2001:db8::{index}]", f"n{index}.test"]))
        node["endpoint"] = f"{host}:{draw(st.integers(1, 65535))}"
    if role == "pop":
        node |= optional(draw, "serves", st.lists(st.sampled_from(regions), max_size=3))
    node |= optional(draw, "public_key", st.just(str(a_public_key(f"n{index}"))))
    node |= optional(draw, "persistent_keepalive", st.integers(0, 65535))
    node |= optional(draw, "listen_port", st.integers(1, 50000))
    node |= optional(draw, "mtu", st.just("auto") | st.integers(1280, 9921))
    node |= optional(draw, "managed", st.booleans())
    node |= optional(draw, "exit", st.booleans())
    node |= optional(draw, "description", TEXTS) | optional(draw, "location", TEXTS)
    if draw(st.booleans()):
        node["routes"] = [f"172.16.{index}.0/24"] + ["0.0.0.0/0"] * bool(node.get("exit"))
    return node


@st.composite
def trees(draw: st.DrawFn) -> dict[str, object]:
    """Overlays as plain trees: several families, roles, links and round trips."""
    families = draw(st.sampled_from([(4,), (6,), (4, 6)]))
    names = [f"r{i}" for i in range(draw(st.integers(1, 4)))]
    regions = {}
    for i, name in enumerate(names):
        subnets = {4: f"10.50.{i}.0/24", 6: f"fd50:0:0:{i}::/64"}
        regions[name] = {"subnet": [subnets[v] for v in families]}
        regions[name] |= optional(draw, "description", TEXTS)
    count = draw(st.integers(1, 7))
    nodes = {f"n{i}": draw(a_node(i, names)) for i in range(count)}
    every = list(combinations(nodes, 2))
    linkable = [p for p in every if any("endpoint" in nodes[name] for name in p)]
    chosen = draw(st.permutations(linkable))[:6]
    rtts: dict[str, dict[str, float]] = {}
    for a, b in every:
        if draw(st.booleans()):
            rtts.setdefault(a, {})[b] = draw(st.integers(1, 10_000_000)) / 1000
    return {
        "overlay": "random",
        "prefixes": [{4: "10.50.0.0/16", 6: "fd50::/48"}[v] for v in families],
        "topology": draw(st.sampled_from(["hub", "regional", "full"])),
        "defaults": {"spare_port": draw(st.integers(50001, 51819))},
        "regions": regions,
        "nodes": nodes,
        "links": {"add": chosen[:2], "forbid": chosen[2:4], "pin": chosen[4:]}
        if draw(st.booleans())
        else None,
        "latency": {"rtt_ms": rtts, "how_estimated": draw(TEXTS)},
    }


def as_lists(tree: dict[str, object]) -> dict[str, object]:
    """The tree as YAML and JSON have it: lists, no tuples."""
    return json.loads(json.dumps(tree))  # type: ignore[no-any-return]


@given(trees())
@settings(max_examples=examples(60))
def test_canonical_json_gives_the_overlay_back(tree: dict[str, object]) -> None:
    overlay = validate_overlay(as_lists(tree))
    text = to_json(overlay)
    assert from_json(text) == overlay
    assert to_json(from_json(text)) == text
    assert all(node.addresses_written for node in from_json(text).nodes)


@given(trees())
@settings(max_examples=examples(40))
def test_the_order_of_regions_and_nodes_survives_a_reader_that_sorts_keys(
    tree: dict[str, object],
) -> None:
    overlay = validate_overlay(as_lists(tree))
    sorted_text = json.dumps(json.loads(to_json(overlay)), sort_keys=True).encode()
    assert from_json(sorted_text) == overlay


@given(trees())
@settings(max_examples=examples(40))
def test_yaml_and_tree_declare_the_same(tree: dict[str, object]) -> None:
    plain = as_lists(tree)
    text = "\n".join(f"{key}: {render_value(value)}" for key, value in plain.items())
    assert source_of(text, Path("overlay.yaml")).overlay == validate_overlay(plain)


@given(trees())
@settings(max_examples=examples(60))
def test_validation_and_compiler_agree_on_links(tree: dict[str, object]) -> None:
    plain = as_lists(tree)
    overlay, draft = validate_overlay(plain), read_draft(plain)
    linked = {tuple(sorted(pair)) for pair in permitted_links(overlay)}
    wanted = {*pairs(draft, "add"), *pairs(draft, "pin")}
    for pair in combinations(sorted(overlay.node_by_name), 2):
        here = pair not in pairs(draft, "forbid") and (
            pair in wanted or links_by_topology(draft, *pair)
        )
        assert (pair in linked) == here, pair


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(trees(), st.data())
@settings(max_examples=examples(60))
def test_a_broken_canonical_text_is_refused_and_nothing_else(
    tree: dict[str, object], data: st.DataObject
) -> None:
    """Whatever stands in one place, the answer is an overlay or InvalidOverlay."""
    broken = json.loads(to_json(validate_overlay(as_lists(tree))))
    key = data.draw(st.sampled_from(sorted(broken)))
    broken[key] = data.draw(JSON_VALUES)
    with contextlib.suppress(InvalidOverlay):
        assert isinstance(from_json(json.dumps(broken).encode()), Overlay)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"[]", b"{}", b'{"format":2}', b'{"a":1,"a":2}', b"[" * 100_000, b"NaN"]
)
def test_what_is_no_canonical_json(raw: bytes) -> None:
    with pytest.raises(InvalidOverlay):
        from_json(raw)


@given(JSON_VALUES)
@settings(max_examples=examples(60))
def test_any_tree_is_an_overlay_or_has_flaws(tree: object) -> None:
    with pytest.raises(InvalidOverlay):
        validate_overlay(tree)
