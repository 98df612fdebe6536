"""Edits of overlay.yaml as text: comments, order and layout of everything else stay.

Each edit reads a text that is an overlay file and gives the new text. Rule: the new text is
read back, and if it says anything else than intended, nothing is given but an error; an odd
layout can make an edit fail, never go wrong.

What goes with a removed node: its own comments, the single links that name it, and the round
trips that name it. A node that others use as their exit is not removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from typing import Any

from malha.errors import InputError
from malha.overlay.model import Overlay, Topology
from malha.overlay.splice import (
    Splice,
    apply_splices,
    insert_entry,
    insert_field,
    line_end,
    newline_of,
    remove_entries,
    render_value,
    replace_value,
)
from malha.overlay.syntax import Document, Entry, Mapping, Sequence, Syntax
from malha.overlay.yaml_source import parse_document

_RTTS = ("rtt_ms", "estimated_rtt_ms")
_LINKS = ("add", "forbid", "pin")


def add_node(text: str, name: str, fields: MappingType[str, Any]) -> str:
    """Declare a node after the last one, in the style of its neighbours.

    Raises:
        InputError: when the name is taken, or the file's layout cannot be edited.
    """
    return _add(text, "nodes", name, fields)


def add_region(text: str, name: str, fields: MappingType[str, Any]) -> str:
    """Declare a region after the last one.

    Raises:
        InputError: when the name is taken, or the file's layout cannot be edited.
    """
    return _add(text, "regions", name, fields)


def _add(text: str, kind: str, name: str, fields: MappingType[str, Any]) -> str:
    document = parse_document(text, "overlay")
    top = _mapping(document.syntax)
    if name in (document.tree.get(kind) or {}):
        raise InputError(f"{kind.removesuffix('s')} {name!r} is declared already")
    if kind not in top.entries:
        splice = insert_field(document.text, top, kind, {name: dict(fields)})
    else:
        splice = insert_entry(document.text, top.entries[kind], name, fields)
    expected = document.tree | {kind: (document.tree.get(kind) or {}) | {name: dict(fields)}}
    return _checked(document, [splice], expected)


def remove_node(text: str, name: str) -> str:
    """Remove a node, its own comments, its single links and its inline round trips.

    Raises:
        InputError: when there is no such node, others use it as their exit, or the file's
            layout cannot be edited.
    """
    document = parse_document(text, "overlay")
    tree, top = document.tree, _mapping(document.syntax)
    nodes = tree.get("nodes") or {}
    if name not in nodes:
        raise InputError(f"no node is named {name!r}")
    users = [user for user, fields in nodes.items() if fields.get("via_exit") == name]
    if users:
        raise InputError(
            f"{name!r} is the exit of {', '.join(users)}: give them another via_exit first"
        )
    splices = _remove_keys(document.text, top.entries["nodes"], {name})
    expected = tree | {"nodes": {key: nodes[key] for key in nodes if key != name}}
    if "links" in top.entries and tree["links"]:
        splices += _remove_links(document, name)
        expected["links"] = {kind: _without(tree["links"][kind], name) for kind in tree["links"]}
    if isinstance(tree.get("latency"), dict):
        splices += _remove_rtts(document.text, top.entries["latency"].value, name)
        expected["latency"] = _rtts_without(tree["latency"], name)
    return _checked(document, splices, expected)


def remove_rtts(text: str, name: str) -> str:
    """Remove a node's round trips from a latency file.

    Raises:
        InputError: when the file's layout cannot be edited.
    """
    document = parse_document(text, "latency")
    splices = _remove_rtts(document.text, document.syntax, name)
    return _checked(document, splices, _rtts_without(document.tree, name))


def _remove_links(document: Document, name: str) -> list[Splice]:
    splices = []
    links = _mapping(_mapping(document.syntax).entries["links"].value)
    for kind, entry in links.entries.items():
        pairs = document.tree["links"][kind] or []
        gone = {index for index, pair in enumerate(pairs) if name in pair}
        if gone and isinstance(entry.value, Sequence):
            splices += remove_entries(document.text, entry.value, gone)
    return splices


def _remove_rtts(text: str, latency: Syntax, name: str) -> list[Splice]:
    splices: list[Splice] = []
    for kind in _RTTS:
        table = _mapping(latency).entries.get(kind)
        if table is None or not isinstance(table.value, Mapping):
            continue
        splices += _remove_keys(text, table, {name})
        for near, row in table.value.entries.items():
            if near != name:
                splices += _remove_keys(text, row, {name})
    return splices


def _remove_keys(text: str, entry: Entry, names: set[str]) -> list[Splice]:
    if not isinstance(entry.value, Mapping):
        return []
    gone = {index for index, key in enumerate(entry.value.entries) if key in names}
    return remove_entries(text, entry.value, gone) if gone else []


def _without(pairs: list[list[str]] | None, name: str) -> list[list[str]]:
    return [pair for pair in pairs or [] if name not in pair]


def _rtts_without(latency: dict[str, Any], name: str) -> dict[str, Any]:
    left = dict(latency)
    for kind in _RTTS:
        if kind in left:
            rows = left[kind] or {}
            left[kind] = {
                near: {far: ms for far, ms in (row or {}).items() if far != name}
                for near, row in rows.items()
                if near != name
            }
    return left


def set_node_fields(text: str, changes: MappingType[str, MappingType[str, Any]]) -> str:
    """Set fields of nodes: {node: {field: value}}, each replaced in place or added at the end.

    Raises:
        InputError: when there is no such node, or the file's layout cannot be edited.
    """
    document = parse_document(text, "overlay")
    nodes = _mapping(document.syntax).entries.get("nodes")
    entries = nodes.value.entries if nodes and isinstance(nodes.value, Mapping) else {}
    splices: list[Splice] = []
    expected = dict(document.tree.get("nodes") or {})
    for name, fields in changes.items():
        if name not in entries:
            raise InputError(f"no node is named {name!r}")
        splices += _set_fields(document.text, _mapping(entries[name].value), fields)
        expected[name] = expected[name] | fields
    return _checked(document, splices, document.tree | {"nodes": expected})


def _set_fields(text: str, node: Mapping, fields: MappingType[str, Any]) -> list[Splice]:
    splices = [
        replace_value(text, node.entries[field], value)
        for field, value in fields.items()
        if field in node.entries
    ]
    added = [
        insert_field(text, node, field, value)
        for field, value in fields.items()
        if field not in node.entries
    ]
    if added:
        joined = "".join(splice.replacement for splice in added)
        splices.append(Splice(added[0].start, added[0].end, joined))
    return splices


def write_addresses(text: str, overlay: Overlay) -> str:
    """Write the addresses that were allocated into the file, so that they stay as they are.

    Raises:
        InputError: when the file's layout cannot be edited.
    """
    unwritten = {
        node.name: {"address": render_addresses(map(str, node.addresses))}
        for node in overlay.nodes
        if not node.addresses_written
    }
    return set_node_fields(text, unwritten) if unwritten else text


def render_addresses(addresses: Iterable[str]) -> str | list[str]:
    """Give the value of `address:` or `subnet:`: a single one as a text, more as a list."""
    found = list(addresses)
    return found[0] if len(found) == 1 else found


def set_topology(text: str, topology: Topology) -> str:
    """Change the topology: one word in the file, or one line when it is not there yet.

    Raises:
        InputError: when the file's layout cannot be edited.
    """
    document = parse_document(text, "overlay")
    top = _mapping(document.syntax)
    if "topology" in top.entries:
        splice = replace_value(document.text, top.entries["topology"], topology.value)
    else:
        end = line_end(document.text, top.entries["prefixes"].end)
        line = f"{newline_of(document.text)}topology: {render_value(topology.value)}"
        splice = Splice(end, end, line)
    return _checked(document, [splice], document.tree | {"topology": topology.value})


def _mapping(syntax: Syntax) -> Mapping:
    if not isinstance(syntax, Mapping):
        raise InputError("the file's layout cannot be edited by malha: edit it by hand")
    return syntax


def _checked(document: Document, splices: list[Splice], expected: Any) -> str:
    """Carry out splices and read back what the text then says."""
    text = apply_splices(document.text, splices)
    try:
        result = parse_document(text, "overlay").tree
    except InputError as error:
        raise _unfit() from error
    if _filled(result) != _filled(expected) or not _same_order(result, expected):
        raise _unfit()
    return document.byte_order_mark + text


def _unfit() -> InputError:
    return InputError("the file's layout does not allow this edit by malha: edit it by hand")


def _filled(tree: Any) -> Any:
    """Give a tree in which nothing, an empty mapping and an empty list are the same."""
    if isinstance(tree, dict):
        return {key: _filled(value) for key, value in tree.items()} or None
    if isinstance(tree, list):
        return [_filled(value) for value in tree] or None
    return tree


def _same_order(result: Any, expected: Any) -> bool:
    return all(
        list(result.get(kind) or {}) == list(expected.get(kind) or {})
        for kind in ("regions", "nodes")
    )
