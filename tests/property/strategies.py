"""Random valid overlays, small enough for naive models and varied enough to surprise."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from malha.overlay.model import LinkRules, Node, Overlay, Role
from tests.builders import a_node, an_overlay


@st.composite
def overlays(
    draw: st.DrawFn,
    *,
    max_nodes: int = 9,
    families: tuple[int, ...] = (4, 6),
    exits: bool = True,
) -> Overlay:
    """Overlays of every topology, with hubs, pops, dialable and silent backends, single links,
    round-trip times that may break the triangle inequality, routed subnets, an exit and its users,
    one or two families.
    """
    topology = draw(st.sampled_from(["hub", "regional", "full"]))
    both = draw(st.sampled_from([(4,), (6,), (4, 6)])) if len(families) == 2 else families
    regions = draw(st.integers(1, 3))
    count = draw(st.integers(2, max_nodes))
    others = st.sampled_from(["hub", "pop", "backend", "backend"])
    roles = ["hub", *draw(st.lists(others, min_size=count - 1, max_size=count - 1))]
    roles = draw(st.permutations(roles))
    nodes = [_node(draw, i, role, regions, both) for i, role in enumerate(roles)]
    links = draw(_link_rules(nodes))
    if exits:
        nodes = _with_exit(draw, nodes, links)
    return an_overlay(
        {f"r{k}": _subnets(k, both) for k in range(regions)},
        *nodes,
        topology=topology,
        prefixes=[p for f, p in ((4, "10.50.0.0/16"), (6, "fd50::/48")) if f in both],
        rtt_ms=draw(_times([node.name for node in nodes])),
        links=links,
    )


def _subnets(region: int, families: tuple[int, ...]) -> list[str]:
    every = {4: f"10.50.{region}.0/24", 6: f"fd50:0:0:{region}::/64"}
    return [every[family] for family in families]


def _node(draw: st.DrawFn, i: int, role: str, regions: int, families: tuple[int, ...]) -> Node:
    region = draw(st.integers(0, regions - 1))
    every = {4: f"10.50.{region}.{i + 1}", 6: f"fd50:0:0:{region}::{i + 1:x}"}
    fields: dict[str, Any] = {}
    if role != "backend" or draw(st.booleans()):
        fields["endpoint"] = f"198.18.0.{i + 1}:51820"
    if role == "pop":
        served = draw(st.sets(st.integers(0, regions - 1)))
        fields["serves"] = tuple(f"r{k}" for k in sorted(served | {region}))
    if draw(st.integers(0, 4)) == 0:
        fields["routes"] = (ipaddress.ip_network(f"172.16.{i}.0/24"),) if 4 in families else ()
    addresses = [every[family] for family in families]
    return a_node(f"n{i}", f"r{region}", *addresses, role=role, **fields)


def _with_exit(draw: st.DrawFn, nodes: list[Node], links: LinkRules) -> list[Node]:
    """Sometimes the first hub, which is linked to all unless that is forbidden, is an exit."""
    if draw(st.integers(0, 2)):
        return nodes
    hub = next(node.name for node in nodes if node.role is Role.HUB)
    users = draw(st.sets(st.sampled_from([node.name for node in nodes if node.name != hub])))
    users -= {name for pair in links.forbidden if hub in pair for name in pair}
    return [
        replace(node, is_exit=node.name == hub, via_exit=hub if node.name in users else None)
        for node in nodes
    ]


@st.composite
def _link_rules(draw: st.DrawFn, nodes: list[Node]) -> LinkRules:
    possible = [
        (a.name, b.name)
        for k, a in enumerate(nodes)
        for b in nodes[k + 1 :]
        if a.is_dialable or b.is_dialable
    ]
    some = st.sets(st.sampled_from(possible), max_size=2) if possible else st.just(set())
    added, forbidden, pinned = draw(some), draw(some), draw(some)
    forbidden = forbidden - added - pinned
    return LinkRules(tuple(sorted(added)), tuple(sorted(forbidden)), tuple(sorted(pinned)))


@st.composite
def _times(draw: st.DrawFn, names: list[str]) -> dict[tuple[str, str], float]:
    if not draw(st.booleans()):
        return {}
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k + 1 :]]
    some = draw(st.lists(st.sampled_from(pairs), max_size=len(pairs), unique=True))
    return {pair: draw(st.integers(1, 6)) * 10.0 for pair in some}
