"""Addresses that are not declared: which ones nodes get, and that they stay."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from malha.overlay.addresses import next_subnets
from tests.unit.overlay.overlay_sample import overlay_of, problems_of

HEAD = "overlay: t\nprefixes: [10.50.0.0/16, 'fd50::/48']\ntopology: full\n"


def overlay_with(subnet: str, *nodes: str) -> str:
    lines = [f"  n{i}: {{region: r{fields}}}" for i, fields in enumerate(nodes)]
    return f"{HEAD}regions: {{r: {{subnet: {subnet}}}}}\nnodes:\n" + "\n".join(lines)


def addresses(text: str) -> list[str]:
    return [" ".join(map(str, node.addresses)) for node in overlay_of(text).nodes]


@pytest.mark.parametrize(
    ("subnet", "expected"),
    [
        ("10.50.1.0/24", ["10.50.1.1", "10.50.1.2"]),
        ("10.50.1.0/31", ["10.50.1.0", "10.50.1.1"]),
        ("'fd50:0:0:1::/64'", ["fd50:0:0:1::1", "fd50:0:0:1::2"]),
        ("'fd50:0:0:1::/127'", ["fd50:0:0:1::", "fd50:0:0:1::1"]),
        ("['fd50::/64', 10.50.1.0/24]", ["10.50.1.1 fd50::1", "10.50.1.2 fd50::2"]),
    ],
)
def test_the_lowest_free_hosts_in_order(subnet: str, expected: list[str]) -> None:
    assert addresses(overlay_with(subnet, "", "")) == expected


def test_declared_addresses_are_left_free_wherever_they_stand() -> None:
    text = overlay_with("10.50.1.0/29", "", ", address: 10.50.1.2", "", ", address: 10.50.1.1")
    assert addresses(text) == ["10.50.1.3", "10.50.1.2", "10.50.1.4", "10.50.1.1"]


def test_a_second_family_is_added_to_a_declared_address() -> None:
    text = overlay_with("[10.50.1.0/24, 'fd50::/64']", ", address: 'fd50::9'", "")
    assert addresses(text) == ["10.50.1.1 fd50::9", "10.50.1.2 fd50::1"]
    assert [node.addresses_written for node in overlay_of(text).nodes] == [False, False]


@pytest.mark.parametrize(("subnet", "room"), [("10.50.1.0/30", 2), ("'fd50::/126'", 3)])
def test_a_region_holds_what_it_holds(subnet: str, room: int) -> None:
    assert len(addresses(overlay_with(subnet, *[""] * room))) == room
    (problem,) = problems_of(overlay_with(subnet, *[""] * (room + 1)))
    assert problem.code == "region-too-small"
    assert f"room for {room} nodes and {room + 1} are in region 'r'" in problem.message


def regions(prefixes: str, *subnets: str) -> str:
    lines = [f"  r{i}: {{subnet: {subnet}}}" for i, subnet in enumerate(subnets)]
    return f"overlay: t\nprefixes: {prefixes}\nregions:\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("prefixes", "subnets", "expected"),
    [
        ("[10.50.0.0/16]", ["10.50.0.0/24", "10.50.2.0/24"], ["10.50.1.0/24"]),
        ("[10.50.0.0/16]", ["10.50.0.0/24", "10.50.1.0/26"], ["10.50.1.64/26"]),
        ("[10.50.0.0/16]", ["10.50.0.0/26", "10.50.1.0/24", "10.50.2.0/24"], ["10.50.3.0/24"]),
        ("[10.50.0.0/24, 10.60.0.0/24]", ["10.50.0.0/24"], ["10.60.0.0/24"]),
        ("['fd50::/48', 10.0.0.0/8]", ["10.1.0.0/24"], ["10.0.0.0/24", "fd50::/64"]),
        ("[10.50.0.0/24]", ["10.50.0.0/24"], None),
        ("[10.50.0.0/23]", ["10.50.0.0/25"], ["10.50.0.128/25"]),
    ],
)
def test_the_next_free_subnet(prefixes: str, subnets: list[str], expected: list[str]) -> None:
    found = next_subnets(overlay_of(regions(prefixes, *subnets)))
    assert found == (None if expected is None else tuple(map(ip_network, expected)))


def test_the_next_subnet_may_reach_the_end_of_its_prefix() -> None:
    subnets = [f"10.50.0.{i * 64}/26" for i in range(3)]
    assert next_subnets(overlay_of(regions("[10.50.0.0/24]", *subnets))) == (
        ip_network("10.50.0.192/26"),
    )
    assert ip_address("10.50.0.255") in ip_network("10.50.0.192/26")
