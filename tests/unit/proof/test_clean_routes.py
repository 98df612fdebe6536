"""Whether routes choose what allowed IPs choose, against asking every address."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.proof.clean_routes import CleanRoutes
from malha.wireguard.device import NodeState
from tests.effort import examples
from tests.unit.proof.fleets import WIDE, a_fleet, a_peer, a_state, host


def naive(state: NodeState) -> bool:
    """Whether the kernel routes an address into the device exactly if some peer has it."""
    (device,) = state.devices
    for address in WIDE[0]:
        routed = [p.prefixlen for p in device.routes if address in p]
        blocked = [p.prefixlen for p in state.unreachable if address in p]
        enters = bool(routed) and max(routed) >= max(blocked, default=-1)
        claimed = any(address in p for peer in device.peers for p in peer.allowed_ips)
        if enters != claimed:
            return False
    return True


@settings(max_examples=examples(500))
@given(st.integers(0, 2**32))
def test_a_yes_is_true_of_every_address(seed: int) -> None:
    routes = CleanRoutes()
    states = [state for state in a_fleet(random.Random(seed)) if len(state.devices) == 1]
    for state in states:
        if routes.are_allowed_ips(state, state.devices[0]):
            assert naive(state), state


def test_a_mesh_is_clean_and_a_node_without_a_route_is_not() -> None:
    peers = [a_peer(i) for i in range(5)]
    mesh = [a_state(i, tuple(p for k, p in enumerate(peers) if k != i)) for i in range(5)]
    routes = CleanRoutes()
    assert all(routes.are_allowed_ips(state, state.devices[0]) for state in mesh)
    lacking = replace(mesh[3].devices[0], routes=mesh[3].devices[0].routes[1:])
    assert not routes.are_allowed_ips(mesh[3], lacking)


def test_a_swap_is_no_proof_where_an_allowed_ip_stands_twice() -> None:
    other = a_peer(2)
    first = a_state(0, (a_peer(1, host(2)), other), routes=(host(2),))
    second = a_state(1, (a_peer(3), other), routes=(host(3),))
    routes = CleanRoutes()
    assert routes.are_allowed_ips(first, first.devices[0])
    assert not naive(second)
    assert not routes.are_allowed_ips(second, second.devices[0])


def test_a_longer_unreachable_prefix_and_a_connected_one_are_not_clean() -> None:
    state = a_state(0, (a_peer(1, WIDE[0]),), unreachable=WIDE)
    assert not CleanRoutes().are_allowed_ips(state, state.devices[0])
    connected = replace(state.devices[0], addresses=(ip_interface("10.0.0.1/28"),))
    plain = replace(state, unreachable=())
    assert CleanRoutes().are_allowed_ips(plain, plain.devices[0])
    assert not CleanRoutes().are_allowed_ips(plain, connected)
