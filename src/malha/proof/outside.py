"""Who reaches what lies outside the overlay: subnets routed behind machines, and exits.

A subnet is stood for by its first usable host, the rest of the world by a documentation address.
Every other machine must reach each subnet, and every machine whose default route leads into the
overlay an exit, there and back. Where no machine is an exit (files do not tell) none is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from malha.proof import codes
from malha.proof.findings import Finding, finding_of
from malha.proof.walk import Drop, walk_back, walk_out
from malha.proof.world import World
from malha.wireguard.device import Address, NodeState, Prefix

_ELSEWHERE: dict[int, tuple[Address, ...]] = {
    4: tuple(map(ip_address, ("192.0.2.1", "198.51.100.1", "203.0.113.1"))),
    6: tuple(map(ip_address, ("2001:db8::1", "2001:db8:8000::1", "3fff::1"))),
}
"""Addresses that nobody has. Source: RFC 5737, RFC 3849, RFC 9637."""


@dataclass(frozen=True, slots=True)
class SubnetReach:
    """How many machines reach one subnet, there and back."""

    prefix: Prefix
    node: str
    """The machine that it lies behind."""
    reached_by: int
    of: int
    """All machines but that one."""


@dataclass(frozen=True, slots=True)
class ExitReach:
    """How many machines get out of the overlay in one family, and their replies back."""

    family: int
    nodes: tuple[str, ...]
    """The exits, in the order of the machines."""
    reached_by: int
    of: int
    """Machines whose default route of the family leads into the overlay."""


def foreign_addresses(states: Sequence[NodeState]) -> frozenset[Address]:
    """The addresses that stand for every subnet and, where there are exits, for elsewhere."""
    owned = {interface.ip for s in states for d in s.devices for interface in d.addresses}
    stand = {representative(prefix) for state in states for prefix in state.forwarding.subnets}
    families = {family for state in states for family in state.forwarding.exit_families}
    return frozenset((stand | {_elsewhere(states, family) for family in families}) - owned)


def representative(prefix: Prefix) -> Address:
    """The first usable host: a router of a subnet that has no more than two is its first."""
    return prefix[1] if prefix.num_addresses > 2 else prefix[0]


def _elsewhere(states: Sequence[NodeState], family: int) -> Address:
    """An address outside, and in none of the machines' own prefixes if there is such a one."""
    own = {p for s in states for p in (*s.unreachable, *s.forwarding.subnets)}
    free = (a for a in _ELSEWHERE[family] if not any(a in prefix for prefix in own))
    return next(free, _ELSEWHERE[family][0])


def prove_subnets(world: World) -> tuple[tuple[SubnetReach, ...], list[Finding]]:
    """Follow every machine's packet to every subnet behind another machine, and its reply."""
    reaches: list[SubnetReach] = []
    findings: list[Finding] = []
    for i, state in enumerate(world.states):
        if not state.forwarding.subnets:
            continue
        others = [k for k in range(len(world.states)) if k != i]
        for prefix in state.forwarding.subnets:
            what = f"{prefix} behind {state.name}"
            failed = _failed(world, others, representative(prefix))
            reach = SubnetReach(prefix, state.name, len(others) - len(failed), len(others))
            reaches.append(reach)
            findings += _findings(world, failed, codes.SUBNET_UNREACHABLE, what)
    return tuple(reaches), findings


def prove_exits(world: World) -> tuple[tuple[ExitReach, ...], list[Finding]]:
    """Follow the packet to elsewhere of every machine that sends it into the overlay; and back."""
    reaches: list[ExitReach] = []
    findings: list[Finding] = []
    for family in (4, 6):
        exits = tuple(s.name for s in world.states if family in s.forwarding.exit_families)
        if not exits:
            continue
        address = _elsewhere(world.states, family)
        users = [i for i in range(len(world.states)) if _leads_in(world, i, address)]
        failed = _failed(world, users, address)
        reaches.append(ExitReach(family, exits, len(users) - len(failed), len(users)))
        findings += _findings(world, failed, codes.EXIT_UNREACHABLE, f"every IPv{family} exit")
    return tuple(reaches), findings


def _leads_in(world: World, machine: int, address: Address) -> bool:
    """Whether the machine's own route for the address is one into a device."""
    routed = world.route(machine, address)
    return routed is not None and routed[1] is not None


Failed = list[tuple[int, str, Drop]]
"""(machine, leg, where and why)."""


def _failed(world: World, sources: Iterable[int], address: Address) -> Failed:
    """The sources whose packet to the address, or its reply, does not arrive."""
    found: Failed = []
    for source in sources:
        out = walk_out(world, source, address)
        if out.drop is not None:
            found.append((source, "request", out.drop))
            continue
        assert out.gateway is not None, f"{out} arrived nowhere"
        back = walk_back(world, world.index[out.gateway], address, source)
        if back.drop is not None:
            found.append((source, "reply", back.drop))
    return found


def _findings(world: World, failed: Failed, code: codes.Code, what: str) -> Iterable[Finding]:
    for source, leg, drop in failed:
        name = world.states[source].name
        detail = (
            f"{name} does not reach {what}: the {leg} is dropped at {drop.node}, "
            f"{drop.cause.name}: {drop.detail}"
        )
        yield finding_of(name, code, detail)
