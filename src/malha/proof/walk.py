"""One packet, hop by hop: the model of what a Linux machine with WireGuard does with it.

At each machine, in this order: is it for us; may it be passed on; which kernel route (longest
prefix over every device's routes and connected prefixes); which peer (longest prefix over the
device's allowed IPs); is there a usable session; and at the far end the source check, which is
the same longest prefix asked for the source. Source: WireGuard paper, section 2.

An address that no machine owns lies behind the machines that route its subnet or, if none does,
behind the exits. There the packet arrives, unless the machine's own routes lead it back in.
"""

from __future__ import annotations

from dataclasses import dataclass

from malha.proof import codes
from malha.proof.codes import Code
from malha.proof.world import Session, World
from malha.wireguard.device import Address, NodeState, Prefix


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
    """A machine's name, or an address outside the overlay."""
    target: str
    """As `source`."""
    family: int
    steps: tuple[Step, ...]
    drop: Drop | None
    """None: it arrived."""
    order_dependent: tuple[str, ...] = ()
    """Machines whose session towards the next hop waits for the other side to speak first."""
    gateway: str | None = None
    """Where it left the overlay, if `target` is an address outside and it got there."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every machine the packet was at, the last one included."""
        last = self.gateway or self.target if self.drop is None else self.drop.node
        names = [step.node for step in self.steps]
        return tuple(names if names and names[-1] == last else [*names, last])


def walk(world: World, source: int, target: int, family: int) -> Walk:
    """Follow one packet from `source` to `target` (machine indexes)."""
    names = world.states[source].name, world.states[target].name
    for end in (source, target):
        if family not in world.addresses[end]:
            return Walk(*names, family, (), _no_address(world, source, end, family))
    src, dst = world.addresses[source][family], world.addresses[target][family]
    packet = _Packet(world, source, src, dst, target=target)
    drop = packet.follow()
    return Walk(*names, family, tuple(packet.steps), drop, tuple(packet.waiting))


def walk_out(world: World, source: int, address: Address) -> Walk:
    """Follow one packet from machine `source` to an address that no machine owns."""
    names, family = (world.states[source].name, str(address)), address.version
    src = world.addresses[source].get(family)
    if src is None:
        return Walk(*names, family, (), _no_address(world, source, source, family))
    packet = _Packet(world, source, src, address, target=None)
    drop = packet.follow()
    gateway = world.states[packet.at].name if drop is None else None
    return Walk(*names, family, tuple(packet.steps), drop, tuple(packet.waiting), gateway)


def walk_back(world: World, gateway: int, address: Address, target: int) -> Walk:
    """Follow the reply of an address outside, which machine `gateway` takes into the overlay."""
    names, family = (str(address), world.states[target].name), address.version
    dst = world.addresses[target].get(family)
    if dst is None:
        return Walk(*names, family, (), _no_address(world, gateway, target, family))
    packet = _Packet(world, gateway, address, dst, target=target)
    drop = packet.follow()
    return Walk(*names, family, tuple(packet.steps), drop, tuple(packet.waiting))


def _no_address(world: World, at: int, lacking: int, family: int) -> Drop:
    detail = f"{world.states[lacking].name} has no IPv{family} address"
    return Drop(world.states[at].name, codes.NO_ADDRESS, detail)


class _Packet:
    """The packet's state while it travels."""

    def __init__(
        self, world: World, source: int, src: Address, dst: Address, *, target: int | None
    ) -> None:
        """`target`: the machine that is to get it; None: it is to leave the overlay."""
        self.world = world
        self.target = target
        self.family = dst.version
        self.src = src
        self.dst = dst
        self.at = source
        self.is_first = True
        self.seen: set[int] = set()
        self.steps: list[Step] = []
        self.waiting: list[str] = []

    def follow(self) -> Drop | None:
        while True:
            here = self.world.states[self.at]
            if self.target is None and self._leaves(here):
                return None
            if self.at in self.world.owners.get(self.dst, ()):
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

    def _leaves(self, here: NodeState) -> bool:
        """Whether this machine passes the packet on to the outside.

        The way to a subnet behind it is a route as long as the subnet, so that only an overlay
        route as long or longer leads back in; the way out of an exit is its default route.
        """
        if self.world.subnets.lookup(self.dst) is not None:
            holding = [p.prefixlen for p in here.forwarding.subnets if self.dst in p]
        else:
            holding = [0] if self.family in here.forwarding.exit_families else []
        if not holding:
            return False
        routed = self.world.route(self.at, self.dst)
        return routed is None or routed[0].prefixlen < max(holding)

    def _send(self, here: NodeState) -> Drop | None:
        routed = self.world.route(self.at, self.dst)
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
        chosen = self.world.chosen_peer(self.at, d, self.dst)
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
        accepted = self.world.chosen_peer(self.at, session.device, self.src)
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
