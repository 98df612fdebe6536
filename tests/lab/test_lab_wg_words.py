"""What is said to a kernel by wg(8) means what the UAPI message means.

`wg` talks to wireguard-go too, so that the translation is tried where no kernel WireGuard is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

import pytest

from malha.changes.diff import diff
from malha.changes.uapi_text import render_changes
from malha.host.device import configure_device, create_device, read_device, tell_device
from malha.lab.host import LabHost
from malha.lab.lab import Lab
from malha.secrets.keys import make_private_key
from malha.wireguard.device import Device, NodeState, Peer
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey
from tests.builders import a_public_key

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("can_lab")]

NET, SIX = ip_network("10.9.0.0/24"), ip_network("fd09::/64")
PEER = Peer(
    name="",
    public_key=a_public_key("peer"),
    allowed_ips=(NET, SIX),
    endpoint=Endpoint("2001:db8::1", 51820),
    persistent_keepalive_s=25,
    preshared_key=PresharedKey(b"\x22" * 32),
)
DEVICE = Device(
    name="wg9",
    public_key=a_public_key("device"),
    addresses=(),
    peers=(PEER,),
    routes=(),
    listen_port=51829,
    private_key=make_private_key(),
)
STRANGER = replace(PEER, public_key=a_public_key("stranger"), allowed_ips=())


@dataclass
class SpokenTo:
    """A host whose userspace devices are addressed as kernel ones: by `wg` alone."""

    host: LabHost
    name: str = "spoken"
    has_kernel_wireguard: bool = True

    def run(self, argv: Sequence[str], *, input: str = "") -> str:  # noqa: A002
        return self.host.run(argv, input=input)

    def uapi(self, device: str, text: str) -> str:
        raise AssertionError("a kernel has no UAPI socket")


def read_both(machine: SpokenTo) -> Device:
    """The device as both readers see it, which must be the same."""
    by_wg, by_uapi = (
        read_device(m, DEVICE.name, public_key=DEVICE.public_key) for m in (machine, machine.host)
    )
    assert by_wg.device == by_uapi.device
    return by_wg.device


@pytest.fixture
def machine(regional_lab: Lab) -> SpokenTo:
    """A host with a fresh device called wg9."""
    host = regional_lab.hosts["far"]
    if "wg9" in host.run(["wg", "show", "interfaces"]).split():
        host.run(["ip", "link", "delete", "dev", "wg9"])
    create_device(host, "wg9")
    return SpokenTo(host)


def test_a_device_is_what_was_declared(machine: SpokenTo) -> None:
    configure_device(machine, DEVICE)
    assert read_both(machine) == DEVICE


def test_configuring_again_removes_strangers(machine: SpokenTo) -> None:
    configure_device(machine, replace(DEVICE, peers=(PEER, STRANGER)))
    assert len(read_both(machine).peers) == 2
    configure_device(machine, DEVICE)
    assert read_both(machine) == DEVICE


@pytest.mark.parametrize(
    "new",
    [
        replace(PEER, allowed_ips=(SIX,)),
        replace(PEER, allowed_ips=()),
        replace(PEER, endpoint=Endpoint("192.0.2.7", 1)),
        replace(PEER, persistent_keepalive_s=None),
        replace(PEER, preshared_key=None),
        replace(PEER, preshared_key=PresharedKey(b"\x33" * 32)),
        STRANGER,
    ],
)
def test_a_change_ends_where_it_says(machine: SpokenTo, new: Peer) -> None:
    configure_device(machine, DEVICE)
    before, after = NodeState("far", (DEVICE,)), NodeState("far", (replace(DEVICE, peers=(new,)),))
    tell_device(machine, "wg9", render_changes(diff(before, after)))
    assert read_both(machine).peers == (new,)
