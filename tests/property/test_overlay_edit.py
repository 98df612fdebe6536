"""Edits of overlay files of every layout: add then remove gives back the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.overlay.edit import add_node, add_region, remove_node, set_node_fields, write_addresses
from malha.overlay.yaml_source import parse_document, source_of
from tests.effort import examples

COMMENTS = st.sampled_from(["", "", "  # a comment", "   # - [x]: {y}, 'z'", "\t# tab"])
ABOVE = st.sampled_from(["", "", "  # own comment", "\n  # apart from what is above", "", "\n"])
BELOW = st.sampled_from(["", "", "", "      # still about it"])
NAMES = ["a", "bb", "node-3", "n4", "1e3", "no", "x5", "y-6"]


@st.composite
def a_node(draw: st.DrawFn, name: str, style: str) -> str:
    """The text of one node of a block mapping, in one of the styles people use."""
    above, comment = draw(ABOVE), draw(COMMENTS)
    key = f'"{name}"' if name in ("1e3", "no") else name
    gap = " " * draw(st.integers(1, 6))
    location = draw(st.sampled_from(["x", '"two words"', "'it''s'", "São Paulo"]))
    if style == "flow":
        body = f"  {key}:{gap}{{region: r, location: {location}}}{comment}"
    elif style == "wrapped":
        body = f"  {key}:{gap}{{region: r,{comment}\n      location: {location}}}{draw(COMMENTS)}"
    elif style == "folded":
        body = f"  {key}:{comment}\n    region: r\n    location: >-\n      folded\n      text"
    else:
        body = f"  {key}:{comment}\n    region: r\n    location: {location}{draw(COMMENTS)}"
    return "\n".join(line for line in (above, body, draw(BELOW)) if line)


@st.composite
def overlay_texts(draw: st.DrawFn) -> str:
    """Overlay files that differ in style, comments, line breaks and ending."""
    layout = draw(st.sampled_from(["block", "flow", "flow-lines", "empty", "braces"]))
    head = "overlay: test  # name\nprefixes: [10.0.0.0/8]\ntopology: full\nregions:\n"
    head += "  r: {subnet: 10.0.0.0/24}\n"
    names = NAMES[: draw(st.integers(1, 6))]
    quoted = [f'"{n}"' if n in ("1e3", "no") else n for n in names]
    if layout == "block":
        style = st.sampled_from(["flow", "wrapped", "block", "folded"])
        nodes = "nodes:" + draw(COMMENTS) + "\n"
        nodes += "\n".join(draw(a_node(name, draw(style))) for name in names)
    elif layout == "flow":
        nodes = "nodes: {" + ", ".join(f"{n}: {{region: r}}" for n in quoted) + "}"
    elif layout == "flow-lines":
        lines = [f"  {n}: {{region: r}}" for n in quoted]
        nodes = "nodes: {\n" + ",\n".join(lines) + draw(st.sampled_from(["", ","])) + "\n}"
    else:
        nodes = "nodes:" + {"empty": "", "braces": " {}"}[layout] + draw(COMMENTS)
    tail = draw(st.sampled_from(["", "\n", "\n\n# the end\n", "\nlinks: {}\n", "\n# x\nlinks:\n"]))
    text = head + nodes + tail
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


FIELDS = {"region": "r", "address": "10.0.0.77", "location": "São Paulo: west"}


@given(overlay_texts())
@settings(max_examples=examples(80))
def test_add_then_remove_gives_back_the_same_bytes(text: str) -> None:
    added = add_node(text, "new", FIELDS)
    assert parse_document(added, "").tree["nodes"]["new"] == FIELDS
    assert remove_node(added, "new") == text


@given(overlay_texts())
@settings(max_examples=examples(40))
def test_adding_inserts_one_piece_and_changes_nothing_else(text: str) -> None:
    after = add_node(text, "new", FIELDS)
    pairs = zip(text, after, strict=False)
    start = next((i for i, (a, b) in enumerate(pairs) if a != b), len(text))
    inserted = after[start : start + len(after) - len(text)]
    assert text[:start] + inserted + text[start:] == after
    assert inserted.strip(" ,\r\n").replace("region: r", "").count("region") == 0
    if "nodes: {" not in text:  # a block: whole lines only
        assert inserted.count("\n") >= 1
        assert inserted.startswith(("\n", "\r\n")) or inserted.endswith("\n") or start > 0


@given(st.data())
@settings(max_examples=examples(80))
def test_removing_takes_the_node_and_its_own_comments_and_nothing_else(data: st.DataObject) -> None:
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    head = "overlay: t\nprefixes: [10.0.0.0/8]\nregions: {r: {subnet: 10.0.0.0/24}}\nnodes:"
    style = st.sampled_from(["flow", "wrapped", "block", "folded"])
    parts = []
    for name in NAMES[: data.draw(st.integers(1, 6))]:
        blank = data.draw(st.sampled_from(["", "\n", "\n  # a heading\n", "\n\n"]))
        parts.append((blank, "\n" + data.draw(a_node(name, data.draw(style)))))
    index = data.draw(st.integers(0, len(parts) - 1))
    own = parts[index][1]
    kept = "\n" * (len(own) - len(own.lstrip("\n")) - 1)  # blank lines above its comment
    tail = data.draw(st.sampled_from(["", "\n", "\n\n# the end\n"]))

    def text_of(pieces: list[str]) -> str:
        return (head + "".join(pieces) + tail).replace("\n", newline)

    before = text_of([blank + node for blank, node in parts])
    after = text_of(
        [blank + (kept if i == index else node) for i, (blank, node) in enumerate(parts)]
    )
    assert remove_node(before, NAMES[index]) == after


@given(overlay_texts())
@settings(max_examples=examples(40))
def test_written_addresses_are_the_allocated_ones_and_stay(text: str) -> None:
    overlay = _valid(text)
    if overlay is None:
        return
    written = write_addresses(text, overlay)
    again = _valid(written)
    assert again is not None
    assert again == overlay
    assert all(node.addresses_written for node in again.nodes)
    assert write_addresses(written, again) == written


def _valid(text: str):  # type: ignore[no-untyped-def]
    return source_of(text, Path("overlay.yaml")).overlay


@given(overlay_texts())
@settings(max_examples=examples(40))
def test_a_field_set_twice_is_the_field_set_once(text: str) -> None:
    names = list(parse_document(text, "").tree["nodes"] or {})
    change = {name: {"location": "y", "address": "10.0.0.9"} for name in names}
    once = set_node_fields(text, change)
    assert set_node_fields(once, change) == once
    for name in names:
        assert parse_document(once, "").tree["nodes"][name]["location"] == "y"


@given(overlay_texts())
@settings(max_examples=examples(40))
def test_a_region_is_added_after_the_last_one(text: str) -> None:
    added = add_region(text, "eu", {"subnet": ["10.0.1.0/24", "fd00::/64"]})
    assert list(parse_document(added, "").tree["regions"]) == ["r", "eu"]
    assert added.replace('  eu: {subnet: [10.0.1.0/24, "fd00::/64"]}', "").replace(
        "\r", ""
    ).replace("\n\n", "\n") == text.replace("\r", "").replace("\n\n", "\n")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_breaks_are_kept(newline: str) -> None:
    text = newline.join(["overlay: t", "prefixes: [10.0.0.0/8]", "nodes:", "  a: {region: r}", ""])
    added = add_node(text, "b", {"region": "r"})
    assert added == text + "  b: {region: r}" + newline
