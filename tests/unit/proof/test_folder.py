"""What a folder of wg-quick files says, in the steady state."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from malha.proof.folder import states_of_files
from malha.wireguard.device import NodeState
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.wg_quick import parse_wg_quick
from tests.builders import a_private_key, a_public_key


def state_of(interface: str = "", peers: str = "", *, name: str = "a") -> NodeState:
    """The machine that a file of these lines is."""
    return states_of({name: f"{interface}\n{peers}"})[0]


def states_of(texts: dict[str, str]) -> tuple[NodeState, ...]:
    """The machines of these files, each with a key of its own."""
    files = {}
    for name, text in texts.items():
        head = f"[Interface]\nPrivateKey = {a_private_key(name).reveal()}\n"
        files[name], flaws = parse_wg_quick(head + text)
        assert not flaws
    return states_of_files(files, {name: a_public_key(name) for name in files})


def peer(name: str, *lines: str) -> str:
    """A [Peer] section."""
    return "\n".join(["[Peer]", f"PublicKey = {a_public_key(name)}", *lines, ""])


@pytest.mark.parametrize(
    ("hook", "families"),
    [
        ("PostUp = sysctl -w net.ipv4.ip_forward=1", (4,)),
        ("PreUp = sysctl -q -w net.ipv4.conf.all.forwarding = 1", (4,)),
        ("PostUp = sysctl -w net.ipv4.conf.%i.forwarding=1", (4,)),
        ("PostUp = echo 1 > /proc/sys/net/ipv4/ip_forward", (4,)),
        ("PostUp = echo 1 > /proc/sys/net/ipv4/conf/%i/forwarding", (4,)),
        ("PostUp = sysctl -w net/ipv6/conf/all/forwarding=1", (6,)),
        ("PostUp = sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1", (4, 6)),
        ("PostUp = sysctl -w net.ipv4.conf.eth0.forwarding=1", ()),
        ("PostUp = echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding", ()),
        ("PostUp = sysctl -w net.ipv4.ip_forward=0", ()),
        ("PostDown = sysctl -w net.ipv4.ip_forward=1", ()),
        ("PostUp = iptables -A FORWARD -i %i -j ACCEPT", ()),
        ("# sysctl -w net.ipv4.ip_forward=1", ()),
    ],
)
def test_only_a_hook_that_switches_it_on_forwards(hook: str, families: tuple[int, ...]) -> None:
    assert state_of(hook).forwarding.families == families


def test_every_unreachable_route_of_a_hook_counts() -> None:
    state = state_of(
        "PreUp = ip -4 route replace unreachable 10.0.0.0/8 metric 9; "
        "ip route add unreachable 10.50.0.0/16\n"
        "PreUp = ip -6 route add unreachable fd00::/8 && true\n"
        "PreUp = ip route add unreachable $NET\n"
        "PostDown = ip route add unreachable 172.16.0.0/12"
    )
    assert set(map(str, state.unreachable)) == {"10.0.0.0/8", "10.50.0.0/16", "fd00::/8"}


def test_a_peer_named_twice_is_what_wg_makes_of_it() -> None:
    """Measured: allowed IPs are replaced, endpoint, keepalive and preshared key stay."""
    psk = a_private_key("psk").reveal()
    first = ["Endpoint = 192.0.2.1:5", "PersistentKeepalive = 7", f"PresharedKey = {psk}"]
    twice = peer("b", *first, "AllowedIPs = 10.0.0.1/32") + peer("b", "AllowedIPs = 10.0.0.2/32")
    (device,) = state_of(peers=twice).devices
    (found,) = device.peers
    assert found.allowed_ips == device.routes == (ip_network("10.0.0.2/32"),)
    assert (found.endpoint, found.persistent_keepalive_s) == (Endpoint("192.0.2.1", 5), 7)
    assert found.preshared_key is not None


@pytest.mark.parametrize(
    ("table", "routed"), [("", 1), ("Table = auto", 1), ("Table = off", 0), ("Table = 123", 0)]
)
def test_another_table_routes_nothing_here(table: str, routed: int) -> None:
    state = state_of(table, peer("b", "AllowedIPs = 10.0.0.1/32"))
    assert len(state.devices[0].routes) == routed


def test_an_endpoint_is_what_most_files_say() -> None:
    right, wrong = "Endpoint = 192.0.2.1:5", "Endpoint = 192.0.2.9:5"
    states = states_of(
        {"a": "", "b": peer("a", right), "c": peer("a", right), "d": peer("a", wrong)}
    )
    assert [state.endpoint for state in states] == [Endpoint("192.0.2.1", 5), None, None, None]


def test_peers_are_called_by_their_files() -> None:
    states = states_of({"a": peer("b") + peer("x", "# a phone") + peer("y"), "b": ""})
    assert [p.name for p in states[0].devices[0].peers] == [
        "b",
        "a phone",
        f"{str(a_public_key('y'))[:8]}…",
    ]


def test_a_file_whose_key_is_elsewhere_is_left_out() -> None:
    file, _ = parse_wg_quick("[Interface]\n")
    assert states_of_files({"a": file}, {}) == ()
