"""Round trips of every pair, with one raw ICMP socket in each host and one loop out here.

Sending is stamped here, arrival by the kernel (SO_TIMESTAMPNS), so that a busy loop does not
count as distance. The first round warms the path (handshakes, caches) and is not measured.
"""

from __future__ import annotations

import itertools
import os
import selectors
import socket
import statistics
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from malha.lab.host import LabHost
from malha.wireguard.device import Address

Pair: TypeAlias = tuple[str, str]

MEASURED_ROUNDS = 3
SEND_INTERVAL_S = 0.002
"""Between two packets of a round: a burst would queue in the lab and look like distance."""
_RETRY_S = 1.0
_SO_TIMESTAMPNS = 35
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_PAYLOAD = bytes(32)


def ping_pairs(
    hosts: Mapping[str, LabHost],
    addresses: Mapping[str, Address],
    pairs: Sequence[Pair],
    *,
    timeout_s: float,
) -> dict[Pair, float | None]:
    """Give each pair's median round trip in ms over a warm path; None when nothing came back.

    `timeout_s` is how long an unanswered pair is tried again.
    """
    with _Prober(hosts, addresses) as prober:
        end_at = time.monotonic() + timeout_s
        cold = list(pairs)
        while cold and time.monotonic() < end_at:
            warm = prober.round(cold, rounds=1, wait_s=min(_RETRY_S, timeout_s))
            cold = [pair for pair in cold if not warm[pair]]
        reachable = [pair for pair in pairs if pair not in set(cold)]
        measured = prober.round(reachable, rounds=MEASURED_ROUNDS, wait_s=_RETRY_S)
        return {
            pair: statistics.median(measured[pair]) if measured.get(pair) else None
            for pair in pairs
        }


@dataclass(slots=True)
class _Prober:
    """Raw sockets bound to each host's overlay address."""

    hosts: Mapping[str, LabHost]
    addresses: Mapping[str, Address]
    _sockets: dict[str, socket.socket] = field(default_factory=dict)
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    _identity: int = field(default_factory=lambda: int.from_bytes(os.urandom(2), "big"))
    _numbers: Iterable[int] = field(default_factory=itertools.count)
    _sent: dict[int, tuple[Pair, int]] = field(default_factory=dict)
    _found: dict[Pair, list[float]] = field(default_factory=dict)

    def __enter__(self) -> _Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for opened in self._sockets.values():
            opened.close()

    def _socket_of(self, name: str) -> socket.socket:
        if name not in self._sockets:
            address = self.addresses[name]
            opened = _open(self.hosts[name], address)
            self._sockets[name] = opened
            self._selector.register(opened, selectors.EVENT_READ, address.version)
        return self._sockets[name]

    def round(
        self, pairs: Sequence[Pair], *, rounds: int, wait_s: float
    ) -> dict[Pair, list[float]]:
        """Send `rounds` echoes to each pair and collect round trips in ms for `wait_s` more."""
        self._found = {pair: [] for pair in pairs}
        self._sent.clear()
        next_at = time.monotonic()
        for pair in list(pairs) * rounds:
            next_at += SEND_INTERVAL_S
            self._send(pair)
            self._receive_until(next_at)
        self._receive_until(time.monotonic() + wait_s)
        return self._found

    def _send(self, pair: Pair) -> None:
        source, target = pair
        address = self.addresses[target]
        number = next(iter(self._numbers)) & 0xFFFF
        opened = self._socket_of(source)
        packet = _echo_request(address.version, self._identity, number)
        self._sent[number] = (pair, time.time_ns())
        try:
            opened.sendto(packet, (str(address), 0))
        except OSError:
            del self._sent[number]  # no route, or no key for it: not reachable

    def _receive_until(self, end_at: float) -> None:
        while self._sent:
            left_s = end_at - time.monotonic()
            ready = self._selector.select(max(left_s, 0))
            for key, _ in ready:
                self._take(key.fileobj, key.data)  # type: ignore[arg-type]
            if not ready and left_s <= 0:
                return

    def _take(self, opened: socket.socket, version: int) -> None:
        packet, ancillary, _, _ = opened.recvmsg(512, 128)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        number = _parse_reply(packet, version, self._identity)
        sent = self._sent.pop(number, None) if number is not None else None
        if sent is not None:
            pair, sent_ns = sent
            self._found[pair].append((seconds * 10**9 + nanoseconds - sent_ns) / 1e6)


def _open(host: LabHost, address: Address) -> socket.socket:
    if address.version == 4:
        opened = host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        opened = host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.bind((str(address), 0))
    return opened


def _echo_request(version: int, identity: int, number: int) -> bytes:
    header = struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, 0, identity, number)
    if version == 6:
        return header + _PAYLOAD  # the kernel fills in ICMPv6's checksum
    checksum = _checksum(header + _PAYLOAD)
    return struct.pack("!BBHHH", _ECHO_REQUEST[4], 0, checksum, identity, number) + _PAYLOAD


def _checksum(packet: bytes) -> int:
    """The Internet checksum of an even number of bytes. Source: RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _parse_reply(packet: bytes, version: int, identity: int) -> int | None:
    """Give the number of an echo reply that is ours; a raw IPv4 socket shows the IP header too."""
    start = (packet[0] & 0x0F) * 4 if version == 4 else 0
    if len(packet) < start + 8:
        return None
    number: int
    kind, _, _, its_identity, number = struct.unpack_from("!BBHHH", packet, start)
    return number if kind == _ECHO_REPLY[version] and its_identity == identity else None
