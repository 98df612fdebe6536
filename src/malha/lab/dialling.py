"""Who starts the handshake of each link, so that exactly one end does. Pure.

Two ends that start within one one-way delay of each other, under traffic, block each other for
up to a minute. So the end that can dial starts; of two that can, the one whose node is later in
the declared order, as hubs stand first and are up first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from malha.wireguard.device import Device, NodeState, Peer
from malha.wireguard.keys import PublicKey

END_KEEPALIVE_S = 25
"""Switched on where a handshake has to start and no keepalive is declared."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One device's view of a link: its node, and the peer at the other end."""

    node: str
    device: str
    peer: PublicKey
    keepalive_s: int | None


@dataclass(frozen=True, slots=True)
class Dial:
    """A link of which `starter` begins the handshake and `answerer` must not."""

    starter: LinkEnd
    answerer: LinkEnd

    @property
    def ends(self) -> tuple[LinkEnd, LinkEnd]:
        """Both, the starter first."""
        return self.starter, self.answerer


def plan_dials(states: Mapping[str, NodeState]) -> tuple[Dial, ...]:
    """Give every link whose two ends know each other and of which one can dial, in order."""
    order = {name: rank for rank, name in enumerate(states)}
    found = {(end.node, end.device, end.peer): (end, peer, own) for end, peer, own in _ends(states)}
    owners = {own: end for end, _, own in found.values()}
    dials = []
    for end, peer, own in found.values():
        other = owners.get(end.peer)
        back = found.get((other.node, other.device, own)) if other else None
        if back is None or not _is_starter(end, peer, back, order):
            continue
        dials.append(Dial(end, back[0]))
    return tuple(dials)


def _is_starter(
    end: LinkEnd, peer: Peer, back: tuple[LinkEnd, Peer, PublicKey], order: Mapping[str, int]
) -> bool:
    other, other_peer, _ = back
    if peer.endpoint is None:
        return False
    return other_peer.endpoint is None or order[end.node] > order[other.node]


def _ends(states: Mapping[str, NodeState]) -> Iterator[tuple[LinkEnd, Peer, PublicKey]]:
    for name, state in states.items():
        for device in state.devices:
            for peer in device.peers:
                end = LinkEnd(name, device.name, peer.public_key, peer.persistent_keepalive_s)
                yield end, peer, device.public_key


def new_dials(before: Iterable[Dial], after: Iterable[Dial]) -> tuple[Dial, ...]:
    """Give the links that were not there before, whichever end started them."""
    known = {frozenset((end.node, end.device, end.peer) for end in dial.ends) for dial in before}
    return tuple(
        dial
        for dial in after
        if frozenset((end.node, end.device, end.peer) for end in dial.ends) not in known
    )


def silenced(device: Device) -> Device:
    """A device that starts no handshake by itself: all its keepalives are off."""
    peers = tuple(replace(peer, persistent_keepalive_s=None) for peer in device.peers)
    return replace(device, peers=peers)
