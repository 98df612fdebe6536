from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.lab.wan.oversize import build_too_big, fragment
from malha.lab.wan.packet import parse_header
from tests.unit.wan.packets import has_right_checksums, ipv4, naive_sum, udp

V4 = ("192.0.2.1", 1000), ("203.0.113.9", 2000)
V6 = ("2001:db8::1", 1000), ("2001:db8::2", 2000)


@given(
    st.binary(min_size=1, max_size=4000),
    st.integers(68, 1500),
    st.sampled_from([b"", b"\1" * 4, b"\1" * 40]),
)
def test_fragments_fit_and_make_the_packet_again(body: bytes, mtu: int, options: bytes) -> None:
    packet = udp(*V4, body, flags_and_offset=0, options=options)
    header = parse_header(packet)
    assert header is not None
    payload = bytearray(len(packet) - header.size_bytes)
    pieces = fragment(packet, header, mtu)
    for number, piece in enumerate(pieces, 1):
        part = parse_header(piece)
        assert part is not None
        assert len(piece) <= mtu
        assert naive_sum(piece[: part.size_bytes]) == 0xFFFF
        assert part.more_fragments is (number < len(pieces))
        start = part.fragment_offset_bytes
        piece_payload = piece[part.size_bytes :]
        payload[start : start + len(piece_payload)] = piece_payload
    assert bytes(payload) == packet[header.size_bytes :]


def test_a_fragment_of_a_fragment_keeps_its_place() -> None:
    packet = ipv4("192.0.2.1", "192.0.2.2", 17, b"x" * 200, flags_and_offset=0x2000 | 10)
    header = parse_header(packet)
    assert header is not None
    parts = [parse_header(piece) for piece in fragment(packet, header, 120)]
    assert [part and part.fragment_offset_bytes for part in parts] == [80, 176, 272][: len(parts)]
    assert all(part and part.more_fragments for part in parts)


@pytest.mark.parametrize("size", [0, 1, 500, 2000, 9000])
@pytest.mark.parametrize("ends", [V4, V6])
def test_too_big_says_the_mtu_to_the_sender(
    ends: tuple[tuple[str, int], tuple[str, int]], size: int
) -> None:
    packet = udp(*ends, b"x" * size)
    header = parse_header(packet)
    assert header is not None
    answer = build_too_big(packet, header, 1300)
    assert answer is not None
    answered = parse_header(answer)
    assert answered is not None
    assert answered.destination == header.source
    assert has_right_checksums(answer)
    message = answer[answered.size_bytes :]
    if header.version == 4:
        assert message[:2] == b"\x03\x04"
        assert struct.unpack_from("!H", message, 6) == (1300,)
        assert len(answer) <= 576
    else:
        assert message[:2] == b"\x02\x00"
        assert struct.unpack_from("!I", message, 4) == (1300,)
        assert len(answer) <= 1280
    assert packet.startswith(message[8:])
    assert len(message[8:]) >= min(len(packet), 500)


def test_no_error_answers_an_error() -> None:
    about = udp(*V4)
    errors = (
        ipv4("192.0.2.1", "192.0.2.2", 1, b"\x03\x03" + bytes(6) + about),
        struct.pack("!IHBB", 6 << 28, 8, 58, 64) + bytes(32) + b"\x02" + bytes(7),
    )
    for error in errors:
        header = parse_header(error)
        assert header is not None
        assert build_too_big(error, header, 68) is None
