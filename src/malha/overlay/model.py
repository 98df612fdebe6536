"""Overlay, Region, Node: the declared network as one frozen value.

Rule: a value of these types has passed `validate`; whoever holds one need not check it again.
Order is the file's order and has a meaning: earlier-declared hubs rank first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from malha.wireguard.device import Address, Prefix
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PublicKey

DEFAULT_LISTEN_PORT = 51820
DEFAULT_SPARE_PORT = 51821
DEFAULT_PERSISTENT_KEEPALIVE_S = 25

DEFAULT_MTU = 1420
"""1500 of Ethernet less 80: outer IPv6 40, UDP 8, WireGuard 32. Source: wg-quick(8)."""
MIN_MTU = 1280
"""IPv6 refuses links below this. Source: RFC 8200, section 5."""
MAX_MTU = 9921
"""9001 is the largest frame of any cloud named in the docs; a little room above it."""


class Role(Enum):
    """What a node does for others."""

    HUB = "hub"
    """Has an endpoint, linked to every node, relays."""
    POP = "pop"
    """Has an endpoint, linked to the nodes of the regions it serves, hubs and pops; relays."""
    BACKEND = "backend"
    """Linked to the hubs and to the pops that serve its region; relays nothing."""


class Topology(Enum):
    """Which pairs are linked unless single links say otherwise."""

    HUB = "hub"
    """Every node to the hubs, and nothing else."""
    REGIONAL = "regional"
    """As `hub`, and pops directly to the nodes of the regions they serve, and to each other."""
    FULL = "full"
    """Every pair in which at least one end can be dialled."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every node that does not say otherwise."""

    listen_port: int = DEFAULT_LISTEN_PORT
    spare_port: int = DEFAULT_SPARE_PORT
    """A second UDP port that every firewall opens from the start, for moves and rotations."""
    persistent_keepalive_s: int = DEFAULT_PERSISTENT_KEEPALIVE_S
    mtu: int = DEFAULT_MTU
    """Bytes of an overlay packet. `auto` in the file is DEFAULT_MTU."""


@dataclass(frozen=True, slots=True)
class Region:
    """A named group of nodes with subnets of its own."""

    name: str
    subnets: tuple[Prefix, ...]
    """At most one of each family, IPv4 first, inside the overlay's prefixes."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the overlay."""

    name: str
    region: str
    role: Role
    addresses: tuple[Address, ...]
    """Overlay addresses, one per subnet of the region, IPv4 first. Given or allocated."""
    addresses_written: bool = field(default=True, compare=False)
    """False: allocated by malha and not in the file yet; every command that writes the file
    writes them first. It says something about the file, not the overlay: not compared."""
    public_key: PublicKey | None = None
    """None until `malha keys new`; rendering needs it."""
    endpoint: Endpoint | None = None
    """None: the node dials out and cannot be dialled."""
    listen_port: int | None = None
    """None: not declared. A node with an endpoint then listens on the default port."""
    spare_port: int | None = None
    mtu: int | None = None
    """None: the overlay's default."""
    persistent_keepalive_s: int | None = None
    """Seconds; None: the overlay's default; 0 switches keepalives off for this node."""
    serves: tuple[str, ...] = ()
    """Regions that a pop serves, its own always among them. Empty for other roles."""
    routes: tuple[Prefix, ...] = ()
    """Subnets behind this node (a VPC), outside the overlay's prefixes, overlapping nobody's."""
    is_exit: bool = False
    """Nodes that name it in `via_exit` send their default routes to it."""
    via_exit: str | None = None
    """The exit this node uses; the two are linked directly."""
    managed: bool = True
    """False: malha configures the others for it but never touches it."""
    description: str = ""
    location: str = ""

    @property
    def is_dialable(self) -> bool:
        """Whether others can start a handshake towards it."""
        return self.endpoint is not None


@dataclass(frozen=True, slots=True)
class LinkRules:
    """Single links that differ from what the topology gives. Pairs are sorted by name."""

    added: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()
    pinned: tuple[tuple[str, str], ...] = ()
    """Linked, and this pair's packets go directly whatever the round-trip times say."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Known round-trip times between pairs of nodes, in integer microseconds.

    Integers, because path costs are added and compared for equality.
    """

    rtt_us: tuple[tuple[tuple[str, str], int], ...] = ()
    """((a, b), µs) with a < b, sorted; measured."""
    estimated_us: tuple[tuple[tuple[str, str], int], ...] = ()
    """As above, but somebody's marked estimate."""
    how_estimated: str = ""
    """How the estimates were made, in the author's words."""


@dataclass(frozen=True)
class Overlay:
    """The whole declared network."""

    name: str
    prefixes: tuple[Prefix, ...]
    """Everything the overlay owns; what nobody holds inside is unreachable."""
    topology: Topology
    regions: tuple[Region, ...]
    nodes: tuple[Node, ...]
    defaults: Defaults = Defaults()
    links: LinkRules = LinkRules()
    latency: Latency = Latency()
    description: str = field(default="")

    @cached_property
    def node_by_name(self) -> dict[str, Node]:
        """Nodes by their name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def region_by_name(self) -> dict[str, Region]:
        """Regions by their name."""
        return {region.name: region for region in self.regions}

    @cached_property
    def families(self) -> tuple[int, ...]:
        """Address families in use: (4,), (6,) or (4, 6)."""
        return tuple(sorted({prefix.version for prefix in self.prefixes}))
