"""Every ordered pair, request and reply, in every family: which arrive, and why others do not.

The rule is `walk`. Which packets fail is found by tables that answer for all addresses at once
(`legs`); each failure is then walked, to say where and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from malha.proof import codes
from malha.proof.legs import failed_legs
from malha.proof.tables import build_tables
from malha.proof.walk import Walk, walk
from malha.proof.world import World
from malha.wireguard.device import Device, NodeState


@dataclass(frozen=True, slots=True)
class Failure:
    """An ordered pair whose echo request, or the reply to it, does not arrive."""

    source: str
    target: str
    leg: str
    """`request` or `reply`."""
    family: int
    at: str
    """The machine that drops the packet, or lets it leak."""
    cause: str
    """A code's name; see `malha.proof.codes`."""
    detail: str


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something worth knowing that stops no packet by itself."""

    node: str
    code: str
    severity: str
    detail: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What holds for a set of machines once every dialler has dialled (the steady state)."""

    nodes: int
    pairs: int
    """Ordered pairs: nodes * (nodes - 1)."""
    reachable: int
    """Pairs that work there and back, in every family."""
    failures: tuple[Failure, ...]
    """In the order of the machines; a pair that fails in two families is in here twice."""
    findings: tuple[Finding, ...]


def prove(states: Mapping[str, NodeState] | Sequence[NodeState]) -> Proof:
    """Follow every ordered pair's packets and say which do not arrive."""
    world = World(tuple(states.values()) if isinstance(states, Mapping) else tuple(states))
    failures = tuple(_failures(world))
    count = len(world.states)
    failed_pairs = {(failure.source, failure.target) for failure in failures}
    return Proof(
        nodes=count,
        pairs=count * (count - 1),
        reachable=count * (count - 1) - len(failed_pairs),
        failures=failures,
        findings=tuple(sorted(_link_findings(world))),
    )


def _failures(world: World) -> Iterator[Failure]:
    failed = {family: failed_legs(build_tables(world, family)) for family in world.families}
    pairs = {pair for legs in failed.values() for a, b in legs for pair in ((a, b), (b, a))}
    for a, b in sorted(pairs):
        for family, legs in failed.items():
            if (a, b) in legs:
                yield _failure(world, a, b, "request", walk(world, a, b, family))
            elif (b, a) in legs:
                yield _failure(world, a, b, "reply", walk(world, b, a, family))


def _failure(world: World, a: int, b: int, leg: str, walked: Walk) -> Failure:
    drop = walked.drop
    assert drop is not None, f"tables and walk disagree on {walked}"
    names = world.states[a].name, world.states[b].name
    return Failure(*names, leg, walked.family, drop.node, drop.cause.name, drop.detail)


def _link_findings(world: World) -> Iterator[Finding]:
    mtus = {device.mtu for state in world.states for device in state.devices}
    any_waits = any(peer.endpoint is None for peer in world.distinct_peers)
    lazy = _lazy_diallers(world) if any_waits else frozenset()
    for i, state in enumerate(world.states):
        for d, device in enumerate(state.devices):
            if len(mtus) > 1:
                yield from _mtu_findings(world, i, device)
            for place, peer in enumerate(device.peers if lazy else ()):
                # Only who dials without a keepalive leaves the other side waiting.
                if peer.endpoint is not None or peer.public_key.raw not in lazy:
                    continue
                if world.session(i, d, place).order_dependent:
                    detail = f"{state.name} waits until {peer.name} has spoken first"
                    yield _finding(state.name, codes.ORDER_DEPENDENT, detail)


def _lazy_diallers(world: World) -> frozenset[bytes]:
    """Keys of devices that dial somebody without a keepalive."""
    seen: dict[int, bool] = {}
    found: set[bytes] = set()
    for state in world.states:
        for device in state.devices:
            if id(device.peers) not in seen:
                seen[id(device.peers)] = any(
                    peer.persistent_keepalive_s is None and peer.endpoint is not None
                    for peer in device.peers
                )
            if seen[id(device.peers)]:
                found.add(device.public_key.raw)
    return frozenset(found)


def _mtu_findings(world: World, i: int, device: Device) -> Iterator[Finding]:
    here = world.states[i].name
    for peer in device.peers:
        for other, d in world.devices_by_key.get(peer.public_key.raw, ()):
            there = world.states[other]
            mtu = there.devices[d].mtu
            if i < other and mtu != device.mtu:
                detail = f"{here} has MTU {device.mtu}, its peer {there.name} has {mtu}"
                yield _finding(here, codes.MTU_DIFFERS, detail)


def _finding(node: str, code: codes.Code, detail: str) -> Finding:
    return Finding(node, code.name, code.severity.value, detail)
