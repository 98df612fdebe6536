"""A machine's tables for a few addresses only: those of its prefixes that hold one of them.

In a mesh every machine has a thousand prefixes, and they are the same values as its neighbours';
so each value is asked once whether it holds one of the addresses, and a machine's are sifted in C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Generic, TypeVar

from malha.proof.lookup import PrefixTable
from malha.wireguard.device import Address, Device, NodeState, Peer, Prefix

T = TypeVar("T")


class _Sieve(Generic[T]):
    """Remembers by identity which values pass; the world keeps them alive."""

    def __init__(self, passes: Callable[[T], bool]) -> None:
        self._passes = passes
        self._known: dict[int, bool] = {}

    def places(self, values: Sequence[T]) -> list[int]:
        """Places of the values that pass, ascending."""
        known = self._known
        try:
            return list(compress(range(len(values)), map(known.__getitem__, map(id, values))))
        except KeyError:
            known.update((id(v), self._passes(v)) for v in values if id(v) not in known)
            return self.places(values)


class NarrowTables:
    """Answers what the whole tables answer, for these addresses."""

    def __init__(self, addresses: frozenset[Address]) -> None:
        self._addresses = tuple(addresses)
        self._prefixes = _Sieve(self._holds_one)
        self._peers: _Sieve[Peer] = _Sieve(lambda peer: any(map(self._holds_one, peer.allowed_ips)))

    def _holds_one(self, prefix: Prefix) -> bool:
        return any(address in prefix for address in self._addresses)

    def kernel_routes(self, state: NodeState) -> PrefixTable[int | None]:
        """As `World.kernel_routes`."""
        return PrefixTable(route_entries(state, self._routes))

    def _routes(self, device: Device) -> Sequence[Prefix]:
        return [device.routes[place] for place in self._prefixes.places(device.routes)]

    def allowed_ips(self, peers: Sequence[Peer]) -> PrefixTable[int]:
        """As `World.allowed_ips`."""
        places = self._peers.places(peers)
        return PrefixTable(
            (prefix, place) for place in places for prefix in peers[place].allowed_ips
        )


def route_entries(
    state: NodeState, routes_of: Callable[[Device], Sequence[Prefix]]
) -> list[tuple[Prefix, int | None]]:
    """A machine's kernel routes, prefix → device, the ones that win over equal prefixes last."""
    entries: list[tuple[Prefix, int | None]] = [(p, None) for p in state.unreachable]
    for d, device in enumerate(state.devices):
        entries += [(interface.network, d) for interface in device.addresses]
        entries += [(prefix, d) for prefix in routes_of(device)]
    return entries
