"""The program that sends and receives numbered UDP packets inside one host.

Started by `malha.lab.flows`, one for each host, so that no host's sender waits for another's.
It takes one line of JSON, then one word a line, and answers each with a line of JSON:

    {"receive": {…}, "send": [...]}  →  {"ready": true}     sockets are bound
    start                            →  {"started": true}   sending begins, on an absolute schedule
    stop                             →  {"sent": …}         sending has ended
    count                            →  {"received": …}     distinct packets so far
    report                           →  {"flows": …}        what each flow received, then the end
"""

from __future__ import annotations

import heapq
import json
import os
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

_HEADER = struct.Struct("!IQ")
"""Flow number, sequence number."""
_RECEIVE_BUFFER_BYTES = 1 << 21


@dataclass(slots=True)
class Sending:
    """One flow that leaves here."""

    flow: int
    target: tuple[str, int]
    interval_s: float
    size_bytes: int
    sent: int = 0
    refused: int = 0
    """Packets that this host's own kernel refused; the receiver misses them, so they are lost."""


@dataclass(slots=True)
class Receiving:
    """One flow that arrives here."""

    seen: set[int] = field(default_factory=set)
    highest: int = -1
    duplicated: int = 0
    reordered: int = 0
    last_at: float = 0.0
    longest_gap_s: float = 0.0

    def take(self, number: int, now: float) -> None:
        """Count a packet."""
        if number in self.seen:
            self.duplicated += 1
            return
        self.seen.add(number)
        if number < self.highest:
            self.reordered += 1
        self.highest = max(self.highest, number)
        if self.last_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_at)
        self.last_at = now


class Station:
    """All flows of one host, in one loop."""

    def __init__(self, setup: dict[str, Any]) -> None:
        family = socket.AF_INET if setup["family"] == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._socket.bind((setup["address"], setup["port"]))
        self._socket.setblocking(False)
        self._sending = [
            Sending(flow, (target, setup["port"]), 1 / rate, size)
            for flow, target, rate, size in setup["send"]
        ]
        self._receiving = {flow: Receiving() for flow in setup["receive"]}
        self._due: list[tuple[float, int]] = []
        self._ended = False

    def serve(self) -> None:
        """Send, receive and answer until the report was given."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._ended:
                for key, _ in selector.select(self._wait_s()):
                    if key.fileobj == 0:
                        rest = self._obey(rest)
                    else:
                        self._receive()
                self._send_due()

    def _wait_s(self) -> float | None:
        return max(self._due[0][0] - time.monotonic(), 0) if self._due else None

    def _obey(self, rest: bytes) -> bytes:
        chunk = os.read(0, 4096)
        self._ended = not chunk
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            answer(self._answer(line.decode()))
        return rest

    def _answer(self, word: str) -> dict[str, Any]:
        if word == "start":
            # Spread over one interval, so that flows of equal rate do not send in one burst.
            now, count = time.monotonic(), max(len(self._sending), 1)
            self._due = [
                (now + s.interval_s * index / count, index) for index, s in enumerate(self._sending)
            ]
            heapq.heapify(self._due)
            return {"started": True}
        if word == "stop":
            self._due = []
            return {"sent": [[s.flow, s.sent, s.refused] for s in self._sending]}
        if word == "count":
            return {"received": sum(len(r.seen) for r in self._receiving.values())}
        self._ended = True
        return {"flows": [self._report(*item) for item in self._receiving.items()]}

    def _report(self, flow: int, received: Receiving) -> dict[str, Any]:
        return {
            "flow": flow,
            "received": len(received.seen),
            "duplicated": received.duplicated,
            "reordered": received.reordered,
            "longest_gap_ms": received.longest_gap_s * 1000,
        }

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due_at, index = self._due[0]
            self._send(self._sending[index])
            heapq.heapreplace(self._due, (due_at + self._sending[index].interval_s, index))

    def _send(self, sending: Sending) -> None:
        packet = _HEADER.pack(sending.flow, sending.sent).ljust(sending.size_bytes, b"\0")
        sending.sent += 1
        try:
            self._socket.sendto(packet, sending.target)
        except OSError:
            sending.refused += 1

    def _receive(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for something we sent
                continue
            if len(packet) >= _HEADER.size:
                flow, number = _HEADER.unpack_from(packet)
                if flow in self._receiving:
                    self._receiving[flow].take(number, time.monotonic())


def answer(value: dict[str, Any]) -> None:
    """Write one line."""
    os.write(1, json.dumps(value).encode() + b"\n")


def main() -> None:
    """Read the set-up line, then serve."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    station = Station(json.loads(line))
    answer({"ready": True})
    station.serve()
