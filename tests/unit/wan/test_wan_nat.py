"""NAT boxes, seen through an `Underlay` of three or four hosts:

a 10.0.0.2 --- box 198.18.0.1 ---+--- s 203.0.113.1
                                 +--- t 203.0.113.2
b 10.0.0.2 --- box 198.18.0.2 ---+
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from malha.errors import InputError
from malha.lab.wan import nat
from malha.lab.wan.routing import Underlay
from malha.lab.wan.settings import LinkSettings, Nat, NatBehaviour
from tests.unit.wan.packets import echo, ends, has_right_checksums, ipv4, port_unreachable, tcp, udp

S = 1_000_000_000
EIM = NatBehaviour.ENDPOINT_INDEPENDENT
ADM = NatBehaviour.ADDRESS_DEPENDENT
APDM = NatBehaviour.ADDRESS_AND_PORT_DEPENDENT

Endpoint = tuple[str, int]
INSIDE: Endpoint = ("10.0.0.2", 51820)
SERVER: Endpoint = ("203.0.113.1", 7000)
OTHER: Endpoint = ("203.0.113.2", 7000)
BOX_A, BOX_B = "198.18.0.1", "198.18.0.2"


class World:
    def __init__(self, nat_a: Nat, nat_b: Nat | None = None, *, seed: int = 0) -> None:
        self.underlay = Underlay(seed)
        add = self.underlay.realms.add_host
        self.hosts = {
            "a": add("a", -1, ["10.0.0.2", "2001:db8::a"], nat_a),
            "s": add("s", -1, ["203.0.113.1", "2001:db8::5"], None),
            "t": add("t", -1, ["203.0.113.2"], None),
        }
        if nat_b is not None:
            self.hosts["b"] = add("b", -1, ["10.0.0.2"], nat_b)
        self.now_ns = 0

    def carry(self, host: str, packet: bytes) -> tuple[str, bytes] | None:
        """Who receives a packet, and as what."""
        deliveries = self.underlay.carry(self.hosts[host], packet, self.now_ns)
        if not deliveries:
            return None
        (delivery,) = deliveries
        assert has_right_checksums(delivery.packet)
        return delivery.host.name, delivery.packet

    def send(self, host: str, source: Endpoint, to: Endpoint) -> tuple[str, Endpoint] | None:
        """Who receives a UDP packet, and from where it seems to come."""
        got = self.carry(host, udp(source, to))
        return (got[0], ends(got[1])[0]) if got else None

    def outside_of(self, to: Endpoint, *, host: str = "a", port: int = 51820) -> Endpoint:
        """The outside end of what a host behind a box sends."""
        got = self.send(host, ("10.0.0.2", port), to)
        assert got is not None
        return got[1]


def test_a_reply_finds_its_way_back() -> None:
    world = World(Nat(BOX_A))
    assert world.send("a", INSIDE, SERVER) == ("s", (BOX_A, 51820))
    got = world.carry("s", udp(SERVER, (BOX_A, 51820)))
    assert got is not None
    assert got[0] == "a"
    assert ends(got[1]) == (SERVER, INSIDE)


@pytest.mark.parametrize("packet", [udp, tcp])
def test_nothing_comes_in_unasked(packet: object) -> None:
    world = World(Nat(BOX_A, filtering=EIM))
    assert world.carry("s", packet(SERVER, (BOX_A, 51820))) is None  # type: ignore[operator]
    assert world.underlay.counts.nat_dropped == 1


@pytest.mark.parametrize("mapping", NatBehaviour)
def test_mapping_depends_on_what_it_says(mapping: NatBehaviour) -> None:
    world = World(Nat(BOX_A, mapping=mapping))
    first = world.outside_of(SERVER)
    other_port = world.outside_of((SERVER[0], 7001))
    other_address = world.outside_of(OTHER)
    assert (other_port == first) is (mapping is not APDM)
    assert (other_address == first) is (mapping is EIM)
    assert world.outside_of(SERVER) == first


@pytest.mark.parametrize("filtering", NatBehaviour)
def test_filtering_depends_on_what_it_says(filtering: NatBehaviour) -> None:
    world = World(Nat(BOX_A, filtering=filtering))
    outside = world.outside_of(SERVER)
    admitted = {
        "same": world.send("s", SERVER, outside) is not None,
        "other port": world.send("s", (SERVER[0], 7001), outside) is not None,
        "other address": world.send("t", OTHER, outside) is not None,
    }
    assert admitted == {
        "same": True,
        "other port": filtering is not APDM,
        "other address": filtering is EIM,
    }


class TestTimeout:
    def test_a_mapping_dies_after_its_timeout(self) -> None:
        world = World(Nat(BOX_A, timeout_s=30))
        outside = world.outside_of(SERVER)
        world.now_ns = 30 * S
        assert world.send("s", SERVER, outside)
        world.now_ns = 30 * S + 1
        assert world.send("s", SERVER, outside) is None

    def test_inbound_refreshes_nothing(self) -> None:
        world = World(Nat(BOX_A, timeout_s=30))
        outside = world.outside_of(SERVER)
        for second in (10, 20, 30):
            world.now_ns = second * S
            assert world.send("s", SERVER, outside)
        world.now_ns = 31 * S
        assert world.send("s", SERVER, outside) is None

    def test_outbound_refreshes(self) -> None:
        world = World(Nat(BOX_A, timeout_s=30))
        outside = world.outside_of(SERVER)
        for second in (25, 50, 75):
            world.now_ns = second * S
            assert world.outside_of(SERVER) == outside
        world.now_ns = 100 * S
        assert world.send("s", SERVER, outside)

    def test_a_permission_dies_even_if_its_mapping_lives(self) -> None:
        world = World(Nat(BOX_A, timeout_s=30))
        outside = world.outside_of(SERVER)
        world.now_ns = 25 * S
        world.outside_of(OTHER)
        world.now_ns = 40 * S
        assert world.send("t", OTHER, outside)
        assert world.send("s", SERVER, outside) is None

    def test_a_dead_port_is_free_again(self) -> None:
        world = World(Nat(BOX_A, timeout_s=30, mapping=APDM))
        world.outside_of(SERVER)
        world.now_ns = 31 * S
        assert world.outside_of(OTHER) == (BOX_A, 51820)


class TestPorts:
    def test_one_box_serves_several_hosts_without_mixing_them(self) -> None:
        world = World(Nat(BOX_A))
        second = world.underlay.realms.add_host("a2", -1, ["10.0.0.3"], Nat(BOX_A))
        world.hosts["a2"] = second
        first_outside = world.outside_of(SERVER)
        got = world.send("a2", ("10.0.0.3", 51820), SERVER)
        assert got is not None
        second_outside = got[1]
        assert first_outside == (BOX_A, 51820)
        assert second_outside[0] == BOX_A
        assert second_outside[1] != 51820
        for outside, host in ((first_outside, "a"), (second_outside, "a2")):
            back = world.send("s", SERVER, outside)
            assert back is not None
            assert back[0] == host

    def test_neighbours_behind_one_box_meet_untranslated(self) -> None:
        world = World(Nat(BOX_A))
        world.underlay.realms.add_host("a2", -1, ["10.0.0.3"], Nat(BOX_A))
        assert world.send("a", INSIDE, ("10.0.0.3", 9)) == ("a2", INSIDE)

    def test_without_preserving_ports_are_random_but_seeded(self) -> None:
        box = Nat(BOX_A, port_preserving=False)
        ports = [World(box, seed=seed).outside_of(SERVER)[1] for seed in (1, 1, 2)]
        assert ports[0] == ports[1] != ports[2]
        assert 51820 not in ports

    def test_a_full_box_drops_and_recovers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nat, "_FIRST_PORT", 64000)
        world = World(Nat(BOX_A, mapping=APDM, timeout_s=30))
        for port in range(64000, 65536):
            assert world.send("a", ("10.0.0.2", port), SERVER)
        assert world.send("a", ("10.0.0.2", 64000), OTHER) is None
        assert world.underlay.counts.nat_dropped == 1
        world.now_ns = 31 * S
        assert world.send("a", ("10.0.0.2", 64000), OTHER)

    def test_protocols_have_ports_of_their_own(self) -> None:
        world = World(Nat(BOX_A))
        world.outside_of(SERVER)
        got = world.carry("a", tcp(("10.0.0.2", 51820), OTHER))
        assert got is not None
        assert ends(got[1])[0] == (BOX_A, 51820)


class TestHairpin:
    @pytest.mark.parametrize("hairpin", [True, False])
    def test_inside_hosts_meet_through_the_outside_address(self, hairpin: bool) -> None:
        box = Nat(BOX_A, filtering=EIM, hairpin=hairpin)
        world = World(box)
        world.hosts["a2"] = world.underlay.realms.add_host("a2", -1, ["10.0.0.3"], box)
        world.send("a2", ("10.0.0.3", 6000), SERVER)
        got = world.send("a", INSIDE, (BOX_A, 6000))
        assert got == (("a2", (BOX_A, 51820)) if hairpin else None)

    def test_filtering_counts_there_too(self) -> None:
        world = World(Nat(BOX_A))
        world.hosts["a2"] = world.underlay.realms.add_host("a2", -1, ["10.0.0.3"], Nat(BOX_A))
        world.send("a2", ("10.0.0.3", 6000), SERVER)
        assert world.send("a", INSIDE, (BOX_A, 6000)) is None
        assert world.send("a2", ("10.0.0.3", 6000), (BOX_A, 51820))
        assert world.send("a", INSIDE, (BOX_A, 6000))


class TestIcmp:
    def test_an_echo_goes_out_and_its_reply_comes_in(self) -> None:
        world = World(Nat(BOX_A))
        got = world.carry("a", echo("10.0.0.2", "203.0.113.1", 77))
        assert got is not None
        assert ends(got[1]) == ((BOX_A, 77), ("203.0.113.1", 77))
        back = world.carry("s", echo("203.0.113.1", BOX_A, 77, reply=True))
        assert back is not None
        assert (back[0], ends(back[1])[1]) == ("a", ("10.0.0.2", 77))

    def test_no_echo_request_comes_in(self) -> None:
        world = World(Nat(BOX_A, filtering=EIM))
        world.carry("a", echo("10.0.0.2", "203.0.113.1", 77))
        assert world.carry("s", echo("203.0.113.1", BOX_A, 77)) is None
        assert world.carry("a", echo("10.0.0.2", "203.0.113.1", 78, reply=True)) is None

    def test_two_hosts_with_one_identifier_stay_apart(self) -> None:
        world = World(Nat(BOX_A))
        world.hosts["a2"] = world.underlay.realms.add_host("a2", -1, ["10.0.0.3"], Nat(BOX_A))
        world.carry("a", echo("10.0.0.2", "203.0.113.1", 77))
        got = world.carry("a2", echo("10.0.0.3", "203.0.113.1", 77))
        assert got is not None
        identifier = ends(got[1])[0][1]
        assert identifier != 77
        back = world.carry("s", echo("203.0.113.1", BOX_A, identifier, reply=True))
        assert back is not None
        assert (back[0], ends(back[1])[1]) == ("a2", ("10.0.0.3", 77))

    def test_an_error_about_a_mapped_flow_comes_in_translated(self) -> None:
        world = World(Nat(BOX_A, port_preserving=False))
        sent = world.carry("a", udp(INSIDE, SERVER))
        assert sent is not None
        got = world.carry("s", port_unreachable("203.0.113.1", BOX_A, sent[1]))
        assert got is not None
        assert got[0] == "a"
        assert ends(got[1][28:]) == (INSIDE, SERVER)

    def test_an_error_from_inside_goes_out_translated(self) -> None:
        world = World(Nat(BOX_A, port_preserving=False))
        outside = world.outside_of(SERVER)
        came = world.carry("s", udp(SERVER, outside))
        assert came is not None
        got = world.carry("a", port_unreachable("10.0.0.2", "203.0.113.1", came[1]))
        assert got is not None
        assert got[0] == "s"
        assert ends(got[1][28:]) == (SERVER, outside)

    def test_an_error_about_nothing_is_dropped(self) -> None:
        world = World(Nat(BOX_A))
        forged = port_unreachable("203.0.113.1", BOX_A, udp((BOX_A, 5), SERVER))
        assert world.carry("s", forged) is None

    def test_too_big_quotes_the_packet_as_the_sender_knows_it(self) -> None:
        world = World(Nat(BOX_A, port_preserving=False))
        world.underlay.links.set_default(LinkSettings(mtu=600))
        packet = udp(INSIDE, SERVER, b"x" * 800)
        got = world.carry("a", packet)
        assert got is not None
        assert got[0] == "a"
        assert got[1][20:22] == b"\x03\x04"
        assert packet.startswith(got[1][28:])


def test_fragments_follow_their_first() -> None:
    world = World(Nat(BOX_A))
    whole = udp(INSIDE, SERVER, b"y" * 100)
    later = ipv4("10.0.0.2", "203.0.113.1", 17, whole[60:], flags_and_offset=5)
    deliveries = world.underlay.carry(world.hosts["a"], later, 0)
    assert deliveries == []
    first_bytes = whole[20:60]
    first = ipv4("10.0.0.2", "203.0.113.1", 17, first_bytes, flags_and_offset=0x2000)
    arrived = [
        delivery.packet
        for piece in (first, later)
        for delivery in world.underlay.carry(world.hosts["a"], piece, 0)
    ]
    again = ipv4(
        BOX_A, "203.0.113.1", 17, b"".join(piece[20:] for piece in arrived), identification=7
    )
    assert len(arrived) == 2
    assert has_right_checksums(again)
    assert ends(again) == ((BOX_A, 51820), SERVER)


def test_a_restarted_box_knows_nothing() -> None:
    world = World(Nat(BOX_A))
    outside = world.outside_of(SERVER)
    assert world.send("s", SERVER, outside)
    world.underlay.realms.forget_nat_mappings(BOX_A)
    assert world.send("s", SERVER, outside) is None
    assert world.outside_of(SERVER) == outside


def test_other_protocols_do_not_pass() -> None:
    world = World(Nat(BOX_A))
    assert world.carry("a", ipv4("10.0.0.2", "203.0.113.1", 47, b"x" * 40)) is None
    assert world.underlay.counts.nat_dropped == 1


def test_ipv6_is_never_translated() -> None:
    world = World(Nat(BOX_A))
    packet = udp(("2001:db8::a", 1), ("2001:db8::5", 2))
    assert world.carry("a", packet) == ("s", packet)
    unasked = udp(("2001:db8::5", 9), ("2001:db8::a", 9))
    assert world.carry("s", unasked) == ("a", unasked)


KINDS = [
    pytest.param(mapping, filtering, id=f"{mapping.value}/{filtering.value}")
    for mapping, filtering in itertools.product(NatBehaviour, NatBehaviour)
]


@pytest.mark.parametrize(("mapping_a", "filtering_a"), KINDS)
@pytest.mark.parametrize(("mapping_b", "filtering_b"), KINDS)
def test_hole_punching_works_where_theory_says(
    mapping_a: NatBehaviour,
    filtering_a: NatBehaviour,
    mapping_b: NatBehaviour,
    filtering_b: NatBehaviour,
) -> None:
    nat_a = Nat(BOX_A, mapping=mapping_a, filtering=filtering_a)
    nat_b = Nat(BOX_B, mapping=mapping_b, filtering=filtering_b)
    expected = _can_answer(nat_a, nat_b) or _can_answer(nat_b, nat_a)
    assert _punch(World(nat_a, nat_b)) is expected


def _can_answer(dialling: Nat, dialled: Nat) -> bool:
    """RFC 5128 by hand. Both ends know the other's outside end as a third party, to whom both
    sent, sees it; both send there once, and then the dialled one answers what reached it."""
    sees_known_end = dialling.mapping is EIM
    is_let_in = dialled.filtering is EIM or (
        # Its own packet opened the very mapping that the third party saw.
        dialled.mapping is EIM and (dialled.filtering is ADM or sees_known_end)
    )
    # The answer leaves from the mapping that was dialled, or from another port.
    is_answer_let_in = dialled.mapping is EIM or dialling.filtering is not APDM
    return is_let_in and is_answer_let_in


def _punch(world: World) -> bool:
    """WireGuard's way: dial a known end, then answer to wherever a packet came from."""
    known = {host: world.outside_of(SERVER, host=host) for host in "ab"}
    pairs = (("a", "b"), ("b", "a"))
    for host, peer in pairs:  # The first packets open what they can, and may be lost.
        world.send(host, INSIDE, known[peer])
    for host, peer in pairs:
        got = world.send(host, INSIDE, known[peer])
        if got and world.send(peer, INSIDE, got[1]):
            return True
    return False


def test_the_short_cut_ends_with_its_mapping() -> None:
    world = World(Nat(BOX_A, timeout_s=30), Nat(BOX_B, timeout_s=30))
    known = {host: world.outside_of(SERVER, host=host) for host in "ab"}
    world.send("b", INSIDE, known["a"])
    assert world.send("a", INSIDE, known["b"])
    assert world.hosts["a"].flows
    world.now_ns = 29 * S
    assert world.send("a", INSIDE, known["b"])
    world.now_ns = 31 * S  # b's permission for a is older than 30 s; a's own mapping is not.
    assert world.send("a", INSIDE, known["b"]) is None


def test_a_box_declared_in_two_ways_is_refused() -> None:
    world = World(Nat(BOX_A))
    with pytest.raises(InputError, match="in two ways"):
        world.underlay.realms.add_host("x", -1, ["10.0.0.9"], replace(Nat(BOX_A), filtering=EIM))
