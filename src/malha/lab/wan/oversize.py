"""A packet bigger than the path: what the router before the narrow link does with it.

IPv4 without DF is fragmented. IPv4 with DF, and IPv6, comes back as an ICMP error if the path
is honest, and vanishes if it is a black hole (RFC 2923, section 2.1).
"""

from __future__ import annotations

from malha.lab.wan.packet import (
    ICMP,
    ICMPV6,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    Header,
    internet_checksum,
    is_icmp_error,
)

ROUTER_IPV4 = bytes([192, 0, 0, 8])
"""Where the WAN's ICMP errors come from: the IPv4 dummy address (RFC 7600), never a host's."""
ROUTER_IPV6 = bytes.fromhex("0100") + bytes(13) + b"\x01"
"""The same for IPv6: in 100::/64, discard-only (RFC 6666)."""

_TTL = 64
_UNREACHABLE, _FRAGMENTATION_NEEDED = 3, 4
_ICMPV6_PACKET_TOO_BIG = 2
_MAX_IPV4_ERROR_BYTES = 576
"""Source: RFC 1812, section 4.3.2.3."""
_MAX_IPV6_ERROR_BYTES = 1280
"""Source: RFC 4443, section 2.4 (c)."""
_MORE_FRAGMENTS = 0x2000


def build_too_big(packet: bytes, header: Header, mtu_bytes: int) -> bytes | None:
    """The ICMP error that tells the sender `mtu_bytes`; None when the packet is an error itself."""
    if is_icmp_error(packet, header) or header.fragment_offset_bytes:
        return None
    if header.version == 4:
        return _build_fragmentation_needed(packet, header, mtu_bytes)
    return _build_packet_too_big(packet, header, mtu_bytes)


def _build_fragmentation_needed(packet: bytes, header: Header, mtu_bytes: int) -> bytes:
    """Source: RFC 1191, section 4."""
    quoted = packet[: _MAX_IPV4_ERROR_BYTES - IPV4_HEADER_BYTES - 8]
    kind = bytes([_UNREACHABLE, _FRAGMENTATION_NEEDED])
    rest = bytes(2) + mtu_bytes.to_bytes(2, "big")
    checksum = internet_checksum(kind, rest, quoted).to_bytes(2, "big")
    body = kind + checksum + rest + quoted
    return _build_ipv4_header(len(body), header.source) + body


def _build_ipv4_header(payload_bytes: int, destination: bytes) -> bytes:
    start = (
        b"\x45\0"
        + (IPV4_HEADER_BYTES + payload_bytes).to_bytes(2, "big")
        + bytes(4)
        + bytes([_TTL, ICMP])
    )
    end = ROUTER_IPV4 + destination
    return start + internet_checksum(start, end).to_bytes(2, "big") + end


def _build_packet_too_big(packet: bytes, header: Header, mtu_bytes: int) -> bytes:
    """Source: RFC 4443, section 3.2; the pseudo-header of its checksum: RFC 8200, 8.1."""
    quoted = packet[: _MAX_IPV6_ERROR_BYTES - IPV6_HEADER_BYTES - 8]
    kind = bytes([_ICMPV6_PACKET_TOO_BIG, 0])
    rest = mtu_bytes.to_bytes(4, "big")
    payload_bytes = 8 + len(quoted)
    ends = ROUTER_IPV6 + header.source
    pseudo = ends + payload_bytes.to_bytes(4, "big") + bytes([0, 0, 0, ICMPV6])
    checksum = internet_checksum(pseudo, kind, rest, quoted).to_bytes(2, "big")
    length = payload_bytes.to_bytes(2, "big")
    start = b"\x60\0\0\0" + length + bytes([ICMPV6, _TTL])
    return start + ends + kind + checksum + rest + quoted


def fragment(packet: bytes, header: Header, mtu_bytes: int) -> list[bytes]:
    """The pieces, in order, of an IPv4 packet that may be fragmented; each fits `mtu_bytes`.

    IP options are copied into every piece: nothing in a lab reads them.
    Source: RFC 791, section 3.2.
    """
    payload = packet[header.size_bytes :]
    # Offsets count in eights, so every piece but the last holds a multiple of 8 bytes.
    piece_bytes = (mtu_bytes - header.size_bytes) // 8 * 8
    return [
        _build_fragment(packet, header, at, payload[at : at + piece_bytes])
        for at in range(0, len(payload), piece_bytes)
    ]


def _build_fragment(packet: bytes, header: Header, at: int, piece: bytes) -> bytes:
    ends_packet = header.size_bytes + at + len(piece) == len(packet)
    more = 0 if ends_packet and not header.more_fragments else _MORE_FRAGMENTS
    built = bytearray(packet[: header.size_bytes])
    built[2:4] = (header.size_bytes + len(piece)).to_bytes(2, "big")
    built[6:8] = (more | (header.fragment_offset_bytes + at) // 8).to_bytes(2, "big")
    built[10:12] = bytes(2)
    built[10:12] = internet_checksum(bytes(built)).to_bytes(2, "big")
    return bytes(built) + piece
