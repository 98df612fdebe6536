"""What a machine is told, in which order, against a fake one: kernel and userspace alike."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from malha.changes.diff import diff
from malha.host.apply import apply_changes, apply_forwarding, bring_up, tear_down
from malha.host.device import read_device, tell_device
from malha.host.kernel import wg_set_commands
from malha.render.nftables import (
    forwarding_settings,
    remove_forwarding,
    render_forwarding,
)
from malha.render.wg_quick import render_wg_quick
from malha.wireguard.device import Device, Forwarding, NodeState, Peer
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PublicKey
from malha.wireguard.uapi import render_set
from tests.builders import a_private_key
from tests.unit.lab.fake_machine import FakeMachine

KEY = PublicKey(bytes(range(32)))
OTHER = PublicKey(bytes(range(1, 33)))
PRIVATE = a_private_key("node")
SHARED = PresharedKey(b"\x22" * 32)
WHOLE = ip_network("10.50.0.0/16")
SIX = ip_network("fd50::/48")

PEER = Peer("hub", OTHER, (WHOLE, SIX), Endpoint("192.0.2.1", 51820), 25, SHARED)
DEVICE = Device(
    "wg0",
    KEY,
    (ip_interface("10.50.0.2/32"), ip_interface("fd50::2/128")),
    (PEER,),
    (WHOLE, SIX),
    1420,
    51820,
    PRIVATE,
)
STATE = NodeState("node", (DEVICE,), (WHOLE, SIX), Forwarding((4, 6)))


@pytest.mark.parametrize("kernel", [True, False])
def test_bringing_up(kernel: bool) -> None:
    machine = FakeMachine(has_kernel_wireguard=kernel)
    bring_up(machine, STATE)
    firewall, addresses = machine.commands.index("nft -f -"), machine.commands.index("ip -batch -")
    assert firewall < addresses, "a device that is up before its firewall relays anything"
    assert machine.inputs[addresses].splitlines() == [
        "route replace unreachable 10.50.0.0/16 metric 65535",
        "route replace unreachable fd50::/48 metric 65535",
        "address replace 10.50.0.2/32 dev wg0",
        "address replace fd50::2/128 dev wg0 nodad",
        "link set dev wg0 mtu 1420 up",
        "route replace 10.50.0.0/16 dev wg0",
        "route replace fd50::/48 dev wg0",
    ]
    assert machine.messages == ([] if kernel else [render_set(DEVICE)])
    first = "ip link add dev wg0 type wireguard" if kernel else "wireguard-go wg0"
    assert machine.commands[0] == first


@pytest.mark.parametrize("kernel", [True, False])
def test_no_secret_is_in_an_argument(kernel: bool) -> None:
    machine = FakeMachine(has_kernel_wireguard=kernel)
    bring_up(machine, STATE)
    said = "\n".join(machine.commands)
    for secret in (PRIVATE, SHARED):
        assert secret.reveal() not in said
        assert secret.raw.hex() not in said


def test_the_kernel_gets_keys_by_standard_input() -> None:
    device, peer = wg_set_commands(render_set(DEVICE))
    assert device.argv("wg0")[3:] == ["private-key", "/dev/stdin", "listen-port", "51820"]
    assert device.secret == PRIVATE.reveal() + "\n"
    assert peer.argv("wg0") == (
        f"wg set wg0 peer {OTHER} preshared-key /dev/stdin endpoint 192.0.2.1:51820 "
        "persistent-keepalive 25 allowed-ips 10.50.0.0/16,fd50::/48".split()
    )
    assert peer.secret == SHARED.reveal() + "\n"
    assert SHARED.reveal() not in repr(peer)


def test_the_kernel_clears_what_is_absent() -> None:
    bare = replace(DEVICE, private_key=None, listen_port=None, peers=(Peer("hub", OTHER, ()),))
    (peer,) = wg_set_commands(render_set(bare))
    assert peer.secret == "", "an empty file clears the preshared key"
    argv = peer.argv("wg0")
    assert argv[-4:] == ["persistent-keepalive", "0", "allowed-ips", ""]


def test_the_kernel_loses_peers_that_are_not_declared() -> None:
    stranger = PublicKey(b"\x07" * 32)
    answers = {"wg show wg0 peers": f"{OTHER}\n{stranger}\n"}
    machine = FakeMachine(has_kernel_wireguard=True, answers=answers)
    bring_up(machine, STATE)
    removed = [command for command in machine.commands if command.endswith("remove")]
    assert removed == [f"wg set wg0 peer {stranger} remove"]


def test_a_line_without_a_word_is_not_swallowed() -> None:
    with pytest.raises(ValueError, match="no word for colour"):
        wg_set_commands("set=1\ncolour=red\n\n")


def test_the_kernels_dump_is_read_as_a_device() -> None:
    dump = (
        f"{PRIVATE.reveal()}\t{KEY}\t51820\toff\n"
        f"{OTHER}\t{SHARED.reveal()}\t192.0.2.1:51820\t10.50.0.0/16,fd50::/48\t1700000000\t1\t2\t25\n"
    )
    machine = FakeMachine(has_kernel_wireguard=True, answers={"wg show wg0 dump": dump})
    observed = read_device(machine, "wg0", public_key=KEY, names={OTHER: "hub"})
    assert observed.device == replace(DEVICE, addresses=(), routes=(), mtu=None)
    assert observed.facts[OTHER].rx_bytes == 1


def test_the_kernels_words_for_nothing_are_read() -> None:
    dump = f"(none)\t(none)\t0\toff\n{OTHER}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
    machine = FakeMachine(has_kernel_wireguard=True, answers={"wg show wg0 dump": dump})
    observed = read_device(machine, "wg0", public_key=KEY)
    assert observed.device.private_key is None
    assert observed.device.peers == (Peer("", OTHER, ()),)
    assert observed.facts[OTHER].latest_handshake_at is None


def test_nothing_to_change_touches_nothing() -> None:
    machine = FakeMachine(has_kernel_wireguard=False)
    assert apply_changes(machine, STATE, diff(STATE, STATE)) == STATE
    assert (machine.commands, machine.messages) == ([], [])


def test_a_change_of_routes_adds_before_it_removes() -> None:
    half = ip_network("10.50.0.0/17")
    new = replace(STATE, devices=(replace(DEVICE, routes=(half, SIX)),))
    machine = FakeMachine(has_kernel_wireguard=False)
    assert apply_changes(machine, STATE, diff(STATE, new)) == new
    assert machine.messages == []
    assert machine.inputs == [
        "route replace 10.50.0.0/17 dev wg0\nroute del 10.50.0.0/16 dev wg0\n"
    ]


@pytest.mark.parametrize("family", [4, 6])
def test_an_exit_keeps_the_tunnels_own_packets_out_of_the_tunnel(family: int) -> None:
    default = ip_network("0.0.0.0/0" if family == 4 else "::/0")
    machine = FakeMachine(has_kernel_wireguard=False)
    device = replace(DEVICE, routes=(default,))
    bring_up(machine, replace(STATE, devices=(device,)))
    assert "set=1\nfwmark=51820\n\n" in machine.messages
    rules = machine.inputs[machine.commands.index("sh -eu")]
    assert f"ip -{family} rule add priority 32765 not fwmark 51820 table 51820\n" in rules
    assert f"route replace {default} dev wg0 table 51820\n" in "".join(machine.inputs)

    tear_down(machine, replace(STATE, devices=(device,)))
    assert machine.messages[-1] == "set=1\nfwmark=0\n\n"


def test_a_userspace_device_is_told_by_its_socket_only() -> None:
    machine = FakeMachine(has_kernel_wireguard=False)
    tell_device(machine, "wg0", "set=1\n\n")
    assert (machine.commands, machine.messages) == ([], ["set=1\n\n"])


def test_a_backend_has_no_table_and_no_settings_of_its_own() -> None:
    backend = replace(STATE, forwarding=Forwarding())
    assert render_forwarding(backend) == remove_forwarding(["wg0"])
    assert forwarding_settings(backend) == ()


def test_a_relay_forwards_the_families_that_it_relays() -> None:
    text = render_forwarding(replace(STATE, forwarding=Forwarding((4,))))
    assert 'iifname { "wg0" } oifname { "wg0" } meta nfproto ipv4 accept' in text
    assert "nfproto ipv6" not in text


def test_device_names_may_be_a_placeholder() -> None:
    assert 'iifname { "%i" }' in render_forwarding(STATE, devices=("%i",))
    assert ("net/ipv4/conf/%i/forwarding", "1") in forwarding_settings(STATE, devices=("%i",))


def test_ipv4_forwarding_stays_with_the_device_unless_others_take_part() -> None:
    assert forwarding_settings(replace(STATE, forwarding=Forwarding((4,)))) == (
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/wg0/forwarding", "1"),
        ("net/ipv4/conf/wg0/send_redirects", "0"),
    )
    subnet = Forwarding((), (ip_network("172.16.0.0/16"),))
    assert forwarding_settings(replace(STATE, forwarding=subnet)) == (("net/ipv4/ip_forward", "1"),)
    assert forwarding_settings(replace(STATE, forwarding=Forwarding((6,)))) == (
        ("net/ipv6/conf/all/forwarding", "1"),
    )


def test_an_exit_does_not_translate_what_goes_to_its_own_subnets() -> None:
    forwarding = Forwarding((4,), (ip_network("172.16.0.0/16"),), (4,))
    text = render_forwarding(replace(STATE, forwarding=forwarding))
    assert "ip daddr != { 172.16.0.0/16 } masquerade" in text
    assert "ct state established,related accept" in text


def test_ipv6_forwarding_keeps_the_default_route_of_router_advertisements() -> None:
    """In every way of switching it on, and before it is on: the kernel drops the route then."""
    relay = replace(STATE, forwarding=Forwarding((6,)))
    machine = FakeMachine(has_kernel_wireguard=False)
    apply_forwarding(machine, relay)
    for text in (machine.inputs[-1], render_wg_quick(relay, None)):
        assert 0 < text.index("echo 2 > ") < text.index("/proc/sys/net/ipv6/conf/all/forwarding")
    assert "accept_ra" not in render_wg_quick(replace(STATE, forwarding=Forwarding((4,))), None)
