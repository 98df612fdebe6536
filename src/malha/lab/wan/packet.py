"""Reading IP packets: headers, ports, checksums. Pure; whatever arrives, nothing here raises.

Rule: a header is believed only after its lengths were checked against the bytes at hand.
Source: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768, 9293, 792 (ports, echo identifiers).
"""

from __future__ import annotations

from typing import NamedTuple

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58

ICMP_ECHO_REPLY = 0
ICMP_ECHO_REQUEST = 8
ICMP_ERROR_TYPES = frozenset({3, 4, 11, 12})
"""Unreachable, source quench, time exceeded, parameter problem. Source: RFC 792."""
ICMPV6_FIRST_INFORMATIONAL = 128
"""ICMPv6 types below are errors. Source: RFC 4443, section 2.1."""

IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
QUOTED_BYTES = 8
"""What an ICMP error quotes at least of the payload. Source: RFC 792."""


class Header(NamedTuple):
    """The part of an IP header that the WAN acts upon."""

    version: int
    size_bytes: int
    """Of the header, IPv4 options included; IPv6 extension headers not."""
    protocol: int
    """For IPv6 the first next-header field."""
    source: bytes
    destination: bytes
    dont_fragment: bool
    """Always true for IPv6: its routers never fragment."""
    fragment_offset_bytes: int
    more_fragments: bool

    @property
    def is_fragment(self) -> bool:
        """Whether the packet is a part of a bigger one."""
        return self.more_fragments or self.fragment_offset_bytes > 0


class Ports(NamedTuple):
    """The two ends of a UDP or TCP packet. An ICMP echo has its identifier on the side that
    asked, and 0 on the other, so that a NAT can treat it as a port (RFC 5508, section 3.1)."""

    source: int
    destination: int


def flow_key(packet: bytes) -> bytes:
    """Source and destination address of a packet, without a look at anything else."""
    return packet[12:20] if packet[:1] < b"\x50" else packet[8:40]


def parse_header(packet: bytes) -> Header | None:
    """Read the header of a whole packet; None when it is cut short, padded or nonsense."""
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        header = _parse_ipv4(packet)
        total_bytes = int.from_bytes(packet[2:4], "big")
        return header if header and total_bytes == len(packet) else None
    if version == 6 and len(packet) >= IPV6_HEADER_BYTES:
        payload_bytes = int.from_bytes(packet[4:6], "big")
        if payload_bytes + IPV6_HEADER_BYTES == len(packet):
            return Header(
                6, IPV6_HEADER_BYTES, packet[6], packet[8:24], packet[24:40], True, 0, False
            )
    return None


def parse_quoted_header(quoted: bytes) -> Header | None:
    """Read the IPv4 header that an ICMP error quotes: its packet is cut after 8 bytes or more."""
    header = _parse_ipv4(quoted)
    if header and len(quoted) >= header.size_bytes + QUOTED_BYTES:
        return header
    return None


def _parse_ipv4(packet: bytes) -> Header | None:
    if len(packet) < IPV4_HEADER_BYTES or packet[0] >> 4 != 4:
        return None
    size_bytes = (packet[0] & 15) * 4
    if not IPV4_HEADER_BYTES <= size_bytes <= len(packet):
        return None
    fragment = int.from_bytes(packet[6:8], "big")
    return Header(
        4,
        size_bytes,
        packet[9],
        packet[12:16],
        packet[16:20],
        bool(fragment & 0x4000),
        (fragment & 0x1FFF) * 8,
        bool(fragment & 0x2000),
    )


def read_ports(packet: bytes, header: Header) -> Ports | None:
    """The ports of an IPv4 packet's first (or only) fragment; None where it has none: other
    protocols, other ICMP, later fragments, payloads cut before the checksum field."""
    start = header.size_bytes
    if header.fragment_offset_bytes:
        return None
    if header.protocol in {UDP, TCP}:
        if len(packet) < start + (18 if header.protocol == TCP else 8):
            return None
        return Ports(
            int.from_bytes(packet[start : start + 2], "big"),
            int.from_bytes(packet[start + 2 : start + 4], "big"),
        )
    if header.protocol == ICMP and len(packet) >= start + 8:
        return _echo_ports(packet[start], int.from_bytes(packet[start + 4 : start + 6], "big"))
    return None


def read_quoted_ports(quoted: bytes, header: Header) -> Ports | None:
    """The same from 8 bytes of payload, which hold no TCP checksum."""
    start = header.size_bytes
    if header.fragment_offset_bytes == 0 and header.protocol == TCP:
        return Ports(
            int.from_bytes(quoted[start : start + 2], "big"),
            int.from_bytes(quoted[start + 2 : start + 4], "big"),
        )
    return read_ports(quoted, header)


def _echo_ports(kind: int, identifier: int) -> Ports | None:
    if kind == ICMP_ECHO_REQUEST:
        return Ports(identifier, 0)
    if kind == ICMP_ECHO_REPLY:
        return Ports(0, identifier)
    return None


def is_icmp_error(packet: bytes, header: Header) -> bool:
    """Whether a packet reports an error, which must not cause another one (RFC 1122, 3.2.2)."""
    kind = packet[header.size_bytes] if len(packet) > header.size_bytes else 0
    if header.protocol == ICMP and header.version == 4:
        return header.fragment_offset_bytes == 0 and kind in ICMP_ERROR_TYPES
    return header.protocol == ICMPV6 and kind < ICMPV6_FIRST_INFORMATIONAL


def internet_checksum(*parts: bytes) -> int:
    """The 16-bit ones' complement of the ones' complement sum. Source: RFC 1071.

    Every part but the last must have an even length.

    >>> hex(internet_checksum(bytes.fromhex("45000073000040004011") + bytes(2)
    ...     + bytes.fromhex("c0a80001c0a800c7")))
    '0xb861'
    """
    total = 0
    for part in parts:
        padded = part if len(part) % 2 == 0 else part + b"\0"
        # 2**16 = 1 modulo 65535, so the number itself is congruent to the sum of its words.
        total += int.from_bytes(padded, "big")
    if total == 0:
        return 0xFFFF
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def is_unicast(address: bytes) -> bool:
    """Whether an address could belong to a host beyond the link.

    False for multicast, IPv4 broadcast and link-local addresses: what a fresh interface says
    by itself (router solicitations, MLD) and no router forwards.
    """
    if len(address) == 4:
        return address[0] < 224 and address[:2] != b"\xa9\xfe"
    return address[0] != 0xFF and not (address[0] == 0xFE and address[1] & 0xC0 == 0x80)
