"""Whole wg-quick files, byte for byte.

After a change that is meant, MALHA_WRITE_GOLDEN=1 writes them anew; read the diff before you
commit it. No file here holds a private key: without one, a file reads it on the node.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from malha.overlay.yaml_source import load_overlay
from malha.render.wg_quick import render_all
from malha.topology.compile import compile_overlay
from tests.builders import a_node, an_overlay

FOLDER = Path(__file__).parent / "wg-quick"
EXAMPLE = Path(__file__).parents[2] / "examples" / "edgeproxy" / "overlay.yaml"


def _edgeproxy() -> dict[str, str]:
    return dict(render_all(compile_overlay(load_overlay(EXAMPLE)), {}))


def _everything() -> dict[str, str]:
    """Two families, an exit, a routed subnet, an IPv6 endpoint, a name, a spare keepalive."""
    vpc = ipaddress.ip_network("172.31.0.0/16")
    hub = a_node("hub", "a", "10.50.0.1", "fd50::1", role="hub", endpoint="[2001:db8::1]:51820")
    vpc_hub = a_node(
        *("vpc-hub", "a", "10.50.0.2", "fd50::2"),
        role="hub",
        endpoint="hub.example.org:4500",
        listen_port=51820,
        routes=(vpc,),
        is_exit=True,
    )
    silent = a_node("silent", "b", "10.50.1.1", "fd50:0:0:1::1", persistent_keepalive_s=0)
    away = a_node("away", "b", "10.50.1.2", "fd50:0:0:1::2", via_exit="vpc-hub", mtu=1280)
    overlay = an_overlay(
        {"a": ["10.50.0.0/24", "fd50::/64"], "b": ["10.50.1.0/24", "fd50:0:0:1::/64"]},
        *(hub, vpc_hub, silent, away),
        prefixes=["10.50.0.0/16", "fd50::/48"],
    )
    return dict(render_all(compile_overlay(overlay), {}))


@pytest.mark.parametrize(
    ("name", "text"),
    [(f"edgeproxy-{node}", text) for node, text in _edgeproxy().items()]
    + [(f"everything-{node}", text) for node, text in _everything().items()],
)
def test_the_file_is_the_golden_one(name: str, text: str) -> None:
    path = FOLDER / f"{name}.conf"
    if os.environ.get("MALHA_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_there_is_no_golden_file_of_no_node() -> None:
    known = {f"edgeproxy-{n}" for n in _edgeproxy()} | {f"everything-{n}" for n in _everything()}
    assert {path.stem for path in FOLDER.glob("*.conf")} == known
