"""The least that a device must be told for a change. Nothing that stays is repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from malha.changes.model import (
    AllowedIpsChanged,
    Change,
    EndpointChanged,
    KeepaliveChanged,
    KeyChanged,
    ListenPortChanged,
    PeerAdded,
    PeerRemoved,
    PresharedKeyChanged,
)
from malha.wireguard.keys import PublicKey
from malha.wireguard.uapi import (
    endpoint_line,
    keepalive_line,
    message,
    peer_lines,
    preshared_key_line,
)


def render_changes(changes: Iterable[Change]) -> str:
    """Write the changes of one device as one `set=1` message; empty when it need not be told.

    Raises:
        ValueError: when an endpoint is a name.
    """
    changes = list(changes)
    # The device's own keys come first in a message, whatever their place among the changes.
    own = [line for change in changes for line in _device_lines(change)]
    peers = [line for change in changes for line in _peer_change_lines(change)]
    return message(["set=1", *own, *peers]) if own or peers else ""


def _device_lines(change: Change) -> Iterator[str]:
    if isinstance(change, KeyChanged) and change.new_private_key is not None:
        yield f"private_key={change.new_private_key.raw.hex()}"
    if isinstance(change, ListenPortChanged) and change.new is not None:
        yield f"listen_port={change.new}"


def _peer_change_lines(change: Change) -> Iterator[str]:
    match change:
        case PeerAdded():
            yield from peer_lines(change.peer)
        case PeerRemoved():
            yield f"public_key={change.peer.public_key.raw.hex()}"
            yield "remove=true"
        case EndpointChanged(new=endpoint) if endpoint is not None:
            yield from _existing(change.public_key)
            yield endpoint_line(endpoint)
        case KeepaliveChanged():
            yield from _existing(change.public_key)
            yield keepalive_line(change.new)
        case PresharedKeyChanged():
            yield from _existing(change.public_key)
            yield preshared_key_line(change.new)
        case AllowedIpsChanged():
            yield from _existing(change.public_key)
            yield "replace_allowed_ips=true"
            yield from (f"allowed_ip={prefix}" for prefix in change.new)


def _existing(key: PublicKey) -> Iterator[str]:
    """Address a peer without making it, should it have gone in the meantime."""
    yield f"public_key={key.raw.hex()}"
    yield "update_only=true"
