"""A slow, obvious model of packets through WireGuard machines, to check the quick one against.

It shares no code with malha.proof: linear scans, one packet at a time, straight from the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from malha.wireguard.device import Address, Device, NodeState, Peer


def arrives(states: Sequence[NodeState], a: int, b: int, family: int) -> bool:
    """Whether one packet from machine `a` gets to machine `b`."""
    source, target = _address(states[a], family), _address(states[b], family)
    if source is None or target is None:
        return False
    return _end(states, a, source, target) == b


def leaves_at(states: Sequence[NodeState], a: int, target: Address) -> int | None:
    """The machine at which a packet from machine `a` to an address outside leaves the overlay."""
    source = _address(states[a], target.version)
    return None if source is None else _end(states, a, source, target)


def comes_back(states: Sequence[NodeState], a: int, source: Address, b: int) -> bool:
    """Whether a packet that enters at machine `a` from an address outside gets to machine `b`."""
    target = _address(states[b], source.version)
    return target is not None and _end(states, a, source, target) == b


def _end(states: Sequence[NodeState], a: int, source: Address, target: Address) -> int | None:
    """The machine at which a packet arrives, be it there or on its way out."""
    here, been = a, []
    while True:
        if any(target == i.ip for d in states[here].devices for i in d.addresses):
            return here
        if _leaves(states, here, target):
            return here
        if here in been:
            return None
        been.append(here)
        if here != a and target.version not in states[here].forwarding.families:
            return None
        device = _route(states[here], target)
        if device is None:
            return None
        peer = _peer(device, target)
        if peer is None:
            return None
        there = _other_end(states, here, device, peer)
        if there is None:
            return None
        other, other_device = there
        back = _peer(other_device, source)
        if back is None or back.public_key != device.public_key:
            return None
        here = other


def _leaves(states: Sequence[NodeState], here: int, target: Address) -> bool:
    """Whether this machine, no owner of the address, sends the packet out of the overlay."""
    if any(target == i.ip for s in states for d in s.devices for i in d.addresses):
        return False
    state = states[here]
    shortest = 0
    if any(target in prefix for s in states for prefix in s.forwarding.subnets):
        shortest = max((p.prefixlen for p in state.forwarding.subnets if target in p), default=-1)
    elif target.version not in state.forwarding.exit_families:
        shortest = -1
    networks = [i.network for d in state.devices for i in d.addresses]
    own = [*state.unreachable, *networks, *(p for d in state.devices for p in d.routes)]
    return shortest >= 0 and not any(target in p and p.prefixlen >= shortest for p in own)


def pair_works(states: Sequence[NodeState], a: int, b: int) -> bool:
    """Whether a request and its reply arrive, in every family that any machine has."""
    families = {i.version for s in states for d in s.devices for i in d.addresses}
    return all(arrives(states, a, b, f) and arrives(states, b, a, f) for f in families)


def _address(state: NodeState, family: int) -> Address | None:
    for device in state.devices:
        for interface in device.addresses:
            if interface.version == family:
                return interface.ip
    return None


def _route(state: NodeState, target: Address) -> Device | None:
    best, chosen = -1, None
    for prefix in state.unreachable:
        if target in prefix and prefix.prefixlen > best:
            best, chosen = prefix.prefixlen, None
    for device in state.devices:
        for prefix in [*(i.network for i in device.addresses), *device.routes]:
            if target in prefix and (prefix.prefixlen, 1) >= (best, 0):
                best, chosen = prefix.prefixlen, device
    return chosen


def _peer(device: Device, target: Address) -> Peer | None:
    best, chosen = -1, None
    for peer in device.peers:
        for prefix in peer.allowed_ips:
            if target in prefix and prefix.prefixlen >= best:
                best, chosen = prefix.prefixlen, peer
    return chosen


def _other_end(
    states: Sequence[NodeState], here: int, device: Device, peer: Peer
) -> tuple[int, Device] | None:
    found = [
        (i, d) for i, s in enumerate(states) for d in s.devices if d.public_key == peer.public_key
    ]
    alike = [s for s in states for d in s.devices if d.public_key == device.public_key]
    if len(found) != 1 or len(alike) != 1:
        return None
    other, there = found[0]
    back = next((p for p in there.peers if p.public_key == device.public_key), None)
    if back is None or back.preshared_key != peer.preshared_key:
        return None
    dials = peer.endpoint is not None and states[other].endpoint in (None, peer.endpoint)
    dialled = back.endpoint is not None and states[here].endpoint in (None, back.endpoint)
    return (other, there) if dials or dialled else None
