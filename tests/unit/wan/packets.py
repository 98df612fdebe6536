"""Packets for the tests of the WAN, and slow, obvious checks of them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

UDP, TCP, ICMP = 17, 6, 1


def naive_sum(raw: bytes) -> int:
    """RFC 1071, word by word: 0xFFFF for anything that holds its own right checksum."""
    raw += b"\0" * (len(raw) % 2)
    total = 0
    for (word,) in struct.iter_unpack("!H", raw):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def with_checksum(raw: bytes, at: int, prefix: bytes = b"") -> bytes:
    checksum = 0xFFFF - naive_sum(prefix + raw)
    return raw[:at] + checksum.to_bytes(2, "big") + raw[at + 2 :]


def pseudo_header(source: bytes, destination: bytes, protocol: int, size: int) -> bytes:
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, size)
    return source + destination + struct.pack("!II", size, protocol)


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    flags_and_offset: int = 0x4000,
    identification: int = 7,
    options: bytes = b"",
) -> bytes:
    size = 20 + len(options)
    header = (
        struct.pack(
            "!BBHHHBBH",
            0x40 | size // 4,
            0,
            size + len(payload),
            identification,
            flags_and_offset,
            64,
            protocol,
            0,
        )
        + ip_address(source).packed
        + ip_address(destination).packed
        + options
    )
    return with_checksum(header, 10) + payload


def udp(
    source: tuple[str, int],
    destination: tuple[str, int],
    body: bytes = b"hello",
    *,
    checksum: bool = True,
    flags_and_offset: int = 0x4000,
    options: bytes = b"",
) -> bytes:
    datagram = struct.pack("!HHHH", source[1], destination[1], 8 + len(body), 0) + body
    ends = ip_address(source[0]).packed, ip_address(destination[0]).packed
    if checksum:
        datagram = with_checksum(datagram, 6, pseudo_header(*ends, UDP, len(datagram)))
    if len(ends[0]) == 16:
        return struct.pack("!IHBB", 6 << 28, len(datagram), UDP, 64) + b"".join(ends) + datagram
    return ipv4(
        source[0],
        destination[0],
        UDP,
        datagram,
        flags_and_offset=flags_and_offset,
        options=options,
    )


def tcp(source: tuple[str, int], destination: tuple[str, int], body: bytes = b"") -> bytes:
    segment = struct.pack("!HHIIHHHH", source[1], destination[1], 1, 2, 0x5002, 1000, 0, 0) + body
    ends = ip_address(source[0]).packed, ip_address(destination[0]).packed
    segment = with_checksum(segment, 16, pseudo_header(*ends, TCP, len(segment)))
    return ipv4(source[0], destination[0], TCP, segment)


def echo(source: str, destination: str, identifier: int, *, reply: bool = False) -> bytes:
    message = struct.pack("!BBHHH", 0 if reply else 8, 0, 0, identifier, 1) + b"ping"
    return ipv4(source, destination, ICMP, with_checksum(message, 2))


def port_unreachable(source: str, destination: str, about: bytes) -> bytes:
    message = struct.pack("!BBHI", 3, 3, 0, 0) + about[:28]
    return ipv4(source, destination, ICMP, with_checksum(message, 2))


def ends(packet: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both (address, port) of an IPv4 packet; an echo has its identifier at both."""
    start = (packet[0] & 15) * 4
    if packet[9] == ICMP:
        (port,) = struct.unpack_from("!H", packet, start + 4)
        ports = (port, port)
    else:
        ports = struct.unpack_from("!HH", packet, start)
    return (
        (str(ip_address(packet[12:16])), ports[0]),
        (str(ip_address(packet[16:20])), ports[1]),
    )


def has_right_checksums(packet: bytes) -> bool:
    """Whether IP header and transport of an unfragmented packet hold right checksums."""
    if packet[0] >> 4 == 6:
        protocol, payload, source, destination = packet[6], packet[40:], 8, 24
        pseudo = pseudo_header(packet[source:24], packet[destination:40], protocol, len(payload))
        return naive_sum(pseudo + payload) == 0xFFFF
    start = (packet[0] & 15) * 4
    payload, protocol = packet[start:], packet[9]
    if naive_sum(packet[:start]) != 0xFFFF:
        return False
    if protocol == ICMP:
        return naive_sum(payload) == 0xFFFF
    if protocol == UDP and payload[6:8] == b"\0\0":
        return True
    pseudo = pseudo_header(packet[12:16], packet[16:20], protocol, len(payload))
    return naive_sum(pseudo + payload) == 0xFFFF
