"""The schema of overlay.yaml, and an overlay as far as its single values could be read.

Rule: what could not be read is absent from the draft and present among its flaws, so that the
checks across values go on with the rest and the author gets all problems at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from malha.overlay.fields import (
    Schema,
    choice,
    list_of,
    named,
    one_or_list_of,
    read_address,
    read_endpoint,
    read_flag,
    read_keepalive,
    read_mtu,
    read_name,
    read_port,
    read_prefix,
    read_public_key,
    read_text,
)
from malha.overlay.flaws import Flaw, Path, Refused, below, refuse, shown
from malha.overlay.model import Role, Topology

MAX_RTT_MS = 10_000.0
"""Longer than any path on Earth with two satellite hops; a larger figure is in another unit."""

DEFAULTS = Schema(
    "defaults",
    {
        "listen_port": read_port,
        "spare_port": read_port,
        "persistent_keepalive": read_keepalive,
        "mtu": read_mtu,
    },
)
REGION = Schema(
    "a region",
    {"subnet": one_or_list_of(read_prefix), "description": read_text},
    required=("subnet",),
)
NODE = Schema(
    "a node",
    {
        "region": read_name,
        "role": choice(Role),
        "address": one_or_list_of(read_address),
        "endpoint": read_endpoint,
        "public_key": read_public_key,
        "listen_port": read_port,
        "spare_port": read_port,
        "mtu": read_mtu,
        "persistent_keepalive": read_keepalive,
        "serves": list_of(read_name),
        "routes": list_of(read_prefix),
        "exit": read_flag,
        "via_exit": read_name,
        "managed": read_flag,
        "description": read_text,
        "location": read_text,
    },
    required=("region",),
)


def _read_pair(value: object) -> tuple[str, str]:
    pair = list_of(read_name)(value)
    if len(pair) != 2:
        raise refuse("wrong-type", "a link is a list of two nodes: [a, b]")
    return pair[0], pair[1]


LINKS = Schema("links", dict.fromkeys(("add", "forbid", "pin"), list_of(_read_pair)))


def _read_rtt_us(value: object) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.001 <= float(value) <= MAX_RTT_MS:  # type: ignore[arg-type]
        raise refuse(
            "bad-rtt", f"{shown(value)} is not a round trip in ms: 0.001 to {MAX_RTT_MS:.0f}"
        )
    return round(float(value) * 1000)  # type: ignore[arg-type]


def _read_rtts(value: object) -> dict[tuple[str, str], int]:
    """Read {a: {b: ms}} as {(a, b): µs}, the pairs as they are written."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse("wrong-type", f"a mapping of nodes is expected, not {shown(value)}")
    rtts: dict[tuple[str, str], int] = {}
    flaws: list[Flaw] = []
    for near, row in value.items():
        if not isinstance(row, dict | None):
            flaws.append(Flaw((near,), "wrong-type", "a mapping {node: ms} is expected here"))
            continue
        for far, rtt_ms in (row or {}).items():
            try:
                rtts[near, far] = _read_rtt_us(rtt_ms)
            except Refused as refused:  # noqa: PERF203 (every pair's flaws are wanted)
                flaws += [Flaw((near, far), flaw.code, flaw.message) for flaw in refused.flaws]
    if flaws:
        raise Refused(flaws)
    return rtts


LATENCY = Schema(
    "latency",
    {"rtt_ms": _read_rtts, "estimated_rtt_ms": _read_rtts, "how_estimated": read_text},
)

_NAMED = {"regions": named(REGION), "nodes": named(NODE)}
_PARTS = {"defaults": DEFAULTS, "links": LINKS, "latency": LATENCY}
OVERLAY = Schema(
    "an overlay",
    {
        "overlay": read_name,
        "description": read_text,
        "prefixes": one_or_list_of(read_prefix),
        "topology": choice(Topology),
        "defaults": lambda value: value,
        "regions": lambda value: value,
        "nodes": lambda value: value,
        "links": lambda value: value,
        "latency": lambda value: value,
    },
    required=("overlay", "prefixes", "regions"),
)


@dataclass(frozen=True)
class Draft:
    """What could be read; every value in it is sound by itself."""

    head: dict[str, Any]
    regions: dict[str, dict[str, Any]]
    nodes: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    links: dict[str, Any]
    latency: dict[str, Any]
    flaws: list[Flaw]
    """Grows while the checks go on."""

    def add(self, path: Path, code: str, message: str, *, at_key: bool = False) -> None:
        """Note one more flaw."""
        self.flaws.append(Flaw(path, code, message, at_key))


def read_draft(tree: object) -> Draft:
    """Read every single value of an overlay's tree."""
    head, flaws = OVERLAY.read(tree)
    parts: dict[str, Any] = {}
    for key, read in _NAMED.items():
        parts[key], inner = read(head.pop(key, None))
        flaws += below(key, Refused(inner))
    for key, schema in _PARTS.items():
        body = head.pop(key, None)
        parts[key], inner = schema.read({} if body is None else body)
        flaws += below(key, Refused(inner))
    return Draft(head, flaws=flaws, **parts)
