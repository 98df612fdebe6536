"""What the WAN counted since it started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class DropCause(Enum):
    """Why a packet did not arrive."""

    LOSS = "loss"
    """The link's `loss`."""
    QUEUE = "queue"
    """It would have waited longer than `queue_ms` for the rate."""
    DOWN = "down"
    """The link's `up` is False."""
    PARTITION = "partition"
    TOO_BIG = "too-big"
    """Bigger than the path MTU; the sender was told by ICMP."""
    BLACK_HOLE = "black-hole"
    """Bigger than the path MTU; nobody was told."""


@dataclass(frozen=True, slots=True)
class LinkStats:
    """One direction between two hosts."""

    packets: int = 0
    """Carried; a packet that was fragmented counts as its pieces."""
    bytes: int = 0
    """Of IP packets carried."""
    drops: Mapping[DropCause, int] = field(default_factory=dict)
    """Packets not carried, by cause; causes that never happened are absent."""

    @property
    def dropped(self) -> int:
        """Packets not carried, for whatever cause."""
        return sum(self.drops.values())


@dataclass(frozen=True, slots=True)
class WanStats:
    """Everything counted since the start. A packet read is in exactly one of the fields, but what
    is `undelivered` was carried by a link before."""

    links: Mapping[tuple[str, str], LinkStats] = field(default_factory=dict)
    """By (from, to), sorted; only directions that saw a packet."""
    unrouted: int = 0
    """To a destination that nobody has: what leaks from an overlay ends here."""
    unrouted_destinations: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By (sending host, destination), sorted; the first 1,000 different ones."""
    nat_dropped: int = 0
    """Refused by a NAT: unsolicited, expired, or nothing that it can translate."""
    spoofed: int = 0
    """From an address that the sending host does not have (RFC 2827 ingress filtering)."""
    local: int = 0
    """Multicast, broadcast and link-local: what no router forwards."""
    malformed: int = 0
    """No IP packet: cut short, padded, or of no known version."""
    undelivered: int = 0
    """Carried over its link, but the receiving host was gone, or its interface down."""

    def link(self, source: str, destination: str) -> LinkStats:
        """One direction; all zero where no packet went."""
        return self.links.get((source, destination), LinkStats())
