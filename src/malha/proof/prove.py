"""Every ordered pair, request and reply, in every family: which arrive, and why others do not.

The rule is `walk`. Which packets fail is found by tables that answer for all addresses at once
(`legs`); each failure is then walked, to say where and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from malha.proof.findings import Finding, link_findings
from malha.proof.legs import failed_legs
from malha.proof.outside import (
    ExitReach,
    SubnetReach,
    foreign_addresses,
    prove_exits,
    prove_subnets,
)
from malha.proof.tables import build_tables
from malha.proof.walk import Walk, walk
from malha.proof.world import World
from malha.wireguard.device import NodeState

__all__ = ["Failure", "Finding", "Proof", "prove"]


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
    """What else was found; a subnet or an exit that a machine does not reach among it."""
    subnets: tuple[SubnetReach, ...] = ()
    """Every subnet behind a machine, in the order of the machines."""
    exits: tuple[ExitReach, ...] = ()
    """For each family that has exits: who gets out there."""


def prove(states: Mapping[str, NodeState] | Sequence[NodeState]) -> Proof:
    """Follow every ordered pair's packets, and those to subnets and exits; say which fail."""
    machines = tuple(states.values()) if isinstance(states, Mapping) else tuple(states)
    world = World(machines, foreign_addresses(machines))
    subnets, unreached = prove_subnets(world)
    exits, shut_in = prove_exits(world)
    failures = tuple(_failures(world))
    count = len(world.states)
    failed_pairs = {(failure.source, failure.target) for failure in failures}
    return Proof(
        nodes=count,
        pairs=count * (count - 1),
        reachable=count * (count - 1) - len(failed_pairs),
        failures=failures,
        findings=tuple(sorted([*link_findings(world), *unreached, *shut_in])),
        subnets=subnets,
        exits=exits,
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
