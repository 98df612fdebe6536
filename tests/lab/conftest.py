"""Small overlays and running labs for the tests that need namespaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from malha.errors import MissingError
from malha.lab.keeper.client import Keeper
from malha.lab.lab import Lab
from malha.lab.missing import check_programs, check_tun
from malha.lab.overlay_lab import OverlayLab
from malha.overlay.model import Overlay
from tests.builders import a_node, an_overlay


@pytest.fixture(scope="session")
def can_lab() -> None:
    """Skip with the reason where this machine cannot run a lab."""
    try:
        check_tun()
        check_programs(kernel_wireguard=False)
        Keeper.start().close()
    except MissingError as error:
        pytest.skip(f"no lab on this machine: {error}")


def small_overlay(family: int, *, endpoint_family: int = 4, topology: str = "regional") -> Overlay:
    """A hub, a pop that serves two backends, and a backend elsewhere.

    far ─── hub ─── pop          one: behind the hub, until `regional` links it to the pop
             │ ╲     ┊ ┊         two: the same
            one  two ┘ ┘
    """
    prefix, net = {
        4: ("10.50.0.0/16", "10.50.{}.{}"),
        6: ("fd50::/48", "fd50:0:0:{}::{}"),
    }[family]
    dialled = {4: "192.0.2.{}:51820", 6: "[2001:db8:1::{}]:51820"}[endpoint_family]
    subnet = {4: "10.50.{}.0/24", 6: "fd50:0:0:{}::/64"}[family]
    nodes = [
        a_node("hub", "a", net.format(0, 1), role="hub", endpoint=dialled.format(1)),
        a_node("pop", "b", net.format(1, 1), role="pop", endpoint=dialled.format(2)),
        a_node("one", "b", net.format(1, 2)),
        a_node("two", "b", net.format(1, 3)),
        a_node("far", "c", net.format(2, 1)),
    ]
    regions = {name: [subnet.format(number)] for number, name in enumerate("abc")}
    slow = {("hub", name): 60.0 for name in ("pop", "one", "two", "far")}
    near = {("one", "pop"): 10.0, ("pop", "two"): 10.0}
    return an_overlay(
        regions, *nodes, topology=topology, prefixes=[prefix], rtt_ms={**slow, **near}
    )


@pytest.fixture(scope="module")
def prepared() -> OverlayLab:
    """The small IPv4 overlay with keys."""
    return OverlayLab.prepare(small_overlay(4))


@pytest.fixture(scope="module")
def regional_lab(can_lab: None, prepared: OverlayLab) -> Iterator[Lab]:
    """The small overlay, running; a test that breaks something mends it again."""
    with prepared.start() as lab:
        yield lab
