"""Changing a running lab from one set of states to another, make before break.

New peers stand and have seen their handshake at both ends before any address moves to them.
Every host is told of its moves over a thread of its own, all prepared before the first is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from malha.changes import steps
from malha.changes.diff import diff
from malha.changes.model import Change
from malha.host.apply import apply_changes
from malha.lab import handshakes
from malha.lab.dialling import new_dials, plan_dials
from malha.lab.host import LabHost
from malha.wireguard.device import NodeState


class RunningLab(Protocol):
    """What a change needs of a lab."""

    hosts: dict[str, LabHost]

    @property
    def states(self) -> Mapping[str, NodeState]:
        """What every node is now."""

    def each(self, work: Callable[[str], object], items: Sequence[str]) -> object:
        """Do the same for many nodes in parallel."""


def change(
    lab: RunningLab,
    states: Mapping[str, NodeState],
    handshake_timeout_s: float,
    on_step: Callable[[str], None],
) -> None:
    """Apply the differences between the lab's states and `states`.

    Raises:
        ValueError: when the nodes are not the same.
        TimeoutError: when a new link sees no handshake; no path has moved then.
    """
    if states.keys() != lab.states.keys():
        raise ValueError("a running lab keeps its nodes: the new states name others")
    changes = {name: diff(lab.states[name], new) for name, new in states.items()}
    changed = [name for name, found in changes.items() if found]
    current = dict(lab.states)

    def run_step(title: str, step: Callable[[Sequence[Change]], Sequence[Change]]) -> None:
        on_step(title)
        planned = {name: step(changes[name]) for name in changed}

        def apply(name: str) -> None:
            current[name] = apply_changes(lab.hosts[name], current[name], planned[name])

        lab.each(apply, [name for name in changed if planned[name]])

    run_step("new peers", steps.introduce)
    dials = new_dials(plan_dials(lab.states), plan_dials(states))
    on_step(f"{len(dials)} new handshakes")
    handshakes.start_handshakes(lab.hosts, dials)
    handshakes.await_handshakes(lab.hosts, states, dials, timeout_s=handshake_timeout_s)
    run_step("allowed IPs", steps.move)
    run_step("routes, and what is gone", steps.finish)
    handshakes.settle_keepalives(lab.hosts, dials)
