"""What compilation says about the first user's overlay, peer by peer."""

from __future__ import annotations

import ipaddress

import pytest

from malha.overlay.model import LinkRules
from malha.topology.compile import MissingKeyError, compile_overlay, derive_routing
from malha.wireguard.device import NodeState
from tests.builders import a_node, an_overlay, edgeproxy

RTT_MS = {
    ("ec2-ireland", "hkg"): 242,
    ("ec2-ireland", "nrt"): 250,
    ("ec2-ireland", "sin"): 166,
    ("ec2-ireland", "syd"): 258,
    ("hkg", "nrt"): 49,
    ("hkg", "sin"): 38,
    ("hkg", "syd"): 122,
}


def _allowed_ips(state: NodeState) -> dict[str, list[str]]:
    return {peer.name: [str(ip) for ip in peer.allowed_ips] for peer in state.devices[0].peers}


def test_in_topology_hub_a_backend_has_one_peer_with_every_region() -> None:
    nrt = compile_overlay(edgeproxy("hub"))["nrt"]
    assert _allowed_ips(nrt) == {"ec2-ireland": ["10.50.0.0/22", "10.50.4.0/23"]}


def test_in_topology_regional_ap_goes_to_hong_kong_and_the_rest_to_ireland() -> None:
    states = compile_overlay(edgeproxy("regional", rtt_ms=RTT_MS))
    assert _allowed_ips(states["nrt"]) == {
        "ec2-ireland": ["10.50.0.0/22"],
        "hkg": ["10.50.4.0/23"],
    }
    assert _allowed_ips(states["hkg"]) == {
        "ec2-ireland": ["10.50.0.0/22"],
        "nrt": ["10.50.4.1/32"],
        "sin": ["10.50.4.2/32"],
        "syd": ["10.50.4.3/32"],
    }


def test_without_times_equal_paths_go_over_the_hub() -> None:
    routing = derive_routing(edgeproxy("regional"))
    index = {node.name: i for i, node in enumerate(edgeproxy().nodes)}
    path = routing.paths.path(index["nrt"], index["sin"])
    assert [edgeproxy().nodes[i].name for i in path] == ["nrt", "ec2-ireland", "sin"]


def test_a_new_backend_changes_its_neighbours_only() -> None:
    before = edgeproxy("regional", rtt_ms=RTT_MS)
    bom = a_node("bom", "ap", "10.50.4.4")
    after = an_overlay(
        {region.name: [str(s) for s in region.subnets] for region in before.regions},
        *before.nodes,
        bom,
        rtt_ms=RTT_MS,
    )
    old, new = compile_overlay(before), compile_overlay(after)
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {"ec2-ireland", "hkg"}


def test_only_the_side_that_cannot_be_dialled_keeps_alive() -> None:
    states = compile_overlay(edgeproxy("regional"))
    for state in states.values():
        for peer in state.devices[0].peers:
            wanted = 25 if state.endpoint is None and peer.endpoint is not None else None
            assert peer.persistent_keepalive_s == wanted


def test_relays_forward_and_backends_do_not() -> None:
    states = compile_overlay(edgeproxy("regional"))
    assert {name for name, s in states.items() if s.forwarding.families} == {"ec2-ireland", "hkg"}
    hub_only = compile_overlay(edgeproxy("hub"))
    assert {n for n, s in hub_only.items() if s.forwarding.families} == {"ec2-ireland"}


def test_a_forbidden_link_is_gone_and_an_added_one_is_there() -> None:
    links = LinkRules(added=(("hkg", "lax"),), forbidden=(("hkg", "syd"),))
    states = compile_overlay(edgeproxy("regional", links=links, rtt_ms=RTT_MS))
    assert "syd" not in _allowed_ips(states["hkg"])
    assert _allowed_ips(states["lax"])["hkg"] == ["10.50.4.0/23"]
    assert "10.50.4.3/32" in _allowed_ips(states["lax"])["ec2-ireland"]


def test_nodes_behind_an_exit_send_everything_else_to_it() -> None:
    hub = a_node("hub", "a", "10.50.0.1", role="hub", endpoint="198.18.0.1:51820", is_exit=True)
    leaf = a_node("leaf", "a", "10.50.0.2", via_exit="hub")
    states = compile_overlay(an_overlay({"a": ["10.50.0.0/24"]}, hub, leaf))
    assert _allowed_ips(states["leaf"]) == {"hub": ["0.0.0.0/0", "10.50.0.0/24"]}
    assert states["hub"].forwarding.exit_families == (4,)


def test_a_routed_subnet_goes_to_its_node_over_every_relay() -> None:
    vpc = ipaddress.ip_network("172.31.0.0/16")
    overlay = edgeproxy("regional", rtt_ms=RTT_MS)
    nodes = list(overlay.nodes)
    nodes[0] = a_node(
        "ec2-ireland",
        "central",
        "10.50.0.1",
        role="hub",
        endpoint="54.171.48.207:51820",
        routes=(vpc,),
    )
    regions = {region.name: [str(s) for s in region.subnets] for region in overlay.regions}
    states = compile_overlay(an_overlay(regions, *nodes, rtt_ms=RTT_MS))
    assert "172.31.0.0/16" in _allowed_ips(states["nrt"])["ec2-ireland"]
    assert states["ec2-ireland"].forwarding.subnets == (vpc,)


def test_a_node_without_a_key_cannot_be_compiled() -> None:
    overlay = an_overlay(
        {"a": ["10.50.0.0/24"]},
        a_node("hub", "a", "10.50.0.1", role="hub", endpoint="198.18.0.1:1", public_key=None),
    )
    with pytest.raises(MissingKeyError, match="hub"):
        compile_overlay(overlay)
