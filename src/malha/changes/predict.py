"""What a state becomes when changes are applied to it: the model that a machine must match."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from malha.changes.model import (
    AddressesChanged,
    AllowedIpsChanged,
    Change,
    DeviceAdded,
    DeviceChange,
    DeviceRemoved,
    EndpointChanged,
    ForwardingChanged,
    KeepaliveChanged,
    KeyChanged,
    ListenPortChanged,
    MtuChanged,
    PeerAdded,
    PeerChange,
    PeerRemoved,
    PeerRenamed,
    PresharedKeyChanged,
    RoutesChanged,
    UnreachableChanged,
)
from malha.wireguard.device import Device, NodeState, Peer
from malha.wireguard.keys import PublicKey


def predict(state: NodeState, changes: Iterable[Change]) -> NodeState:
    """Give the state after `changes`, in canonical order."""
    for change in changes:
        state = _apply(state, change)
    return canonical(state)


def canonical(state: NodeState) -> NodeState:
    """Order devices by name and peers by public key, the order in which a kernel knows none."""
    devices = sorted(state.devices, key=lambda device: device.name)
    return replace(state, devices=tuple(map(_canonical_device, devices)))


def _canonical_device(device: Device) -> Device:
    return replace(device, peers=tuple(sorted(device.peers, key=lambda peer: peer.public_key)))


def _apply(state: NodeState, change: Change) -> NodeState:
    match change:
        case UnreachableChanged():
            return replace(state, unreachable=change.new)
        case ForwardingChanged():
            return replace(state, forwarding=change.new)
        case DeviceAdded():
            return replace(state, devices=(*state.devices, change.device))
        case DeviceRemoved():
            kept = (device for device in state.devices if device.name != change.device.name)
            return replace(state, devices=tuple(kept))
        case _:
            changed = (
                _apply_to_device(device, change) if device.name == change.device else device
                for device in state.devices
            )
            return replace(state, devices=tuple(changed))


def _apply_to_device(device: Device, change: DeviceChange) -> Device:
    match change:
        case KeyChanged():
            return replace(device, public_key=change.new, private_key=change.new_private_key)
        case ListenPortChanged():
            return replace(device, listen_port=change.new)
        case MtuChanged():
            return replace(device, mtu=change.new)
        case AddressesChanged():
            return replace(device, addresses=change.new)
        case RoutesChanged():
            return replace(device, routes=change.new)
        case _:
            return _apply_to_peers(device, change)


def _apply_to_peers(device: Device, change: PeerChange) -> Device:
    match change:
        case PeerAdded():
            return replace(device, peers=(*device.peers, change.peer))
        case PeerRemoved():
            return replace(device, peers=_without(device, change.peer.public_key))
        case _:
            kept = _without(device, change.public_key)
            (peer,) = (p for p in device.peers if p.public_key == change.public_key)
            return replace(device, peers=(*kept, _apply_to_peer(peer, change)))


def _without(device: Device, key: PublicKey) -> tuple[Peer, ...]:
    return tuple(peer for peer in device.peers if peer.public_key != key)


def _apply_to_peer(
    peer: Peer,
    change: EndpointChanged
    | AllowedIpsChanged
    | KeepaliveChanged
    | PresharedKeyChanged
    | PeerRenamed,
) -> Peer:
    match change:
        case EndpointChanged():
            return replace(peer, endpoint=change.new)
        case AllowedIpsChanged():
            return replace(peer, allowed_ips=change.new)
        case KeepaliveChanged():
            return replace(peer, persistent_keepalive_s=change.new)
        case PresharedKeyChanged():
            return replace(peer, preshared_key=change.new)
        case PeerRenamed():
            return replace(peer, name=change.new)
