from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.lab.wan.packet import (
    Ports,
    internet_checksum,
    is_icmp_error,
    is_unicast,
    parse_header,
    parse_quoted_header,
    read_ports,
)
from tests.unit.wan.packets import echo, ipv4, naive_sum, tcp, udp

A, B = ("192.0.2.1", 1000), ("203.0.113.9", 2000)


@given(st.binary(max_size=100).filter(any))
def test_checksum_agrees_with_the_sum_word_by_word(raw: bytes) -> None:
    assert internet_checksum(raw) == 0xFFFF - naive_sum(raw)


def test_checksum_of_parts_is_that_of_the_whole() -> None:
    assert internet_checksum(b"ab", b"cdef", b"g") == internet_checksum(b"abcdefg")


def test_an_ipv4_header_is_read() -> None:
    header = parse_header(udp(A, B))
    assert header is not None
    assert (header.version, header.size_bytes, header.protocol) == (4, 20, 17)
    assert (header.source, header.destination) == (b"\xc0\0\x02\x01", b"\xcb\0\x71\x09")
    assert header.dont_fragment
    assert not header.is_fragment


def test_an_ipv6_header_is_read() -> None:
    header = parse_header(udp(("2001:db8::1", 1), ("2001:db8::2", 2)))
    assert header is not None
    assert (header.version, header.size_bytes, header.protocol) == (6, 40, 17)
    assert header.dont_fragment


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45",
        udp(A, B)[:-1],
        udp(A, B) + b"\0",
        b"\x44" + udp(A, B)[1:],
        b"\x4f" + udp(A, B)[1:20],
        b"\x75" + udp(A, B)[1:],
        udp(("2001:db8::1", 1), ("2001:db8::2", 2))[:39],
        udp(("2001:db8::1", 1), ("2001:db8::2", 2))[:-1],
    ],
)
def test_nonsense_has_no_header(packet: bytes) -> None:
    assert parse_header(packet) is None


@pytest.mark.parametrize(
    ("packet", "ports"),
    [
        (udp(A, B), Ports(1000, 2000)),
        (udp(A, B, options=b"\1" * 8), Ports(1000, 2000)),
        (tcp(A, B), Ports(1000, 2000)),
        (echo("192.0.2.1", "203.0.113.9", 77), Ports(77, 0)),
        (echo("192.0.2.1", "203.0.113.9", 77, reply=True), Ports(0, 77)),
        (udp(A, B, flags_and_offset=0x2001), None),
        (ipv4("192.0.2.1", "192.0.2.2", 47, b"12345678"), None),
        (ipv4("192.0.2.1", "192.0.2.2", 17, b"1234567"), None),
        (ipv4("192.0.2.1", "192.0.2.2", 6, b"1" * 17), None),
        (ipv4("192.0.2.1", "192.0.2.2", 1, b"\x0d\0\0\0\0\0\0\0"), None),
    ],
)
def test_ports_are_read_where_there_are_any(packet: bytes, ports: Ports | None) -> None:
    header = parse_header(packet)
    assert header is not None
    assert read_ports(packet, header) == ports


@given(st.binary(max_size=80))
def test_quoted_headers_never_raise(raw: bytes) -> None:
    header = parse_quoted_header(raw)
    assert header is None or len(raw) >= header.size_bytes + 8


def test_errors_are_told_from_queries() -> None:
    query = echo("192.0.2.1", "192.0.2.2", 5)
    error = ipv4("192.0.2.1", "192.0.2.2", 1, b"\x03\x04" + bytes(6))
    for packet, expected in ((query, False), (error, True), (udp(A, B), False)):
        header = parse_header(packet)
        assert header is not None
        assert is_icmp_error(packet, header) is expected


@pytest.mark.parametrize(
    ("address", "unicast"),
    [
        (b"\x0a\0\0\1", True),
        (b"\xe0\0\0\1", False),
        (b"\xff\xff\xff\xff", False),
        (b"\xa9\xfe\0\1", False),
        (b"\xff\x02" + bytes(14), False),
        (b"\xfe\x80" + bytes(14), False),
        (b"\xfe\xc0" + bytes(14), True),
        (b"\xfd\0" + bytes(14), True),
    ],
)
def test_what_no_router_forwards(address: bytes, unicast: bool) -> None:
    assert is_unicast(address) is unicast
