"""WireGuard's cross-platform configuration protocol: Device to `set=1` text, `get=1` text back.

Rules (each cost somebody a network):
- allowed IPs are always replaced, never appended;
- an absent preshared key or keepalive is written as "none", because leaving it out keeps the old;
- an endpoint is a literal address here: the protocol resolves no names.

Source: https://www.wireguard.com/xplatform/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network

from malha.wireguard.device import Device, Peer
from malha.wireguard.endpoint import Endpoint, parse_endpoint
from malha.wireguard.keys import KEY_BYTES, PresharedKey, PrivateKey, PublicKey

GET = "get=1\n\n"
_NO_KEY = bytes(KEY_BYTES)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What a running device has learned about one peer."""

    latest_handshake_at: datetime | None
    """UTC; None: never."""
    rx_bytes: int
    tx_bytes: int
    endpoint: Endpoint | None
    """Where the peer's last authentic packet came from, or where it is configured to be."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One running device as it was read: its configuration, and what it learned."""

    device: Device
    facts: Mapping[PublicKey, PeerFacts]


def render_set(device: Device) -> str:
    """Write the message that makes a device exactly this, all other peers removed.

    Raises:
        ValueError: when an endpoint is a name.
    """
    lines = ["set=1"]
    if device.private_key is not None:
        lines.append(f"private_key={device.private_key.raw.hex()}")
    if device.listen_port is not None:
        lines.append(f"listen_port={device.listen_port}")
    lines.append("replace_peers=true")
    for peer in device.peers:
        lines.extend(peer_lines(peer))
    return message(lines)


def message(lines: list[str]) -> str:
    """Join lines to one message, ended by the empty line that the protocol asks for."""
    return "\n".join(lines) + "\n\n"


def peer_lines(peer: Peer) -> Iterator[str]:
    """Write everything about one peer."""
    yield f"public_key={peer.public_key.raw.hex()}"
    yield preshared_key_line(peer.preshared_key)
    if peer.endpoint is not None:
        yield endpoint_line(peer.endpoint)
    yield keepalive_line(peer.persistent_keepalive_s)
    yield from allowed_ips_lines(peer)


def preshared_key_line(key: PresharedKey | None) -> str:
    """Write a preshared key; 32 zero bytes clear it."""
    return f"preshared_key={(key.raw if key else _NO_KEY).hex()}"


def keepalive_line(interval_s: int | None) -> str:
    """Write a keepalive interval in seconds; 0 clears it."""
    return f"persistent_keepalive_interval={interval_s or 0}"


def endpoint_line(endpoint: Endpoint) -> str:
    """Write an endpoint.

    Raises:
        ValueError: when its host is a name.
    """
    if endpoint.family is None:
        raise ValueError(f"{endpoint.host} is a name: resolve it before configuring a device")
    return f"endpoint={endpoint}"


def allowed_ips_lines(peer: Peer) -> Iterator[str]:
    """Write a peer's allowed IPs, replacing what it has."""
    yield "replace_allowed_ips=true"
    for prefix in peer.allowed_ips:
        yield f"allowed_ip={prefix}"


def parse_get(
    text: str, *, name: str, public_key: PublicKey, names: Mapping[PublicKey, str] | None = None
) -> Observation:
    """Read a device's answer to `get=1`.

    The protocol knows neither the device's name nor its public key, addresses, routes and MTU:
    the first two are given, the others stay empty. `names` gives peers their node names.

    Raises:
        ValueError: when the device answered with an error, or with something else.
    """
    own, *peers = _split(text)
    observed = [_parse_peer(fields, names or {}) for fields in peers]
    device = Device(
        name=name,
        public_key=public_key,
        private_key=PrivateKey(bytes.fromhex(own["private_key"][0]))
        if "private_key" in own
        else None,
        addresses=(),
        routes=(),
        listen_port=int(own["listen_port"][0]) if "listen_port" in own else None,
        peers=tuple(peer for peer, _ in observed),
    )
    return Observation(device, {peer.public_key: facts for peer, facts in observed})


_Fields = dict[str, list[str]]


def _split(text: str) -> list[_Fields]:
    """Split an answer into the device's own fields and each peer's."""
    sections: list[_Fields] = [{}]
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if line and not equals:
            raise ValueError("a device's answer has a line without '='")
        if key == "errno" and value != "0":
            raise ValueError(f"the device answered with error {value}")
        if key == "public_key":
            sections.append({})
        if line:
            sections[-1].setdefault(key, []).append(value)
    return sections


def _parse_peer(fields: _Fields, names: Mapping[PublicKey, str]) -> tuple[Peer, PeerFacts]:
    key = PublicKey(bytes.fromhex(fields["public_key"][0]))
    preshared = bytes.fromhex(_first(fields, "preshared_key", _NO_KEY.hex()))
    endpoint = parse_endpoint(fields["endpoint"][0]) if "endpoint" in fields else None
    peer = Peer(
        name=names.get(key, ""),
        public_key=key,
        allowed_ips=tuple(
            sorted(map(ip_network, fields.get("allowed_ip", [])), key=lambda p: (p.version, p))
        ),
        endpoint=endpoint,
        persistent_keepalive_s=int(_first(fields, "persistent_keepalive_interval", "0")) or None,
        preshared_key=None if preshared == _NO_KEY else PresharedKey(preshared),
    )
    facts = PeerFacts(
        latest_handshake_at=_parse_instant(fields),
        rx_bytes=int(_first(fields, "rx_bytes", "0")),
        tx_bytes=int(_first(fields, "tx_bytes", "0")),
        endpoint=endpoint,
    )
    return peer, facts


def _first(fields: _Fields, key: str, absent: str) -> str:
    return fields.get(key, [absent])[0]


def _parse_instant(fields: _Fields) -> datetime | None:
    seconds = int(_first(fields, "last_handshake_time_sec", "0"))
    nanoseconds = int(_first(fields, "last_handshake_time_nsec", "0"))
    if seconds == nanoseconds == 0:
        return None
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
