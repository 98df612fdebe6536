"""The demonstration: the first user's overlay run for real, and changed live.

Rule: every figure in a result was measured in this run; the document's stand beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from malha.errors import InputError
from malha.lab.flows import FlowResult
from malha.lab.lab import Lab
from malha.lab.overlay_lab import OverlayLab
from malha.lab.ping import Pair
from malha.overlay.model import Overlay, Topology
from malha.proof.prove import Proof, prove

DOCUMENT_MS: Mapping[Pair, tuple[float, float]] = {
    ("hkg", "nrt"): (492, 49),
    ("hkg", "sin"): (408, 38),
    ("hkg", "syd"): (500, 122),
}
"""What the first user's document says: round trips in ms under `hub`, and under `regional`."""

FLOW_PAIRS: tuple[Pair, ...] = (
    ("hkg", "nrt"),
    ("nrt", "hkg"),
    ("hkg", "sin"),
    ("syd", "hkg"),
    ("lhr", "nrt"),
    ("gru", "hkg"),
)
"""Pairs that move from the hub's path to a direct one, and two that do not move."""
FLOW_RATE_PER_S = 100
_SETTLE_S = 0.7
"""How long flows run before and after the change: longer than any round trip."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one topology showed."""

    topology: Topology
    proof: Proof
    pings: Mapping[Pair, float | None]
    """Measured round trips in ms; None: no answer."""

    @property
    def answered(self) -> int:
        """How many ordered pairs answered."""
        return sum(rtt is not None for rtt in self.pings.values())


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything that one run measured."""

    nodes: int
    up_s: float
    """From nothing to the last handshake."""
    before: Stage
    after: Stage
    change_s: float
    flows: tuple[FlowResult, ...]
    whole_s: float

    @property
    def is_fine(self) -> bool:
        """Whether every pair was proven and answered, in both topologies."""
        return all(
            stage.proof.reachable == stage.proof.pairs == stage.answered == len(stage.pings)
            for stage in (self.before, self.after)
        )


def run_demo(overlay: Overlay, on_step: Callable[[str], None]) -> Demo:
    """Run the overlay as `hub`, change it to `regional` while packets flow, and measure.

    Raises:
        InputError: when the overlay lacks the nodes that are measured.
        MissingError: when the machine lacks something.
    """
    measured = {name for pair in (*DOCUMENT_MS, *FLOW_PAIRS) for name in pair}
    missing = sorted(measured - overlay.node_by_name.keys())
    if missing:
        raise InputError(f"the demo measures nodes that this overlay lacks: {', '.join(missing)}")
    began_at = time.monotonic()
    prepared = OverlayLab.prepare(overlay)
    on_step(f"starting {len(overlay.nodes)} WireGuard nodes as hub-and-spoke")
    with prepared.start(Topology.HUB) as lab:
        up_s = time.monotonic() - began_at
        before = _measure(lab, prepared, Topology.HUB, on_step)
        change_s, flows = _change(lab, prepared, on_step)
        after = _measure(lab, prepared, Topology.REGIONAL, on_step)
        on_step("removing everything again")
    demo = Demo(len(overlay.nodes), up_s, before, after, change_s, flows, whole_s=0)
    return replace(demo, whole_s=time.monotonic() - began_at)


def _measure(
    lab: Lab, prepared: OverlayLab, topology: Topology, on_step: Callable[[str], None]
) -> Stage:
    on_step(f"{topology.value}: proving every pair")
    proof = prove(prepared.states(topology))
    on_step(f"{topology.value}: pinging {proof.pairs} pairs")
    return Stage(topology, proof, lab.ping_all())


def _change(
    lab: Lab, prepared: OverlayLab, on_step: Callable[[str], None]
) -> tuple[float, tuple[FlowResult, ...]]:
    on_step(f"changing to regional while {len(FLOW_PAIRS)} flows run")
    with lab.flows(FLOW_PAIRS, rate_per_s=FLOW_RATE_PER_S) as flows:
        time.sleep(_SETTLE_S)
        began_at = time.monotonic()
        lab.change(prepared.states(Topology.REGIONAL))
        change_s = time.monotonic() - began_at
        time.sleep(_SETTLE_S)
    return change_s, flows.results
