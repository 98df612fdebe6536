"""From the declared overlay to what each machine is to carry: the one pure function all use.

Files, SSH, an agent and the lab all take a node's state from here, so none of them can differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from malha.overlay.model import Node, Overlay
from malha.topology.allowed_ips import (
    AddressPlan,
    NextHops,
    fewest,
    next_hops_of,
    plan_addresses,
)
from malha.topology.links import Links, derive_links
from malha.topology.paths import Paths, derive_paths
from malha.topology.weights import Weights, derive_weights
from malha.wireguard.device import (
    DEFAULT_DEVICE,
    Device,
    Forwarding,
    NodeState,
    Peer,
    Prefix,
    prefix_order,
)
from malha.wireguard.keys import PublicKey

DEFAULT_ROUTES: dict[int, Prefix] = {
    4: ipaddress.ip_network("0.0.0.0/0"),
    6: ipaddress.ip_network("::/0"),
}


class MissingKeyError(ValueError):
    """Nodes without a public key cannot be compiled; `names` lists them in declared order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"no public key: {', '.join(names)}")
        self.names = names


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that compilation decides about packets, before it becomes devices."""

    links: Links
    weights: Weights
    paths: Paths


def derive_routing(overlay: Overlay) -> Routing:
    """Decide links, weights and paths of the overlay."""
    links = derive_links(overlay)
    weights = derive_weights(overlay, links)
    return Routing(links, weights, derive_paths(overlay, links, weights))


def compile_overlay(overlay: Overlay) -> dict[str, NodeState]:
    """Every node's declared state, by name, in declared order; private keys are not joined yet.

    Raises:
        MissingKeyError: when nodes have no public key.
    """
    keyless = tuple(node.name for node in overlay.nodes if node.public_key is None)
    if keyless:
        raise MissingKeyError(keyless)
    return _Compilation(overlay, derive_routing(overlay)).states()


PeersAndRoutes = tuple[tuple[Peer, ...], tuple[Prefix, ...]]


class _Mesh:
    """What nodes that are all linked to each other have in common: everything but themselves."""

    def __init__(
        self, hops: Sequence[int], peers: tuple[Peer, ...], routes: tuple[Prefix, ...]
    ) -> None:
        self.peers, self.routes = peers, routes
        self._place_of_hop = {hop: place for place, hop in enumerate(hops)}
        self._place_of_route = {id(route): place for place, route in enumerate(routes)}

    def without(self, hop: int, own: Sequence[Prefix]) -> PeersAndRoutes:
        """All but the peer that one node would be to itself, and the routes to it."""
        place, routes = self._place_of_hop[hop], self.routes
        for at in sorted((self._place_of_route[id(prefix)] for prefix in own), reverse=True):
            routes = routes[:at] + routes[at + 1 :]
        return self.peers[:place] + self.peers[place + 1 :], routes


@dataclass
class _Compilation:
    """One run; equal parts are made once and shared, which keeps 1,000 full-mesh nodes quick."""

    overlay: Overlay
    routing: Routing
    plan: AddressPlan = field(init=False)
    _plain: dict[int | None, list[Peer]] = field(default_factory=dict)
    """keepalive → for each node the peer that gets exactly its own addresses."""
    _by_point: dict[tuple[int, int | None], PeersAndRoutes] = field(default_factory=dict)
    _meshes: dict[tuple[int, int | None, frozenset[int]], _Mesh] = field(default_factory=dict)
    _ranked: list[Prefix] = field(default_factory=list)
    """All nodes' own prefixes in order: sorting small integers instead of prefixes is what
    keeps 1,000 times 999 routes under a second."""
    _ranks: list[list[int]] = field(default_factory=list)
    """For each node the places of its own prefixes in `_ranked`."""

    def __post_init__(self) -> None:
        self.plan = plan_addresses(self.overlay, self.routing.paths)
        own = [
            (prefix_order(p), i, p) for i, prefixes in enumerate(self.plan.own) for p in prefixes
        ]
        own.sort(key=lambda entry: entry[:2])
        self._ranks = [[] for _ in self.plan.own]
        for rank, (_, i, prefix) in enumerate(own):
            self._ranked.append(prefix)
            self._ranks[i].append(rank)

    def states(self) -> dict[str, NodeState]:
        return {node.name: self._state(i, node) for i, node in enumerate(self.overlay.nodes)}

    def _state(self, i: int, node: Node) -> NodeState:
        peers, routes = self._peers_and_routes(i, node)
        return NodeState(
            name=node.name,
            devices=(self._device(node, peers, routes),),
            unreachable=self.overlay.prefixes,
            forwarding=self._forwarding(i, node),
            endpoint=node.endpoint,
            managed=node.managed,
        )

    def _device(self, node: Node, peers: tuple[Peer, ...], routes: tuple[Prefix, ...]) -> Device:
        defaults = self.overlay.defaults
        listens = node.listen_port
        if listens is None and node.is_dialable:
            listens = defaults.listen_port
        return Device(
            name=DEFAULT_DEVICE,
            public_key=_key(node),
            addresses=tuple(ipaddress.ip_interface(address) for address in node.addresses),
            peers=peers,
            routes=routes,
            mtu=defaults.mtu if node.mtu is None else node.mtu,
            listen_port=listens,
        )

    def _peers_and_routes(self, i: int, node: Node) -> PeersAndRoutes:
        interval_s = self._keepalive_s(node)
        paths = self.routing.paths
        if node.via_exit is not None:
            hops, _ = next_hops_of(self.plan, paths, i)
            return self._make(self._with_exit(hops, node.via_exit), interval_s)
        if paths.direct[i]:
            return self._mesh_of(i, interval_s).without(i, self.plan.own[i])
        # What members of a point may still not share is their keepalive.
        shared = (paths.points.point_of[i], interval_s)
        if shared in self._by_point:
            return self._by_point[shared]
        hops, is_shared = next_hops_of(self.plan, paths, i)
        made = self._make(hops, interval_s)
        if is_shared:
            self._by_point[shared] = made
        return made

    def _mesh_of(self, i: int, interval_s: int | None) -> _Mesh:
        """The peers and routes of the nodes that node `i` is directly linked to as they are to
        each other, itself included: `next_hops_of` asks of a node only its point and this set."""
        paths = self.routing.paths
        members = paths.direct[i] | {i}
        key = (paths.points.point_of[i], interval_s, members)
        if key not in self._meshes:
            hops, _ = next_hops_of(self.plan, paths, i)
            hops[i] = self.plan.own[i]
            self._meshes[key] = _Mesh(sorted(hops), *self._make(hops, interval_s))
        return self._meshes[key]

    def _make(self, hops: NextHops, interval_s: int | None) -> PeersAndRoutes:
        plain, own, order = self._plain_peers(interval_s), self.plan.own, sorted(hops)
        if all(hops[hop] is own[hop] for hop in order):
            ranks = [rank for hop in order for rank in self._ranks[hop]]
            ranks.sort()
            return tuple([plain[hop] for hop in order]), tuple([self._ranked[r] for r in ranks])
        peers = tuple(
            plain[hop] if hops[hop] is own[hop] else self._peer(hop, hops[hop], interval_s)
            for hop in order
        )
        routes = [prefix for peer in peers for prefix in peer.allowed_ips]
        return peers, tuple(sorted(routes, key=prefix_order))

    def _plain_peers(self, interval_s: int | None) -> list[Peer]:
        if interval_s not in self._plain:
            self._plain[interval_s] = [
                self._peer(i, own, interval_s) for i, own in enumerate(self.plan.own)
            ]
        return self._plain[interval_s]

    def _peer(self, hop: int, prefixes: Sequence[Prefix], interval_s: int | None) -> Peer:
        other, own = self.overlay.nodes[hop], self.plan.own[hop]
        return Peer(
            name=other.name,
            public_key=_key(other),
            allowed_ips=own if prefixes is own else fewest(prefixes),
            endpoint=other.endpoint,
            # Keepalives are for the side that nobody can dial, towards one that can be dialled.
            persistent_keepalive_s=interval_s if other.is_dialable else None,
        )

    def _keepalive_s(self, node: Node) -> int | None:
        if node.is_dialable:
            return None
        declared = node.persistent_keepalive_s
        return (
            self.overlay.defaults.persistent_keepalive_s if declared is None else declared
        ) or None

    def _with_exit(self, hops: NextHops, exit_name: str) -> NextHops:
        hop = next(i for i, node in enumerate(self.overlay.nodes) if node.name == exit_name)
        defaults = [DEFAULT_ROUTES[family] for family in self.overlay.families]
        # The subnets that default routes cover stay: another peer's longer prefix must not win
        # over what this pair's path says.
        return {**hops, hop: [*hops.get(hop, ()), *defaults]}

    def _forwarding(self, i: int, node: Node) -> Forwarding:
        families = self.overlay.families
        return Forwarding(
            families=families if i in self.routing.links.relays else (),
            subnets=fewest(self.plan.routed[i]),
            exit_families=families if node.is_exit else (),
        )


def _key(node: Node) -> PublicKey:
    if node.public_key is None:  # compile_overlay has refused such overlays already
        raise MissingKeyError((node.name,))
    return node.public_key
