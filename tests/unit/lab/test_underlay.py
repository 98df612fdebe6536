"""The planet under an overlay: addresses, NATs, names and distances, without a lab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from malha.errors import InputError
from malha.lab.underlay import UNKNOWN_RTT_MS, Underlay, derive_underlay
from malha.overlay.model import Node
from malha.topology.compile import compile_overlay
from tests.builders import a_node, an_overlay, edgeproxy

HUB = a_node("hub", "r", "10.50.0.1", role="hub", endpoint="192.0.2.1:51820")
LEAF = a_node("leaf", "r", "10.50.0.2")


def underlay_of(*nodes: Node, **fields: object) -> Underlay:
    return derive_underlay(an_overlay({"r": ["10.50.0.0/24"]}, *nodes, **fields))  # type: ignore[arg-type]


def by_name(underlay: Underlay) -> dict[str, tuple[str, ...]]:
    return {host.name: host.addresses for host in underlay.hosts}


def families(addresses: Iterable[str]) -> set[int]:
    return {ip_address(address).version for address in addresses}


def test_a_literal_endpoint_is_the_address() -> None:
    hub, leaf = underlay_of(HUB, LEAF).hosts
    assert (hub.addresses, hub.nat) == (("192.0.2.1",), None)
    assert leaf.nat is not None
    assert ip_address(leaf.nat.public_address) in ip_network("198.18.0.0/15")


def test_nodes_that_dial_out_sit_behind_nats_of_their_own() -> None:
    leaves = [host for host in derive_underlay(edgeproxy()).hosts if host.nat]
    assert len(leaves) == 10
    assert len({host.nat.public_address for host in leaves if host.nat}) == 10
    assert len({host.addresses for host in leaves}) == 10


@pytest.mark.parametrize(
    ("used", "expected"),
    [("10.0.0.0/8", "192.168.0.0/16"), ("192.168.7.0/24", "172.16.0.0/12")],
)
def test_private_addresses_are_none_of_the_overlays(used: str, expected: str) -> None:
    leaf = replace(LEAF, routes=(ip_network(used),))
    private = by_name(underlay_of(HUB, leaf))["leaf"][0]
    assert ip_address(private) in ip_network(expected)


def test_a_name_is_made_up_and_resolved() -> None:
    hub = a_node("hub", "r", "10.50.0.1", role="hub", endpoint="hub.example.org:51820")
    overlay = an_overlay({"r": ["10.50.0.0/24"]}, hub, LEAF)
    underlay = derive_underlay(overlay)
    address = by_name(underlay)["hub"][0]
    assert underlay.names == {"hub.example.org": address}
    assert f"{address} hub.example.org\n" in underlay.hosts_text
    (peer,) = underlay.resolve(compile_overlay(overlay)["leaf"]).devices[0].peers
    assert peer.endpoint is not None
    assert peer.endpoint.host == address


def test_no_hosts_file_is_replaced_when_no_endpoint_is_a_name() -> None:
    assert underlay_of(HUB, LEAF).hosts_text == ""


def test_only_ipv6_endpoints_need_no_nat_to_be_dialled() -> None:
    hub = a_node("hub", "r", "10.50.0.1", role="hub", endpoint="[2001:db8:9::1]:51820")
    addresses = by_name(underlay_of(hub, LEAF))
    assert addresses["hub"] == ("2001:db8:9::1",)
    assert families(addresses["leaf"]) == {4, 6}


def test_endpoints_of_both_families_give_everybody_both() -> None:
    six = a_node("six", "r", "10.50.0.3", role="hub", endpoint="[2001:db8::1]:51820")
    underlay = underlay_of(HUB, six, LEAF)
    assert all(families(addresses) == {4, 6} for addresses in by_name(underlay).values())
    flat = [address for addresses in by_name(underlay).values() for address in addresses]
    assert len(flat) == len(set(flat))


def test_distances_are_half_the_round_trip_and_measured_wins() -> None:
    overlay = an_overlay({"r": ["10.50.0.0/24"]}, HUB, LEAF, rtt_ms={("hub", "leaf"): 49})
    estimated = replace(overlay.latency, estimated_us=((("hub", "leaf"), 1000),))
    links = derive_underlay(replace(overlay, latency=estimated)).links
    assert [(a, b, settings.delay_ms) for a, b, settings in links] == [
        ("hub", "leaf", 24.5),
        ("leaf", "hub", 24.5),
    ]


def test_an_unknown_distance_has_the_stated_default() -> None:
    underlay = underlay_of(HUB, LEAF)
    assert underlay.links == ()
    assert underlay.unknown.delay_ms == UNKNOWN_RTT_MS / 2


def test_two_nodes_cannot_share_an_address() -> None:
    other = a_node("two", "r", "10.50.0.3", role="hub", endpoint="192.0.2.1:51821")
    with pytest.raises(InputError, match=r"cannot give 192\.0\.2\.1 to two nodes"):
        underlay_of(HUB, other)


def test_one_name_for_two_nodes_is_refused() -> None:
    """Two ports behind one address are real; the lab would dial the wrong one of them."""
    one = a_node("one", "r", "10.50.0.1", role="hub", endpoint="hub.example.org:51820")
    two = a_node("two", "r", "10.50.0.2", role="hub", endpoint="hub.example.org:51821")
    with pytest.raises(
        InputError, match=r"two: the lab cannot give hub\.example\.org to two nodes"
    ):
        underlay_of(one, two)
