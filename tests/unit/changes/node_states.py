"""Random states of one node, for properties of changes."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from hypothesis import strategies as st

from malha.wireguard.device import Device, Forwarding, NodeState, Peer
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey

PREFIXES = [ip_network(text) for text in ("10.0.0.1/32", "10.0.0.0/24", "fd00::/64", "0.0.0.0/0")]
some_prefixes = st.lists(st.sampled_from(PREFIXES), unique=True, max_size=3).map(tuple)
# Few values, so that two states often agree in part.
numbers = st.integers(1, 3)


def key(number: int) -> PublicKey:
    return PublicKey(bytes([number]) * 32)


def a_peer(number: int, **fields: object) -> Peer:
    values = {"name": f"node{number}", "public_key": key(number), "allowed_ips": (), **fields}
    return Peer(**values)  # type: ignore[arg-type]


@st.composite
def peers(draw: st.DrawFn) -> tuple[Peer, ...]:
    chosen = draw(st.lists(numbers, unique=True))
    return tuple(
        a_peer(
            number,
            name=draw(st.sampled_from(["a", "b"])),
            allowed_ips=draw(some_prefixes),
            endpoint=draw(st.none() | st.builds(Endpoint, st.just("192.0.2.1"), numbers)),
            persistent_keepalive_s=draw(st.none() | numbers),
            preshared_key=draw(st.none() | numbers.map(lambda n: PresharedKey(bytes([n]) * 32))),
        )
        for number in chosen
    )


@st.composite
def devices(draw: st.DrawFn, name: str) -> Device:
    number = draw(numbers)
    return Device(
        name=name,
        public_key=key(100 + number),
        private_key=draw(st.none() | st.just(PrivateKey(bytes([number]) * 32))),
        addresses=draw(st.sampled_from([(), (ip_interface("10.0.0.9/32"),)])),
        peers=draw(peers()),
        routes=draw(some_prefixes),
        mtu=draw(st.none() | numbers),
        listen_port=draw(st.none() | numbers),
    )


@st.composite
def states(draw: st.DrawFn) -> NodeState:
    names = draw(st.lists(st.sampled_from(["wg0", "wg1"]), unique=True))
    return NodeState(
        name="node",
        devices=tuple(draw(devices(name)) for name in names),
        unreachable=draw(some_prefixes),
        forwarding=draw(st.sampled_from([Forwarding(), Forwarding((4,)), Forwarding((4, 6))])),
    )
