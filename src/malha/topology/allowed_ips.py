"""Each next hop's addresses as the fewest prefixes, region by region.

A region that lies wholly behind one relay is that region's subnets, so that a node added to it
changes nobody but its neighbours. Where several next hops share a region, its subnets go to the
relay that carries most of it and the rest are named, if that cannot make a loop: two relays,
each with the region's subnets towards the other, would hand a packet for an address that nobody
owns to and fro until its TTL ends. It cannot if the node relays nothing, or if that relay is
*terminal* for the region: it reaches every node of it directly, so it gives the subnets to
nobody. (Relays that each have the whole region behind one next hop make no loop either: its
packets to a node off the loop would never arrive. Only two relays alone in a region could.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from malha.overlay.model import Overlay
from malha.topology.paths import NOWHERE, Paths
from malha.wireguard.device import Prefix

NextHops = dict[int, Sequence[Prefix]]
"""Next hop's node index → what is sent there, unsorted. A hop that gets exactly its own
addresses holds `plan.own[hop]` itself, so that equal peers can be recognised by identity."""


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """What stands for nodes and regions in allowed IPs; the same for every node's compilation."""

    own: tuple[tuple[Prefix, ...], ...]
    """For each node its addresses as host prefixes and the subnets routed behind it, sorted."""
    routed: tuple[tuple[Prefix, ...], ...]
    """For each node the subnets routed behind it (exits' default routes are not among them)."""
    has_routed: bool
    """Whether there is any such subnet."""
    region_points: tuple[tuple[tuple[Prefix, ...], tuple[int, ...]], ...]
    """For each region its subnets and the points that have a member in it."""
    region_members: tuple[Mapping[int, tuple[int, ...]], ...]
    """For each region: point → its members in that region."""
    region_nodes: tuple[frozenset[int], ...]
    """For each region all its nodes."""
    terminal: tuple[frozenset[int], ...]
    """For each region the relays (points) that reach every node of it directly."""


def plan_addresses(overlay: Overlay, paths: Paths) -> AddressPlan:
    """Prepare what `next_hops_of` needs for every node."""
    by_region: dict[str, dict[int, list[int]]] = {region.name: {} for region in overlay.regions}
    for i, node in enumerate(overlay.nodes):
        by_region[node.region].setdefault(paths.points.point_of[i], []).append(i)
    hosts = [
        tuple(ipaddress.ip_network(address) for address in node.addresses) for node in overlay.nodes
    ]
    routed = tuple(
        tuple(prefix for prefix in node.routes if prefix.prefixlen) for node in overlay.nodes
    )
    return AddressPlan(
        own=tuple(fewest(host + behind) for host, behind in zip(hosts, routed, strict=True)),
        routed=routed,
        has_routed=any(routed),
        region_points=tuple(
            (region.subnets, tuple(sorted(by_region[region.name]))) for region in overlay.regions
        ),
        region_members=tuple(
            {point: tuple(nodes) for point, nodes in by_region[region.name].items()}
            for region in overlay.regions
        ),
        region_nodes=tuple(
            frozenset(i for nodes in by_region[region.name].values() for i in nodes)
            for region in overlay.regions
        ),
        terminal=tuple(
            _terminal_relays(paths, by_region[region.name]) for region in overlay.regions
        ),
    )


def _terminal_relays(paths: Paths, points: Iterable[int]) -> frozenset[int]:
    return frozenset(
        relay
        for relay in range(paths.points.relay_count)
        if all(q == relay or paths.first[relay][q] == q for q in points)
    )


def next_hops_of(plan: AddressPlan, paths: Paths, node: int) -> tuple[NextHops, bool]:
    """What one node sends to which next hop; and whether all of its point's members do the same.

    Members differ in their direct links, and in the subnets routed behind the others. Else the
    others of their region are behind the relay that they share, which is given its subnets.
    """
    point, direct = paths.points.point_of[node], paths.direct[node]
    own_way = direct | {node}
    found: NextHops = {i: plan.own[i] for i in direct}
    mates = paths.points.members[point]
    is_shared = not direct and len(mates) > 1
    if plan.has_routed and any(plan.routed[i] for i in mates):
        is_shared = False
    for region, (subnets, points) in enumerate(plan.region_points):
        if direct and own_way.issuperset(plan.region_nodes[region]):
            continue
        members = plan.region_members[region]
        carried = _carried(paths, point, points, members, without=own_way)
        mate_relay = _mate_relay(paths, point) if point in members else None
        if mate_relay is not None:
            carried.setdefault(mate_relay, [])
            whole: int | None = mate_relay
        else:
            whole = _whole_region(plan, paths, point, region, carried)
        _send(plan, found, carried, whole=whole, subnets=subnets)
    return found, is_shared


def _send(
    plan: AddressPlan,
    found: NextHops,
    carried: Mapping[int, list[int]],
    *,
    whole: int | None,
    subnets: Sequence[Prefix],
) -> None:
    """Add one region's share to what each next hop gets."""
    for hop, nodes in carried.items():
        if hop == whole:
            routed = (plan.routed[i] for i in nodes) if plan.has_routed else ()
            share = [*subnets, *chain.from_iterable(routed)]
            found[hop] = [*found.get(hop, ()), *share]
        elif nodes == [hop] and hop not in found:
            found[hop] = plan.own[hop]
        else:
            share = [prefix for i in nodes for prefix in plan.own[i]]
            found[hop] = [*found.get(hop, ()), *share]


def _carried(
    paths: Paths,
    point: int,
    targets: Iterable[int],
    members: Mapping[int, Sequence[int]],
    *,
    without: frozenset[int],
) -> dict[int, list[int]]:
    """One region's nodes by next hop (node index)."""
    points = paths.points
    left_out = {points.point_of[i] for i in without}
    carried: dict[int, list[int]] = {}
    for q in targets:
        hop = paths.first[point][q]
        if hop == NOWHERE:
            continue
        nodes = members[q]
        if q in left_out:
            nodes = [i for i in nodes if i not in without]
        if hop == q:
            for i in nodes:
                carried.setdefault(i, []).append(i)
        elif nodes:
            carried.setdefault(points.members[hop][0], []).extend(nodes)
    return carried


def _mate_relay(paths: Paths, point: int) -> int | None:
    """The relay (node index) that leads to the other members of a node's own point.

    It is given the own region's subnets, also while there is no other member: so the next one
    changes nobody but its neighbours. None for relays, and where there is no way.
    """
    hop = NOWHERE if point < paths.points.relay_count else paths.first[point][point]
    return None if hop == NOWHERE else paths.points.members[hop][0]


def _whole_region(
    plan: AddressPlan, paths: Paths, point: int, region: int, carried: Mapping[int, Sequence[int]]
) -> int | None:
    """The relay (node index) that is given the region's subnets; None if nobody is."""
    points = paths.points
    is_relay = point < points.relay_count
    hops = [hop for hop in carried if points.point_of[hop] < points.relay_count]
    if len(carried) == 1 and hops:
        (hop,) = hops
        # Two relays alone in one region: each would point the subnets at the other (see head).
        alone = is_relay and point in plan.region_members[region] and list(carried[hop]) == [hop]
        return None if alone else hop
    if is_relay:
        hops = [hop for hop in hops if points.point_of[hop] in plan.terminal[region]]
    beyond = {hop: sum(node != hop for node in carried[hop]) for hop in hops}
    # Ties go to the better-ranked relay, so that the answer does not hang on dict order.
    most = min(hops, key=lambda hop: (-beyond[hop], points.point_of[hop]), default=None)
    return most if most is not None and beyond[most] else None


def fewest(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """The same addresses in the fewest prefixes, IPv4 first, ascending.

    A default route does not swallow longer prefixes: between the two lies the kernel's
    "unreachable" route for the overlay's own prefixes, which would win over it.
    """
    by_family: dict[int, list[Prefix]] = {4: [], 6: []}
    defaults: dict[int, list[Prefix]] = {4: [], 6: []}
    for prefix in prefixes:
        (by_family if prefix.prefixlen else defaults)[prefix.version].append(prefix)
    return (*defaults[4][:1], *_collapse(by_family[4]), *defaults[6][:1], *_collapse(by_family[6]))


def _collapse(prefixes: list[Prefix]) -> Iterable[Prefix]:
    # One prefix of a family, the usual case in a mesh, is already the fewest.
    return prefixes if len(prefixes) < 2 else ipaddress.collapse_addresses(prefixes)  # type: ignore[type-var]
