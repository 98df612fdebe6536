"""The planet under an overlay: each node's addresses, NAT and distances. Pure.

| the node declares        | in the lab it has                                                 |
|--------------------------|-------------------------------------------------------------------|
| a literal endpoint       | that address                                                      |
| an endpoint that is a name | an address made up from 198.18.0.0/15, and the name in /etc/hosts |
| no endpoint              | a private address behind a NAT box of its own                     |

Where endpoints of both families exist, everybody gets an address of both, so that everybody can
dial everybody who can be dialled. Source: RFC 2544 (198.18.0.0/15), RFC 3849 (2001:db8::/32).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice

from malha.errors import InputError
from malha.lab.wan import LinkSettings, Nat
from malha.overlay.model import Node, Overlay
from malha.wireguard.device import Device, NodeState, Peer, Prefix

UNKNOWN_RTT_MS = 20.0
"""Round trip between two nodes for which the overlay knows none."""

_PUBLIC_4 = IPv4Network("198.18.0.0/15")
_PUBLIC_6 = IPv6Network("2001:db8::/32")
_PRIVATE = ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10")


UNKNOWN = LinkSettings(delay_ms=UNKNOWN_RTT_MS / 2)


@dataclass(frozen=True, slots=True)
class UnderlayHost:
    """Where one node sits on the planet."""

    name: str
    addresses: tuple[str, ...]
    """What its own network device has; private behind a `nat`."""
    nat: Nat | None = None


@dataclass(frozen=True, slots=True)
class Underlay:
    """All hosts, the distances between them, and the names by which they are dialled."""

    hosts: tuple[UnderlayHost, ...]
    links: tuple[tuple[str, str, LinkSettings], ...]
    """Both directions of each pair whose distance is known."""
    names: Mapping[str, str]
    """Endpoint names and their addresses."""
    unknown: LinkSettings = UNKNOWN
    """All other pairs."""

    @property
    def hosts_text(self) -> str:
        """What /etc/hosts says in every host; empty when no endpoint is a name."""
        if not self.names:
            return ""
        lines = [f"{address} {name}" for name, address in sorted(self.names.items())]
        return "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines]) + "\n"

    def resolve(self, state: NodeState) -> NodeState:
        """Replace endpoint names by addresses, as a machine does before it tells a device."""
        return replace(state, devices=tuple(map(self._resolve_device, state.devices)))

    def _resolve_device(self, device: Device) -> Device:
        return replace(device, peers=tuple(map(self._resolve_peer, device.peers)))

    def _resolve_peer(self, peer: Peer) -> Peer:
        if peer.endpoint is None or peer.endpoint.host not in self.names:
            return peer
        host = self.names[peer.endpoint.host]
        return replace(peer, endpoint=replace(peer.endpoint, host=host))


def derive_underlay(overlay: Overlay) -> Underlay:
    """Build the planet on which this overlay runs in the lab.

    Raises:
        InputError: when two nodes share one address or name, or an endpoint is link-local.
    """
    literal = _literal_addresses(overlay)
    dialled = {ip_address(address).version for address in literal.values()}
    if any(node.endpoint and node.endpoint.family is None for node in overlay.nodes):
        dialled.add(4)
    families = tuple(sorted(dialled)) or (4,)
    made_up = _MadeUp(overlay, taken=frozenset(literal.values()))
    hosts, names = [], {}
    for node in overlay.nodes:
        host = _place(node, literal.get(node.name), families, made_up)
        hosts.append(host)
        if node.endpoint is not None and node.endpoint.family is None:
            names[node.endpoint.host] = host.addresses[0]
    return Underlay(tuple(hosts), tuple(_links(overlay)), names)


def _literal_addresses(overlay: Overlay) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    for node in overlay.nodes:
        if node.endpoint is None:
            continue
        host = node.endpoint.host
        if "%" in host:
            raise InputError(f"{node.name}: the lab has no link-local endpoints ({host})")
        if host in seen:
            raise InputError(
                f"{node.name}: the lab cannot give {host} to two nodes; it also belongs to "
                f"{seen[host]}, and port forwarding is not emulated"
            )
        seen[host] = node.name
        if node.endpoint.family is not None:
            found[node.name] = host
    return found


class _MadeUp:
    """Addresses that nothing in the overlay uses, handed out one by one."""

    def __init__(self, overlay: Overlay, *, taken: frozenset[str]) -> None:
        used = [*overlay.prefixes, *(route for node in overlay.nodes for route in node.routes)]
        private = _first_free([IPv4Network(text) for text in _PRIVATE], used)
        self._taken = taken
        self.public = {4: self._hand_out(_PUBLIC_4), 6: self._hand_out(_PUBLIC_6)}
        self.private = self._hand_out(private)

    def _hand_out(self, prefix: IPv4Network | IPv6Network) -> Iterator[str]:
        for address in islice(prefix, 1, None):
            if str(address) not in self._taken:
                yield str(address)


def _first_free(candidates: list[IPv4Network], used: list[Prefix]) -> IPv4Network:
    mine = [prefix for prefix in used if isinstance(prefix, IPv4Network) and prefix.prefixlen]
    for candidate in candidates:
        if not any(candidate.overlaps(prefix) for prefix in mine):
            return candidate
    raise InputError("the overlay uses every private IPv4 range: the lab needs one for its NATs")


def _place(
    node: Node, literal: str | None, families: tuple[int, ...], made_up: _MadeUp
) -> UnderlayHost:
    if node.endpoint is None:
        private = next(made_up.private)
        routed = [next(made_up.public[6])] if 6 in families else []
        return UnderlayHost(node.name, (private, *routed), Nat(next(made_up.public[4])))
    own = literal or next(made_up.public[4])
    version = ip_address(own).version
    others = [next(made_up.public[family]) for family in families if family != version]
    return UnderlayHost(node.name, (own, *others))


def _links(overlay: Overlay) -> Iterator[tuple[str, str, LinkSettings]]:
    """Half of each known round trip each way; what was measured wins over estimates."""
    known = {**dict(overlay.latency.estimated_us), **dict(overlay.latency.rtt_us)}
    for (a, b), rtt_us in sorted(known.items()):
        one_way = LinkSettings(delay_ms=rtt_us / 2000)
        yield a, b, one_way
        yield b, a, one_way
