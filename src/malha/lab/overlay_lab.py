"""From a declared overlay to a running lab, with keys of the lab's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from malha.lab.keys import join_private_keys, new_private_keys, with_lab_keys
from malha.lab.lab import Lab
from malha.lab.underlay import Underlay, derive_underlay
from malha.overlay.model import Overlay, Topology
from malha.topology.compile import compile_overlay
from malha.wireguard.device import NodeState
from malha.wireguard.keys import PrivateKey


@dataclass(frozen=True, slots=True)
class OverlayLab:
    """An overlay prepared for the lab: the same keys and planet under every topology."""

    overlay: Overlay
    """With the lab's public keys instead of the declared ones."""
    keys: dict[str, PrivateKey]
    underlay: Underlay

    @classmethod
    def prepare(cls, overlay: Overlay) -> OverlayLab:
        """Make keys and the planet.

        Raises:
            InputError: when the overlay cannot be put on an emulated planet.
        """
        keys = new_private_keys(node.name for node in overlay.nodes)
        return cls(with_lab_keys(overlay, keys), keys, derive_underlay(overlay))

    def states(self, topology: Topology | None = None) -> dict[str, NodeState]:
        """Compile, under the declared topology if None; private keys are joined."""
        overlay = self.overlay if topology is None else replace(self.overlay, topology=topology)
        return join_private_keys(compile_overlay(overlay), self.keys)

    def start(
        self, topology: Topology | None = None, *, on_ready: Callable[[], None] = lambda: None
    ) -> Lab:
        """Bring the lab up; `on_ready` as in `Lab.start`.

        Raises:
            MissingError: when the machine lacks something.
            TimeoutError: naming the links without a handshake.
        """
        return Lab.start(self.states(topology), self.underlay, on_ready=on_ready)
