"""Changing an IPv4 packet: new address and port at one end, with all checksums kept right.

Rule: checksums are updated, never recomputed, so that a packet that was corrupt stays corrupt.
Source: RFC 1624 (incremental update), RFC 5508 section 4 (what ICMP errors quote).
"""

from __future__ import annotations

from enum import Enum

from malha.lab.wan.packet import (
    ICMP,
    TCP,
    UDP,
    Header,
    Ports,
    internet_checksum,
    parse_quoted_header,
    read_quoted_ports,
)


class End(Enum):
    """Which end of a packet: its value is the offset of the address in the IPv4 header."""

    SOURCE = 12
    DESTINATION = 16


_IP_CHECKSUM_AT = 10
_CHECKSUM_AT = {UDP: 6, TCP: 16, ICMP: 2}
_ICMP_IDENTIFIER_AT = 4
_ICMP_HEADER_BYTES = 8


def rewrite_end(packet: bytes, header: Header, end: End, address: bytes, port: int) -> bytes:
    """A copy of a packet for which `read_ports` gave an answer, with one end replaced.

    For an ICMP echo the port is the identifier.
    """
    rewritten = bytearray(packet)
    _replace_end(rewritten, 0, header, end, address=address, port=port)
    return bytes(rewritten)


def rewrite_address(packet: bytes, end: End, address: bytes) -> bytes:
    """The same for a later fragment, which carries no ports and no transport checksum."""
    rewritten = bytearray(packet)
    _replace_address(rewritten, 0, end, address)
    return bytes(rewritten)


def rewrite_error(
    packet: bytes, header: Header, end: End, address: bytes, quoted_port: int
) -> bytes:
    """An ICMP error with one end replaced, and the *opposite* end of the packet it quotes:
    the error travels against the packet that caused it."""
    rewritten = bytearray(packet)
    _replace_address(rewritten, 0, end, address)
    start = header.size_bytes + _ICMP_HEADER_BYTES
    quoted = parse_quoted_header(packet[start:])
    if quoted:
        opposite = End.DESTINATION if end is End.SOURCE else End.SOURCE
        _replace_end(rewritten, start, quoted, opposite, address=address, port=quoted_port)
    checksum_at = header.size_bytes + _CHECKSUM_AT[ICMP]
    rewritten[checksum_at : checksum_at + 2] = bytes(2)
    checksum = internet_checksum(bytes(rewritten[header.size_bytes :]))
    rewritten[checksum_at : checksum_at + 2] = checksum.to_bytes(2, "big")
    return bytes(rewritten)


def read_quoted_flow(packet: bytes, header: Header) -> tuple[Header, Ports] | None:
    """The header and the ports of the packet that an ICMP error quotes, where it has them."""
    quoted_packet = packet[header.size_bytes + _ICMP_HEADER_BYTES :]
    quoted = parse_quoted_header(quoted_packet)
    ports = read_quoted_ports(quoted_packet, quoted) if quoted else None
    return (quoted, ports) if quoted and ports else None


def _replace_end(  # noqa: PLR0913 - where, and what comes there: one fact
    packet: bytearray, start: int, header: Header, end: End, *, address: bytes, port: int
) -> None:
    old = packet[start + end.value : start + end.value + 4]
    _replace_address(packet, start, end, address)
    payload = start + header.size_bytes
    if header.protocol == ICMP:
        # ICMP's checksum covers no addresses: only the identifier changes it.
        port_at, old, address = payload + _ICMP_IDENTIFIER_AT, bytearray(), b""
    else:
        port_at = payload + (0 if end is End.SOURCE else 2)
    old += packet[port_at : port_at + 2]
    new = address + port.to_bytes(2, "big")
    packet[port_at : port_at + 2] = port.to_bytes(2, "big")
    checksum_at = payload + _CHECKSUM_AT[header.protocol]
    if header.protocol == UDP and packet[checksum_at : checksum_at + 2] == b"\0\0":
        return  # The sender chose not to have one. Source: RFC 768.
    _update_checksum(packet, checksum_at, old, new)
    if header.protocol == UDP and packet[checksum_at : checksum_at + 2] == b"\0\0":
        packet[checksum_at : checksum_at + 2] = b"\xff\xff"


def _replace_address(packet: bytearray, start: int, end: End, address: bytes) -> None:
    at = start + end.value
    old = packet[at : at + 4]
    packet[at : at + 4] = address
    _update_checksum(packet, start + _IP_CHECKSUM_AT, old, address)


def _update_checksum(packet: bytearray, at: int, old: bytearray, new: bytes) -> None:
    """Account for `old` becoming `new`, both of even length (RFC 1624, equation 3)."""
    if len(packet) < at + 2:
        return  # A quoted TCP header may end before its checksum.
    checksum = int.from_bytes(packet[at : at + 2], "big")
    # HC' = ~(~HC + ~m + m'), modulo 65535; the sum of words is congruent to the number itself.
    total = (0xFFFF - checksum) + int.from_bytes(new, "big") - int.from_bytes(old, "big")
    # Headers are never all zero, so a sum congruent to 0 is 0xFFFF and its complement 0.
    packet[at : at + 2] = (0xFFFF - (total % 0xFFFF or 0xFFFF)).to_bytes(2, "big")
