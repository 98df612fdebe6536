"""Finding: what else the machines' values tell, beside which pairs can talk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from malha.proof import codes
from malha.proof.world import World
from malha.wireguard.device import Device, Peer


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something worth knowing beside the pairs; only one of severity `error` stops packets."""

    node: str
    code: str
    severity: str
    detail: str


def finding_of(node: str, code: codes.Code, detail: str) -> Finding:
    """A finding of this code."""
    return Finding(node, code.name, code.severity.value, detail)


def link_findings(world: World) -> Iterator[Finding]:
    """What is worth knowing of each link: MTUs that differ, and who waits for whom."""
    mtus = {device.mtu for state in world.states for device in state.devices}
    waiting = {id(peer) for peer in world.distinct_peers if not _leads(world, peer)}
    lazy = _lazy_diallers(world) if waiting else frozenset()
    for i, state in enumerate(world.states):
        for d, device in enumerate(state.devices):
            if len(mtus) > 1:
                yield from _mtu_findings(world, i, device)
            for place, peer in enumerate(device.peers if lazy else ()):
                # Only who dials without a keepalive leaves the other side waiting.
                if id(peer) not in waiting or peer.public_key.raw not in lazy:
                    continue
                if world.session(i, d, place).order_dependent:
                    detail = f"{state.name} waits until {peer.name} has spoken first"
                    yield finding_of(state.name, codes.ORDER_DEPENDENT, detail)


def _leads(world: World, peer: Peer) -> bool:
    """Whether the peer's endpoint leads to a machine with its key; a wrong one does not."""
    ends = world.devices_by_key.get(peer.public_key.raw, ())
    return any(world.leads(peer.endpoint, i, d) for i, d in ends)


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
                yield finding_of(here, codes.MTU_DIFFERS, detail)
