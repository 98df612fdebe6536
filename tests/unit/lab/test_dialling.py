"""Exactly one end of each link starts, and it is one that can."""

from __future__ import annotations

import pytest

from malha.lab.dialling import Dial, new_dials, plan_dials, silenced
from malha.topology.compile import compile_overlay
from tests.builders import a_node, an_overlay, edgeproxy


def pairs(dials: tuple[Dial, ...]) -> list[tuple[str, str]]:
    return sorted((dial.starter.node, dial.answerer.node) for dial in dials)


@pytest.mark.parametrize(("topology", "links"), [("hub", 11), ("regional", 14), ("full", 21)])
def test_every_link_once(topology: str, links: int) -> None:
    dials = plan_dials(compile_overlay(edgeproxy(topology)))
    assert len(dials) == links
    assert len({frozenset(pair) for pair in pairs(dials)}) == links


def test_the_end_that_can_dial_starts() -> None:
    dials = plan_dials(compile_overlay(edgeproxy("regional")))
    assert ("nrt", "hkg") in pairs(dials)
    assert ("hkg", "nrt") not in pairs(dials)


def test_of_two_that_can_the_later_declared_starts() -> None:
    nodes = [
        a_node(name, "r", f"10.50.0.{i}", role="hub", endpoint=f"192.0.2.{i}:51820")
        for i, name in enumerate(["zeta", "alpha"], start=1)
    ]
    overlay = an_overlay({"r": ["10.50.0.0/24"]}, *nodes)
    assert pairs(plan_dials(compile_overlay(overlay))) == [("alpha", "zeta")]


def test_both_ends_are_named_by_the_others_key() -> None:
    states = compile_overlay(edgeproxy("hub"))
    for dial in plan_dials(states):
        assert dial.starter.peer == states[dial.answerer.node].devices[0].public_key
        assert dial.answerer.peer == states[dial.starter.node].devices[0].public_key


def test_only_links_that_were_not_there_are_new() -> None:
    before, after = (plan_dials(compile_overlay(edgeproxy(t))) for t in ("hub", "regional"))
    assert pairs(new_dials(before, after)) == [("nrt", "hkg"), ("sin", "hkg"), ("syd", "hkg")]
    assert new_dials(after, after) == ()


def test_a_silenced_device_keeps_everything_but_keepalives() -> None:
    (device,) = compile_overlay(edgeproxy("hub"))["nrt"].devices
    assert [peer.persistent_keepalive_s for peer in device.peers] == [25]
    quiet = silenced(device)
    assert [peer.persistent_keepalive_s for peer in quiet.peers] == [None]
    assert [peer.allowed_ips for peer in quiet.peers] == [p.allowed_ips for p in device.peers]
