"""A compiled overlay runs: what proof says on paper, packets do for real.

far ─── hub ─── pop        backends behind NATs of their own; `one` and `two` are served by
         │ ╲     ┊ ┊       the pop, which is 10 ms away; the hub is 60 ms away
        one  two ┘ ┘
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from malha.errors import OtherSideError
from malha.host.apply import bring_up, run_ip_batch
from malha.lab.host import LabHost
from malha.lab.lab import Lab
from malha.lab.overlay_lab import OverlayLab
from malha.lab.waiting import wait_for
from malha.overlay.model import Topology
from malha.proof.prove import prove
from malha.wireguard.endpoint import Endpoint
from tests.lab.conftest import small_overlay

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("can_lab")]


def carried(lab: Lab) -> int:
    """Packets that the WAN has delivered so far: what tells that something still happens."""
    return sum(link.packets for link in lab.wan.stats().links.values())


@pytest.mark.parametrize("endpoint_family", [4, 6])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("topology", ["hub", "regional", "full"])
def test_every_pair_that_is_proven_answers(
    family: int, endpoint_family: int, topology: str
) -> None:
    overlay = small_overlay(family, endpoint_family=endpoint_family, topology=topology)
    ready = OverlayLab.prepare(overlay)
    proof = prove(ready.states())
    assert proof.reachable == proof.pairs == 20
    with ready.start() as lab:
        pings = lab.ping_all(lab.addresses(family))
    assert len(pings) == 20
    assert [pair for pair, rtt in pings.items() if rtt is None] == []


def test_round_trips_are_those_of_the_paths(regional_lab: Lab) -> None:
    paths_ms = {("one", "pop"): 10, ("one", "two"): 20, ("one", "far"): 120}
    rtts: dict[tuple[str, str], float | None] = {}

    def are_those_of_the_paths() -> bool:
        """Never quicker than the path; on a busy machine slower, so that one looks again."""
        rtts.update(
            {pair: rtt for pair, rtt in regional_lab.ping_all().items() if pair in paths_ms}
        )
        known = [(rtts[pair], path_ms) for pair, path_ms in paths_ms.items()]
        assert all(rtt is None or rtt >= path_ms for rtt, path_ms in known), rtts
        return all(rtt is not None and rtt < path_ms + 30 for rtt, path_ms in known)

    try:
        wait_for(are_those_of_the_paths, 60)
    except TimeoutError:
        pytest.fail(f"60 s long slower than {paths_ms}: {rtts}")


def test_devices_are_what_was_declared(regional_lab: Lab) -> None:
    for name, state in regional_lab.states.items():
        (observed,) = regional_lab.observe(name)
        (declared,) = state.devices
        told = {peer.public_key: peer for peer in declared.peers}
        assert observed.device.private_key == declared.private_key
        assert len(observed.device.peers) == len(told)
        for peer in observed.device.peers:
            expected = told[peer.public_key]
            # An endpoint that was not declared was learned from the peer's handshake.
            assert peer == replace(expected, endpoint=expected.endpoint or peer.endpoint)
            assert observed.facts[peer.public_key].latest_handshake_at is not None


def test_bringing_up_needs_no_second_attempt_and_endures_one(regional_lab: Lab) -> None:
    host = regional_lab.hosts["pop"]
    before = host.run(["nft", "list", "ruleset"]), host.run(["ip", "route"])
    state = regional_lab.states["pop"]
    with pytest.raises(OtherSideError):
        bring_up(host, state)  # the device is there already, and nothing else is touched
    assert (host.run(["nft", "list", "ruleset"]), host.run(["ip", "route"])) == before


def test_what_nobody_owns_is_unreachable_and_does_not_leak(regional_lab: Lab) -> None:
    before = regional_lab.wan.stats().unrouted_destinations
    inside = regional_lab.hosts["one"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside, pytest.raises(OSError) as caught:  # noqa: PT011 - the number is looked at below
        inside.sendto(b"x", ("10.50.77.77", 9))
    assert caught.value.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
    assert regional_lab.wan.stats().unrouted_destinations == before


def test_flows_without_a_change_lose_nothing(regional_lab: Lab) -> None:
    pairs = [("one", "far"), ("far", "one"), ("two", "one")]
    counted = carried(regional_lab)
    with regional_lab.flows(pairs, rate_per_s=100) as flows:
        # Every packet crosses the WAN at least once: wait until a good number has.
        wait_for(lambda: carried(regional_lab) > counted + 200, 60)
    for flow in flows.results:
        assert flow.sent > 20
        assert (flow.lost, flow.duplicated, flow.refused) == (0, 0, 0)


def test_lost_packets_are_counted(regional_lab: Lab) -> None:
    counted = carried(regional_lab)
    regional_lab.wan.change_link("one", "pop", up=False)
    try:
        with regional_lab.flows([("one", "pop"), ("far", "hub")], rate_per_s=100) as flows:
            wait_for(lambda: carried(regional_lab) > counted + 100, 60)
    finally:
        regional_lab.wan.change_link("one", "pop", up=True)
    cut, whole = flows.results
    assert cut.sent > 20
    assert cut.lost == cut.sent
    assert whole.lost == 0


def test_a_pair_without_a_path_is_none(regional_lab: Lab) -> None:
    regional_lab.wan.partition(["far"], ["hub"])
    try:
        pings = regional_lab.ping_all(timeout_s=1)
    finally:
        regional_lab.wan.heal(["far"], ["hub"])
    assert {pair for pair, rtt in pings.items() if rtt is None} == {
        pair for pair in pings if "far" in pair
    }


def test_an_endpoint_that_is_a_name(prepared: OverlayLab) -> None:
    overlay = small_overlay(4)
    hub, *others = overlay.nodes
    named = replace(hub, endpoint=Endpoint("hub.example.org", 51820))
    ready = OverlayLab.prepare(replace(overlay, nodes=(named, *others)))
    with ready.start() as lab:
        assert None not in lab.ping_all().values()
        found = lab.hosts["far"].run(["getent", "ahostsv4", "hub.example.org"])
        assert found.split()[0] == ready.underlay.names["hub.example.org"]


@pytest.mark.parametrize("family", [4, 6])
def test_a_live_change_moves_paths_and_counts_what_it_costs(family: int) -> None:
    ready = OverlayLab.prepare(small_overlay(family))
    steps: list[str] = []
    with ready.start(Topology.HUB) as lab:
        known = lab.addresses(family)
        before = lab.ping_all(known)
        pairs = [("one", "pop"), ("pop", "two"), ("far", "hub")]
        with lab.flows(pairs, rate_per_s=100, family=family) as flows:
            lab.change(ready.states(Topology.REGIONAL), on_step=steps.append)
            sent = carried(lab)
            wait_for(lambda: carried(lab) > sent + 100, 60)
        after = lab.ping_all(known)
        for name, state in ready.states(Topology.REGIONAL).items():
            (observed,) = lab.observe(name)
            assert {p.public_key: p.allowed_ips for p in observed.device.peers} == {
                p.public_key: p.allowed_ips for p in state.devices[0].peers
            }
    assert steps == ["new peers", "2 new handshakes", "allowed IPs", "routes, and what is gone"]
    assert None not in before.values()
    assert None not in after.values()
    assert before["one", "pop"] >= 120  # type: ignore[operator]
    assert 10 <= after["one", "pop"] < 60  # type: ignore[operator]
    one_pop, _, unmoved = flows.results
    # What was in flight on the old path, 120 ms of 100 packets a second, and no second more.
    assert one_pop.lost < 100
    assert unmoved.lost == 0


def test_a_change_back_removes_what_is_gone() -> None:
    ready = OverlayLab.prepare(small_overlay(4))
    with ready.start(Topology.REGIONAL) as lab:
        lab.change(ready.states(Topology.HUB))
        (observed,) = lab.observe("pop")
        assert [peer.name for peer in observed.device.peers] == ["hub"]
        assert None not in lab.ping_all().values()


def test_a_change_names_the_same_nodes(regional_lab: Lab, prepared: OverlayLab) -> None:
    fewer = {name: state for name, state in prepared.states().items() if name != "far"}
    with pytest.raises(ValueError, match="keeps its nodes"):
        regional_lab.change(fewer)


def test_a_link_without_a_handshake_is_named(prepared: OverlayLab) -> None:
    states = prepared.states()
    device = replace(states["hub"].devices[0], private_key=states["one"].devices[0].private_key)
    broken = {**states, "hub": replace(states["hub"], devices=(device,))}
    with pytest.raises(TimeoutError, match="far-hub"):
        Lab.start(broken, prepared.underlay, handshake_timeout_s=0.5)


def test_an_exit_translates_and_carries_what_leaves() -> None:
    overlay = small_overlay(4)
    hub, pop, one, two, far = overlay.nodes
    nodes = (replace(hub, is_exit=True), pop, replace(one, via_exit="hub"), two, far)
    ready = OverlayLab.prepare(replace(overlay, nodes=nodes))
    with ready.start() as lab:
        assert None not in lab.ping_all().values()
        outside = ip_address("192.0.2.2")  # the pop's underlay address, as somebody's web site
        with lab.hosts["pop"].socket(socket.AF_INET, socket.SOCK_DGRAM) as site:
            site.bind((str(outside), 7))
            site.settimeout(30)
            with lab.hosts["one"].socket(socket.AF_INET, socket.SOCK_DGRAM) as browser:
                browser.settimeout(30)
                browser.sendto(b"hello", (str(outside), 7))
                text, seen_as = site.recvfrom(100)
                assert (text, seen_as[0]) == (b"hello", "192.0.2.1")
                site.sendto(b"welcome", seen_as)
                assert browser.recv(100) == b"welcome"


def test_a_routed_subnet_is_reached_and_nothing_beside_it() -> None:
    """

    one ─── pop ─── hub ─── far ═══ vpc     172.20.0.2 and 172.21.0.2 are both on `vpc`,
                                            and only 172.20.0.0/24 is declared
    """
    overlay = small_overlay(4)
    *others, far = overlay.nodes
    subnet = ip_network("172.20.0.0/24")
    ready = OverlayLab.prepare(replace(overlay, nodes=(*others, replace(far, routes=(subnet,)))))
    with ready.start() as lab:
        vpc = LabHost("vpc", lab.keeper, has_kernel_wireguard=False)
        os.close(vpc.create())
        waiting = vpc.popen(["sh", "-c", "echo $$; read line"])
        netns = f"/proc/{waiting.stdout.readline().strip()}/ns/net"
        far_lines = [
            f"link add lan type veth peer name eth1 netns {netns}",
            "link set lan up",
            "address add 172.20.0.1/24 dev lan",
            "route add 172.21.0.0/24 dev lan",
        ]
        run_ip_batch(lab.hosts["far"], far_lines)
        vpc_lines = [
            "link set eth1 up",
            "address add 172.20.0.2/24 dev eth1",
            "address add 172.21.0.2/24 dev eth1",
            "route add default via 172.20.0.1",
        ]
        run_ip_batch(vpc, vpc_lines)
        lab.hosts["one"].run(["ping", "-c", "1", "-W", "20", "172.20.0.2"])
        vpc.run(["ping", "-c", "1", "-W", "20", "10.50.1.2"])
        # The far end answers itself, but relays to nothing that was not declared.
        lab.hosts["far"].run(["ping", "-c", "1", "-W", "20", "172.21.0.2"])
        run_ip_batch(lab.hosts["one"], ["route add 172.21.0.0/24 dev wg0"])
        code, _, _ = lab.hosts["one"].try_run(["ping", "-c", "1", "-W", "1", "172.21.0.2"])
        assert code != 0
        waiting.close()
        vpc.close()
