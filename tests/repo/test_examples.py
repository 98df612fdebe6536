"""The example is what it says: the document's twelve nodes, and its configs as written."""

from __future__ import annotations

import runpy
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from malha.cli.fleet_input import read_fleet
from malha.overlay.model import Overlay, Role
from malha.overlay.yaml_source import load_overlay
from malha.proof import prove
from malha.topology.compile import compile_overlay
from malha.wireguard.keys import PublicKey
from malha.wireguard.wg_quick import WgQuickFile, parse_wg_quick
from tests.repo.checkout import ROOT

EDGEPROXY = ROOT / "examples" / "edgeproxy"
ESTIMATE = runpy.run_path(str(EDGEPROXY / "estimate_latency.py"))
APAC = ("nrt", "sin", "syd")


def overlay() -> Overlay:
    """The example's overlay."""
    return load_overlay(EDGEPROXY / "overlay.yaml")


def as_written() -> dict[str, WgQuickFile]:
    """The document's configs, by node."""
    files = {}
    for path in sorted((EDGEPROXY / "as-written").glob("*.conf")):
        files[path.stem], flaws = parse_wg_quick(path.read_text(encoding="utf-8"))
        assert not flaws, (path, flaws)
    return files


def public_key_of(config: WgQuickFile) -> str:
    """The public key that belongs to a config's private key."""
    assert config.private_key is not None
    private = X25519PrivateKey.from_private_bytes(config.private_key.raw)
    return str(PublicKey(private.public_key().public_bytes_raw()))


def test_the_overlay_has_the_documents_nodes() -> None:
    nodes = overlay().node_by_name
    assert [name for name, node in nodes.items() if node.role is Role.HUB] == ["ec2-ireland"]
    assert [name for name, node in nodes.items() if node.role is Role.POP] == ["hkg"]
    assert len(nodes) == 12
    assert {name for name, node in nodes.items() if node.endpoint} == {"ec2-ireland", "hkg"}
    assert all(node.public_key and node.addresses_written for node in nodes.values())


def test_every_pair_of_the_overlay_can_talk() -> None:
    proof = prove(compile_overlay(overlay()))
    assert (proof.pairs, proof.reachable) == (132, 132)


def test_addresses_and_endpoints_are_those_of_the_configs_as_written() -> None:
    nodes, configs = overlay().node_by_name, as_written()
    assert nodes.keys() == configs.keys()
    for name, config in configs.items():
        assert [interface.ip for interface in config.addresses] == list(nodes[name].addresses)
    dialled = {str(peer.endpoint) for config in configs.values() for peer in config.peers}
    declared = {str(node.endpoint) for node in nodes.values()}
    assert dialled == declared


def test_the_keys_as_written_fit_each_other() -> None:
    configs = as_written()
    keys = {public_key_of(config) for config in configs.values()}
    assert len(keys) == 12
    assert {str(p.public_key) for config in configs.values() for p in config.peers} == keys
    hub = {str(peer.public_key) for peer in configs["ec2-ireland"].peers}
    assert hub == keys - {public_key_of(configs["ec2-ireland"])}


def test_the_quirks_of_the_document_are_kept() -> None:
    """What makes 62 of 132 pairs fail must not be mended by accident."""
    configs = as_written()
    for name in configs.keys() - {"ec2-ireland", "hkg"}:
        hub = configs[name].peers[0]
        assert [str(p) for p in hub.allowed_ips] == [f"10.50.{i}.0/24" for i in range(4)]
        assert configs[name].listen_port is None
        assert len(configs[name].peers) == (2 if name in APAC else 1)
    assert len(configs["ec2-ireland"].hooks) == len(configs["hkg"].hooks) == 3


def test_every_pair_has_a_round_trip_known_or_marked_as_an_estimate() -> None:
    latency = overlay().latency
    known, estimated = dict(latency.rtt_us), dict(latency.estimated_us)
    assert len(known) == 14
    assert len(known) + len(estimated) == 12 * 11 // 2
    assert not known.keys() & estimated.keys()


def test_the_latency_file_is_what_its_script_makes() -> None:
    text = (EDGEPROXY / "latency.yaml").read_text(encoding="utf-8")
    assert text == ESTIMATE["render_latency"]()


@given(st.sampled_from(sorted(ESTIMATE["PLACES"])), st.sampled_from(sorted(ESTIMATE["PLACES"])))
def test_distance_is_a_distance(a: str, b: str) -> None:
    distance_km = ESTIMATE["great_circle_km"]
    assert distance_km(a, b) == distance_km(b, a)
    assert (distance_km(a, b) == 0) == (a == b)
    assert distance_km(a, b) <= 20_038  # half the equator of that sphere, in km


def test_the_example_is_where_the_documents_say() -> None:
    assert Path(EDGEPROXY / "as-written" / "README.md").is_file()


def test_as_written_seventy_of_132_pairs_can_talk() -> None:
    """Measured with real WireGuard: the hub and its seven western backends among themselves (56),
    the hub with hkg and the three backends of APAC (8), hkg with those three (6)."""
    proof = prove(read_fleet(EDGEPROXY / "as-written").states)
    assert (proof.pairs, proof.reachable) == (132, 70)
    causes = {(f.source, f.target): f.cause for f in proof.failures}
    assert causes["hkg", "gru"] == "source-not-allowed"
    assert causes["gru", "nrt"] == "leaked"
