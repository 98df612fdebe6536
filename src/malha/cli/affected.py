"""Which nodes must get a new configuration when one overlay becomes another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from malha.overlay.model import Overlay
from malha.topology.compile import compile_overlay
from malha.wireguard.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Affected:
    """Nodes by what a change of the overlay means for them, each in declared order."""

    change: tuple[str, ...]
    """Nodes that are in both overlays and get another state."""
    by_owner: tuple[str, ...]
    """Those among `change` that malha does not manage: their owners must change them."""
    unchanged: int
    """How many nodes stay as they are."""


def affected_nodes(before: Overlay, after: Overlay) -> Affected:
    """Compare every node's compiled state; nodes of only one of the overlays are not counted."""
    old, new = compile_overlay(_with_keys(before)), compile_overlay(_with_keys(after))
    both = [node for node in after.nodes if node.name in old]
    change = [node for node in both if old[node.name] != new[node.name]]
    return Affected(
        tuple(node.name for node in change),
        tuple(node.name for node in change if not node.managed),
        len(both) - len(change),
    )


def _with_keys(overlay: Overlay) -> Overlay:
    """Give keyless nodes a stand-in, the same in both overlays: only the comparison sees it."""
    nodes = (
        node if node.public_key else replace(node, public_key=_stand_in(node.name))
        for node in overlay.nodes
    )
    return replace(overlay, nodes=tuple(nodes))


def _stand_in(name: str) -> PublicKey:
    return PublicKey(hashlib.sha256(f"stand-in for {name}".encode()).digest())
