"""One wg-quick file per device of a node, that plain `wg-quick up` accepts.

The file says all that the node's state says: unowned overlay addresses are unreachable before
the device is up (nothing leaks), and a relay forwards through an nftables table of its own.
Device names are `%i`, so the file works under whatever name it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from malha.render.nftables import (
    forwarding_script,
    forwarding_settings,
    forwarding_table,
    render_forwarding,
)
from malha.wireguard.device import Forwarding, NodeState, Peer, Prefix
from malha.wireguard.keys import PrivateKey
from malha.wireguard.wg_quick import Hook, render_interface, render_peer

UNREACHABLE_METRIC = 65535
"""Larger than any metric of a real route, so that an equal prefix into a device still wins."""

PRIVATE_KEY_FILE = "/etc/wireguard/%i.key"
"""Where a node's own key is read from when it is not joined into the file."""


def render_wg_quick(
    state: NodeState, private_key: PrivateKey | None, sections: dict[int, str] | None = None
) -> str:
    """The file of the node's first device.

    `private_key` None: the file reads the key on the node, from PRIVATE_KEY_FILE.
    `sections`: a cache shared by the nodes of one overlay while their states are alive (peers
    of a mesh are the same values in every node): id of a Peer → its text.
    """
    device = state.devices[0]
    if not state.managed:
        return _render_unmanaged(state, private_key)
    comments = (f"{state.name}: written by malha; the next render replaces it",)
    # Joined here and nowhere earlier: no state that is compared or sent holds a private key.
    keyed = replace(device, private_key=private_key)
    hooks = _hooks(state.unreachable, state.forwarding, has_key=private_key is not None)
    head = render_interface(keyed, comments, hooks)
    return "\n".join((head, *_sections(device.peers, {} if sections is None else sections)))


def _render_unmanaged(state: NodeState, private_key: PrivateKey | None) -> str:
    """The file of somebody else's machine: no hooks, which phones and routers refuse."""
    comments = [f"{state.name}: written by malha for its owner"]
    if private_key is None:
        comments.append("PrivateKey = the one whose public key the overlay has")
    keyed = replace(state.devices[0], private_key=private_key)
    return "\n".join((render_interface(keyed, comments, ()), *_sections(keyed.peers, {})))


def _sections(peers: tuple[Peer, ...], known: dict[int, str]) -> list[str]:
    """The peers' texts; a node's thousand look-ups run in C, unless one is missing."""
    keys = list(map(id, peers))
    try:
        return list(map(known.__getitem__, keys))
    except KeyError:
        for key, peer in zip(keys, peers, strict=True):
            if key not in known:
                known[key] = render_peer(peer)
        return list(map(known.__getitem__, keys))


@lru_cache(maxsize=64)
def _hooks(
    unreachable: tuple[Prefix, ...], forwarding: Forwarding, *, has_key: bool
) -> tuple[Hook, ...]:
    """The commands of one kind of node; there are few kinds in a fleet of many nodes."""
    hooks: list[Hook] = []
    for prefix in unreachable:
        route = f"unreachable {prefix} metric {UNREACHABLE_METRIC}"
        hooks += [
            Hook("PreUp", f"ip -{prefix.version} route replace {route}"),
            Hook("PostDown", f"ip -{prefix.version} route del {route} 2>/dev/null || true"),
        ]
    if not has_key:
        hooks.append(Hook("PostUp", f"wg set %i private-key {PRIVATE_KEY_FILE}"))
    if forwarding != Forwarding():
        this = ("%i",)
        relay = NodeState("", (), forwarding=forwarding)
        rules = " ".join(_one_line(render_forwarding(relay, devices=this)))
        settings = forwarding_settings(relay, devices=this)
        hooks += [
            # The filter stands before forwarding is switched on, and goes after the device.
            Hook("PreUp", f"nft '{rules}'"),
            *(Hook("PostUp", line) for line in forwarding_script(settings)),
            Hook("PostDown", f"nft delete table {forwarding_table(this)} 2>/dev/null || true"),
        ]
    return tuple(hooks)


def _one_line(rules: str) -> Iterator[str]:
    """The same rules with `;` for line ends: a hook is one line."""
    for line in rules.splitlines():
        text = line.strip()
        yield text if text.endswith(("{", ";")) else f"{text};"


def render_all(
    states: Mapping[str, NodeState], private_keys: Mapping[str, PrivateKey]
) -> Iterator[tuple[str, str]]:
    """(node name, file text) of every managed and unmanaged node, in the states' order."""
    sections: dict[int, str] = {}
    for name, state in states.items():
        yield name, render_wg_quick(state, private_keys.get(name), sections)
