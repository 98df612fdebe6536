"""One packet, hop by hop: the model of what a Linux machine with WireGuard does with it.

At each machine, in this order: is it for us; may it be passed on; which kernel route (longest
prefix over every device's routes and connected prefixes); which peer (longest prefix over the
device's allowed IPs); is there a usable session; and at the far end the source check, which is
the same longest prefix asked for the source. Source: WireGuard paper, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from malha.proof import codes
from malha.proof.codes import Code
from malha.proof.world import Session, World
from malha.wireguard.device import NodeState, Prefix


@dataclass(frozen=True, slots=True)
class Step:
    """One machine that sent the packet on."""

    node: str
    device: str
    route: Prefix
    """The kernel route that led into the device."""
    peer: str
    allowed_ip: Prefix
    """The allowed IP that chose the peer."""
    dials: str | None
    """The endpoint this side has in its configuration; None: it learned where the peer is."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Where and why a packet ended."""

    node: str
    cause: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Walk:
    """A packet's way from one machine towards another."""

    source: str
    target: str
    family: int
    steps: tuple[Step, ...]
    drop: Drop | None
    """None: it arrived."""
    order_dependent: tuple[str, ...] = ()
    """Machines whose session towards the next hop waits for the other side to speak first."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every machine the packet was at, the last one included."""
        last = self.target if self.drop is None else self.drop.node
        names = [step.node for step in self.steps]
        return tuple(names if names and names[-1] == last else [*names, last])


def walk(world: World, source: int, target: int, family: int) -> Walk:
    """Follow one packet from `source` to `target` (machine indexes)."""
    names = world.states[source].name, world.states[target].name
    addresses = world.addresses
    for end in (source, target):
        if family not in addresses[end]:
            name = world.states[end].name
            missing = Drop(names[0], codes.NO_ADDRESS, f"{name} has no IPv{family} address")
            return Walk(*names, family, (), missing)
    packet = _Packet(world, source, target, family)
    drop = packet.follow()
    return Walk(*names, family, tuple(packet.steps), drop, tuple(packet.waiting))


class _Packet:
    """The packet's state while it travels."""

    def __init__(self, world: World, source: int, target: int, family: int) -> None:
        self.world = world
        self.target = target
        self.family = family
        self.src = world.addresses[source][family]
        self.dst = world.addresses[target][family]
        self.at = source
        self.is_first = True
        self.seen: set[int] = set()
        self.steps: list[Step] = []
        self.waiting: list[str] = []

    def follow(self) -> Drop | None:
        while True:
            here = self.world.states[self.at]
            if self.at in self.world.owners[self.dst]:
                if self.at == self.target:
                    return None
                return self._drop(codes.ADDRESS_CONFLICT, f"{here.name} also has {self.dst}")
            if self.at in self.seen:
                return self._drop(codes.LOOP, f"{self.dst} comes back to {here.name}")
            self.seen.add(self.at)
            if not self.is_first and self.family not in here.forwarding.families:
                return self._drop(
                    codes.NOT_FORWARDING, f"{here.name} does not relay IPv{self.family}"
                )
            drop = self._send(here)
            if drop is not None:
                return drop
            self.is_first = False

    def _send(self, here: NodeState) -> Drop | None:
        routed = self.world.kernel_routes(self.at).lookup(self.dst)
        if routed is None:
            return self._drop(
                codes.LEAKED, f"{here.name} has no route for {self.dst} but the default"
            )
        route, d = routed
        if d is None:
            return self._drop(
                codes.NO_ROUTE, f"{here.name} routes {self.dst} nowhere (unreachable)"
            )
        device = here.devices[d]
        chosen = self.world.allowed_ips(self.at, d).lookup(self.dst)
        if chosen is None:
            detail = f"{here.name} routes {self.dst} into {device.name}, where no peer has it"
            return self._drop(codes.NO_PEER, detail)
        allowed_ip, place = chosen
        session = self.world.session(self.at, d, place)
        peer = device.peers[place]
        dials = None if peer.endpoint is None else str(peer.endpoint)
        self.steps.append(Step(here.name, device.name, route, peer.name, allowed_ip, dials))
        if session.cause is not None:
            return self._drop(session.cause, session.detail)
        if session.order_dependent:
            self.waiting.append(here.name)
        return self._arrive(here, session)

    def _arrive(self, sender: NodeState, session: Session) -> Drop | None:
        self.at = session.node
        here = self.world.states[self.at]
        device = here.devices[session.device]
        accepted = self.world.allowed_ips(self.at, session.device).lookup(self.src)
        if accepted is None:
            detail = f"{here.name} has {self.src} on no peer, so it drops what {sender.name} sends"
            return self._drop(codes.SOURCE_NOT_ALLOWED, detail)
        peer = device.peers[accepted[1]]
        if peer is not session.peer:
            detail = (
                f"{here.name} has {self.src} on {peer.name} ({accepted[0]}), "
                f"so it drops it coming from {sender.name}"
            )
            return self._drop(codes.SOURCE_NOT_ALLOWED, detail)
        return None

    def _drop(self, cause: Code, detail: str) -> Drop:
        return Drop(self.world.states[self.at].name, cause, detail)
