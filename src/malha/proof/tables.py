"""Who hands which address to whom, and from whom it is taken, for all addresses at once.

Equal parts are worked out once: nodes of one group share their peers, and every node of a full
mesh shares its peers with all others, as identical values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from malha.proof.lookup import AddressRow, Span
from malha.proof.world import World
from malha.wireguard.device import Device, NodeState, Peer, Prefix

NOWHERE = -1
SEVERAL = -2


@dataclass(frozen=True, slots=True)
class Tables:
    """One family's tables. A machine's *place* is where its address stands in every row."""

    world: World
    family: int
    place: Sequence[int]
    """For each machine its place; -1 without an address of the family."""
    following: Sequence[Sequence[int] | None]
    """following[machine][place]: the machine to which a packet goes next; NOWHERE if it ends
    here. None: this machine must be walked."""
    accepting: Sequence[Sequence[int] | None]
    """accepting[machine][place]: from which machine a packet with this source is taken."""
    forwards: Sequence[bool]
    walked: frozenset[int]
    """Machines whose address another machine has too."""
    at_place: Sequence[int]
    """The machine of each place."""

    def reaches_all_directly(self, machine: int) -> bool:
        """Whether everybody is one hop away and takes this machine's packets: a quick yes."""
        row, own = self.following[machine], self.place[machine]
        if self.walked or row is None or own < 0 or len(self.at_place) != len(self.place):
            return False
        for place in (slice(None, own), slice(own + 1, None)):
            if list(row[place]) != list(self.at_place[place]):
                return False
        return all(
            accepted is not None and (accepted[own] == machine or other == machine)
            for other, accepted in enumerate(self.accepting)
        )


def build_tables(world: World, family: int) -> Tables:
    """Work out one family's tables."""
    holders = [
        (addresses[family], i) for i, addresses in enumerate(world.addresses) if family in addresses
    ]
    holders.sort()
    distinct = sorted({address for address, _ in holders})
    rank = {address: place for place, address in enumerate(distinct)}
    place = [NOWHERE] * len(world.states)
    for address, i in holders:
        place[i] = rank[address]
    builder = _Builder(world, AddressRow(distinct))
    rows = [builder.rows(i, state) for i, state in enumerate(world.states)]
    shared = frozenset(i for owners in world.owners.values() if len(owners) > 1 for i in owners)
    return Tables(
        world=world,
        family=family,
        place=place,
        following=[row[0] for row in rows],
        accepting=[row[1] for row in rows],
        forwards=[family in state.forwarding.families for state in world.states],
        walked=shared,
        at_place=[i for _, i in holders],
    )


Rows = tuple[list[int] | None, list[int] | None]


class _Fact(NamedTuple):
    """What a peer's entry means, wherever it stands: it is the same value in many nodes."""

    owner: int
    """The machine that has the peer's key; NOWHERE, or SEVERAL."""
    dials: bool
    """Whether its endpoint leads there."""
    spans: tuple[Span, ...]
    """Its allowed IPs of the family."""


class _Builder:
    """Builds rows; caches by identity, which the world keeps alive."""

    def __init__(self, world: World, addresses: AddressRow) -> None:
        self.world = world
        self.addresses = addresses
        self._fact_by_peer: dict[int, _Fact] = {}
        self._facts_by_peers: dict[int, list[_Fact]] = {}
        self._owner_rows: dict[int, list[int]] = {}
        self._clean_routes: dict[tuple[int, int], bool] = {}
        self._lengths: dict[int, int] = {}
        self._has_preshared = False
        self._dials = [self._dials_of(state) for state in world.states]

    def _dials_of(self, state: NodeState) -> dict[int, bool] | None:
        """Machine → whether this one dials it; None if the machine must be walked."""
        if len(state.devices) != 1:
            return None
        (device,) = state.devices
        found = {fact.owner: fact.dials for fact in self._facts(device.peers)}
        alone = len(self.world.devices_by_key[device.public_key.raw]) == 1
        return found if alone and SEVERAL not in found else None

    def _facts(self, peers: tuple[Peer, ...]) -> list[_Fact]:
        found = self._facts_by_peers.get(id(peers))
        if found is None:
            known, derive = self._fact_by_peer, self._fact
            found = [known.get(id(peer)) or derive(peer) for peer in peers]
            self._facts_by_peers[id(peers)] = found
        return found

    def _fact(self, peer: Peer) -> _Fact:
        self._has_preshared |= peer.preshared_key is not None
        ends = self.world.devices_by_key.get(peer.public_key.raw, ())
        owner = ends[0][0] if len(ends) == 1 else SEVERAL if ends else NOWHERE
        dials = owner >= 0 and self.world.leads(peer.endpoint, *ends[0])
        spans = tuple(self.addresses.spans(peer.allowed_ips))
        fact = self._fact_by_peer[id(peer)] = _Fact(owner, dials, spans)
        return fact

    def rows(self, i: int, state: NodeState) -> Rows:
        """(following, accepting) of one machine; (None, None) if it must be walked."""
        dials = self._dials[i]
        if dials is None:
            return None, None
        device = state.devices[0]
        owners = self._owner_row(device)
        broken = self._broken_targets(i, device, dials)
        if not broken and self._routes_are_allowed_ips(state, device):
            return owners, owners
        following = [
            owner if inside and owner not in broken else NOWHERE
            for owner, inside in zip(owners, self._kernel_row(state, device), strict=True)
        ]
        return following, owners

    def _broken_targets(self, i: int, device: Device, dials: Mapping[int, bool]) -> frozenset[int]:
        """Machines to which this one has a peer, but no usable session."""
        if self._has_preshared:
            places = range(len(device.peers))
            sessions = [self.world.session(i, 0, place) for place in places]
            facts = self._facts(device.peers)
            return frozenset(facts[k].owner for k in places if sessions[k].cause is not None)
        every = self._dials
        broken = []
        for other, forth in dials.items():
            there = every[other] if other >= 0 else None
            # A machine that must be walked is asked there, not here.
            back = there.get(i) if there is not None else other >= 0
            if back is None or not (forth or back):
                broken.append(other)
        return frozenset(broken)

    def _owner_row(self, device: Device) -> list[int]:
        row = self._owner_rows.get(id(device.peers))
        if row is None:
            facts = self._facts(device.peers)
            entries = [(span, fact.owner) for fact in facts for span in fact.spans]
            row = self._owner_rows[id(device.peers)] = self.addresses.paint(entries, NOWHERE)
        return row

    def _routes_are_allowed_ips(self, state: NodeState, device: Device) -> bool:
        """Whether the kernel's routes choose exactly what the allowed IPs choose."""
        if any(a.network.prefixlen < a.max_prefixlen for a in device.addresses):
            return False
        key = (id(device.peers), id(device.routes))
        if key not in self._clean_routes:
            self._clean_routes[key] = self._cover_equally(state, device)
        return self._clean_routes[key]

    def _cover_equally(self, state: NodeState, device: Device) -> bool:
        routes = set(map(id, device.routes))
        allowed = {id(prefix) for peer in device.peers for prefix in peer.allowed_ips}
        if routes != allowed and set(device.routes) != {
            prefix for peer in device.peers for prefix in peer.allowed_ips
        }:
            return False
        longest = max((prefix.prefixlen for prefix in state.unreachable), default=0)
        self._remember_lengths(device, routes)
        return all(self._lengths[route] >= longest for route in routes)

    def _remember_lengths(self, device: Device, routes: set[int]) -> None:
        if not routes <= self._lengths.keys():
            self._lengths.update((id(prefix), prefix.prefixlen) for prefix in device.routes)

    def _kernel_row(self, state: NodeState, device: Device) -> list[int]:
        """For each address 1 if the kernel routes it into the device, else 0."""
        connected: list[Prefix] = [address.network for address in device.addresses]
        entries = [(span, 0) for span in self.addresses.spans(state.unreachable)]
        entries += [(span, 1) for span in self.addresses.spans((*connected, *device.routes))]
        return self.addresses.paint(entries, 0)
