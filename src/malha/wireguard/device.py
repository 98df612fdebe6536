"""Device, Peer and NodeState: what render writes, what proof reads, what a machine is compared to.

Rule: these values say everything a machine needs, so that no reader has to ask the topology.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import TypeAlias

from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey

Address: TypeAlias = IPv4Address | IPv6Address
Interface: TypeAlias = IPv4Interface | IPv6Interface
Prefix: TypeAlias = IPv4Network | IPv6Network

DEFAULT_DEVICE = "wg0"


def prefix_order(prefix: Prefix) -> int:
    """A sort key: IPv4 first, then by address, then the shorter prefix. Never 0."""
    return (prefix.version << 136) | (int(prefix.network_address) << 8) | prefix.prefixlen


@dataclass(frozen=True, slots=True)
class Peer:
    """One `[Peer]`: whom a device talks to, where, and which addresses belong to it."""

    name: str
    """For people: the node's name. WireGuard itself knows only the key."""
    public_key: PublicKey
    allowed_ips: tuple[Prefix, ...]
    """Outbound route and inbound source filter at once (cryptokey routing), sorted."""
    endpoint: Endpoint | None = None
    """None: this side waits until the peer dials."""
    persistent_keepalive_s: int | None = None
    """Seconds between keepalives; None switches them off."""
    preshared_key: PresharedKey | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One WireGuard interface of one machine."""

    name: str
    public_key: PublicKey
    addresses: tuple[Interface, ...]
    peers: tuple[Peer, ...]
    """No key twice: WireGuard knows a peer by its key."""
    routes: tuple[Prefix, ...]
    """Kernel routes into this device, sorted. Cryptokey routing alone moves nothing: without
    a kernel route a packet never reaches the device."""
    mtu: int | None = None
    listen_port: int | None = None
    """None: the kernel picks a free UDP port (fine for nodes that only dial out)."""
    private_key: PrivateKey | None = None
    """Joined at the last moment before a machine is written; None everywhere else."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What this machine passes on for others. Everything else that meets its devices is dropped."""

    families: tuple[int, ...] = ()
    """Families (4, 6) relayed from overlay to overlay, across all of the node's devices."""
    subnets: tuple[Prefix, ...] = ()
    """Routed subnets behind this machine that the overlay may reach."""
    exit_families: tuple[int, ...] = ()
    """Families (4, 6) for which this machine is an exit: forwarded out, source-translated."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one machine is to carry (declared), or carries (observed)."""

    name: str
    devices: tuple[Device, ...]
    """A tuple even while there is one: moves and rotations need a second."""
    unreachable: tuple[Prefix, ...] = ()
    """Answered with "unreachable" where no longer route matches, so that nothing leaks."""
    forwarding: Forwarding = Forwarding()
    endpoint: Endpoint | None = None
    """Where this machine can be dialled on the underlay; None: it cannot, or nobody knows."""
    managed: bool = True
    """False: somebody else's machine; malha writes its neighbours but not it."""
