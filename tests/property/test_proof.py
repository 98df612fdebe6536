"""The checker against a naive model, against the compiler, and against every single fault."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.overlay.model import Overlay
from malha.proof import prove
from malha.proof.lookup import PrefixTable
from malha.proof.walk import walk
from malha.proof.world import World
from malha.topology.compile import compile_overlay, derive_routing
from malha.wireguard.device import Device, NodeState, Peer
from malha.wireguard.endpoint import Endpoint
from tests.builders import a_public_key
from tests.effort import examples
from tests.naive_proof import arrives, pair_works
from tests.property.strategies import overlays


@settings(max_examples=examples(200))
@given(overlays())
def test_exactly_the_pairs_that_have_a_path_are_reachable(overlay: Overlay) -> None:
    states = compile_overlay(overlay)
    paths = derive_routing(overlay).paths
    proof = prove(states)
    failed = {(failure.source, failure.target) for failure in proof.failures}
    names = list(states)
    for a in range(len(names)):
        for b in range(len(names)):
            if a != b:
                unreachable = (names[a], names[b]) in failed
                assert unreachable == (not paths.path(a, b)), (names[a], names[b], proof.failures)


@settings(max_examples=examples(150))
@given(overlays(max_nodes=7), st.randoms(use_true_random=False))
def test_the_naive_model_agrees_on_every_pair_of_a_broken_fleet(
    overlay: Overlay, rng: random.Random
) -> None:
    states = list(compile_overlay(overlay).values())
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(states))
        states[i] = _break(states[i], rng)
    proof = prove(states)
    failed = {(failure.source, failure.target) for failure in proof.failures}
    for a, one in enumerate(states):
        for b, other in enumerate(states):
            if a != b:
                expected = pair_works(states, a, b)
                assert ((one.name, other.name) not in failed) == expected, (one.name, other.name)
    assert proof.reachable == proof.pairs - len(failed)


@settings(max_examples=examples(100))
@given(overlays(max_nodes=7), st.randoms(use_true_random=False))
def test_walk_and_the_naive_model_agree_leg_by_leg(overlay: Overlay, rng: random.Random) -> None:
    states = list(compile_overlay(overlay).values())
    i = rng.randrange(len(states))
    states[i] = _break(states[i], rng)
    world = World(tuple(states))
    for family in world.families:
        for a in range(len(states)):
            for b in range(len(states)):
                if a != b:
                    drop = walk(world, a, b, family).drop
                    assert (drop is None) == arrives(states, a, b, family)


@settings(max_examples=examples(150))
@given(overlays(), st.randoms(use_true_random=False))
def test_an_address_that_nobody_owns_neither_loops_nor_leaks(
    overlay: Overlay, rng: random.Random
) -> None:
    states = list(compile_overlay(overlay).values())
    owned = {i.ip for s in states for d in s.devices for i in d.addresses}
    for prefix in [p for r in overlay.regions for p in r.subnets] + list(overlay.prefixes):
        address = prefix[rng.randrange(200, 250)]
        if address in owned:
            continue
        for start in range(len(states)):
            _ends_without_loop(states, start, address)


def _ends_without_loop(states: Sequence[NodeState], here: int, address: object) -> None:
    world = World(tuple(states))
    been = set()
    while True:
        assert here not in been, f"{address} loops at {states[here].name}"
        been.add(here)
        routed = world.kernel_routes(here).lookup(address)  # type: ignore[arg-type]
        assert routed is not None, f"{address} leaks at {states[here].name}"
        if routed[1] is None:
            return
        chosen = world.allowed_ips(here, routed[1]).lookup(address)  # type: ignore[arg-type]
        assert chosen is not None
        here = world.session(here, routed[1], chosen[1]).node
        if not states[here].forwarding.families:
            return


@settings(max_examples=examples(150))
@given(overlays(exits=False), st.randoms(use_true_random=False))
def test_every_single_fault_on_a_used_link_is_noticed(overlay: Overlay, rng: random.Random) -> None:
    """Without exits: a default route would stand in for the allowed IP that is taken away."""
    states = list(compile_overlay(overlay).values())
    used = _used(states)
    if not used:
        return
    i, place = rng.choice(used)
    healthy = prove(states)
    for fault in ("device key", "peer key", "allowed IP", "both endpoints", "wrong endpoint"):
        broken = _with_fault(states, i, place, fault)
        proof = prove(broken)
        assert proof.reachable < healthy.reachable, fault
        assert {f.cause for f in proof.failures} - {f.cause for f in healthy.failures} or len(
            proof.failures
        ) > len(healthy.failures)


def _used(states: Sequence[NodeState]) -> list[tuple[int, int]]:
    """(machine, place of a peer) for every peer that some pair's packets go to."""
    world = World(tuple(states))
    found = set()
    for family in world.families:
        for a in range(len(states)):
            for b in range(len(states)):
                walked = walk(world, a, b, family)
                if a != b and walked.drop is None:
                    for step in walked.steps:
                        i = world.index[step.node]
                        names = [peer.name for peer in states[i].devices[0].peers]
                        found.add((i, names.index(step.peer)))
    return sorted(found)


def _with_fault(states: Sequence[NodeState], i: int, place: int, fault: str) -> list[NodeState]:
    broken = list(states)
    device = states[i].devices[0]
    peer = device.peers[place]
    other = next(k for k, s in enumerate(states) if s.name == peer.name)
    if fault == "device key":
        broken[i] = _with_device(states[i], replace(device, public_key=a_public_key("other")))
    elif fault == "peer key":
        broken[i] = _with_peer(states[i], place, replace(peer, public_key=a_public_key("other")))
    elif fault == "allowed IP":
        world = World(tuple(states))
        used = {
            step.allowed_ip
            for family in world.families
            for b in range(len(states))
            if b != i
            for step in walk(world, i, b, family).steps[:1]
            if step.peer == peer.name
        }
        left = tuple(prefix for prefix in peer.allowed_ips if prefix not in used)
        if not used:  # the peer is used for relayed packets only: take all away
            left = ()
        broken[i] = _with_peer(states[i], place, replace(peer, allowed_ips=left))
    else:
        wrong = Endpoint("192.0.2.99", 9) if fault == "wrong endpoint" else None
        for k, target in ((i, states[other].name), (other, states[i].name)):
            here = broken[k].devices[0]
            at = [p.name for p in here.peers].index(target)
            if here.peers[at].endpoint is not None:
                broken[k] = _with_peer(broken[k], at, replace(here.peers[at], endpoint=wrong))
    return broken


def _with_device(state: NodeState, device: Device) -> NodeState:
    return replace(state, devices=(device,))


def _with_peer(state: NodeState, place: int, peer: Peer) -> NodeState:
    device = state.devices[0]
    peers = (*device.peers[:place], peer, *device.peers[place + 1 :])
    return _with_device(state, replace(device, peers=peers))


def _break(state: NodeState, rng: random.Random) -> NodeState:
    """One random fault in one machine."""
    device = state.devices[0]
    kind = rng.choice(
        ["key", "address", "route", "forward", "unreachable", "peer", "wide", "steal"]
    )
    if kind == "key":
        return _with_device(state, replace(device, public_key=a_public_key(rng.choice("xy"))))
    if kind == "address":
        shifted = tuple(ipaddress.ip_interface((a.ip + 1, 24)) for a in device.addresses)
        return _with_device(state, replace(device, addresses=shifted))
    if kind == "route" and device.routes:
        routes = list(device.routes)
        routes.remove(rng.choice(routes))
        return _with_device(state, replace(device, routes=tuple(routes)))
    if kind == "forward":
        flipped = () if state.forwarding.families else (4, 6)
        return replace(state, forwarding=replace(state.forwarding, families=flipped))
    if kind == "unreachable":
        return replace(state, unreachable=())
    return _break_peer(state, rng, kind)


def _break_peer(state: NodeState, rng: random.Random, kind: str) -> NodeState:
    device = state.devices[0]
    if not device.peers:
        return state
    place = rng.randrange(len(device.peers))
    peer = device.peers[place]
    if kind == "wide":
        wide = (ipaddress.ip_network("10.50.0.0/16"), *peer.allowed_ips)
        return _with_peer(state, place, replace(peer, allowed_ips=wide))
    if kind == "steal":
        stolen = tuple(ip for p in device.peers for ip in p.allowed_ips)
        return _with_peer(state, place, replace(peer, allowed_ips=stolen))
    change = rng.choice(["key", "endpoint", "wrong", "allowed"])
    if change == "key":
        return _with_peer(state, place, replace(peer, public_key=a_public_key("z")))
    if change == "allowed":
        return _with_peer(state, place, replace(peer, allowed_ips=peer.allowed_ips[1:]))
    endpoint = None if change == "endpoint" else Endpoint("192.0.2.1", 1)
    return _with_peer(state, place, replace(peer, endpoint=endpoint))


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_prefix_table_finds_what_a_scan_finds(entries: list[tuple[int, int]], number: int) -> None:
    prefixes = [ipaddress.ip_network((n, length), strict=False) for n, length in entries]
    address = ipaddress.ip_address(number)
    best = None
    for value, prefix in enumerate(prefixes):
        if address in prefix and (best is None or prefix.prefixlen >= best[0].prefixlen):
            best = prefix, value
    assert PrefixTable((p, v) for v, p in enumerate(prefixes)).lookup(address) == best
