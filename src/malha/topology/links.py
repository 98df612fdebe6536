"""Which pairs may talk directly: the topology's pairs, plus added, minus forbidden ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from malha.overlay.model import Node, Overlay, Role, Topology


@dataclass(frozen=True, slots=True)
class Links:
    """Permitted links as neighbours by node index (the overlay's order)."""

    relays: tuple[int, ...]
    """Nodes that forward for others, best rank first: hubs as declared, then pops."""
    neighbours: tuple[tuple[int, ...], ...]
    """For each node the nodes it is linked to, ascending."""

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each link once, as (lower index, higher index), ascending."""
        for a, others in enumerate(self.neighbours):
            for b in others:
                if a < b:
                    yield a, b


def relay_indexes(overlay: Overlay) -> tuple[int, ...]:
    """Nodes that relay: hubs in declared order, then pops unless the topology is `hub`.

    A pop in topology `hub` has links to hubs only, so it has nothing to relay.
    """
    hubs = [i for i, node in enumerate(overlay.nodes) if node.role is Role.HUB]
    if overlay.topology is Topology.HUB:
        return tuple(hubs)
    pops = [i for i, node in enumerate(overlay.nodes) if node.role is Role.POP]
    return tuple(hubs + pops)


def derive_links(overlay: Overlay) -> Links:
    """Find every permitted link of the overlay."""
    if overlay.topology is Topology.FULL:
        sets = _full_links(overlay.nodes)
    else:
        sets = _relayed_links(overlay)
    index = {node.name: i for i, node in enumerate(overlay.nodes)}
    for a, b in overlay.links.added + overlay.links.pinned:
        sets[index[a]].add(index[b])
        sets[index[b]].add(index[a])
    for a, b in overlay.links.forbidden:
        sets[index[a]].discard(index[b])
        sets[index[b]].discard(index[a])
    return Links(relay_indexes(overlay), tuple(tuple(sorted(found)) for found in sets))


def _full_links(nodes: tuple[Node, ...]) -> list[set[int]]:
    everyone = set(range(len(nodes)))
    dialable = {i for i in everyone if nodes[i].is_dialable}
    # Copies of one set: quicker to make than a thousand sets from ranges.
    sets = [(everyone if node.is_dialable else dialable).copy() for node in nodes]
    for i, found in enumerate(sets):
        found.discard(i)
    return sets


def _relayed_links(overlay: Overlay) -> list[set[int]]:
    nodes = overlay.nodes
    sets: list[set[int]] = [set() for _ in nodes]
    for relay in relay_indexes(overlay):
        for other in _linked_to_relay(overlay, nodes[relay]):
            if other != relay:
                sets[relay].add(other)
                sets[other].add(relay)
    return sets


def _linked_to_relay(overlay: Overlay, relay: Node) -> list[int]:
    if relay.role is Role.HUB:
        return list(range(len(overlay.nodes)))
    served = set(relay.serves)
    return [
        i for i, node in enumerate(overlay.nodes) if node.region in served or node.role is Role.POP
    ]


def permitted_links(overlay: Overlay) -> tuple[tuple[str, str], ...]:
    """Each permitted link once, as (earlier-declared name, later-declared name)."""
    nodes = overlay.nodes
    return tuple((nodes[a].name, nodes[b].name) for a, b in derive_links(overlay).pairs())
