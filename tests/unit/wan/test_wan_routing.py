from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.errors import InputError
from malha.lab.wan.routing import Underlay
from malha.lab.wan.settings import LinkSettings, Nat
from malha.lab.wan.stats import DropCause
from tests.effort import examples
from tests.unit.wan.packets import echo, ipv4, udp

MS = 1_000_000
A, B = ("192.0.2.1", 1), ("203.0.113.1", 2)


@pytest.fixture
def underlay() -> Underlay:
    return build()


def build() -> Underlay:
    """a and b public, c and d with one private address behind two boxes."""
    underlay = Underlay()
    add = underlay.realms.add_host
    add("a", -1, ["192.0.2.1", "2001:db8::1"], None)
    add("b", -1, ["203.0.113.1", "2001:db8::2"], None)
    add("c", -1, ["10.0.0.2"], Nat("198.18.0.1"))
    add("d", -1, ["10.0.0.2"], Nat("198.18.0.2"))
    return underlay


def carry(underlay: Underlay, host: str, packet: bytes) -> list[tuple[str, bytes]]:
    source = underlay.realms.find_host(host)
    return [(got.host.name, got.packet) for got in underlay.carry(source, packet, 0)]


@pytest.mark.parametrize("packet", [udp(A, B), udp(("2001:db8::1", 1), ("2001:db8::2", 2))])
def test_a_packet_arrives_as_it_was(underlay: Underlay, packet: bytes) -> None:
    underlay.links.set_one_way("a", "b", LinkSettings(delay_ms=5))
    source = underlay.realms.find_host("a")
    (delivery,) = underlay.carry(source, packet, 100)
    assert (delivery.due_ns, delivery.host.name, delivery.packet) == (5 * MS + 100, "b", packet)
    assert len(source.routes) == 1


@pytest.mark.parametrize(
    ("host", "packet", "counter"),
    [
        ("a", udp(A, ("10.50.0.1", 2)), "unrouted"),
        ("a", udp(A, ("10.0.0.2", 2)), "unrouted"),
        ("c", udp(("10.0.0.2", 1), ("10.0.0.3", 2)), "unrouted"),
        ("a", udp(("2001:db8::1", 1), ("2001:db8::9", 2)), "unrouted"),
        ("a", udp(("192.0.2.9", 1), B), "spoofed"),
        ("c", udp(("10.0.0.9", 1), B), "spoofed"),
        ("a", udp(A, ("198.18.0.1", 2)), "nat_dropped"),
        ("a", udp(A, ("224.0.0.1", 2)), "local"),
        ("a", udp(("fe80::1", 1), ("ff02::2", 2)), "local"),
        ("a", b"\x45nonsense", "malformed"),
        ("a", b"\0" * 20, "malformed"),
    ],
)
def test_what_goes_nowhere_is_counted_once(
    underlay: Underlay, host: str, packet: bytes, counter: str
) -> None:
    assert carry(underlay, host, packet) == []
    assert totals(underlay) == {counter: 1}


def totals(underlay: Underlay) -> dict[str, int]:
    counts = underlay.counts
    names = [name for name in counts.__slots__ if name != "unrouted_destinations"]
    return {name: getattr(counts, name) for name in names if getattr(counts, name)}


def test_unrouted_destinations_are_named_but_not_without_limit(underlay: Underlay) -> None:
    for number in range(1200):
        carry(underlay, "a", udp(A, (f"10.50.{number // 256}.{number % 256}", 2)))
    carry(underlay, "a", udp(A, ("10.50.0.0", 2)))
    counts = underlay.counts
    assert counts.unrouted == 1201
    assert len(counts.unrouted_destinations) == 1000
    assert counts.unrouted_destinations["a", b"\x0a\x32\0\0"] == 2


class TestMtu:
    def test_ipv4_without_df_is_fragmented(self, underlay: Underlay) -> None:
        underlay.links.set_default(LinkSettings(mtu=500, icmp=False))
        got = carry(underlay, "a", udp(A, B, b"x" * 1000, flags_and_offset=0))
        assert [host for host, _ in got] == ["b", "b", "b"]
        assert underlay.links.find("a", "b").packets == 3

    @pytest.mark.parametrize(
        "ends", [(A, B), (("2001:db8::1", 1), ("2001:db8::2", 2))], ids=["v4", "v6"]
    )
    @pytest.mark.parametrize("icmp", [True, False])
    def test_too_big_is_answered_or_swallowed(
        self, underlay: Underlay, ends: tuple[tuple[str, int], tuple[str, int]], icmp: bool
    ) -> None:
        underlay.links.set_default(LinkSettings(mtu=1400, icmp=icmp))
        assert [host for host, _ in carry(underlay, "a", udp(*ends, b"x" * 1300))] == ["b"]
        # The first packet opened the fast path; the second must not slip through it.
        got = carry(underlay, "a", udp(*ends, b"x" * 1400))
        assert [host for host, _ in got] == (["a"] if icmp else [])
        cause = DropCause.TOO_BIG if icmp else DropCause.BLACK_HOLE
        assert underlay.links.find("a", "b").drops == {cause: 1}

    def test_a_cut_link_answers_nothing(self, underlay: Underlay) -> None:
        underlay.links.set_default(LinkSettings(mtu=500))
        underlay.links.partition(["a"], ["b"])
        assert carry(underlay, "a", udp(A, B, b"x" * 1000)) == []
        assert underlay.links.find("a", "b").drops == {DropCause.PARTITION: 1}


class TestMoves:
    def test_a_host_is_found_at_its_new_address_only(self, underlay: Underlay) -> None:
        carry(underlay, "a", udp(A, B))
        underlay.realms.move_host("b", ["203.0.113.7"], None)
        assert carry(underlay, "a", udp(A, B)) == []
        assert [host for host, _ in carry(underlay, "a", udp(A, ("203.0.113.7", 2)))] == ["b"]

    def test_a_refused_move_moves_nothing(self, underlay: Underlay) -> None:
        for host in ("b", "d"):
            with pytest.raises(InputError, match="belongs to host 'a'"):
                underlay.realms.move_host(host, ["192.0.2.1"], None)
        assert [host for host, _ in carry(underlay, "a", udp(A, B))] == ["b"]
        got = carry(underlay, "d", udp(("10.0.0.2", 1), A))
        assert got[0][1][12:16] == bytes([198, 18, 0, 2])

    def test_a_move_behind_the_same_box_keeps_its_mappings(self, underlay: Underlay) -> None:
        carry(underlay, "c", udp(("10.0.0.2", 9), A))
        underlay.realms.move_host("c", ["10.0.0.2", "10.0.0.3"], Nat("198.18.0.1"))
        assert [host for host, _ in carry(underlay, "a", udp(A, ("198.18.0.1", 9)))] == ["c"]

    def test_a_new_box_has_no_mappings_and_the_old_one_is_gone(self, underlay: Underlay) -> None:
        carry(underlay, "c", udp(("10.0.0.2", 9), A))
        underlay.realms.move_host("c", ["10.0.0.2"], Nat("198.18.0.7"))
        assert carry(underlay, "a", udp(A, ("198.18.0.1", 9))) == []
        assert totals(underlay) == {"unrouted": 1}
        got = carry(underlay, "c", udp(("10.0.0.2", 9), A))
        assert got[0][1][12:16] == bytes([198, 18, 0, 7])

    def test_a_name_can_be_used_again_and_keeps_its_links(self, underlay: Underlay) -> None:
        underlay.links.set_one_way("a", "b", LinkSettings(up=False))
        underlay.realms.remove_host("b")
        assert carry(underlay, "a", udp(A, B)) == []
        underlay.realms.add_host("b", -1, ["203.0.113.1"], None)
        assert carry(underlay, "a", udp(A, B)) == []
        assert underlay.links.find("a", "b").drops == {DropCause.DOWN: 1}


@pytest.mark.parametrize(
    ("name", "addresses", "nat", "message"),
    [
        ("a", ["192.0.2.9"], None, "exists already"),
        ("x", ["192.0.2.1"], None, "belongs to host 'a'"),
        ("x", ["2001:db8::1"], Nat("198.18.0.9"), "belongs to host 'a'"),
        ("x", ["198.18.0.1"], None, "public address of a NAT"),
        ("x", ["198.18.0.9"], Nat("198.18.0.9"), "public address of a NAT"),
        ("x", ["10.0.0.2"], Nat("198.18.0.1"), "belongs to host 'c'"),
        ("x", ["10.0.0.3"], Nat("192.0.2.1"), "a host's own address"),
        ("x", ["10.0.0.3"], Nat("198.18.0.1", timeout_s=5), "in two ways"),
        ("x", ["10.0.0.300"], None, "no IPv4 or IPv6 address"),
    ],
)
def test_conflicts_are_refused_and_leave_no_trace(
    underlay: Underlay, name: str, addresses: list[str], nat: Nat | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        underlay.realms.add_host(name, -1, addresses, nat)
    underlay.realms.add_host("x", -1, ["10.0.0.77"], Nat("198.18.0.9"))


def test_unknown_names_are_refused(underlay: Underlay) -> None:
    with pytest.raises(InputError, match="no such host: x, y"):
        underlay.realms.require_known(["y", "a", "x"])


SEEDS = [
    udp(A, B),
    udp(A, B, b"x" * 1000, flags_and_offset=0),
    udp(A, ("198.18.0.1", 9)),
    udp(("10.0.0.2", 9), A),
    udp(("10.0.0.2", 9), ("198.18.0.2", 9)),
    echo("10.0.0.2", "192.0.2.1", 5),
    udp(("2001:db8::1", 1), ("2001:db8::2", 2)),
    ipv4("10.0.0.2", "192.0.2.1", 1, b"\3\3" + bytes(6) + udp(A, ("10.0.0.2", 9))[:28]),
    ipv4("192.0.2.1", "198.18.0.1", 1, b"\3\4" + bytes(6) + udp(("198.18.0.1", 9), A)[:28]),
]


@st.composite
def garbage(draw: st.DrawFn) -> bytes:
    """Anything, or a good packet cut, padded, with bytes changed and its length made to fit."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    packet = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, min(len(packet), 60) - 1))] = draw(st.integers(0, 255))
    packet = packet[: draw(st.integers(0, len(packet)))] + draw(st.binary(max_size=8))
    if len(packet) >= 6 and draw(st.booleans()):
        at, size = (2, len(packet)) if packet[0] < 0x60 else (4, max(len(packet) - 40, 0))
        packet[at : at + 2] = size.to_bytes(2, "big")
    return bytes(packet)


@settings(max_examples=examples(200))
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), garbage()), max_size=8),
    st.sampled_from([LinkSettings(), LinkSettings(mtu=100), LinkSettings(mtu=100, icmp=False)]),
)
def test_garbage_never_raises_and_is_counted_once(
    packets: list[tuple[str, bytes]], link: LinkSettings
) -> None:
    underlay = build()
    underlay.links.set_default(link)
    for host, packet in packets:
        counted = sum(totals(underlay).values()) + dropped(underlay)
        pieces = underlay.carry(underlay.realms.find_host(host), packet, 0)
        grown = sum(totals(underlay).values()) + dropped(underlay) - counted
        # A packet that was dropped may still have been answered.
        assert grown in ({0, 1} if pieces else {1})


def dropped(underlay: Underlay) -> int:
    return sum(sum(link.drops.values()) for _, link in underlay.links)
