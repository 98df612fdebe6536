"""The emulator process: reads packets from the hosts' tunnels, holds each until it is due,
writes it to the receiver's tunnel.

Run as `python -m malha.lab.wan.emulator CONTROL_FD PARENT_PIDFD SEED`. It ends when the control
channel closes, or the parent dies. One thread, one epoll; nothing here blocks.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator
from heapq import heappop, heappush

from malha.lab.wan.commands import Commands
from malha.lab.wan.control import FrameReader, Message, encode_frame, receive_piece
from malha.lab.wan.packet import flow_key
from malha.lab.wan.realms import Host
from malha.lab.wan.routing import Underlay
from malha.lab.wan.timer import Timer

_PACKET_BYTES = 65536
_BURST = 32
"""Packets read from one host before the others, and what is due meanwhile, get their turn."""
_NICE = -15
_WAKE_STEP_NS = 2_000
_FIRST_WAKE_NS = 50_000
_MAX_WAKE_NS = 300_000


class Emulator:
    """Joins an `Underlay` to a clock and to descriptors."""

    def __init__(self, channel: socket.socket, parent_pidfd: int, seed: int) -> None:
        self._underlay = Underlay(seed)
        self._commands = Commands(self._underlay, attach=self._attach, detach=self._detach)
        self._channel = channel
        self._requests = FrameReader()
        self._replies: Iterator[Message] = iter(())
        self._unsent = b""
        self._received_fds: list[int] = []
        self._parent_pidfd = parent_pidfd
        self._timer = Timer()
        self._hosts_by_fd: dict[int, Host] = {}
        self._heap: list[tuple[int, int, Host, bytes]] = []
        self._sequence = 0
        self._wake_ns = _FIRST_WAKE_NS
        self._epoll = select.epoll()
        for fd in (channel.fileno(), parent_pidfd, self._timer.fd):
            self._epoll.register(fd, select.EPOLLIN)

    def run(self) -> None:
        """Carry packets until the control channel closes or the parent is gone."""
        while True:
            if self._heap:
                self._timer.arm(self._heap[0][0] - 2 * self._wake_ns)
            for fd, events in self._epoll.poll():
                host = self._hosts_by_fd.get(fd)
                if host is not None:
                    self._read_host(host)
                    self._deliver_due()
                elif fd == self._timer.fd:
                    self._learn_wake(self._timer.acknowledge())
                elif fd == self._parent_pidfd or (
                    # Else a host that a request among these events has just taken off.
                    fd == self._channel.fileno() and not self._serve_control(events)
                ):
                    return
            self._deliver_due()

    def _read_host(self, host: Host) -> None:
        """Read a burst of one host's packets and put each where it will be found when due."""
        now_ns = time.monotonic_ns()
        routes, fd = host.routes, host.fd
        for _ in range(_BURST):
            try:
                packet = os.read(fd, _PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:  # The tunnel is gone, and its namespace likely with it.
                self._detach(host)
                return
            route = routes.get(flow_key(packet))
            if route is None or len(packet) > route[0].mtu_bytes:
                for due_ns, receiver, arriving in self._underlay.carry(host, packet, now_ns):
                    self._hold(due_ns, receiver, arriving)
                continue
            due = route[0].schedule(now_ns, len(packet))
            if due is not None:
                self._hold(due, route[1], packet)

    def _hold(self, due_ns: int, receiver: Host, packet: bytes) -> None:
        # The sequence keeps packets that are due at one instant in order.
        self._sequence += 1
        heappush(self._heap, (due_ns, self._sequence, receiver, packet))

    def _deliver_due(self) -> None:
        heap, until_ns = self._heap, time.monotonic_ns() + self._wake_ns
        while heap and heap[0][0] <= until_ns:
            _, _, receiver, packet = heappop(heap)
            try:
                os.write(receiver.fd, packet)
            except OSError:  # Interface down, tunnel gone, or its queue full.
                self._underlay.counts.undelivered += 1

    def _learn_wake(self, late_ns: int) -> None:
        """Track the median of what waking up costs on this machine, now (30 to 300 us).

        A packet suffers it twice: its arrival is noticed late, and so is the instant at which
        it is due. The timer is armed two such times early, and packets leave one early.
        """
        step_ns = _WAKE_STEP_NS if late_ns > self._wake_ns else -_WAKE_STEP_NS
        self._wake_ns = min(max(self._wake_ns + step_ns, 0), _MAX_WAKE_NS)

    def _attach(self, host: Host) -> None:
        os.set_blocking(host.fd, False)
        self._hosts_by_fd[host.fd] = host
        self._epoll.register(host.fd, select.EPOLLIN)

    def _detach(self, host: Host) -> None:
        """Let go of a host's tunnel; packets on their way to it find descriptor -1."""
        if self._hosts_by_fd.pop(host.fd, None) is None:
            return
        with contextlib.suppress(OSError):
            self._epoll.unregister(host.fd)
        os.close(host.fd)
        host.fd = -1

    def _serve_control(self, events: int) -> bool:
        """Take requests and send replies, a piece of each; False when the caller is gone."""
        if events & select.EPOLLOUT:
            return self._send_replies()
        if not events & select.EPOLLIN:
            return False
        piece, fds = receive_piece(self._channel)
        self._received_fds += fds
        for request in self._requests.feed(piece):
            self._answer(request)
        return bool(piece)

    def _answer(self, request: Message) -> None:
        """Begin to answer. The caller sends no further request before it has all replies."""
        fds, self._received_fds = self._received_fds, []
        if fds:
            request["fd"] = fds[0]
        self._replies = self._commands.answer(request)
        for fd in fds:
            if fd not in self._hosts_by_fd:  # Refused.
                os.close(fd)
        self._epoll.modify(self._channel.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _send_replies(self) -> bool:
        """Send what the socket takes now: packets must not wait for a slow reader."""
        if not self._unsent:
            reply = next(self._replies, None)
            if reply is None:
                self._epoll.modify(self._channel.fileno(), select.EPOLLIN)
                return True
            self._unsent = encode_frame(reply)
        try:
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _prepare_process() -> None:
    """As much priority and as many descriptors as this user may have, and no pauses."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The data path makes no reference cycles, and a collection would stop all packets.
    gc.freeze()
    gc.disable()


def main(arguments: list[str]) -> None:
    """Run the emulator on inherited descriptors."""
    control_fd, parent_pidfd, seed = (int(argument) for argument in arguments)
    channel = socket.socket(fileno=control_fd)
    channel.setblocking(False)
    emulator = Emulator(channel, parent_pidfd, seed)
    _prepare_process()
    emulator.run()


if __name__ == "__main__":
    main(sys.argv[1:])
