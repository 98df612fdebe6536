"""What each Peer value means, worked out once per value.

In a mesh the same Peer stands in a thousand nodes, so facts are kept by its identity: plain
dicts, one per fact, which a node's thousand look-ups go through in C.
"""

from __future__ import annotations

from malha.proof.lookup import AddressRow, Span
from malha.proof.world import World
from malha.wireguard.device import Peer

NOWHERE = -1
SEVERAL = -2


class PeerFacts:
    """Facts by `id(peer)`, for one family; the world keeps the peers alive."""

    def __init__(self, world: World, addresses: AddressRow) -> None:
        self.owner: dict[int, int] = {}
        """The machine that has the peer's key; NOWHERE if none has, SEVERAL if several."""
        self.dials: dict[int, bool] = {}
        """Whether its endpoint leads to that machine."""
        self.spans: dict[int, tuple[Span, ...]] = {}
        """Its allowed IPs of the family."""
        self.host: dict[int, int] = {}
        """The place of its only allowed IP of the family, if that is one host; else NOWHERE."""
        self.only: dict[int, int] = {}
        """The identity of its only allowed IP of any family; NOWHERE if it has not just one."""
        self.has_preshared = False
        self._world, self._addresses = world, addresses
        for peer in world.distinct_peers:
            self._learn(peer)
        self.all_dial = all(self.dials.values())
        claims = {(self.host[key], self.owner[key]) for key in self.host} - {(NOWHERE, NOWHERE)}
        hosts = [place for place, _ in claims if place != NOWHERE]
        self.has_host_conflict = len(set(hosts)) < len(hosts)
        """Whether a host is the only allowed IP of peers that are different machines."""

    def _learn(self, peer: Peer) -> None:
        key = id(peer)
        self.has_preshared |= peer.preshared_key is not None
        ends = self._world.devices_by_key.get(peer.public_key.raw, ())
        self.owner[key] = ends[0][0] if len(ends) == 1 else SEVERAL if ends else NOWHERE
        self.dials[key] = len(ends) == 1 and self._world.leads(peer.endpoint, *ends[0])
        spans = self.spans[key] = tuple(self._addresses.spans(peer.allowed_ips))
        is_host = len(spans) == 1 and spans[0][0] == self._addresses.bits
        self.host[key] = spans[0][1] if is_host else NOWHERE
        self.only[key] = id(peer.allowed_ips[0]) if len(peer.allowed_ips) == 1 else NOWHERE
