"""What each link costs: its round-trip time, a marked estimate, or one hop.

Rule: one weight per link, the same in both directions, in integer microseconds, so that sums
compare exactly. Hops count only where no round-trip time is known at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low

from malha.overlay.model import Overlay
from malha.topology.links import Links

Pair = tuple[int, int]

ONE_HOP = 1
"""The weight of every link where no round-trip time is known."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of links by (lower index, higher index)."""

    known: Mapping[Pair, int]
    """Links whose weight differs from `default`."""
    default: int
    estimated: frozenset[Pair]
    """Links whose weight nobody measured: given as an estimate, or estimated by malha."""

    def of(self, a: int, b: int) -> int:
        """The weight of the link between `a` and `b`."""
        return self.known.get((a, b) if a < b else (b, a), self.default)

    @property
    def is_hops(self) -> bool:
        """Whether links are counted rather than timed."""
        return not self.known


def derive_weights(overlay: Overlay, links: Links) -> Weights:
    """Give every link its weight; see the module's rule.

    A link without a time is taken to be no slower than the fastest known way around it (an
    estimate, marked as such); where there is no way around, it gets the median of all times.
    """
    measured = _by_index(overlay, overlay.latency.rtt_us)
    given = {**_by_index(overlay, overlay.latency.estimated_us), **measured}
    linked = {pair: given[pair] for pair in links.pairs() if pair in given} if given else {}
    if not linked:
        return Weights({}, ONE_HOP, frozenset())
    known = dict(linked)
    middle = median_low(sorted(linked.values()))
    missing = [pair for pair in links.pairs() if pair not in linked]
    known.update(_ways_around(missing, linked, links, otherwise=middle))
    estimated = frozenset(missing) | {pair for pair in linked if pair not in measured}
    known = _with_pins(overlay, links, known)
    return Weights(known, middle, estimated)


def _by_index(overlay: Overlay, times: tuple[tuple[tuple[str, str], int], ...]) -> dict[Pair, int]:
    index = {node.name: i for i, node in enumerate(overlay.nodes)}
    pairs = (((index[a], index[b]), rtt_us) for (a, b), rtt_us in times)
    # A zero weight would let a detour tie with the direct link.
    return {(min(pair), max(pair)): max(rtt_us, 1) for pair, rtt_us in pairs}


def _with_pins(overlay: Overlay, links: Links, known: dict[Pair, int]) -> dict[Pair, int]:
    """Make each pinned link as cheap as the cheapest way around it.

    It then wins by its single hop, and no other pair's distance changes, because the distance
    between its ends stays what it was: symmetry and destination-only next hops are kept.
    """
    index = {node.name: i for i, node in enumerate(overlay.nodes)}
    # An exit is used over the direct link, so that link is as good as pinned.
    exits = [(node.name, node.via_exit) for node in overlay.nodes if node.via_exit is not None]
    pins = [tuple(sorted((index[a], index[b]))) for a, b in (*overlay.links.pinned, *exits)]
    around = _ways_around([(a, b) for a, b in pins], known, links, otherwise=None)
    return {**known, **{pair: min(rtt_us, known[pair]) for pair, rtt_us in around.items()}}


def _ways_around(
    pairs: list[Pair], known: Mapping[Pair, int], links: Links, *, otherwise: int | None
) -> dict[Pair, int]:
    """Shortest known distance between the ends of each pair, over relays."""
    by_source: dict[int, list[int]] = {}
    for a, b in pairs:
        by_source.setdefault(a, []).append(b)
    found: dict[Pair, int] = {}
    graph = _adjacency(known)
    relays = frozenset(links.relays)
    for a, targets in by_source.items():
        distance = _distances(graph, relays, a)
        for b in targets:
            rtt_us = distance.get(b, otherwise)
            if rtt_us is not None:
                found[a, b] = rtt_us
    return found


def _adjacency(known: Mapping[Pair, int]) -> dict[int, list[Pair]]:
    graph: dict[int, list[Pair]] = {}
    for (a, b), rtt_us in known.items():
        graph.setdefault(a, []).append((b, rtt_us))
        graph.setdefault(b, []).append((a, rtt_us))
    return graph


def _distances(graph: dict[int, list[Pair]], relays: frozenset[int], source: int) -> dict[int, int]:
    """Dijkstra from `source`; only relays pass on."""
    done: dict[int, int] = {}
    heap = [(0, source)]
    while heap:
        distance, node = heapq.heappop(heap)
        if node in done:
            continue
        done[node] = distance
        if node == source or node in relays:
            for other, rtt_us in graph.get(node, ()):
                if other not in done:
                    heapq.heappush(heap, (distance + rtt_us, other))
    return done
