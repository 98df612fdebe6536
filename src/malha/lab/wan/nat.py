"""One NAT box: which outside address and port an inside one gets, and what is let back in.

Rules, in the words of RFC 4787:
- mapping: the outside port depends on the inside address and port, and on as much of the
  remote end as `Nat.mapping` says; ports are never overloaded;
- filtering: a mapping lets in what comes from a remote end to which it sent before, as far as
  `Nat.filtering` looks at it;
- only outbound packets refresh a mapping and its permissions (REQ-6);
- a port that is taken, or any port when not `port_preserving`, gives a random one (REQ-3);
- ICMP errors about a mapped flow pass both ways, translated (RFC 5508, section 4);
- of ICMP queries only echo requests go out, and only their replies come in;
- fragments follow their first one, which must come first.
Everything else is dropped. Pure: time and randomness are passed in.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from malha.lab.wan.mapping import Mapping, MappingKey, Use
from malha.lab.wan.packet import (
    ICMP,
    ICMP_ECHO_REPLY,
    ICMP_ECHO_REQUEST,
    Header,
    Ports,
    is_icmp_error,
    read_ports,
)
from malha.lab.wan.rewrite import (
    End,
    read_quoted_flow,
    rewrite_address,
    rewrite_end,
    rewrite_error,
)
from malha.lab.wan.settings import Nat, NatBehaviour

NS_PER_S = 1_000_000_000
_FIRST_PORT, _LAST_PORT = 1024, 65535
_FRAGMENTED_PACKETS = 1024
"""How many packets whose later fragments may still come are remembered."""
_FIRST_SWEEP = 1024


class Translation(NamedTuple):
    """A packet that the box let through, and by what; None when not by a packet's own ports."""

    packet: bytes
    use: Use | None = None


class NatBox:
    """The state of one box. All times are nanoseconds of one monotonic clock."""

    def __init__(self, nat: Nat, public_address: bytes, random: Random) -> None:
        self.nat = nat
        self.public_address = public_address
        self._random = random
        self._timeout_ns = round(nat.timeout_s * NS_PER_S)
        self._by_inside: dict[MappingKey, Mapping] = {}
        self._by_port: dict[tuple[int, int], Mapping] = {}
        self._fragmented: dict[tuple[bytes, bytes, int, bytes], bytes] = {}
        self._sweep_at = _FIRST_SWEEP

    def forget_mappings(self) -> None:
        """Forget everything, as a box that was restarted."""
        for mapping in list(self._by_port.values()):
            self._forget(mapping)
        self._fragmented.clear()

    def translate_outbound(self, packet: bytes, header: Header, now_ns: int) -> Translation | None:
        """The packet as the outside sees it; None when the box drops it."""
        if header.fragment_offset_bytes:
            return self._follow_fragment(packet, header, End.SOURCE)
        if is_icmp_error(packet, header):
            return self._translate_outbound_error(packet, header, now_ns)
        ports = read_ports(packet, header)
        if ports is None or _is_icmp_but(ICMP_ECHO_REQUEST, packet, header):
            return None
        mapping = self._map(header, ports, now_ns)
        if mapping is None:
            return None
        use = Use(mapping, _look_at(self.nat.filtering, header.destination, ports.destination))
        mapping.refresh(use.remote, now_ns)
        if header.more_fragments:
            self._remember_fragmented(packet, header, self.public_address)
        outside = rewrite_end(packet, header, End.SOURCE, self.public_address, mapping.port)
        return Translation(outside, use)

    def translate_inbound(self, packet: bytes, header: Header, now_ns: int) -> Translation | None:
        """The packet as its inside host sees it; None when the box drops it."""
        if header.fragment_offset_bytes:
            return self._follow_fragment(packet, header, End.DESTINATION)
        if is_icmp_error(packet, header):
            return self._translate_inbound_error(packet, header, now_ns)
        ports = read_ports(packet, header)
        if ports is None or _is_icmp_but(ICMP_ECHO_REPLY, packet, header):
            return None
        mapping = self._by_port.get((header.protocol, ports.destination))
        remote = _look_at(self.nat.filtering, header.source, ports.source)
        if mapping is None or not mapping.permits(remote, now_ns):
            return None
        inside = mapping.inside_address
        if header.more_fragments:
            self._remember_fragmented(packet, header, inside)
        rewritten = rewrite_end(packet, header, End.DESTINATION, inside, mapping.inside_port)
        return Translation(rewritten, Use(mapping, remote))

    def _map(self, header: Header, ports: Ports, now_ns: int) -> Mapping | None:
        remote = _look_at(self.nat.mapping, header.destination, ports.destination)
        key = (header.protocol, header.source, ports.source, remote)
        mapping = self._by_inside.get(key)
        if mapping is not None and mapping.is_alive(now_ns):
            return mapping
        if mapping is not None:
            self._forget(mapping)
        port = self._choose_port(header.protocol, ports.source, now_ns)
        if port is None:
            return None
        mapping = Mapping(key, port, self._timeout_ns)
        self._by_inside[key] = self._by_port[header.protocol, port] = mapping
        return mapping

    def _choose_port(self, protocol: int, inside_port: int, now_ns: int) -> int | None:
        """A free outside port; None when all are taken."""
        if len(self._by_port) >= self._sweep_at:
            self._forget_expired(now_ns)
        if self.nat.port_preserving and self._is_free(protocol, inside_port, now_ns):
            return inside_port
        count = _LAST_PORT - _FIRST_PORT + 1
        start = self._random.randrange(count)
        for step in range(count):
            port = _FIRST_PORT + (start + step) % count
            if self._is_free(protocol, port, now_ns):
                return port
        return None

    def _is_free(self, protocol: int, port: int, now_ns: int) -> bool:
        mapping = self._by_port.get((protocol, port))
        if mapping is None:
            return True
        if mapping.is_alive(now_ns):
            return False
        self._forget(mapping)
        return True

    def _forget(self, mapping: Mapping) -> None:
        mapping.end()
        del self._by_inside[mapping.key]
        del self._by_port[mapping.protocol, mapping.port]

    def _forget_expired(self, now_ns: int) -> None:
        for mapping in list(self._by_port.values()):
            if not mapping.is_alive(now_ns):
                self._forget(mapping)
        # Doubling keeps the cost of sweeping constant per new mapping.
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._by_port))

    def _translate_outbound_error(
        self, packet: bytes, header: Header, now_ns: int
    ) -> Translation | None:
        """An inside host rejects what came in: the quoted destination is the inside end."""
        flow = read_quoted_flow(packet, header)
        if flow is None:
            return None
        quoted, ports = flow
        remote = _look_at(self.nat.mapping, quoted.source, ports.source)
        key = (quoted.protocol, quoted.destination, ports.destination, remote)
        mapping = self._by_inside.get(key)
        if mapping is None or not mapping.is_alive(now_ns):
            return None
        outside = rewrite_error(packet, header, End.SOURCE, self.public_address, mapping.port)
        return Translation(outside)

    def _translate_inbound_error(
        self, packet: bytes, header: Header, now_ns: int
    ) -> Translation | None:
        """Somebody outside rejects what went out: the quoted source is the outside end."""
        flow = read_quoted_flow(packet, header)
        if flow is None or flow[0].source != self.public_address:
            return None
        mapping = self._by_port.get((flow[0].protocol, flow[1].source))
        if mapping is None or not mapping.is_alive(now_ns):
            return None
        inside = mapping.inside_address
        rewritten = rewrite_error(packet, header, End.DESTINATION, inside, mapping.inside_port)
        return Translation(rewritten)

    def _remember_fragmented(self, packet: bytes, header: Header, address: bytes) -> None:
        if len(self._fragmented) >= _FRAGMENTED_PACKETS:
            del self._fragmented[next(iter(self._fragmented))]
        self._fragmented[_fragments_key(packet, header)] = address

    def _follow_fragment(self, packet: bytes, header: Header, end: End) -> Translation | None:
        address = self._fragmented.get(_fragments_key(packet, header))
        return Translation(rewrite_address(packet, end, address)) if address else None


def _is_icmp_but(kind: int, packet: bytes, header: Header) -> bool:
    return header.protocol == ICMP and packet[header.size_bytes] != kind


def _fragments_key(packet: bytes, header: Header) -> tuple[bytes, bytes, int, bytes]:
    """What the fragments of one packet share. Source: RFC 791, section 3.2 (identification)."""
    return (header.source, header.destination, header.protocol, packet[4:6])


def _look_at(behaviour: NatBehaviour, address: bytes, port: int) -> bytes:
    """As much of a remote end as the behaviour depends on."""
    if behaviour is NatBehaviour.ENDPOINT_INDEPENDENT:
        return b""
    if behaviour is NatBehaviour.ADDRESS_DEPENDENT:
        return address
    return address + port.to_bytes(2, "big")
