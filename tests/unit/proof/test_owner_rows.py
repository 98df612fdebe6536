"""Rows painted by difference against rows painted one address at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.proof.facts import NOWHERE, SEVERAL, PeerFacts
from malha.proof.lookup import AddressRow
from malha.proof.owner_rows import OwnerRows
from malha.proof.world import World
from malha.wireguard.device import NodeState, Peer
from tests.effort import examples
from tests.unit.proof.fleets import a_peer, a_state, host, variants


def naive_row(states: Sequence[NodeState], peers: tuple[Peer, ...]) -> list[int] | None:
    """For each machine's address the owner of the peer that cryptokey routing chooses."""
    holders = [
        [i for i, s in enumerate(states) if s.devices[0].public_key == peer.public_key]
        for peer in peers
    ]
    if any(len(owners) > 1 for owners in holders):
        return None
    row = []
    for state in states:
        address, best, chosen = state.devices[0].addresses[0].ip, -1, NOWHERE
        for peer, owners in zip(peers, holders, strict=True):
            for prefix in peer.allowed_ips:
                if address in prefix and prefix.prefixlen >= best:
                    best, chosen = prefix.prefixlen, owners[0] if owners else NOWHERE
        row.append(chosen)
    return row


def rows_of(states: list[NodeState]) -> OwnerRows:
    """Rows over the addresses of these machines."""
    addresses = AddressRow(sorted(state.devices[0].addresses[0].ip for state in states))
    return OwnerRows(PeerFacts(World(tuple(states)), addresses), addresses)


@settings(max_examples=examples(400))
@given(st.integers(0, 2**32))
def test_each_row_is_the_one_painted_by_hand(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(3, 6)
    hosts = [host(i) for i in range(count)]
    faults = rng.choice([0.0, 0.1, 0.4])
    pool = [variants(i, hosts, rng) for i in range(count)]
    twin = f"m{rng.randrange(count)}" if rng.random() < 0.1 else None
    states = []
    for i in range(count):
        peers = [
            pool[k][0] if rng.random() >= faults else rng.choice(pool[k])
            for k in range(count)
            if k != i
        ]
        states.append(a_state(i, tuple(peers), key=twin if i == 0 else None))
    rows = rows_of(states)
    for state in states:
        peers = state.devices[0].peers
        assert rows.row_of(peers) == naive_row(states, peers)


def test_a_host_named_by_two_peers_of_one_machine() -> None:
    """Swapping one of the two away leaves the other, which still names it."""
    one, two = a_peer(2), a_peer(2, host(2))
    fleet = [
        a_state(0, (one, two, a_peer(1))),
        a_state(1, (one, a_peer(3), a_peer(1))),
        a_state(2, (a_peer(3), two, a_peer(1))),
        a_state(3, ()),
    ]
    shared = fleet[0].devices[0].peers
    fleet[1] = a_state(1, (a_peer(3), shared[1], shared[2]))
    fleet[2] = a_state(2, (shared[0], fleet[1].devices[0].peers[0], shared[2]))
    rows = rows_of(fleet)
    for state in fleet:
        peers = state.devices[0].peers
        assert rows.row_of(peers) == naive_row(fleet, peers), state.name


def test_a_key_of_two_machines_has_no_row() -> None:
    fleet = [a_state(0, (a_peer(1),)), a_state(1, ()), a_state(2, (), key="m1")]
    assert rows_of(fleet).row_of(fleet[0].devices[0].peers) is None
    assert SEVERAL < 0
