"""The overlay as canonical JSON: what is sent to nodes and, later, signed.

One overlay has one text. Keys are sorted, there is no white space, text is UTF-8. Regions and
nodes are lists, because their order has a meaning and JSON objects have none. Defaults, roles
and allocated addresses are spelled out, so that a reader with other defaults reads the same
overlay. Round-trip times are integers in microseconds. Absent values are left out.
"""

from __future__ import annotations

import json
from typing import Any

from malha.overlay.flaws import Flaw, InvalidOverlay, shown
from malha.overlay.model import Defaults, Latency, Node, Overlay, Region
from malha.overlay.validate import validate_overlay

FORMAT = 1
"""Raised when a reader of the old form would misread the new one."""


def to_json(overlay: Overlay) -> bytes:
    """Write an overlay in its one canonical form."""
    tree = {"format": FORMAT} | overlay_tree(overlay)
    return json.dumps(tree, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def overlay_tree(overlay: Overlay) -> dict[str, Any]:
    """Give an overlay as plain values, keys in the order in which people read them."""
    return {
        "overlay": overlay.name,
        "description": overlay.description,
        "prefixes": [str(prefix) for prefix in overlay.prefixes],
        "topology": overlay.topology.value,
        "defaults": _defaults_tree(overlay.defaults),
        "regions": [_region_tree(region) for region in overlay.regions],
        "nodes": [_node_tree(node) for node in overlay.nodes],
        "links": {
            "add": overlay.links.added,
            "forbid": overlay.links.forbidden,
            "pin": overlay.links.pinned,
        },
        "latency": _latency_tree(overlay.latency),
    }


def _defaults_tree(defaults: Defaults) -> dict[str, Any]:
    return {
        "listen_port": defaults.listen_port,
        "spare_port": defaults.spare_port,
        "persistent_keepalive": defaults.persistent_keepalive_s,
        "mtu": defaults.mtu,
    }


def _region_tree(region: Region) -> dict[str, Any]:
    subnets = [str(subnet) for subnet in region.subnets]
    return {"name": region.name, "subnet": subnets, "description": region.description}


def _node_tree(node: Node) -> dict[str, Any]:
    tree = {
        "name": node.name,
        "region": node.region,
        "role": node.role.value,
        "address": [str(address) for address in node.addresses],
        "public_key": _text(node.public_key),
        "endpoint": _text(node.endpoint),
        "listen_port": node.listen_port,
        "spare_port": node.spare_port,
        "mtu": node.mtu,
        "persistent_keepalive": node.persistent_keepalive_s,
        "serves": list(node.serves) or None,
        "routes": [str(route) for route in node.routes] or None,
        "exit": node.is_exit or None,
        "via_exit": node.via_exit,
        "managed": None if node.managed else False,
        "description": node.description or None,
        "location": node.location or None,
    }
    return {key: value for key, value in tree.items() if value is not None}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _latency_tree(latency: Latency) -> dict[str, Any]:
    return {
        "rtt_us": [[*pair, us] for pair, us in latency.rtt_us],
        "estimated_rtt_us": [[*pair, us] for pair, us in latency.estimated_us],
        "how_estimated": latency.how_estimated,
    }


def from_json(raw: bytes) -> Overlay:
    """Read an overlay from canonical JSON, checked as strictly as a file.

    Raises:
        InvalidOverlay: when the text is no JSON, has another format, or declares no overlay.
    """
    try:
        tree = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _invalid("wrong-type", "not canonical JSON") from error
    if not isinstance(tree, dict) or tree.pop("format", None) != FORMAT:
        raise _invalid("wrong-type", f"not an overlay in canonical JSON of format {FORMAT}")
    try:
        for key in ("regions", "nodes"):
            tree[key] = _by_name(tree[key])
        tree["latency"] = _latency_of(tree["latency"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _invalid("wrong-type", "regions, nodes or latency have not their form") from error
    return validate_overlay(tree)


def _invalid(code: str, message: str) -> InvalidOverlay:
    return InvalidOverlay((Flaw((), code, message),))


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(items)
    if len(tree) < len(items):
        raise _invalid("repeated-key", "a key stands twice in one JSON object")
    return tree


def _by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give {name: fields} in the order of the list, as the file has it."""
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry["name"]
        if name in named:
            raise _invalid("repeated-key", f"{shown(name)} is declared twice")
        named[name] = {key: value for key, value in entry.items() if key != "name"}
    return named


def _latency_of(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        "rtt_ms": _nested(tree["rtt_us"]),
        "estimated_rtt_ms": _nested(tree["estimated_rtt_us"]),
        "how_estimated": tree["how_estimated"],
    }


def _nested(triples: list[tuple[str, str, int]]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for near, far, rtt_us in triples:
        rows.setdefault(near, {})[far] = rtt_us / 1000
    return rows
