"""Subnets behind machines and exits: what is counted, and what a finding says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from malha.proof import prove
from malha.proof.outside import representative
from malha.proof.walk import walk_out
from malha.proof.world import World
from malha.topology.compile import compile_overlay
from malha.wireguard.device import Forwarding, NodeState
from malha.wireguard.endpoint import Endpoint
from tests.builders import a_node, an_overlay
from tests.unit.proof.fleets import a_peer, a_state

SUBNET = ip_network("172.31.0.0/16")


def a_world() -> dict[str, NodeState]:
    """one ─── hub (an exit) ─── vpc (172.31.0.0/16 behind it); one uses the exit."""
    return compile_overlay(
        an_overlay(
            {"a": ["10.50.0.0/24"], "b": ["10.50.1.0/24"], "c": ["10.50.2.0/24"]},
            a_node("hub", "a", "10.50.0.1", role="hub", endpoint="198.18.0.1:51820", is_exit=True),
            a_node("vpc", "b", "10.50.1.1", routes=(SUBNET,)),
            a_node("one", "c", "10.50.2.1", via_exit="hub"),
        )
    )


def test_everybody_gets_everywhere() -> None:
    proof = prove(a_world())
    (subnet,), (reach,) = proof.subnets, proof.exits
    assert (subnet.prefix, subnet.node, subnet.reached_by, subnet.of) == (SUBNET, "vpc", 2, 2)
    assert (reach.family, reach.nodes, reach.reached_by, reach.of) == (4, ("hub",), 1, 1)
    assert not proof.findings


def test_a_reply_that_is_not_taken_is_a_finding_of_the_one_that_asked() -> None:
    states = a_world()
    hub = states["hub"]
    (device,) = hub.devices
    lacking = tuple(
        replace(p, allowed_ips=tuple(a for a in p.allowed_ips if a != SUBNET)) for p in device.peers
    )
    states["hub"] = replace(hub, devices=(replace(device, peers=lacking),))
    proof = prove(states)
    assert proof.reachable == proof.pairs
    assert [(f.node, f.code, f.severity) for f in proof.findings] == [
        ("hub", "subnet-unreachable", "error"),
        ("one", "subnet-unreachable", "error"),
    ]
    assert "172.31.0.0/16 behind vpc: the request is dropped at hub, no-peer" in (
        proof.findings[1].detail
    )
    assert (proof.subnets[0].reached_by, proof.subnets[0].of) == (0, 2)


def test_an_exit_that_has_no_peer_for_its_user() -> None:
    states = a_world()
    hub = states["hub"]
    (device,) = hub.devices
    peers = tuple(peer for peer in device.peers if peer.name != "one")
    states["hub"] = replace(hub, devices=(replace(device, peers=peers),))
    proof = prove(states)
    found = [f for f in proof.findings if f.code == "exit-unreachable"]
    assert [f.node for f in found] == ["one"]
    assert "dropped at one, key-mismatch" in found[0].detail
    assert (proof.exits[0].reached_by, proof.exits[0].of) == (0, 1)


def test_where_nobody_is_known_to_be_an_exit_none_is_asked_for() -> None:
    states = [replace(s, forwarding=Forwarding(families=(4,))) for s in a_world().values()]
    proof = prove(states)
    assert proof.exits == proof.subnets == proof.findings == ()


def test_a_way_out_that_leads_back_in_is_none() -> None:
    states = a_world()
    vpc = states["vpc"]
    (device,) = vpc.devices
    back = (*device.routes, SUBNET)
    states["vpc"] = replace(vpc, devices=(replace(device, routes=back),))
    world = World(tuple(states.values()))
    address = ip_address("172.31.4.5")
    drop = walk_out(world, world.index["one"], address).drop
    assert drop is not None
    assert (drop.node, drop.cause.name) == ("vpc", "not-forwarding")
    healthy = World(tuple(a_world().values()))
    assert walk_out(healthy, healthy.index["one"], address).nodes == ("one", "hub", "vpc")


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("172.31.0.0/16", "172.31.0.1"),
        ("172.31.0.2/31", "172.31.0.2"),
        ("172.31.0.2/32", "172.31.0.2"),
        ("fd00::/64", "fd00::1"),
        ("fd00::5/128", "fd00::5"),
    ],
)
def test_what_stands_for_a_subnet(prefix: str, address: str) -> None:
    assert representative(ip_network(prefix)) == ip_address(address)


def test_who_dials_wrongly_waits_for_the_other_as_who_does_not_dial() -> None:
    """The other dials rightly, but without a keepalive: nothing goes before it speaks."""
    for endpoint, waits in ((None, True), (Endpoint("192.0.2.99", 9), True), ("right", False)):
        peer = a_peer(1)
        if endpoint != "right":
            peer = replace(peer, endpoint=endpoint)  # type: ignore[arg-type]
        proof = prove([a_state(0, (peer,)), a_state(1, (a_peer(0),))])
        assert proof.reachable == 2
        assert [(f.node, f.code) for f in proof.findings] == [("m0", "order-dependent")] * waits
