"""The files themselves: plain `wg-quick up`, on twelve machines with nothing else of malha.

The first user's overlay from examples/edgeproxy, and their configurations as they were written:

    ten backends behind NATs ─── ec2-ireland (hub) ─── hkg (pop) ─── nrt, sin, syd
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from malha.cli.fleet_input import read_fleet
from malha.lab.lab import Lab
from malha.lab.overlay_lab import OverlayLab
from malha.lab.ping import Pair
from malha.lab.waiting import wait_for
from malha.overlay.yaml_source import load_overlay
from malha.proof.prove import prove
from malha.render.wg_quick import render_all
from malha.wireguard.device import Address, Forwarding, NodeState
from tests.lab.conftest import small_overlay

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("can_lab")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "edgeproxy"
HUBS_FIRST = ("ec2-ireland", "hkg")
"""A backend that dials before its hub is up waits five seconds for its next attempt."""


@pytest.fixture(scope="module")
def example() -> OverlayLab:
    return OverlayLab.prepare(load_overlay(EXAMPLE / "overlay.yaml"))


@pytest.fixture
def bare_lab(can_lab: None, example: OverlayLab) -> Iterator[Lab]:
    """The twelve machines on their planet, without any WireGuard."""
    bare = {name: _without_wireguard(state) for name, state in example.states().items()}
    with Lab.start(bare, example.underlay, handshake_timeout_s=None) as lab:
        yield lab


def _without_wireguard(state: NodeState) -> NodeState:
    return replace(state, devices=(), unreachable=(), forwarding=Forwarding())


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / f"{name}.conf"
        path.touch(0o600)
        path.write_text(text)


def _up(lab: Lab, folder: Path) -> None:
    def up(name: str) -> None:
        lab.hosts[name].run(["wg-quick", "up", str(folder / f"{name}.conf")])

    lab.each(up, HUBS_FIRST)
    lab.each(up, [name for name in lab.hosts if name not in HUBS_FIRST])


def _silent_pairs(lab: Lab, addresses: Mapping[str, Address]) -> set[Pair]:
    pings = lab.ping_all(addresses, timeout_s=2)
    return {pair for pair, rtt in pings.items() if rtt is None}


def _await_silence_of(failing: set[Pair], lab: Lab, addresses: Mapping[str, Address]) -> None:
    """Wait until all other pairs answer; if they do not, say which are missing."""
    silent: set[Pair] = set()

    def others_answer() -> bool:
        silent.clear()
        silent.update(_silent_pairs(lab, addresses) - failing)
        return not silent

    try:
        wait_for(others_answer, timeout_s=60)
    except TimeoutError:
        pytest.fail(f"no answer within 60 s: {sorted(silent)}")


def _addresses(states: Mapping[str, NodeState]) -> dict[str, Address]:
    return {name: state.devices[0].addresses[0].ip for name, state in states.items()}


def test_rendered_files_come_up_and_every_pair_answers(
    bare_lab: Lab, example: OverlayLab, tmp_path: Path
) -> None:
    states = example.states()
    _write(tmp_path, dict(render_all(states, example.keys)))
    _up(bare_lab, tmp_path)
    addresses = _addresses(states)
    assert len(addresses) == 12
    _await_silence_of(set(), bare_lab, addresses)
    # What nobody owns is unreachable on the spot, and the way out does not see it.
    before = bare_lab.wan.stats().unrouted
    code, out, err = bare_lab.hosts["gru"].try_run(["ping", "-c1", "-W2", "10.50.77.7"])
    assert code != 0
    assert "No route to host" in out + err
    assert bare_lab.wan.stats().unrouted == before


def test_down_takes_away_all_that_up_brought(
    bare_lab: Lab, example: OverlayLab, tmp_path: Path
) -> None:
    _write(tmp_path, dict(render_all(example.states(), example.keys)))
    host, path = bare_lab.hosts["hkg"], str(tmp_path / "hkg.conf")

    def world() -> tuple[str, ...]:
        show = (["ip", "-o", "link"], ["ip", "route"], ["ip", "-6", "route"], ["ip", "rule"])
        return tuple(host.run(argv) for argv in (*show, ["nft", "list", "ruleset"]))

    before = world()
    for _ in range(2):
        host.run(["wg-quick", "up", path])
        assert world() != before
        host.run(["wg-quick", "down", path])
        assert wait_for(lambda: world() == before, timeout_s=30)


def test_as_written_exactly_the_pairs_answer_that_check_says(bare_lab: Lab, tmp_path: Path) -> None:
    """70 of 132: the checker's steady state is what real WireGuard does with the files."""
    folder = EXAMPLE / "as-written"
    fleet = read_fleet(folder)
    proof = prove(fleet.states)
    assert (proof.pairs, proof.reachable) == (132, 70)
    texts = {path.stem: path.read_text() for path in folder.glob("*.conf")}
    # These machines have no iptables and need none: nothing of theirs forbids forwarding.
    no_iptables = {
        name: "\n".join(line for line in text.splitlines() if "iptables" not in line)
        for name, text in texts.items()
    }
    _write(tmp_path, no_iptables)
    _up(bare_lab, tmp_path)
    addresses = _addresses({state.name: state for state in fleet.states})
    failing = {(failure.source, failure.target) for failure in proof.failures}
    _await_silence_of(failing, bare_lab, addresses)
    assert _silent_pairs(bare_lab, addresses) == failing


def test_a_key_that_stays_on_the_node_is_read_there(
    bare_lab: Lab, example: OverlayLab, tmp_path: Path
) -> None:
    states = {name: example.states()[name] for name in ("ec2-ireland", "gru")}
    _write(tmp_path, dict(render_all(states, {})))
    for name in states:
        assert "PrivateKey" not in (tmp_path / f"{name}.conf").read_text()
        host = bare_lab.hosts[name]
        # The file of the key belongs to the node; here both nodes share a file system, so the
        # hook is pointed to a folder of the test's.
        key = tmp_path / f"{name}.key"
        key.touch(0o600)
        key.write_text(example.keys[name].reveal() + "\n")
        conf = tmp_path / f"{name}.conf"
        conf.write_text(conf.read_text().replace("/etc/wireguard/%i.key", str(key)))
        host.run(["wg-quick", "up", str(conf)])
    gru, hub = bare_lab.hosts["gru"], ipaddress.ip_address("10.50.0.1")
    wait_for(lambda: gru.try_run(["ping", "-c1", "-W1", str(hub)])[0] == 0, timeout_s=60)


def test_an_ipv6_relays_file_keeps_router_advertisements(can_lab: None, tmp_path: Path) -> None:
    """A cloud's IPv6 default route comes by them; a forwarding machine ignores them unless told."""
    small = OverlayLab.prepare(small_overlay(6, endpoint_family=6))
    hub = small.states()["hub"]
    bare = {"hub": _without_wireguard(hub)}
    _write(tmp_path, dict(render_all({"hub": hub}, small.keys)))
    with Lab.start(bare, small.underlay, handshake_timeout_s=None) as lab:
        host = lab.hosts["hub"]
        settings = "/proc/sys/net/ipv6/conf"
        assert host.run(["cat", f"{settings}/eth0/accept_ra"]) == "1\n"
        host.run(["wg-quick", "up", str(tmp_path / "hub.conf")])
        assert host.run(["cat", f"{settings}/all/forwarding"]) == "1\n"
        assert host.run(["cat", f"{settings}/eth0/accept_ra"]) == "2\n"
