"""Who hands which address to whom, and from whom it is taken, for all addresses at once.

Equal parts are worked out once: nodes of one group share their peers, and every node of a full
mesh shares its peers with all others, as identical values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from malha.proof.clean_routes import CleanRoutes
from malha.proof.facts import NOWHERE, PeerFacts
from malha.proof.lookup import AddressRow
from malha.proof.owner_rows import OwnerRows
from malha.proof.world import World
from malha.wireguard.device import Device, NodeState, Peer, Prefix


@dataclass(frozen=True)
class Tables:
    """One family's tables. A machine's *place* is where its address stands in every row."""

    world: World
    family: int
    place: Sequence[int]
    """For each machine its place; NOWHERE without an address of the family."""
    following: Sequence[list[int] | None]
    """following[machine][place]: the machine to which a packet goes next; NOWHERE if it ends
    here. None: this machine must be walked."""
    accepting: Sequence[list[int] | None]
    """accepting[machine][place]: from which machine a packet with this source is taken."""
    forwards: Sequence[bool]
    walked: frozenset[int]
    """Machines whose address another machine has too."""
    at_place: list[int]
    """The machine of each place."""

    def reaches_all_directly(self, machine: int) -> bool:
        """Whether everybody is one hop away and takes this machine's packets: a quick yes."""
        return self._all_accept_all and self._names_everyone(self.following[machine], machine)

    @cached_property
    def _all_accept_all(self) -> bool:
        if self.walked or len(self.at_place) != len(self.place):
            return False
        return all(self._names_everyone(row, i) for i, row in enumerate(self.accepting))

    def _names_everyone(self, row: list[int] | None, machine: int) -> bool:
        return row is not None and names_everyone(row, self.at_place, self.place[machine])


def names_everyone(row: list[int], at_place: list[int], own: int) -> bool:
    """Whether each address's entry is the machine that has it; `own` place does not count."""
    if own < 0:
        return False
    return row[:own] == at_place[:own] and row[own + 1 :] == at_place[own + 1 :]


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
    at_place = [i for _, i in holders]
    builder = _Builder(world, AddressRow(distinct), place, at_place)
    shared = frozenset(i for owners in world.owners.values() if len(owners) > 1 for i in owners)
    return Tables(
        world=world,
        family=family,
        place=place,
        following=[builder.following(i, state) for i, state in enumerate(world.states)],
        accepting=builder.accepting,
        forwards=[family in state.forwarding.families for state in world.states],
        walked=shared,
        at_place=at_place,
    )


class _Builder:
    """Builds rows; caches by identity, which the world keeps alive."""

    def __init__(
        self, world: World, addresses: AddressRow, place: list[int], at_place: list[int]
    ) -> None:
        self.world = world
        self.addresses = addresses
        self.facts = PeerFacts(world, addresses)
        self._rows = OwnerRows(self.facts, addresses)
        self._dials: dict[int, dict[int, bool]] = {}
        self._routes = CleanRoutes()
        self.accepting = [self._accepting(state) for state in world.states]
        is_plain = self.facts.all_dial and not self.facts.has_preshared
        self._complete = frozenset(
            i
            for i, row in enumerate(self.accepting)
            if is_plain and row is not None and names_everyone(row, at_place, place[i])
        )
        """Machines that have a peer for everybody, and dial them all: between two of these
        every session is usable, because each has the other's key."""

    def _accepting(self, state: NodeState) -> list[int] | None:
        """For each address the machine whose key its peer has; None: must be walked."""
        if len(state.devices) != 1:
            return None
        (device,) = state.devices
        if len(self.world.devices_by_key[device.public_key.raw]) > 1:
            return None
        return self._rows.row_of(device.peers)

    def following(self, i: int, state: NodeState) -> list[int] | None:
        """For each address the machine to which it goes next; None: must be walked."""
        owners = self.accepting[i]
        if owners is None:
            return None
        device = state.devices[0]
        broken = self._broken_targets(i, device)
        if not broken and self._routes.are_allowed_ips(state, device):
            return owners
        return [
            owner if inside and owner not in broken else NOWHERE
            for owner, inside in zip(owners, self._kernel_row(state, device), strict=True)
        ]

    def _broken_targets(self, i: int, device: Device) -> frozenset[int]:
        """Machines to which this one has a peer, but no usable session."""
        if self.facts.has_preshared:
            return frozenset(
                self.facts.owner[id(peer)]
                for place, peer in enumerate(device.peers)
                if self.world.session(i, 0, place).cause is not None
            )
        if i in self._complete and len(self._complete) == len(self.accepting):
            return frozenset()
        broken = []
        for other, forth in self._dials_of(device.peers).items():
            # A key that nobody has, and a machine that must be walked, are asked elsewhere.
            if other >= 0 and self.accepting[other] is not None:
                there = self.world.states[other].devices[0].peers
                back = self._dials_of(there).get(i)
                if not back and (back is None or not forth):
                    broken.append(other)
        return frozenset(broken)

    def _dials_of(self, peers: tuple[Peer, ...]) -> Mapping[int, bool]:
        """Machine → whether it is dialled, for all peers of a device."""
        found = self._dials.get(id(peers))
        if found is None:
            found = {self.facts.owner[id(peer)]: self.facts.dials[id(peer)] for peer in peers}
            self._dials[id(peers)] = found
        return found

    def _kernel_row(self, state: NodeState, device: Device) -> list[int]:
        """For each address 1 if the kernel routes it into the device, else 0."""
        connected: list[Prefix] = [address.network for address in device.addresses]
        entries = [(span, 0) for span in self.addresses.spans(state.unreachable)]
        entries += [(span, 1) for span in self.addresses.spans((*connected, *device.routes))]
        return self.addresses.paint(entries, 0)
