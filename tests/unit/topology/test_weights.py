"""What a link weighs: measured, estimated by its author or by malha, pinned, or one hop."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from malha.overlay.model import Latency, LinkRules, Overlay
from malha.topology.links import derive_links
from malha.topology.weights import ONE_HOP, Weights, derive_weights
from tests.builders import a_node, an_overlay

HUB, POP, A, B, C = range(5)
NAMES = ("hub", "pop", "a", "b", "c")


def five(topology: str = "full", rules: LinkRules | None = None, **ms: float) -> Overlay:
    """hub, pop and three backends; `hub_a=3` is a round trip of 3 ms."""
    roles = {"hub": "hub", "pop": "pop"}
    nodes = [
        a_node(
            name,
            "r",
            f"10.50.0.{i + 1}",
            role=roles.get(name, "backend"),
            endpoint=f"192.0.2.{i + 1}:1" if name != "c" else None,
        )
        for i, name in enumerate(NAMES)
    ]
    rtt_ms = {tuple(pair.split("_")): rtt for pair, rtt in ms.items()}
    links = rules or LinkRules()
    return an_overlay(
        {"r": ["10.50.0.0/24"]}, *nodes, topology=topology, rtt_ms=rtt_ms, links=links
    )  # type: ignore[arg-type]


def weights_of(overlay: Overlay) -> Weights:
    """The weights of an overlay's links."""
    return derive_weights(overlay, derive_links(overlay))


@pytest.mark.parametrize("topology", ["hub", "regional", "full"])
def test_without_any_time_every_link_is_one_hop(topology: str) -> None:
    weights = weights_of(five(topology))
    assert weights.is_hops
    assert {weights.of(a, b) for a, b in combinations(range(5), 2)} == {ONE_HOP}
    assert not weights.estimated


def test_a_measured_link_weighs_its_time_both_ways() -> None:
    weights = weights_of(five(hub_a=3, a_b=7.5))
    assert weights.of(HUB, A) == weights.of(A, HUB) == 3000
    assert weights.of(A, B) == weights.of(B, A) == 7500
    assert not {(HUB, A), (A, B)} & weights.estimated


def test_an_unknown_link_is_no_slower_than_the_fastest_known_way_around() -> None:
    weights = weights_of(five(hub_a=3, hub_b=4, pop_a=1, pop_b=2))
    assert weights.of(A, B) == 3000
    assert (A, B) in weights.estimated


def test_only_relays_are_a_way_around() -> None:
    """hub to pop over the backend `a` would be 2 ms, but `a` passes nothing on."""
    weights = weights_of(five(hub_a=1, pop_a=1, hub_b=9))
    assert weights.of(HUB, POP) == 1000  # the median of 1, 1 and 9: there is no way around
    assert (HUB, POP) in weights.estimated


def test_without_a_way_around_it_is_the_median_of_the_known() -> None:
    weights = weights_of(five(hub_a=10, hub_b=20, hub_pop=60))
    assert weights.of(HUB, C) == 20_000
    assert (HUB, C) in weights.estimated


def test_times_of_pairs_that_are_not_linked_say_nothing() -> None:
    weights = weights_of(five("hub", a_b=5))
    assert weights.is_hops


def test_an_authors_estimate_is_marked_and_a_measurement_wins_over_it() -> None:
    overlay = five(hub_a=3)
    estimated = ((("a", "hub"), 99_000), (("b", "hub"), 8000))
    latency = Latency(rtt_us=overlay.latency.rtt_us, estimated_us=estimated)
    weights = weights_of(replace(overlay, latency=latency))
    assert weights.of(HUB, A) == 3000
    assert weights.of(HUB, B) == 8000
    assert (HUB, B) in weights.estimated
    assert (HUB, A) not in weights.estimated


def test_a_pinned_link_weighs_what_the_best_way_around_it_does() -> None:
    rules = LinkRules(pinned=(("a", "b"),))
    weights = weights_of(five("regional", rules, hub_a=3, hub_b=4, a_b=50))
    assert weights.of(A, B) == 7000
    assert weights.of(HUB, A) == 3000


def test_a_pinned_link_that_is_fast_anyway_keeps_its_time() -> None:
    rules = LinkRules(pinned=(("a", "b"),))
    assert weights_of(five("regional", rules, hub_a=3, hub_b=4, a_b=2)).of(A, B) == 2000


def test_a_pin_changes_no_other_distance() -> None:
    pinned = LinkRules(pinned=(("hub", "pop"),))
    plain, other = five(hub_a=3, pop_a=1, hub_b=2, pop_b=1, hub_pop=9), None
    other = replace(plain, links=pinned)
    one, two = weights_of(plain), weights_of(other)
    assert {pair: us for pair, us in one.known.items() if pair != (HUB, POP)} == {
        pair: us for pair, us in two.known.items() if pair != (HUB, POP)
    }


def test_no_link_is_free() -> None:
    overlay = five(hub_a=3)
    latency = Latency(rtt_us=((("a", "hub"), 0), (("b", "hub"), 1)))
    assert weights_of(replace(overlay, latency=latency)).of(HUB, A) == 1
