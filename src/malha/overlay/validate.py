"""A plain tree (dict, list, str, int, float, bool, None) becomes an Overlay, or all its flaws.

Pure and without positions: the same validation serves overlay.yaml and the canonical JSON form.
Rule: what passes here needs no second check anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.overlay.addresses import allocate, check_addresses
from malha.overlay.draft import Draft, read_draft
from malha.overlay.flaws import InvalidOverlay
from malha.overlay.linking import check_linking, pairs, served_regions
from malha.overlay.model import (
    Defaults,
    Latency,
    LinkRules,
    Node,
    Overlay,
    Region,
    Topology,
)
from malha.overlay.peering import check_peering, role_of
from malha.overlay.placement import check_placement
from malha.wireguard.device import Address, Prefix


def validate_overlay(tree: object) -> Overlay:
    """Check a tree as overlay.yaml has it, `latency` inline, and give the overlay it declares.

    Raises:
        InvalidOverlay: with every flaw that was found, sorted by path.
    """
    draft = read_draft(tree)
    check_placement(draft)
    check_addresses(draft)
    check_peering(draft)
    check_linking(draft)
    addresses = allocate(draft)
    if draft.flaws:
        unique = dict.fromkeys(draft.flaws)
        raise InvalidOverlay(tuple(sorted(unique, key=lambda flaw: [str(s) for s in flaw.path])))
    return _overlay(draft, addresses)


def _overlay(draft: Draft, addresses: Mapping[str, tuple[Address, ...]]) -> Overlay:
    return Overlay(
        name=draft.head["overlay"],
        description=draft.head.get("description", ""),
        prefixes=draft.head["prefixes"],
        topology=draft.head.get("topology", Topology.REGIONAL),
        regions=tuple(_region(name, fields) for name, fields in draft.regions.items()),
        nodes=tuple(_node(name, f, addresses[name]) for name, f in draft.nodes.items()),
        defaults=Defaults(**_seconds(draft.defaults)),
        links=LinkRules(pairs(draft, "add"), pairs(draft, "forbid"), pairs(draft, "pin")),
        latency=_latency(draft.latency),
    )


def _seconds(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields the model's names: the file has no unit in `persistent_keepalive`."""
    renamed = {"persistent_keepalive": "persistent_keepalive_s"}
    return {renamed.get(key, key): value for key, value in fields.items()}


def _region(name: str, fields: Mapping[str, Any]) -> Region:
    subnets: tuple[Prefix, ...] = fields["subnet"]
    ordered = tuple(sorted(subnets, key=lambda subnet: subnet.version))
    return Region(name, ordered, fields.get("description", ""))


def _node(name: str, fields: dict[str, Any], addresses: tuple[Address, ...]) -> Node:
    return Node(
        name,
        fields["region"],
        role_of(fields),
        addresses,
        len(fields.get("address", ())) == len(addresses),
        fields.get("public_key"),
        fields.get("endpoint"),
        fields.get("listen_port"),
        fields.get("spare_port"),
        fields.get("mtu"),
        fields.get("persistent_keepalive"),
        served_regions(fields),
        _routes(fields.get("routes", ())),
        fields.get("exit", False),
        fields.get("via_exit"),
        fields.get("managed", True),
        fields.get("description", ""),
        fields.get("location", ""),
    )


def _routes(routes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    """Give the routed subnets; default routes are said by `is_exit` already."""
    return tuple(route for route in routes if route.prefixlen)


def _latency(fields: Mapping[str, Any]) -> Latency:
    return Latency(
        _pairwise(fields.get("rtt_ms", {})),
        _pairwise(fields.get("estimated_rtt_ms", {})),
        fields.get("how_estimated", ""),
    )


def _pairwise(rtts: Mapping[tuple[str, str], int]) -> tuple[tuple[tuple[str, str], int], ...]:
    return tuple(sorted({(min(pair), max(pair)): us for pair, us in rtts.items()}.items()))
