"""For each address the machine whose key the chosen peer has: a device's allowed IPs, painted."""

from __future__ import annotations

from dataclasses import dataclass

from malha.proof.facts import NOWHERE, SEVERAL, PeerFacts
from malha.proof.lookup import AddressRow
from malha.proof.swap import swapped
from malha.wireguard.device import Peer


@dataclass(frozen=True, slots=True)
class _Painted:
    peers: tuple[Peer, ...]
    row: list[int]
    base: list[int]
    """The row without the peers that have one host each."""


class OwnerRows:
    """Rows by a device's peers; cached by identity, which the world keeps alive."""

    def __init__(self, facts: PeerFacts, addresses: AddressRow) -> None:
        self._facts = facts
        self._addresses = addresses
        self._known: dict[int, list[int] | None] = {}
        self._last: _Painted | None = None

    def row_of(self, peers: tuple[Peer, ...]) -> list[int] | None:
        """The row; None when a peer's key is several machines'."""
        key = id(peers)
        if key not in self._known:
            self._known[key] = self._from_last(peers) or self._paint(peers)
        return self._known[key]

    def _from_last(self, peers: tuple[Peer, ...]) -> list[int] | None:
        """The last row with one host peer swapped for another, if that is all the difference.

        It needs that a host belongs to one machine wherever it is named: then it does not
        matter which peers of a device name it.
        """
        last, facts = self._last, self._facts
        places = None if last is None or facts.has_host_conflict else swapped(last.peers, peers)
        if last is None or places is None:
            return None
        old, new = id(last.peers[places[0]]), id(peers[places[1]])
        gone, come, owner = facts.host[old], facts.host[new], facts.owner[new]
        if NOWHERE in (gone, come) or owner == SEVERAL:
            return None
        if come != gone and last.row[come] != last.base[come]:
            return None  # two peers would name the host, and taking one away leaves the other
        row = last.row.copy()
        row[gone] = last.base[gone]
        row[come] = owner
        self._last = _Painted(peers, row, last.base)
        return row

    def _paint(self, peers: tuple[Peer, ...]) -> list[int] | None:
        facts, keys = self._facts, list(map(id, peers))
        owners = list(map(facts.owner.__getitem__, keys))
        if SEVERAL in owners:
            return None
        hosts = list(map(facts.host.__getitem__, keys))
        others = [k for k, place in enumerate(hosts) if place == NOWHERE]
        spans = [(span, owners[k]) for k in others for span in facts.spans[keys[k]]]
        if any(span[0] == self._addresses.bits for span, _ in spans):
            # Hosts among them: of equal prefixes the later peer's wins, so keep the order.
            each = zip(map(facts.spans.__getitem__, keys), owners, strict=True)
            every = ((span, owner) for of_peer, owner in each for span in of_peer)
            return self._addresses.paint(every, NOWHERE)
        base = self._addresses.paint(spans, NOWHERE)
        row = [*base, NOWHERE]
        for place, owner in zip(hosts, owners, strict=True):
            row[place] = owner  # those without a host write to the last place, which goes
        row.pop()
        named = [place for place in hosts if place != NOWHERE]
        if len(set(named)) == len(named):
            self._last = _Painted(peers, row, base)
        return row
