"""From two states of one node to the changes between them, sorted.

Rule: what does not differ is not mentioned. A listen port or a private key that is set anew, even
to the same value, reopens the socket or ends every session.
"""

from __future__ import annotations

from collections.abc import Iterator

from malha.changes.model import (
    AddressesChanged,
    AllowedIpsChanged,
    Change,
    DeviceAdded,
    DeviceRemoved,
    EndpointChanged,
    ForwardingChanged,
    KeepaliveChanged,
    KeyChanged,
    ListenPortChanged,
    MtuChanged,
    PeerAdded,
    PeerRemoved,
    PeerRenamed,
    PresharedKeyChanged,
    RoutesChanged,
    UnreachableChanged,
)
from malha.wireguard.device import Device, NodeState, Peer


def diff(old: NodeState, new: NodeState) -> tuple[Change, ...]:
    """Give the changes that make `old` into `new`: devices by name, peers by public key.

    Raises:
        ValueError: when the two are not states of one node.
    """
    if old.name != new.name:
        raise ValueError(f"{old.name} and {new.name} are two nodes, not two states of one")
    return tuple(_diff_state(old, new))


def _diff_state(old: NodeState, new: NodeState) -> Iterator[Change]:
    before = {device.name: device for device in old.devices}
    after = {device.name: device for device in new.devices}
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield DeviceAdded(after[name])
        elif name not in after:
            yield DeviceRemoved(before[name])
        else:
            yield from _diff_device(before[name], after[name])
    if old.unreachable != new.unreachable:
        yield UnreachableChanged(old.unreachable, new.unreachable)
    if old.forwarding != new.forwarding:
        yield ForwardingChanged(old.forwarding, new.forwarding)


def _diff_device(old: Device, new: Device) -> Iterator[Change]:
    name = old.name
    if (old.public_key, old.private_key) != (new.public_key, new.private_key):
        yield KeyChanged(name, old.public_key, new.public_key, old.private_key, new.private_key)
    if old.listen_port != new.listen_port:
        yield ListenPortChanged(name, old.listen_port, new.listen_port)
    if old.mtu != new.mtu:
        yield MtuChanged(name, old.mtu, new.mtu)
    if old.addresses != new.addresses:
        yield AddressesChanged(name, old.addresses, new.addresses)
    yield from _diff_peers(old, new)
    if old.routes != new.routes:
        yield RoutesChanged(name, old.routes, new.routes)


def _diff_peers(old: Device, new: Device) -> Iterator[Change]:
    before = {peer.public_key: peer for peer in old.peers}
    after = {peer.public_key: peer for peer in new.peers}
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            yield PeerAdded(old.name, after[key])
        elif key not in after:
            yield PeerRemoved(old.name, before[key])
        else:
            yield from _diff_peer(old.name, before[key], after[key])


def _diff_peer(device: str, old: Peer, new: Peer) -> Iterator[Change]:
    key = old.public_key
    if old.name != new.name:
        yield PeerRenamed(device, key, old.name, new.name)
    if old.preshared_key != new.preshared_key:
        yield PresharedKeyChanged(device, key, old.preshared_key, new.preshared_key)
    if old.endpoint != new.endpoint:
        yield EndpointChanged(device, key, old.endpoint, new.endpoint)
    if old.persistent_keepalive_s != new.persistent_keepalive_s:
        yield KeepaliveChanged(device, key, old.persistent_keepalive_s, new.persistent_keepalive_s)
    if old.allowed_ips != new.allowed_ips:
        yield AllowedIpsChanged(device, key, old.allowed_ips, new.allowed_ips)
