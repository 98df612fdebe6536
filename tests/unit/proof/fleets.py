"""Small random fleets in which everything can be wrong, built from few shared values.

Machines share their Peer and Prefix objects, as compiled ones do, so that every short cut that
goes by identity is taken.
"""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface, ip_network

from malha.wireguard.device import Device, Forwarding, NodeState, Peer, Prefix
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey
from tests.builders import a_public_key

WIDE: tuple[Prefix, ...] = (ip_network("10.0.0.0/28"), ip_network("10.0.0.0/30"))


def host(i: int) -> Prefix:
    """The address of machine `i` as a prefix."""
    return ip_network(f"10.0.0.{i + 1}")


def endpoint(i: int) -> Endpoint:
    """Where machine `i` can be dialled."""
    return Endpoint(f"192.0.2.{i + 1}", 51820)


def a_state(
    i: int,
    peers: tuple[Peer, ...],
    *,
    key: str | None = None,
    routes: tuple[Prefix, ...] | None = None,
    unreachable: tuple[Prefix, ...] = WIDE[:1],
) -> NodeState:
    """Machine `i` with these peers; routes as wg-quick makes them unless given."""
    if routes is None:
        routes = tuple(prefix for peer in peers for prefix in peer.allowed_ips)
    device = Device(
        name="wg0",
        public_key=a_public_key(key or f"m{i}"),
        addresses=(ip_interface(f"10.0.0.{i + 1}"),),
        peers=peers,
        routes=routes,
    )
    return NodeState(f"m{i}", (device,), unreachable=unreachable, endpoint=endpoint(i))


def a_peer(i: int, *allowed_ips: Prefix, key: str | None = None) -> Peer:
    """Machine `i` as others have it."""
    return Peer(f"m{i}", a_public_key(key or f"m{i}"), allowed_ips or (host(i),), endpoint(i))


def variants(i: int, hosts: list[Prefix], rng: random.Random) -> list[Peer]:
    """How a machine may stand in the others' files: mostly right, sometimes not."""
    right = a_peer(i, hosts[i])
    return [
        right,
        a_peer(i, hosts[i]),
        a_peer(i, WIDE[0]),
        a_peer(i, hosts[i], rng.choice(hosts)),
        a_peer(i, rng.choice(hosts)),
        replace(right, allowed_ips=()),
        replace(right, endpoint=None),
        replace(right, endpoint=Endpoint("192.0.2.99", 9)),
        replace(right, preshared_key=PresharedKey(bytes(32))),
        replace(right, public_key=a_public_key("nobody")),
    ]


def a_fleet(rng: random.Random) -> list[NodeState]:
    """Three to seven machines, mostly a full mesh."""
    count = rng.randint(3, 7)
    hosts = [host(i) for i in range(count)]
    pool = [variants(i, hosts, rng) for i in range(count)]
    faults = rng.choice([0.0, 0.05, 0.3])
    states = []
    for i in range(count):
        others = [k for k in range(count) if k != i and rng.random() >= faults / 2]
        peers = [pool[k][0] if rng.random() >= faults else rng.choice(pool[k]) for k in others]
        states.append(_damaged(a_state(i, tuple(peers)), count, faults, rng))
    return states


def _damaged(state: NodeState, count: int, faults: float, rng: random.Random) -> NodeState:
    (device,) = state.devices
    if rng.random() < faults and device.routes:
        gone = rng.choice(device.routes)
        device = replace(device, routes=tuple(p for p in device.routes if p is not gone))
    if rng.random() < faults / 3:
        device = replace(device, public_key=a_public_key(f"m{rng.randrange(count)}"))
    if rng.random() < faults / 3:
        device = replace(device, addresses=(ip_interface(f"10.0.0.{rng.randrange(count) + 1}"),))
    devices = (device,)
    if rng.random() < faults / 3:
        second = replace(device, name="wg1", public_key=a_public_key("second"), peers=(), routes=())
        devices = (device, second)
    relays = (4,) if rng.random() < 0.5 else ()
    unreachable = rng.choice([WIDE[:1], WIDE, ()]) if rng.random() < faults else WIDE[:1]
    return replace(
        state, devices=devices, forwarding=Forwarding(families=relays), unreachable=unreachable
    )
