"""Routed subnets and exits: what is compiled reaches them, and the checker sees what does not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.overlay.model import Overlay
from malha.proof import Proof, prove
from malha.proof.outside import foreign_addresses, representative
from malha.proof.walk import Walk, walk_back, walk_out
from malha.proof.world import World
from malha.topology.compile import compile_overlay, derive_routing
from malha.wireguard.device import Address, NodeState
from tests import naive_proof
from tests.builders import a_node, an_overlay
from tests.effort import examples
from tests.property.strategies import overlays


def findings_of(proof: Proof, code: str) -> set[str]:
    """What the findings of a code say."""
    return {finding.detail for finding in proof.findings if finding.code == code}


@settings(max_examples=examples(200))
@given(overlays())
def test_a_subnet_is_reached_exactly_by_those_that_have_a_path(overlay: Overlay) -> None:
    paths = derive_routing(overlay).paths
    said = findings_of(prove(compile_overlay(overlay)), "subnet-unreachable")
    names = [node.name for node in overlay.nodes]
    for b, node in enumerate(overlay.nodes):
        for a, name in enumerate(names):
            if a != b and node.routes:
                start = f"{name} does not reach {node.routes[0]} behind {node.name}:"
                assert any(s.startswith(start) for s in said) == (not paths.path(a, b)), said


@settings(max_examples=examples(150))
@given(overlays())
def test_every_user_of_an_exit_gets_out_and_back(overlay: Overlay) -> None:
    index = {node.name: i for i, node in enumerate(overlay.nodes)}
    paths = derive_routing(overlay).paths
    proof = prove(compile_overlay(overlay))
    users = [node for node in overlay.nodes if node.via_exit is not None]
    for node in users:
        assert node.via_exit is not None
        assert paths.next_hop(index[node.name], index[node.via_exit]) == index[node.via_exit]
    assert all(reach.of == reach.reached_by == len(users) for reach in proof.exits)
    assert not findings_of(proof, "exit-unreachable")


def test_subnets_behind_nodes_of_one_group() -> None:
    """one, two ─── hub: either's subnet is to be routed by the other, and not by itself."""
    overlay = an_overlay(
        {"r": ["10.50.0.0/24"]},
        a_node("hub", "r", "10.50.0.1", role="hub", endpoint="198.18.0.1:51820"),
        a_node("one", "r", "10.50.0.2", routes=(ip_network("172.16.1.0/24"),)),
        a_node("two", "r", "10.50.0.3", routes=(ip_network("172.16.3.0/24"),)),
    )
    assert not findings_of(prove(compile_overlay(overlay)), "subnet-unreachable")


def test_an_exit_to_which_the_direct_link_is_not_the_quickest_way() -> None:
    """user ─10─ hub ─10─ exit, and user ─90─ exit."""
    overlay = an_overlay(
        {"r": ["10.50.0.0/24"]},
        a_node("exit", "r", "10.50.0.1", role="hub", endpoint="198.18.0.1:51820", is_exit=True),
        a_node("hub", "r", "10.50.0.2", role="hub", endpoint="198.18.0.2:51820"),
        a_node("user", "r", "10.50.0.3", via_exit="exit"),
        rtt_ms={("exit", "hub"): 10, ("hub", "user"): 10, ("exit", "user"): 90},
    )
    assert not findings_of(prove(compile_overlay(overlay)), "exit-unreachable")


@settings(max_examples=examples(150))
@given(overlays(), st.randoms(use_true_random=False))
def test_a_subnet_that_one_peer_on_the_way_lacks_is_noticed(
    overlay: Overlay, rng: random.Random
) -> None:
    states = list(compile_overlay(overlay).values())
    world = World(tuple(states))
    used = [
        (world.index[name], place)
        for state in states
        for prefix in state.forwarding.subnets
        for source in range(len(states))
        for name, place in _hops(world, source, representative(prefix))
    ]
    if used:
        i, place = rng.choice(used)
        before = findings_of(prove(states), "subnet-unreachable")
        states[i] = _without_subnets(states[i], place)
        assert len(findings_of(prove(states), "subnet-unreachable")) > len(before)


def _hops(world: World, source: int, address: Address) -> list[tuple[str, int]]:
    """(node, place of the peer) of every hop of a packet that arrives."""
    walked = walk_out(world, source, address)
    found = []
    for step in walked.steps if walked.drop is None else ():
        (device,) = world.states[world.index[step.node]].devices
        found.append((step.node, [peer.name for peer in device.peers].index(step.peer)))
    return found


def _without_subnets(state: NodeState, place: int) -> NodeState:
    (device,) = state.devices
    peer = device.peers[place]
    kept = tuple(p for p in peer.allowed_ips if not str(p).startswith("172.16.") and p.prefixlen)
    peers = (*device.peers[:place], replace(peer, allowed_ips=kept), *device.peers[place + 1 :])
    return replace(state, devices=(replace(device, peers=peers),))


@settings(max_examples=examples(150))
@given(overlays(max_nodes=7), st.randoms(use_true_random=False))
def test_walk_and_the_naive_model_agree_on_what_lies_outside(
    overlay: Overlay, rng: random.Random
) -> None:
    states = list(compile_overlay(overlay).values())
    for _ in range(rng.randint(0, 2)):
        i = rng.randrange(len(states))
        states[i] = _break(states[i], rng)
    foreign = foreign_addresses(states)
    whole, narrow = World(tuple(states)), World(tuple(states), foreign)
    for address in sorted(foreign, key=str):
        for source in range(len(states)):
            out = walk_out(narrow, source, address)
            assert out == walk_out(whole, source, address)
            gateway = naive_proof.leaves_at(states, source, address)
            assert out.gateway == (None if gateway is None else states[gateway].name)
            if gateway is not None:
                back = walk_back(narrow, gateway, address, source)
                assert back == walk_back(whole, gateway, address, source)
                assert _arrives(back) == naive_proof.comes_back(states, gateway, address, source)


def _arrives(walked: Walk) -> bool:
    return walked.drop is None


def _break(state: NodeState, rng: random.Random) -> NodeState:
    """One random fault in what a machine does for the outside."""
    (device,) = state.devices
    kind = rng.choice(["subnets", "exit", "relay", "routes", "peer"])
    if kind == "subnets":
        return replace(state, forwarding=replace(state.forwarding, subnets=()))
    if kind == "exit":
        flipped = () if state.forwarding.exit_families else (4, 6)
        return replace(state, forwarding=replace(state.forwarding, exit_families=flipped))
    if kind == "relay":
        flipped = () if state.forwarding.families else (4, 6)
        return replace(state, forwarding=replace(state.forwarding, families=flipped))
    if kind == "routes" or not device.peers:
        kept: Sequence[object] = [p for p in device.routes if rng.random() < 0.7]
        return replace(state, devices=(replace(device, routes=tuple(kept)),))  # type: ignore[arg-type]
    return _without_subnets(state, rng.randrange(len(device.peers)))
