"""The tables' quick answers against a slow, obvious one, on fleets with everything wrong."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.proof import prove
from malha.proof.legs import arrives, failed_legs
from malha.proof.tables import build_tables
from malha.proof.world import World
from malha.wireguard.device import NodeState
from tests import naive_proof
from tests.effort import examples
from tests.unit.proof.fleets import WIDE, a_fleet, a_peer, a_state, host


def naive_failures(states: list[NodeState]) -> set[tuple[int, int]]:
    """Every ordered pair whose packet does not arrive, one packet at a time."""
    everyone = range(len(states))
    return {
        (a, b)
        for a in everyone
        for b in everyone
        if a != b and not naive_proof.arrives(states, a, b, 4)
    }


@settings(max_examples=examples(600))
@given(st.integers(0, 2**32))
def test_the_packets_that_fail_are_those_that_fail_one_by_one(seed: int) -> None:
    states = a_fleet(random.Random(seed))
    tables = build_tables(World(tuple(states)), 4)
    failed = naive_failures(states)
    assert failed_legs(tables) == failed
    for a in range(len(states)):
        for b in range(len(states)):
            if a != b:
                assert arrives(tables, a, b) == ((a, b) not in failed)


def test_the_random_fleets_hold_both_kinds_of_pairs() -> None:
    """Otherwise the test above could not fail."""
    shares = []
    for seed in range(60):
        states = a_fleet(random.Random(seed))
        shares.append(len(naive_failures(states)) / len(states) / (len(states) - 1))
    assert min(shares) == 0
    assert max(shares) > 0.5
    assert sum(0 < share < 1 for share in shares) > 20


def test_a_route_that_is_missing_is_seen_though_the_neighbour_has_all() -> None:
    """Two machines' peers differ by one swap, and so do their routes; but x is named twice."""
    peers = [a_peer(i) for i in range(4)]
    x, y = host(2), host(3)
    twice = a_peer(1, x)
    first = a_state(0, (twice, peers[2]), routes=(x,))
    second = a_state(1, (a_peer(3, y), peers[2]), routes=(y,))
    fleet = [first, second, a_state(2, (peers[0], peers[1])), a_state(3, (peers[0], peers[1]))]
    tables = build_tables(World(tuple(fleet)), 4)
    assert failed_legs(tables) == naive_failures(fleet)
    assert (1, 2) in failed_legs(tables)


def test_one_of_two_peers_that_name_a_host_may_go() -> None:
    hosts = [host(i) for i in range(5)]
    once, again = a_peer(2), a_peer(2, hosts[2], key="m2b")
    second = a_state(2, (a_peer(0), a_peer(1)))
    twin = a_state(4, (), key="m2b")
    first = a_state(0, (once, again, a_peer(1)))
    other = a_state(1, (a_peer(3), again, a_peer(0)), unreachable=WIDE)
    fleet = [first, other, second, a_state(3, (a_peer(0), a_peer(1))), twin]
    tables = build_tables(World(tuple(fleet)), 4)
    assert failed_legs(tables) == naive_failures(fleet)
    assert prove(fleet).nodes == 5
