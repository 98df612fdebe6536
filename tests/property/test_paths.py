"""Paths against a naive model that tries every simple path, and the laws they must obey."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings

from malha.overlay.model import Overlay
from malha.topology.compile import Routing, derive_routing
from tests.effort import examples
from tests.property.strategies import overlays


def _simple_paths(routing: Routing, a: int, b: int) -> Iterator[tuple[int, ...]]:
    """Every path without repetition whose inner nodes relay."""
    stack = [(a,)]
    while stack:
        walk = stack.pop()
        for node in routing.links.neighbours[walk[-1]]:
            if node == b:
                yield (*walk, b)
            elif node not in walk and node in routing.links.relays:
                stack.append((*walk, node))


def _cost(overlay: Overlay, routing: Routing, path: tuple[int, ...]) -> tuple[int, int]:
    hops = list(pairwise(path))
    return sum(routing.weights.of(a, b) for a, b in hops), len(hops)


def _every_pair(overlay: Overlay) -> Iterator[tuple[int, int]]:
    everyone = range(len(overlay.nodes))
    return ((a, b) for a in everyone for b in everyone if a != b)


@settings(max_examples=examples(150))
@given(overlays(max_nodes=7))
def test_every_path_is_as_cheap_as_the_cheapest_of_all_simple_paths(overlay: Overlay) -> None:
    routing = derive_routing(overlay)
    for a, b in _every_pair(overlay):
        found = routing.paths.path(a, b)
        costs = [_cost(overlay, routing, path) for path in _simple_paths(routing, a, b)]
        assert bool(found) == bool(costs)
        if costs:
            assert _cost(overlay, routing, found) == min(costs)


@settings(max_examples=examples(200))
@given(overlays(max_nodes=12))
def test_the_way_back_is_the_way_there_reversed(overlay: Overlay) -> None:
    paths = derive_routing(overlay).paths
    for a, b in _every_pair(overlay):
        assert paths.path(b, a) == tuple(reversed(paths.path(a, b)))


@settings(max_examples=examples(200))
@given(overlays(max_nodes=12))
def test_the_next_hop_depends_on_the_destination_alone(overlay: Overlay) -> None:
    paths = derive_routing(overlay).paths
    for a, b in _every_pair(overlay):
        path = paths.path(a, b)
        for place, node in enumerate(path[:-1]):
            assert paths.path(node, b) == path[place:]


@settings(max_examples=examples(150))
@given(overlays(max_nodes=9))
def test_a_pinned_pair_goes_directly(overlay: Overlay) -> None:
    paths = derive_routing(overlay).paths
    index = {node.name: i for i, node in enumerate(overlay.nodes)}
    for a, b in overlay.links.pinned:
        assert paths.path(index[a], index[b]) == (index[a], index[b])
