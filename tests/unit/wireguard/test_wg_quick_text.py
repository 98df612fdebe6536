"""wg-quick's files: what is written is read back the same, and nothing a file says is a crash."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.wireguard.device import Device, Peer
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey
from malha.wireguard.wg_quick import (
    HOOK_KEYS,
    Hook,
    PeerSection,
    parse_wg_quick,
    render_interface,
    render_peer,
)
from tests.builders import a_private_key, a_public_key

RAW = st.binary(min_size=32, max_size=32)
NAMES = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
ENDPOINTS = st.builds(
    Endpoint, st.one_of(ADDRESSES.map(str), NAMES.map("{}.example".format)), st.integers(1, 65535)
)


@st.composite
def prefixes(draw: st.DrawFn) -> Any:
    address = draw(ADDRESSES)
    return ipaddress.ip_network(
        (address, draw(st.integers(0, address.max_prefixlen))), strict=False
    )


PEERS = st.builds(
    Peer,
    NAMES,
    RAW.map(PublicKey),
    st.lists(prefixes(), max_size=4).map(tuple),
    st.none() | ENDPOINTS,
    st.none() | st.integers(1, 65535),
    st.none() | RAW.map(PresharedKey),
)
DEVICES = st.builds(
    Device,
    st.just("wg0"),
    RAW.map(PublicKey),
    st.lists(prefixes().map(lambda p: ipaddress.ip_interface(str(p))), max_size=3).map(tuple),
    st.lists(PEERS, max_size=4).map(tuple),
    st.just(()),
    st.none() | st.integers(1280, 9921),
    st.none() | st.integers(1, 65535),
    RAW.map(PrivateKey),
)
COMMANDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"))
HOOKS = st.lists(st.builds(Hook, st.sampled_from(HOOK_KEYS), COMMANDS.filter(bool)), max_size=3)


@given(DEVICES, HOOKS)
def test_what_is_written_is_read_back(device: Device, hooks: list[Hook]) -> None:
    text = render_interface(device, ("a comment",), hooks)
    text += "".join("\n" + render_peer(peer) for peer in device.peers)
    file, flaws = parse_wg_quick(text)
    assert not flaws
    assert file.addresses == device.addresses
    assert file.private_key == device.private_key
    assert (file.listen_port, file.mtu) == (device.listen_port, device.mtu)
    assert file.hooks == tuple(hooks)
    assert file.peers == tuple(
        PeerSection(
            peer.public_key,
            peer.name,
            peer.preshared_key,
            peer.endpoint,
            peer.allowed_ips,
            peer.persistent_keepalive_s,
        )
        for peer in device.peers
    )


HEAD = f"[Interface]\nPrivateKey = {a_private_key('a').reveal()}\n"
PEER = f"[Peer]\nPublicKey = {a_public_key('b')}\n"


def test_liberties_that_wg_takes_too() -> None:
    text = HEAD.replace("[Interface]", " [interface] ").replace("PrivateKey =", "privatekey=")
    text += "Address = 10.0.0.1/24, fd00::1/64 # mine\r\nDNS = 1.1.1.1\nMTU=1420\n"
    text += PEER + "AllowedIPs = 10.0.0.2/24,\n ALLOWEDIPS=fd00::2\nPersistentKeepalive = off\n"
    file, flaws = parse_wg_quick(text)
    assert not flaws
    assert [str(a) for a in file.addresses] == ["10.0.0.1/24", "fd00::1/64"]
    assert [str(p) for p in file.peers[0].allowed_ips] == ["10.0.0.0/24", "fd00::2/128"]
    assert file.peers[0].persistent_keepalive_s is None
    assert file.other == (("dns", "1.1.1.1"),)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Address = 10.0.0.300", "bad-address"),
        ("ListenPort = 65536", "bad-port"),
        ("ListenPort = 00000170000", "bad-port"),
        ("MTU = 100000", "bad-mtu"),
        ("PrivateKey = x", "bad-key"),
        ("Adress = 10.0.0.1", "unknown-key"),
        ("PublicKey = x", "unknown-key"),
        ("Address", "unreadable-line"),
        ("Address =", "unreadable-line"),
    ],
)
def test_a_flaw_of_the_interface_names_its_line(line: str, code: str) -> None:
    _, flaws = parse_wg_quick(f"{HEAD}\n{line}\n")
    assert (flaws[0].line, flaws[0].code) in ((4, code), (0, "no-private-key"))
    assert (4, code) in {(flaw.line, flaw.code) for flaw in flaws}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AllowedIPs = 10.0.0.0/33", "bad-allowed-ips"),
        ("Endpoint = 2001:db8::1:51820", "bad-endpoint"),
        ("PersistentKeepalive = 65536", "bad-keepalive"),
        ("PersistentKeepalive = 0000099999999", "bad-keepalive"),
        ("PresharedKey = x", "bad-key"),
        ("Address = 10.0.0.1", "unknown-key"),
        ("[Pear]", "unknown-section"),
    ],
)
def test_a_flaw_of_a_peer_names_its_line(line: str, code: str) -> None:
    file, flaws = parse_wg_quick(f"{HEAD}{PEER}{line}\n")
    assert [(flaw.line, flaw.code) for flaw in flaws] == [(5, code)]
    assert len(file.peers) == 1


@given(st.lists(st.sampled_from([*HEAD.split("\n"), *PEER.split("\n"), "x", "=", "a=", "[", "#"])))
def test_any_lines_give_a_file_or_flaws(lines: list[str]) -> None:
    file, flaws = parse_wg_quick("\n".join(lines))
    assert file.private_key is not None or flaws
    assert list(flaws) == sorted(flaws, key=lambda flaw: flaw.line)


@given(st.text(max_size=200))
def test_any_text_is_no_crash(text: str) -> None:
    _, flaws = parse_wg_quick(f"[Interface]\n{text}\n[Peer]\n{text}")
    assert flaws
