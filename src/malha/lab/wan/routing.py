"""What becomes of a packet: the whole underlay without its clock and its descriptors.

Pure: packets and times in, deliveries out. A packet is judged in this order: is it IP at all,
does its destination exist, is its source the sender's own, does a NAT let it out and in, what
does the link do with it. Hosts of one realm reach each other untranslated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from malha.lab.wan.link import Link
from malha.lab.wan.link_table import LinkTable
from malha.lab.wan.mapping import Flow, flow_key_with_ports, is_cacheable
from malha.lab.wan.nat import NatBox, Translation
from malha.lab.wan.oversize import build_too_big, fragment
from malha.lab.wan.packet import Header, flow_key, is_unicast, parse_header
from malha.lab.wan.realms import Host, Realms
from malha.lab.wan.stats import DropCause

_MAX_UNROUTED_DESTINATIONS = 1000
_MAX_FLOWS = 4096
"""Per host; more are forgotten and found again."""


class Delivery(NamedTuple):
    """A packet that will arrive."""

    due_ns: int
    host: Host
    packet: bytes


class Found(NamedTuple):
    """Who gets a packet, the packet as it gets there, and what the boxes on its way did."""

    receiver: Host
    packet: bytes
    outbound: Translation | None = None
    inbound: Translation | None = None


class Oversize(NamedTuple):
    """A packet bigger than its link takes, as the sender knows it and as the receiver would."""

    packet: bytes
    header: Header
    found: Found


@dataclass(slots=True)
class Counts:
    """Packets that never reached a link, by why; the meanings are those of `WanStats`."""

    unrouted: int = 0
    nat_dropped: int = 0
    spoofed: int = 0
    local: int = 0
    malformed: int = 0
    undelivered: int = 0
    unrouted_destinations: dict[tuple[str, bytes], int] = field(default_factory=dict)


class Underlay:
    """Hosts, NAT boxes and links. `seed` decides every loss, jitter and random port."""

    def __init__(self, seed: int = 0) -> None:
        self.realms = Realms(seed)
        self.links = LinkTable(seed)
        self.counts = Counts()

    def carry(self, source: Host, packet: bytes, now_ns: int) -> list[Delivery]:
        """What becomes of a packet that `source` sends now: mostly one delivery, none when it
        is dropped (and counted), several when it is fragmented."""
        flow = source.flows.get(flow_key_with_ports(packet))
        if flow is not None and len(packet) <= flow.link.mtu_bytes:
            translated = flow.translate(packet, now_ns)
            if translated is not None:
                return _deliver(flow.link, flow.receiver, [translated], now_ns)
        header = parse_header(packet)
        if header is None:
            self.counts.malformed += 1
            return []
        found = self._route(source, packet, header, now_ns)
        if found is None:
            return []
        link = self.links.find(source.name, found.receiver.name)
        _remember(source, packet, header, found, link)
        if len(packet) <= link.mtu_bytes:
            return _deliver(link, found.receiver, [found.packet], now_ns)
        return _carry_oversize(link, source, Oversize(packet, header, found), now_ns)

    def _route(self, source: Host, packet: bytes, header: Header, now_ns: int) -> Found | None:
        """Who gets the packet, and as what; None when nobody does (and that was counted)."""
        destination = header.destination
        if not is_unicast(destination):
            self.counts.local += 1
            return None
        box = source.box if header.version == 4 else None
        neighbours = self.realms.inside(box) if box else self.realms.public
        receiver = neighbours.get(destination)
        realms = self.realms
        if not (receiver or destination in realms.boxes or destination in realms.public):
            self._count_unrouted(source, destination)
            return None
        if header.source not in source.addresses:
            self.counts.spoofed += 1
            return None
        if receiver is not None:
            return Found(receiver, packet)
        found = self._translate(box, packet, header, now_ns)
        if found is None:
            self.counts.nat_dropped += 1
        return found

    def _translate(
        self, box: NatBox | None, packet: bytes, header: Header, now_ns: int
    ) -> Found | None:
        """Out through the sender's box, if it has one, and in through the receiver's."""
        out = inward = None
        if box is not None:
            if header.destination == box.public_address and not box.nat.hairpin:
                return None
            out = box.translate_outbound(packet, header, now_ns)
            if out is None:
                return None
            packet = out.packet
            header = header._replace(source=box.public_address)
        receiver = self.realms.public.get(header.destination)
        if receiver is None:
            far_box = self.realms.boxes[header.destination]
            inward = far_box.translate_inbound(packet, header, now_ns)
            if inward is None:
                return None
            packet = inward.packet
            # The mapping may be older than the host's present address.
            receiver = self.realms.inside(far_box).get(packet[16:20])
        return Found(receiver, packet, out, inward) if receiver else None

    def _count_unrouted(self, source: Host, destination: bytes) -> None:
        self.counts.unrouted += 1
        counts = self.counts.unrouted_destinations
        key = (source.name, destination)
        if key in counts or len(counts) < _MAX_UNROUTED_DESTINATIONS:
            counts[key] = counts.get(key, 0) + 1


def _deliver(link: Link, receiver: Host, packets: list[bytes], now_ns: int) -> list[Delivery]:
    deliveries = []
    for packet in packets:
        due_ns = link.schedule(now_ns, len(packet))
        if due_ns is not None:
            deliveries.append(Delivery(due_ns, receiver, packet))
    return deliveries


def _remember(source: Host, packet: bytes, header: Header, found: Found, link: Link) -> None:
    """Shorten the way for the next packet of the same flow."""
    if found.outbound is None and found.inbound is None:
        source.routes[flow_key(packet)] = (link, found.receiver)
    elif is_cacheable(packet, header):
        if len(source.flows) >= _MAX_FLOWS:
            source.flows.clear()
        outbound = found.outbound and found.outbound.use
        inbound = found.inbound and found.inbound.use
        flow = Flow(packet, found.packet, outbound, inbound)
        flow.link, flow.receiver = link, found.receiver
        source.flows[flow_key_with_ports(packet)] = flow


def _carry_oversize(link: Link, source: Host, oversize: Oversize, now_ns: int) -> list[Delivery]:
    """A packet that is bigger than the path MTU: pieces, an ICMP error, or nothing."""
    packet, header, found = oversize
    cut = link.find_cut()
    if cut is not None:
        link.count_drop(cut)
        return []
    if not header.dont_fragment:
        pieces = fragment(found.packet, header, link.mtu_bytes)
        return _deliver(link, found.receiver, pieces, now_ns)
    if not link.settings.icmp:
        link.count_drop(DropCause.BLACK_HOLE)
        return []
    link.count_drop(DropCause.TOO_BIG)
    # The packet quoted is the one that the sender knows, before any NAT changed it.
    answer = build_too_big(packet, header, link.mtu_bytes)
    # From the middle of the path: half the way there and half the way back.
    return [Delivery(now_ns + link.delay_ns, source, answer)] if answer else []
