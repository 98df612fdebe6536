"""Which way each pair's packets go: one path per pair, the same there and back.

Paths compare by (weight, hops, sorted link ranks). Link ranks are unique, so no two different
paths between the same ends are equal, and adding one link to both sides of a comparison never
turns it round. From that follow the two facts everything else leans on: the next hop depends
on the destination alone, and path(B, A) is path(A, B) reversed.

Only relays pass packets on. Nodes that relay nothing and have the same region and the same
links to relays, at the same weights, are interchangeable but for their direct links: they form
one *group*, and routing is worked out between groups. A *point* is a relay or a group; a
point's number is its rank (relays first: hubs as declared, then pops).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from malha.overlay.model import Overlay
from malha.topology.links import Links
from malha.topology.weights import Weights

_HOP_BITS = 16
"""Weight and hops share one integer, hops in the low bits: sums and comparisons stay exact."""

NOWHERE = -1
"""In place of a next hop: there is no way."""

Cost = tuple[int, tuple[int, ...]]
"""(weight << _HOP_BITS | hops, sorted link ranks)."""


@dataclass(frozen=True, slots=True)
class Points:
    """Relays and groups; see the module's head."""

    relay_count: int
    members: tuple[tuple[int, ...], ...]
    """Node indexes of each point, ascending. A relay is alone in its point."""
    point_of: tuple[int, ...]
    """For each node its point."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The best path between any two nodes, as first hops."""

    points: Points
    first: tuple[tuple[int, ...], ...]
    """first[p][q]: the point a packet from p to q goes to first; -1 if there is no way.
    Between members of one group (p = q) it is the relay they share."""
    direct: tuple[frozenset[int], ...]
    """For each node the non-relays that it, no relay itself, reaches over a direct link."""

    def next_hop(self, source: int, target: int) -> int:
        """The node to which `source` hands a packet for `target`; -1 if there is no way."""
        if target in self.direct[source]:
            return target
        point_of, members = self.points.point_of, self.points.members
        hop = self.first[point_of[source]][point_of[target]]
        if hop == NOWHERE:
            return NOWHERE
        return target if hop == point_of[target] else members[hop][0]

    def path(self, source: int, target: int) -> tuple[int, ...]:
        """Every node from `source` to `target`, both included; empty if there is no way."""
        walk = [source]
        while walk[-1] != target:
            hop = self.next_hop(walk[-1], target)
            if hop == NOWHERE:
                return ()
            walk.append(hop)
        return tuple(walk)


def derive_paths(overlay: Overlay, links: Links, weights: Weights) -> Paths:
    """Find the best path between every two nodes."""
    points = _derive_points(overlay, links, weights)
    edges = _point_edges(links, weights, points)
    costs = [_shortest(edges, points.relay_count, point) for point in range(len(points.members))]
    first = tuple(
        tuple(row[q][1] if q in row else NOWHERE for q in range(len(points.members)))
        for row in costs
    )
    direct = _direct_wins(links, weights, points, costs)
    return Paths(points, first, direct)


def _derive_points(overlay: Overlay, links: Links, weights: Weights) -> Points:
    relays = links.relays
    rank = {relay: place for place, relay in enumerate(relays)}
    groups: dict[tuple[str, tuple[tuple[int, int], ...]], list[int]] = {}
    for i, node in enumerate(overlay.nodes):
        if i not in rank:
            ways = tuple(
                sorted((rank[j], weights.of(i, j)) for j in links.neighbours[i] if j in rank)
            )
            groups.setdefault((node.region, ways), []).append(i)
    members = [(relay,) for relay in relays] + [tuple(group) for group in groups.values()]
    point_of = [0] * len(overlay.nodes)
    for point, nodes in enumerate(members):
        for i in nodes:
            point_of[i] = point
    return Points(len(relays), tuple(members), tuple(point_of))


Edge = tuple[int, int, int]
"""(other point, cost without ranks, link rank)."""


def _point_edges(links: Links, weights: Weights, points: Points) -> list[list[Edge]]:
    """Links between points of which at least one is a relay."""
    count = len(points.members)
    edges: list[list[Edge]] = [[] for _ in range(count)]
    for relay_point in range(points.relay_count):
        relay = points.members[relay_point][0]
        for other_point in sorted({points.point_of[j] for j in links.neighbours[relay]}):
            other = points.members[other_point][0]
            cost = weights.of(relay, other) << _HOP_BITS | 1
            low, high = sorted((relay_point, other_point))
            edge = (cost, low * count + high)
            edges[relay_point].append((other_point, *edge))
            if other_point >= points.relay_count:
                edges[other_point].append((relay_point, *edge))
    return edges


def _shortest(
    edges: list[list[Edge]], relay_count: int, source: int
) -> dict[int, tuple[Cost, int]]:
    """Dijkstra from one point: for each point that can be reached, its cost and the first hop.

    `source` itself is in the answer if it is a group: the way between two of its members.
    """
    best: dict[int, tuple[Cost, int]] = {}
    heap: list[tuple[Cost, int, int]] = [
        ((cost, (rank,)), point, point) for point, cost, rank in edges[source]
    ]
    heapq.heapify(heap)
    # A relay's own point is settled from the start; a group's is reached back over a relay.
    settled = {source} if source < relay_count else set()
    while heap:
        so_far, point, first = heapq.heappop(heap)
        if point in settled:
            continue
        settled.add(point)
        best[point] = (so_far, first)
        if point >= relay_count:
            continue
        for other, cost, rank in edges[point]:
            if other not in settled:
                ranks = tuple(sorted((*so_far[1], rank)))
                heapq.heappush(heap, ((so_far[0] + cost, ranks), other, first))
    return best


def _direct_wins(
    links: Links, weights: Weights, points: Points, costs: list[dict[int, tuple[Cost, int]]]
) -> tuple[frozenset[int], ...]:
    """For each non-relay its non-relay neighbours to which the direct link is the best path."""
    relays = frozenset(links.relays)
    found: list[frozenset[int]] = []
    for a, others in enumerate(links.neighbours):
        leaves = frozenset() if a in relays else frozenset(others) - relays
        if leaves and not weights.is_hops:
            row, point_of = costs[points.point_of[a]], points.point_of
            leaves = frozenset(
                b
                for b in leaves
                if point_of[b] not in row
                or weights.of(a, b) << _HOP_BITS | 1 < row[point_of[b]][0][0]
            )
        found.append(leaves)
    return tuple(found)
