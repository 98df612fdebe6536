"""Small overlays and keys for tests; every value is deterministic."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from malha.overlay.model import (
    Defaults,
    Latency,
    LinkRules,
    Node,
    Overlay,
    Region,
    Role,
    Topology,
)
from malha.wireguard.endpoint import parse_endpoint
from malha.wireguard.keys import PrivateKey, PublicKey


def a_private_key(name: str) -> PrivateKey:
    """The same private key for the same name."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


def a_public_key(name: str) -> PublicKey:
    """Some public key for the name; it belongs to no private key."""
    return PublicKey(hashlib.sha256(b"public " + name.encode()).digest())


def a_node(name: str, region: str, *addresses: str, role: str = "backend", **fields: Any) -> Node:
    """A node with a key; `endpoint` may be text."""
    if isinstance(fields.get("endpoint"), str):
        fields["endpoint"] = parse_endpoint(fields["endpoint"])
    if role == "pop":
        fields.setdefault("serves", (region,))
    return Node(
        name=name,
        region=region,
        role=Role(role),
        addresses=tuple(ipaddress.ip_address(address) for address in addresses),
        **{"public_key": a_public_key(name), **fields},
    )


def an_overlay(
    regions: Mapping[str, Sequence[str]],
    *nodes: Node,
    topology: str = "regional",
    prefixes: Sequence[str] = ("10.50.0.0/16",),
    rtt_ms: Mapping[tuple[str, str], float] | None = None,
    **fields: Any,
) -> Overlay:
    """An overlay from region subnets, nodes and round-trip times."""
    times = sorted((tuple(sorted(pair)), int(ms * 1000)) for pair, ms in (rtt_ms or {}).items())
    return Overlay(
        name=fields.pop("name", "test"),
        prefixes=tuple(ipaddress.ip_network(prefix) for prefix in prefixes),
        topology=Topology(topology),
        regions=tuple(
            Region(name, tuple(ipaddress.ip_network(subnet) for subnet in subnets))
            for name, subnets in regions.items()
        ),
        nodes=nodes,
        defaults=fields.pop("defaults", Defaults()),
        links=fields.pop("links", LinkRules()),
        latency=Latency(rtt_us=tuple(times)),  # type: ignore[arg-type]
        **fields,
    )


def edgeproxy(topology: str = "regional", **fields: Any) -> Overlay:
    """The first user's twelve nodes, shortened to what routing needs."""
    places = {
        "sa": (1, ["gru"]),
        "na": (2, ["iad", "ord", "lax"]),
        "eu": (3, ["lhr", "fra", "cdg"]),
        "ap": (4, ["nrt", "sin", "syd"]),
    }
    nodes = [
        a_node("ec2-ireland", "central", "10.50.0.1", role="hub", endpoint="54.171.48.207:51820")
    ]
    for region, (third, names) in places.items():
        nodes += [a_node(n, region, f"10.50.{third}.{i}") for i, n in enumerate(names, start=1)]
    nodes.append(
        a_node(
            "hkg",
            "hkg",
            "10.50.5.1",
            role="pop",
            endpoint="35.241.112.61:51820",
            serves=("ap", "hkg"),
        )
    )
    regions = {"central": ["10.50.0.0/24"]}
    regions |= {region: [f"10.50.{third}.0/24"] for region, (third, _) in places.items()}
    regions |= {"hkg": ["10.50.5.0/24"]}
    return an_overlay(regions, *nodes, topology=topology, **fields)
