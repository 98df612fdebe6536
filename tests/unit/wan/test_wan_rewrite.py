from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.lab.wan.mapping import Flow
from malha.lab.wan.packet import parse_header
from malha.lab.wan.rewrite import End, rewrite_address, rewrite_end, rewrite_error
from tests.unit.wan.packets import echo, ends, has_right_checksums, ipv4, port_unreachable, tcp, udp

addresses = st.ip_addresses(v=4).map(str)
ports = st.integers(0, 65535)
endpoints = st.tuples(addresses, ports)
bodies = st.binary(max_size=40)
packets = st.one_of(
    st.builds(udp, endpoints, endpoints, bodies, checksum=st.booleans()),
    st.builds(udp, endpoints, endpoints, bodies, options=st.just(b"\1\1\1\0")),
    st.builds(tcp, endpoints, endpoints, bodies),
    st.builds(echo, addresses, addresses, ports, reply=st.booleans()),
)


def rewrite(packet: bytes, end: End, endpoint: tuple[str, int]) -> bytes:
    header = parse_header(packet)
    assert header is not None
    raw = bytes(int(part) for part in endpoint[0].split("."))
    return rewrite_end(packet, header, end, raw, endpoint[1])


@given(packets, st.sampled_from(End), endpoints)
def test_an_end_is_replaced_and_all_checksums_stay_right(
    packet: bytes, end: End, endpoint: tuple[str, int]
) -> None:
    rewritten = rewrite(packet, end, endpoint)
    index = 0 if end is End.SOURCE else 1
    assert ends(rewritten)[index] == endpoint
    if packet[9] != 1:  # An echo has one identifier, not two ports.
        assert ends(rewritten)[1 - index] == ends(packet)[1 - index]
    assert has_right_checksums(rewritten)


@given(packets, st.sampled_from(End), endpoints)
def test_the_way_back_gives_the_same_packet(
    packet: bytes, end: End, endpoint: tuple[str, int]
) -> None:
    there = rewrite(packet, end, endpoint)
    index = 0 if end is End.SOURCE else 1
    assert rewrite(there, end, ends(packet)[index]) == packet


@given(st.builds(tcp, endpoints, endpoints, bodies), endpoints)
def test_a_corrupt_packet_stays_corrupt(packet: bytes, endpoint: tuple[str, int]) -> None:
    corrupt = packet[:-1] + bytes([packet[-1] ^ 1])
    assert not has_right_checksums(rewrite(corrupt, End.SOURCE, endpoint))


def test_an_absent_udp_checksum_stays_absent() -> None:
    packet = udp(("10.0.0.1", 1), ("192.0.2.1", 2), checksum=False)
    assert rewrite(packet, End.SOURCE, ("198.18.0.1", 9))[26:28] == b"\0\0"


@given(addresses, addresses, addresses)
def test_a_later_fragment_changes_its_address_only(a: str, b: str, new: str) -> None:
    packet = ipv4(a, b, 17, b"x" * 16, flags_and_offset=5)
    raw = bytes(int(part) for part in new.split("."))
    assert rewrite_address(packet, End.SOURCE, raw) == ipv4(
        new, b, 17, b"x" * 16, flags_and_offset=5
    )


@pytest.mark.parametrize("about", [udp, tcp])
@given(remote=endpoints, outside=endpoints, inside=endpoints)
def test_an_error_reaches_who_sent_what_it_quotes(
    about: object, remote: tuple[str, int], outside: tuple[str, int], inside: tuple[str, int]
) -> None:
    sent_inside, sent_outside = about(inside, remote), about(outside, remote)  # type: ignore[operator]
    error = port_unreachable(remote[0], outside[0], sent_outside)
    header = parse_header(error)
    assert header is not None
    raw = bytes(int(part) for part in inside[0].split("."))
    arrived = rewrite_error(error, header, End.DESTINATION, raw, inside[1])
    assert has_right_checksums(arrived)
    # Up to the transport checksum, which a quotation may have lost.
    assert arrived[:52] == port_unreachable(remote[0], inside[0], sent_inside)[:20] + (
        arrived[20:28] + sent_inside[:24]
    )


@given(endpoints, endpoints, endpoints, endpoints, bodies, bodies, st.booleans())
def test_the_short_cut_gives_what_the_long_way_gives(  # noqa: PLR0917
    a: tuple[str, int],
    b: tuple[str, int],
    new_a: tuple[str, int],
    new_b: tuple[str, int],
    first_body: bytes,
    second_body: bytes,
    checksum: bool,
) -> None:
    def long_way(packet: bytes) -> bytes:
        return rewrite(rewrite(packet, End.SOURCE, new_a), End.DESTINATION, new_b)

    first = udp(a, b, first_body)
    second = udp(a, b, second_body, checksum=checksum)
    flow = Flow(first, long_way(first), None, None)
    assert flow.translate(second, 0) == long_way(second)
