"""Keys for the lab: made in memory for one run, never written, never the operator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from malha.overlay.model import Overlay
from malha.secrets.keys import derive_public_key, make_private_key
from malha.wireguard.device import NodeState
from malha.wireguard.keys import PrivateKey


def new_private_keys(names: Iterable[str]) -> dict[str, PrivateKey]:
    """Make a fresh key for each name."""
    return {name: make_private_key() for name in names}


def with_lab_keys(overlay: Overlay, keys: Mapping[str, PrivateKey]) -> Overlay:
    """Replace every node's declared public key by its lab key's."""
    nodes = tuple(
        replace(node, public_key=derive_public_key(keys[node.name])) for node in overlay.nodes
    )
    return replace(overlay, nodes=nodes)


def join_private_keys(
    states: Mapping[str, NodeState], keys: Mapping[str, PrivateKey]
) -> dict[str, NodeState]:
    """Give every device of every node the node's private key."""
    return {name: _join(state, keys[name]) for name, state in states.items()}


def _join(state: NodeState, key: PrivateKey) -> NodeState:
    devices = tuple(replace(device, private_key=key) for device in state.devices)
    return replace(state, devices=devices)
