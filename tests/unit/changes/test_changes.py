"""A diff is exact: nothing to do for equal states, and applying it gives the new state."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings

from malha.changes import steps
from malha.changes.diff import diff
from malha.changes.model import (
    AllowedIpsChanged,
    EndpointChanged,
    ForwardingChanged,
    KeepaliveChanged,
    PeerAdded,
    PeerRemoved,
    PresharedKeyChanged,
)
from malha.changes.predict import canonical, predict
from malha.changes.uapi_text import render_changes
from malha.wireguard.device import Device, Forwarding, NodeState, Peer
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PresharedKey, PrivateKey
from tests.effort import examples
from tests.unit.changes.node_states import a_peer, key, states

FEW = settings(max_examples=examples(40))
"""The tests without root stay under ten seconds together."""

NET = ip_network("10.0.0.0/24")
ONE = ip_network("10.0.0.1/32")
PRIVATE = PrivateKey(bytes([7]) * 32)


def a_state(*peers: Peer, **fields: object) -> NodeState:
    device = Device("wg0", key(9), (), peers, (), listen_port=51820, private_key=PRIVATE)
    return NodeState("node", (replace(device, **fields),))  # type: ignore[arg-type]


@FEW
@given(states())
def test_nothing_differs_from_itself(state: NodeState) -> None:
    assert diff(state, state) == ()
    assert render_changes(diff(state, state)) == ""


@FEW
@given(states(), states())
def test_applying_the_difference_gives_the_new_state(old: NodeState, new: NodeState) -> None:
    assert predict(old, diff(old, new)) == canonical(new)


@FEW
@given(states(), states())
def test_the_way_back_gives_the_old_state(old: NodeState, new: NodeState) -> None:
    there = predict(old, diff(old, new))
    assert predict(there, diff(there, old)) == canonical(old)


@FEW
@given(states(), states())
def test_three_steps_end_where_one_does(old: NodeState, new: NodeState) -> None:
    changes = diff(old, new)
    in_steps = predict(
        old, [*steps.introduce(changes), *steps.move(changes), *steps.finish(changes)]
    )
    assert in_steps == canonical(new)


@FEW
@given(states(), states())
def test_introducing_moves_no_address(old: NodeState, new: NodeState) -> None:
    introduced = predict(old, steps.introduce(diff(old, new)))
    before = {(d.name, p.public_key): p.allowed_ips for d in old.devices for p in d.peers}
    for device in introduced.devices:
        if device.name in {d.name for d in old.devices}:
            for peer in device.peers:
                assert peer.allowed_ips == before.get((device.name, peer.public_key), ())


@FEW
@given(states(), states())
def test_port_and_private_key_are_told_only_if_they_differ(old: NodeState, new: NodeState) -> None:
    for device in old.devices:
        other = next((d for d in new.devices if d.name == device.name), None)
        if other is None:
            continue
        changes = [c for c in diff(old, new) if getattr(c, "device", None) == device.name]
        text = render_changes(changes)
        if device.listen_port == other.listen_port:
            assert "listen_port=" not in text
        if device.private_key == other.private_key:
            assert "private_key=" not in text
        assert "replace_peers" not in text


def test_two_nodes_are_not_two_states_of_one() -> None:
    with pytest.raises(ValueError, match="two nodes"):
        diff(a_state(), replace(a_state(), name="other"))


OLD = a_peer(1, allowed_ips=(NET,), endpoint=Endpoint("192.0.2.1", 1), persistent_keepalive_s=25)


@pytest.mark.parametrize(
    ("new", "kind", "lines"),
    [
        (
            replace(OLD, allowed_ips=(ONE,)),
            AllowedIpsChanged,
            ["replace_allowed_ips=true", f"allowed_ip={ONE}"],
        ),
        (replace(OLD, allowed_ips=()), AllowedIpsChanged, ["replace_allowed_ips=true"]),
        (
            replace(OLD, endpoint=Endpoint("2001:db8::1", 2)),
            EndpointChanged,
            ["endpoint=[2001:db8::1]:2"],
        ),
        (
            replace(OLD, persistent_keepalive_s=None),
            KeepaliveChanged,
            ["persistent_keepalive_interval=0"],
        ),
        (
            replace(OLD, preshared_key=PresharedKey(b"\x22" * 32)),
            PresharedKeyChanged,
            ["preshared_key=" + "22" * 32],
        ),
    ],
)
def test_one_change_says_only_itself(new: Peer, kind: type, lines: list[str]) -> None:
    changes = diff(a_state(OLD), a_state(new))
    assert [type(change) for change in changes] == [kind]
    head = ["set=1", f"public_key={key(1).raw.hex()}", "update_only=true"]
    assert render_changes(changes).splitlines() == [*head, *lines, ""]


def test_a_preshared_key_is_cleared_by_zeros() -> None:
    with_key = replace(OLD, preshared_key=PresharedKey(b"\x22" * 32))
    assert "preshared_key=" + "0" * 64 in render_changes(diff(a_state(with_key), a_state(OLD)))


def test_an_endpoint_cannot_be_forgotten_so_nothing_is_said() -> None:
    changes = diff(a_state(OLD), a_state(replace(OLD, endpoint=None)))
    assert [type(change) for change in changes] == [EndpointChanged]
    assert render_changes(changes) == ""


def test_adding_and_removing_a_peer() -> None:
    added = diff(a_state(), a_state(OLD))
    assert added == (PeerAdded("wg0", OLD),)
    assert "replace_allowed_ips=true\nallowed_ip=10.0.0.0/24" in render_changes(added)
    removed = diff(a_state(OLD), a_state())
    assert removed == (PeerRemoved("wg0", OLD),)
    assert render_changes(removed) == f"set=1\npublic_key={key(1).raw.hex()}\nremove=true\n\n"


def test_new_peers_take_addresses_before_old_ones_are_narrowed() -> None:
    hub, direct = a_peer(1, allowed_ips=(NET,)), a_peer(2, allowed_ips=(ONE,))
    changes = diff(a_state(hub), a_state(replace(hub, allowed_ips=()), direct))
    moved = steps.move(changes)
    assert [type(change) for change in moved] == [AllowedIpsChanged, AllowedIpsChanged]
    assert [c.public_key for c in moved if isinstance(c, AllowedIpsChanged)] == [key(2), key(1)]


def test_new_peers_are_silent_until_all_has_moved() -> None:
    direct = a_peer(2, allowed_ips=(ONE,), persistent_keepalive_s=25)
    changes = diff(a_state(), a_state(direct))
    (introduced,) = steps.introduce(changes)
    assert introduced == PeerAdded("wg0", a_peer(2))
    assert steps.finish(changes) == (KeepaliveChanged("wg0", key(2), None, 25),)


def test_forwarding_grows_before_and_shrinks_after() -> None:
    old = replace(a_state(), forwarding=Forwarding((4,)))
    new = replace(a_state(), forwarding=Forwarding((6,)))
    changes = diff(old, new)
    assert steps.introduce(changes) == (ForwardingChanged(Forwarding((4,)), Forwarding((4, 6))),)
    assert steps.finish(changes) == (ForwardingChanged(Forwarding((4, 6)), Forwarding((6,))),)


def test_changes_do_not_show_keys() -> None:
    new = replace(OLD, preshared_key=PresharedKey(b"\x22" * 32))
    shown = repr(diff(a_state(OLD), a_state(new, private_key=PrivateKey(b"\x33" * 32))))
    assert "hidden" in shown
    assert "22" * 32 not in shown
    assert "33" * 32 not in shown
