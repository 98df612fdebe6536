"""All machines side by side: who holds which key, and which peers can really talk.

Everything is derived from NodeStates alone. A session between two devices is *usable* when each
end holds the other's key (and the same preshared key) and at least one end dials where the
other listens; the other end then learns the endpoint.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from malha.proof import codes
from malha.proof.codes import Code
from malha.proof.lookup import PrefixTable
from malha.proof.narrow import NarrowTables, route_entries
from malha.wireguard.device import Address, Device, NodeState, Peer, Prefix
from malha.wireguard.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Session:
    """What becomes of packets that one device hands to one of its peers."""

    node: int
    """The machine at the other end; -1 if there is none."""
    device: int
    """Which of that machine's devices."""
    peer: Peer | None
    """The other end's entry for this end; None without a usable session."""
    cause: Code | None
    """Why nothing arrives; None if it does."""
    detail: str = ""
    order_dependent: bool = False
    """Whether it works only after the other end has sent something first."""


@dataclass(frozen=True)
class World:
    """Machines and what is derived from them; nothing here changes."""

    states: Sequence[NodeState]
    foreign: frozenset[Address] = frozenset()
    """Addresses that no machine owns and that will be asked of many: only a speed-up."""
    _sessions: dict[tuple[int, int, int], Session] = field(default_factory=dict)
    _routes: dict[int, PrefixTable[int | None]] = field(default_factory=dict)
    _allowed_ips: dict[tuple[int, int], PrefixTable[int]] = field(default_factory=dict)
    _foreign_routes: dict[int, PrefixTable[int | None]] = field(default_factory=dict)
    _foreign_ips: dict[tuple[int, int], PrefixTable[int]] = field(default_factory=dict)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Machines by their name."""
        return {state.name: i for i, state in enumerate(self.states)}

    @cached_property
    def devices_by_key(self) -> Mapping[bytes, Sequence[tuple[int, int]]]:
        """(machine, device) of each public key."""
        found: dict[bytes, list[tuple[int, int]]] = {}
        for i, state in enumerate(self.states):
            for d, device in enumerate(state.devices):
                found.setdefault(device.public_key.raw, []).append((i, d))
        return found

    @cached_property
    def peers_by_key(self) -> Sequence[Sequence[Mapping[bytes, Peer]]]:
        """For each machine, for each device: its peers by their key."""
        return [
            [{peer.public_key.raw: peer for peer in device.peers} for device in state.devices]
            for state in self.states
        ]

    @cached_property
    def distinct_peers(self) -> Collection[Peer]:
        """Every Peer value once; machines of a mesh share them."""
        found: dict[int, Peer] = {}
        for state in self.states:
            for device in state.devices:
                found.update(zip(map(id, device.peers), device.peers, strict=True))
        return found.values()

    @cached_property
    def owners(self) -> Mapping[Address, Sequence[int]]:
        """Machines that hold each overlay address; more than one is a conflict."""
        found: dict[Address, list[int]] = {}
        for i, state in enumerate(self.states):
            for address in {a.ip for device in state.devices for a in device.addresses}:
                found.setdefault(address, []).append(i)
        return found

    @cached_property
    def addresses(self) -> Sequence[Mapping[int, Address]]:
        """For each machine the address that stands for it, by family."""
        found: list[dict[int, Address]] = []
        for state in self.states:
            first: dict[int, Address] = {}
            for device in state.devices:
                for interface in device.addresses:
                    first.setdefault(interface.version, interface.ip)
            found.append(first)
        return found

    @cached_property
    def families(self) -> tuple[int, ...]:
        """Families that any machine has an address of, ascending."""
        return tuple(sorted({family for found in self.addresses for family in found}))

    def kernel_routes(self, node: int) -> PrefixTable[int | None]:
        """A machine's routes: prefix → device; None for "unreachable".

        Of equal prefixes a route into a device wins over "unreachable", whose metric is worst.
        """
        found = self._routes.get(node)
        if found is None:
            entries = route_entries(self.states[node], lambda device: device.routes)
            found = self._routes[node] = PrefixTable(entries)
        return found

    def allowed_ips(self, node: int, device: int) -> PrefixTable[int]:
        """A device's cryptokey routing table: prefix → the peer's place in its list."""
        found = self._allowed_ips.get((node, device))
        if found is None:
            peers = self.states[node].devices[device].peers
            found = self._allowed_ips[node, device] = PrefixTable(
                (prefix, place) for place, peer in enumerate(peers) for prefix in peer.allowed_ips
            )
        return found

    def route(self, node: int, address: Address) -> tuple[Prefix, int | None] | None:
        """The kernel route that a machine has for an address; None: only the default, outside."""
        if address not in self.foreign:
            return self.kernel_routes(node).lookup(address)
        found = self._foreign_routes.get(node)
        if found is None:
            found = self._foreign_routes[node] = self._narrow.kernel_routes(self.states[node])
        return found.lookup(address)

    def chosen_peer(self, node: int, device: int, address: Address) -> tuple[Prefix, int] | None:
        """The allowed IP that holds an address, and the place of the peer that has it."""
        if address not in self.foreign:
            return self.allowed_ips(node, device).lookup(address)
        found = self._foreign_ips.get((node, device))
        if found is None:
            peers = self.states[node].devices[device].peers
            found = self._foreign_ips[node, device] = self._narrow.allowed_ips(peers)
        return found.lookup(address)

    @cached_property
    def _narrow(self) -> NarrowTables:
        return NarrowTables(self.foreign)

    @cached_property
    def subnets(self) -> PrefixTable[None]:
        """Every subnet routed behind some machine."""
        return PrefixTable((p, None) for state in self.states for p in state.forwarding.subnets)

    def session(self, node: int, device: int, place: int) -> Session:
        """The session of a machine's device with the peer at `place` in its list."""
        key = (node, device, place)
        found = self._sessions.get(key)
        if found is None:
            own = self.states[node].devices[device]
            found = self._sessions[key] = self._derive(node, own, own.peers[place])
        return found

    def _derive(self, node: int, own: Device, peer: Peer) -> Session:
        ends = self.devices_by_key.get(peer.public_key.raw, ())
        name = self.states[node].name
        if not ends:
            return _broken(
                codes.KEY_MISMATCH, f"no machine has the key that {name} holds for {peer.name}"
            )
        machines = sorted({i for i, _ in ends})
        if len(machines) > 1:
            both = " and ".join(self.states[i].name for i in machines)
            return _broken(codes.DUPLICATE_KEY, f"{both} have the same key")
        if len(self.devices_by_key[own.public_key.raw]) > 1 and self._key_is_elsewhere(node, own):
            return _broken(codes.DUPLICATE_KEY, f"{name} shares its key with another machine")
        return self._between(node, own, peer, ends)

    def _key_is_elsewhere(self, node: int, own: Device) -> bool:
        return any(i != node for i, _ in self.devices_by_key[own.public_key.raw])

    def _between(
        self, node: int, own: Device, peer: Peer, ends: Sequence[tuple[int, int]]
    ) -> Session:
        name, other = self.states[node].name, self.states[ends[0][0]].name
        answers = [(i, d, self.peers_by_key[i][d].get(own.public_key.raw)) for i, d in ends]
        known = [(i, d, back) for i, d, back in answers if back is not None]
        if not known:
            return _broken(codes.KEY_MISMATCH, f"{other} has no peer with {name}'s key")
        # One key may be on two devices of a machine during a move: the port tells them apart.
        i, d, back = min(known, key=lambda end: not self.leads(peer.endpoint, end[0], end[1]))
        if peer.preshared_key != back.preshared_key:
            return _broken(codes.KEY_MISMATCH, f"{name} and {other} hold different preshared keys")
        dials = self.leads(peer.endpoint, i, d)
        is_dialled = self.leads(back.endpoint, node, self.states[node].devices.index(own))
        if dials or is_dialled:
            waits = not dials and back.persistent_keepalive_s is None
            return Session(i, d, back, None, order_dependent=waits)
        return self._never_dialled(name, other, peer.endpoint, back.endpoint)

    def _never_dialled(
        self, name: str, other: str, forth: Endpoint | None, back: Endpoint | None
    ) -> Session:
        if forth is None and back is None:
            return _broken(
                codes.NO_ENDPOINT, f"neither {name} nor {other} has an endpoint for the other"
            )
        dialler, target, wrong = (name, other, forth) if forth is not None else (other, name, back)
        real = self.states[self.index[target]].endpoint
        where = f"is at {real}" if real is not None else "cannot be dialled"
        return _broken(codes.WRONG_ENDPOINT, f"{dialler} dials {wrong}, but {target} {where}")

    def leads(self, endpoint: Endpoint | None, node: int, device: int) -> bool:
        """Whether dialling `endpoint` gets to that machine's device.

        A machine whose own endpoint nobody states is believed to be where others dial it.
        """
        if endpoint is None:
            return False
        state = self.states[node]
        if state.endpoint is None:
            return True
        port = state.endpoint.port if device == 0 else state.devices[device].listen_port
        return endpoint.host == state.endpoint.host and endpoint.port == port


def _broken(cause: Code, detail: str) -> Session:
    return Session(-1, -1, None, cause, detail)
