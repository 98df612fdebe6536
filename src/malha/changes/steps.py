"""One node's changes in three steps, so that a fleet can make before it breaks.

    introduce   new peers without addresses, endpoints, more forwarding      carries nothing yet
        … every new link has seen its handshake, at both ends …
    move        allowed IPs, at both ends as close in time as can be         paths change here
    finish      routes, keepalives, less forwarding, what is gone            nothing uses it

Rule: the three together leave what applying all changes at once leaves. On one device a move
still loses what is in flight: rate times one-way delay, plus rate times the skew between ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from malha.changes.model import (
    AllowedIpsChanged,
    Change,
    DeviceRemoved,
    ForwardingChanged,
    KeepaliveChanged,
    PeerAdded,
    PeerRemoved,
    RoutesChanged,
    UnreachableChanged,
)
from malha.wireguard.device import Forwarding


def introduce(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What may come first, as no packet takes another path by it."""
    return tuple(_introduce(changes))


def _introduce(changes: Iterable[Change]) -> Iterator[Change]:
    for change in changes:
        match change:
            case PeerAdded():
                # No keepalive yet: it would start a handshake, and only one end may do that.
                silent = replace(change.peer, allowed_ips=(), persistent_keepalive_s=None)
                yield replace(change, peer=silent)
            case ForwardingChanged():
                yield replace(change, new=_union(change.old, change.new))
            case AllowedIpsChanged() | KeepaliveChanged() | PeerRemoved():
                pass
            case RoutesChanged() | UnreachableChanged() | DeviceRemoved():
                pass
            case _:
                yield change


def move(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What changes paths. New peers take their addresses first, which the old ones lose by it."""
    changes = list(changes)
    taken = (
        AllowedIpsChanged(change.device, change.peer.public_key, (), change.peer.allowed_ips)
        for change in changes
        if isinstance(change, PeerAdded) and change.peer.allowed_ips
    )
    return (*taken, *(change for change in changes if isinstance(change, AllowedIpsChanged)))


def finish(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What is left once packets take their new paths: routes, keepalives, then removals."""
    kept: list[Change] = []
    gone: list[Change] = []
    for change in _finish(changes):
        (gone if isinstance(change, PeerRemoved | DeviceRemoved) else kept).append(change)
    return (*kept, *gone)


def _finish(changes: Iterable[Change]) -> Iterator[Change]:
    for change in changes:
        match change:
            case PeerAdded(peer=peer) if peer.persistent_keepalive_s is not None:
                interval_s = peer.persistent_keepalive_s
                yield KeepaliveChanged(change.device, peer.public_key, None, interval_s)
            case ForwardingChanged():
                yield replace(change, old=_union(change.old, change.new))
            case RoutesChanged() | UnreachableChanged() | KeepaliveChanged():
                yield change
            case PeerRemoved() | DeviceRemoved():
                yield change


def _union(one: Forwarding, other: Forwarding) -> Forwarding:
    return Forwarding(
        families=tuple(sorted({*one.families, *other.families})),
        subnets=tuple(
            sorted({*one.subnets, *other.subnets}, key=lambda prefix: (prefix.version, prefix))
        ),
        exit_families=tuple(sorted({*one.exit_families, *other.exit_families})),
    )
