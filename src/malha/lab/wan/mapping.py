"""One mapping of a NAT box, and the short cut for packets that use the same mappings again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from malha.lab.wan.packet import UDP, Header

if TYPE_CHECKING:
    from malha.lab.wan.link import Link
    from malha.lab.wan.realms import Host

MappingKey = tuple[int, bytes, int, bytes]
"""Protocol, inside address, inside port, and as much of the remote end as `Nat.mapping` says."""

_NEVER_NS = -(1 << 62)
_UDP_ENDS = slice(12, 24)
"""Both addresses and both ports, side by side when the IP header has no options."""


class Mapping:
    """One outside port, whom it stands for, and whom it lets in."""

    __slots__ = ("_last_outbound_at_ns", "_permitted_at_ns", "_timeout_ns", "key", "port")

    def __init__(self, key: MappingKey, port: int, timeout_ns: int) -> None:
        self.key = key
        self.port = port
        self._timeout_ns = timeout_ns
        self._last_outbound_at_ns = _NEVER_NS
        self._permitted_at_ns: dict[bytes, int] = {}

    @property
    def protocol(self) -> int:
        """Outside ports of different protocols are different."""
        return self.key[0]

    @property
    def inside_address(self) -> bytes:
        """Of the host that the outside port stands for."""
        return self.key[1]

    @property
    def inside_port(self) -> int:
        """On that host."""
        return self.key[2]

    def is_alive(self, now_ns: int) -> bool:
        """Whether a packet went out recently enough."""
        return now_ns - self._last_outbound_at_ns <= self._timeout_ns

    def permits(self, remote: bytes, now_ns: int) -> bool:
        """Whether a remote end, as far as filtering looks at it, may send in."""
        permitted_at_ns = self._permitted_at_ns.get(remote, _NEVER_NS)
        return self.is_alive(now_ns) and now_ns - permitted_at_ns <= self._timeout_ns

    def refresh(self, remote: bytes, now_ns: int) -> None:
        """A packet goes out to a remote end, as far as filtering looks at it."""
        self._last_outbound_at_ns = self._permitted_at_ns[remote] = now_ns

    def end(self) -> None:
        """Be dead from now on, for whoever still holds this."""
        self._last_outbound_at_ns = _NEVER_NS


class Use:
    """A mapping used in one direction, with the remote end as far as filtering looks at it."""

    __slots__ = ("mapping", "remote")

    def __init__(self, mapping: Mapping, remote: bytes) -> None:
        self.mapping = mapping
        self.remote = remote


class Flow:
    """A translated UDP flow: what the boxes on its way did to one packet, to be done again.

    A translated packet costs a third this way. It is a cache: `translate` declines whatever the
    boxes themselves would have to decide.
    """

    __slots__ = ("_ends", "_inbound", "_ip_change", "_outbound", "_udp_change", "link", "receiver")

    def __init__(
        self, before: bytes, after: bytes, outbound: Use | None, inbound: Use | None
    ) -> None:
        self.link: Link
        self.receiver: Host
        self._outbound = outbound
        self._inbound = inbound
        self._ends = after[_UDP_ENDS]
        # Numbers congruent to the change of the ones' complement sums (see internet_checksum).
        self._udp_change = _number(self._ends) - _number(before[_UDP_ENDS])
        self._ip_change = _number(after[12:20]) - _number(before[12:20])

    def translate(self, packet: bytes, now_ns: int) -> bytes | None:
        """The packet as the receiver sees it; None when a mapping or a permission expired."""
        outbound, inbound = self._outbound, self._inbound
        if len(packet) < 28:
            return None
        if outbound is not None and not outbound.mapping.is_alive(now_ns):
            return None
        if inbound is not None and not inbound.mapping.permits(inbound.remote, now_ns):
            return None
        if outbound is not None:
            outbound.mapping.refresh(outbound.remote, now_ns)
        ip_checksum = _change_checksum(packet[10:12], self._ip_change)
        udp_checksum = packet[26:28]
        if udp_checksum != b"\0\0":
            # What would come out as 0 is sent as 0xFFFF. Source: RFC 768.
            changed = _change_checksum(udp_checksum, self._udp_change)
            udp_checksum = changed if changed != b"\0\0" else b"\xff\xff"
        return b"".join(
            (packet[:10], ip_checksum, self._ends, packet[24:26], udp_checksum, packet[28:])
        )


def flow_key_with_ports(packet: bytes) -> bytes:
    """What packets of one `Flow` share: no options, fragment bits, TTL, protocol, both ends."""
    return packet[:1] + packet[6:10] + packet[_UDP_ENDS]


def is_cacheable(packet: bytes, header: Header) -> bool:
    """Whether a packet is whole, UDP over IPv4 without options, so that a `Flow` applies."""
    is_plain = packet[0] == 0x45 and header.protocol == UDP
    return is_plain and not header.is_fragment and len(packet) >= 28


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _change_checksum(checksum: bytes, change: int) -> bytes:
    """Source: RFC 1624, equation 3, modulo 65535; 0 stands for the sum 0xFFFF."""
    total = 0xFFFF - int.from_bytes(checksum, "big") + change
    return (0xFFFF - (total % 0xFFFF or 0xFFFF)).to_bytes(2, "big")
