"""Device to UAPI text and back: nothing appended, nothing left standing, nothing leaked."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.wireguard.device import Device, Peer, prefix_order
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey
from malha.wireguard.uapi import parse_get, render_set
from tests.effort import examples

FEW = settings(max_examples=examples(40))
"""The tests without root stay under ten seconds together."""

KEY = PublicKey(bytes(range(32)))
OTHER = PublicKey(bytes(range(1, 33)))

raw_keys = st.binary(min_size=32, max_size=32).filter(any)
prefixes = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)),
).map(lambda pair: ip_network(pair, strict=False))
endpoints = st.builds(
    Endpoint, st.ip_addresses().map(str), st.integers(min_value=1, max_value=65535)
)


@st.composite
def peers(draw: st.DrawFn) -> Peer:
    return Peer(
        name="",
        public_key=PublicKey(draw(raw_keys)),
        allowed_ips=tuple(sorted(draw(st.sets(prefixes, max_size=5)), key=prefix_order)),
        endpoint=draw(st.none() | endpoints),
        persistent_keepalive_s=draw(st.none() | st.integers(1, 65535)),
        preshared_key=draw(st.none() | raw_keys.map(PresharedKey)),
    )


@st.composite
def devices(draw: st.DrawFn) -> Device:
    return Device(
        name="wg0",
        public_key=KEY,
        addresses=(),
        routes=(),
        peers=tuple(draw(st.lists(peers(), max_size=4, unique_by=lambda p: p.public_key))),
        listen_port=draw(st.none() | st.integers(1, 65535)),
        private_key=draw(st.none() | raw_keys.map(PrivateKey)),
    )


def as_answer(text: str) -> str:
    """What a device that was told `text` answers to `get=1`: the same without the verbs."""
    verbs = ("set=", "replace_", "preshared_key=" + "0" * 64, "persistent_keepalive_interval=0")
    lines = [line for line in text.splitlines() if line and not line.startswith(verbs)]
    return "\n".join([*lines, "errno=0"]) + "\n\n"


@FEW
@given(devices())
def test_what_is_set_is_what_is_read(device: Device) -> None:
    assert parse_get(as_answer(render_set(device)), name="wg0", public_key=KEY).device == device


@FEW
@given(devices())
def test_peers_and_allowed_ips_are_always_replaced(device: Device) -> None:
    text = render_set(device)
    assert text.startswith("set=1\n")
    assert text.endswith("\n\n")
    assert text.count("replace_peers=true") == 1
    assert text.count("replace_allowed_ips=true") == len(device.peers)


def test_absent_preshared_key_and_keepalive_are_cleared() -> None:
    device = Device("wg0", KEY, (), (Peer("hub", OTHER, ()),), ())
    assert render_set(device).splitlines() == [
        "set=1",
        "replace_peers=true",
        f"public_key={OTHER.raw.hex()}",
        "preshared_key=" + "0" * 64,
        "persistent_keepalive_interval=0",
        "replace_allowed_ips=true",
        "",
    ]


@pytest.mark.parametrize(
    ("host", "line"),
    [("192.0.2.1", "endpoint=192.0.2.1:51820"), ("2001:db8::1", "endpoint=[2001:db8::1]:51820")],
)
def test_an_endpoint_of_either_family(host: str, line: str) -> None:
    device = Device("wg0", KEY, (), (Peer("hub", OTHER, (), Endpoint(host, 51820)),), ())
    assert line in render_set(device).splitlines()


def test_a_name_is_refused_before_it_reaches_a_device() -> None:
    device = Device("wg0", KEY, (), (Peer("hub", OTHER, (), Endpoint("hub.example", 1)),), ())
    with pytest.raises(ValueError, match=r"hub\.example is a name"):
        render_set(device)


def test_learned_facts_are_read() -> None:
    text = (
        f"private_key={'11' * 32}\nlisten_port=51820\nfwmark=7\n"
        f"public_key={OTHER.raw.hex()}\nprotocol_version=1\nendpoint=[2001:db8::5]:40000\n"
        "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=500000000\n"
        "tx_bytes=10\nrx_bytes=20\nallowed_ip=10.0.0.2/32\nerrno=0\n\n"
    )
    observed = parse_get(text, name="wg0", public_key=KEY, names={OTHER: "nrt"})
    (peer,) = observed.device.peers
    assert (peer.name, peer.allowed_ips) == ("nrt", (ip_network(ip_address("10.0.0.2")),))
    fact = observed.facts[OTHER]
    assert fact.latest_handshake_at == datetime(2023, 11, 14, 22, 13, 20, 500000, timezone.utc)
    assert (fact.rx_bytes, fact.tx_bytes) == (20, 10)
    assert fact.endpoint == Endpoint("2001:db8::5", 40000)


def test_a_peer_without_a_handshake_has_none() -> None:
    text = f"public_key={OTHER.raw.hex()}\nlast_handshake_time_sec=0\nerrno=0\n\n"
    fact = parse_get(text, name="wg0", public_key=KEY).facts[OTHER]
    assert (fact.latest_handshake_at, fact.endpoint, fact.rx_bytes) == (None, None, 0)


@pytest.mark.parametrize("text", ["errno=-1\n\n", "nonsense\n\n"])
def test_an_error_is_not_read_as_a_device(text: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        parse_get(text, name="wg0", public_key=KEY)


def test_an_observation_does_not_show_its_private_key() -> None:
    text = f"private_key={'11' * 32}\nerrno=0\n\n"
    shown = repr(parse_get(text, name="wg0", public_key=KEY))
    assert "11" * 32 not in shown
    assert base64.b64encode(b"\x11" * 32).decode() not in shown
