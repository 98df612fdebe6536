"""The kinds of change, one type each, with old and new: never a flag and a text.

| change              | what it touches on the machine                                    |
|---------------------|-------------------------------------------------------------------|
| PeerAdded, -Removed | one peer of a device                                              |
| EndpointChanged     | where a peer is dialled; to None: nothing, the device keeps it    |
| AllowedIpsChanged   | a peer's cryptokey routing                                        |
| KeepaliveChanged    | a peer's keepalive; None clears it                                |
| PresharedKeyChanged | a peer's preshared key; None clears it. Holds until next handshake|
| PeerRenamed         | nothing: a name is for people                                     |
| ListenPortChanged   | the socket: it is opened anew, and packets are lost               |
| KeyChanged          | the device's own key: every session of the device ends            |
| MtuChanged          | the device's MTU                                                  |
| AddressesChanged    | addresses of a device                                             |
| RoutesChanged       | kernel routes into a device                                       |
| UnreachableChanged  | prefixes answered with "unreachable"                              |
| ForwardingChanged   | the forwarding table and its kernel settings                      |
| DeviceAdded, -Removed | a whole device                                                  |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from malha.wireguard.device import Device, Forwarding, Interface, Peer, Prefix
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey


@dataclass(frozen=True, slots=True)
class PeerAdded:
    """A device gets a peer that it did not have."""

    device: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerRemoved:
    """A device loses a peer, its session with it."""

    device: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class EndpointChanged:
    """A peer is dialled elsewhere. To None the device keeps what it has: it cannot forget."""

    device: str
    public_key: PublicKey
    old: Endpoint | None
    new: Endpoint | None


@dataclass(frozen=True, slots=True)
class AllowedIpsChanged:
    """A peer's allowed IPs are replaced."""

    device: str
    public_key: PublicKey
    old: tuple[Prefix, ...]
    new: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class KeepaliveChanged:
    """A peer's keepalive interval in seconds; None switches it off."""

    device: str
    public_key: PublicKey
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class PresharedKeyChanged:
    """A peer's preshared key; None clears it."""

    device: str
    public_key: PublicKey
    old: PresharedKey | None
    new: PresharedKey | None


@dataclass(frozen=True, slots=True)
class PeerRenamed:
    """People call a peer something else."""

    device: str
    public_key: PublicKey
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ListenPortChanged:
    """A device's UDP port; to None the device keeps what it has."""

    device: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """A device's own key pair; the private half may be unknown (None) on either side."""

    device: str
    old: PublicKey
    new: PublicKey
    old_private_key: PrivateKey | None
    new_private_key: PrivateKey | None


@dataclass(frozen=True, slots=True)
class MtuChanged:
    """A device's MTU in bytes; to None the device keeps what it has."""

    device: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class AddressesChanged:
    """Addresses of a device, in order."""

    device: str
    old: tuple[Interface, ...]
    new: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """Kernel routes into a device."""

    device: str
    old: tuple[Prefix, ...]
    new: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class UnreachableChanged:
    """Prefixes that the machine answers with "unreachable" where nothing longer matches."""

    old: tuple[Prefix, ...]
    new: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class ForwardingChanged:
    """What the machine passes on for others."""

    old: Forwarding
    new: Forwarding


@dataclass(frozen=True, slots=True)
class DeviceAdded:
    """A device that the machine did not have."""

    device: Device


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """A device that the machine no longer has."""

    device: Device


PeerChange: TypeAlias = (
    PeerAdded
    | PeerRemoved
    | EndpointChanged
    | AllowedIpsChanged
    | KeepaliveChanged
    | PresharedKeyChanged
    | PeerRenamed
)
DeviceChange: TypeAlias = (
    PeerChange | ListenPortChanged | KeyChanged | MtuChanged | AddressesChanged | RoutesChanged
)
Change: TypeAlias = (
    DeviceChange | DeviceAdded | DeviceRemoved | UnreachableChanged | ForwardingChanged
)
