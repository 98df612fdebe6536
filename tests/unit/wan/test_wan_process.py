"""The emulator process, with datagram sockets in the place of tunnels: no root needed."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from malha.errors import InputError, InternalError
from malha.lab.waiting import wait_for
from malha.lab.wan import DropCause, LinkSettings, LinkStats, Nat, Wan
from malha.lab.wan.control import receive_replies, send_frame
from tests.unit.wan.packets import ends, udp

A, B = ("192.0.2.1", 1), ("203.0.113.1", 2)
TIMEOUT_S = 10.0


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan.start(seed=1) as started:
        yield started


def join(wan: Wan, name: str, *addresses: str, nat: Nat | None = None) -> socket.socket:
    """Put a host on the WAN; gives the end at which its kernel would be."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(TIMEOUT_S)
    wan.add_host(name, theirs.detach(), addresses, nat=nat)
    return ours


def wait_until_counted(wan: Wan, counter: str, number: int) -> None:
    wait_for(lambda: getattr(wan.stats(), counter) == number, TIMEOUT_S, what=counter)


def test_packets_arrive_in_order_after_their_delay(wan: Wan) -> None:
    a, b = join(wan, "a", A[0]), join(wan, "b", B[0])
    wan.set_one_way("a", "b", LinkSettings(delay_ms=20))
    waits_s = []
    for number in range(10):
        sent = udp(A, B, bytes([number]))
        sent_at = time.monotonic()
        a.send(sent)
        assert b.recv(2048) == sent
        waits_s.append(time.monotonic() - sent_at)
    # Wide enough for a busy machine; benchmarks/wan.py measures how exact it is.
    assert 0.019 < statistics.median(waits_s) < 0.030
    burst = [udp(A, B, bytes([number])) for number in range(100)]
    for packet in burst:
        a.send(packet)
    assert [b.recv(2048) for _ in burst] == burst
    assert wan.stats().link("a", "b") == LinkStats(110, 110 * 29, {})


def test_a_nat_translates(wan: Wan) -> None:
    a, b = join(wan, "a", "10.0.0.2", nat=Nat("198.18.0.1")), join(wan, "b", B[0])
    a.send(udp(("10.0.0.2", 5), B))
    assert ends(b.recv(2048))[0] == ("198.18.0.1", 5)
    b.send(udp(B, ("198.18.0.1", 5)))
    assert ends(a.recv(2048))[1] == ("10.0.0.2", 5)
    wan.forget_nat_mappings("198.18.0.1")
    b.send(udp(B, ("198.18.0.1", 5)))
    wait_until_counted(wan, "nat_dropped", 1)
    wan.change_nat("a", Nat("198.18.0.2"))
    a.send(udp(("10.0.0.2", 5), B))
    assert ends(b.recv(2048))[0] == ("198.18.0.2", 5)


def test_garbage_is_counted_and_does_no_harm(wan: Wan) -> None:
    a, b = join(wan, "a", A[0]), join(wan, "b", B[0])
    pieces = [os.urandom(size) for size in (1, 19, 20, 40, 1500)] + [udp(A, B)[:-1], b"\x45" * 30]
    for piece in pieces:
        a.send(b"\x0f" + piece[1:])
    wait_until_counted(wan, "malformed", len(pieces))
    a.send(udp(A, B))
    assert b.recv(2048) == udp(A, B)


def test_leaks_are_named(wan: Wan) -> None:
    a = join(wan, "a", A[0], "2001:db8::1")
    a.send(udp(A, ("10.50.0.1", 7)))
    a.send(udp(("2001:db8::1", 1), ("fd00::1", 7)))
    wait_until_counted(wan, "unrouted", 2)
    assert wan.stats().unrouted_destinations == {("a", "10.50.0.1"): 1, ("a", "fd00::1"): 1}


def test_partitions_and_changes_hold_for_the_next_packet(wan: Wan) -> None:
    a, b = join(wan, "a", A[0]), join(wan, "b", B[0])
    wan.partition({"a"}, {"b"})
    a.send(udp(A, B, b"lost"))
    b.send(udp(B, A, b"lost"))
    wait_for(lambda: len(wan.stats().links) == 2, TIMEOUT_S, what="both drops")
    wan.heal({"a"}, {"b"})
    wan.change_link("a", "b", loss=1)
    a.send(udp(A, B, b"lost"))
    wait_for(lambda: wan.stats().link("a", "b").dropped == 2, TIMEOUT_S, what="the loss")
    wan.change_link("a", "b", loss=0, delay_ms=1)
    a.send(udp(A, B, b"kept"))
    assert b.recv(2048) == udp(A, B, b"kept")
    assert wan.stats().link("a", "b").drops == {DropCause.PARTITION: 1, DropCause.LOSS: 1}


def test_a_host_moves_leaves_and_returns(wan: Wan) -> None:
    a, b = join(wan, "a", A[0]), join(wan, "b", B[0])
    wan.change_addresses("b", ["203.0.113.9"])
    a.send(udp(A, ("203.0.113.9", 2)))
    assert b.recv(2048)
    wan.remove_host("b")
    assert b.recv(2048) == b""
    again = join(wan, "b", B[0])
    a.send(udp(A, B))
    assert again.recv(2048)


def test_a_tunnel_that_goes_away_stops_nobody(wan: Wan) -> None:
    a, b, c = join(wan, "a", A[0]), join(wan, "b", B[0]), join(wan, "c", "203.0.113.3")
    b.close()
    a.send(udp(A, B))
    wait_until_counted(wan, "undelivered", 1)
    a.send(udp(A, ("203.0.113.3", 2)))
    assert c.recv(2048)


def test_a_refused_host_changes_nothing_and_leaks_no_descriptor(wan: Wan) -> None:
    join(wan, "a", A[0])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(TIMEOUT_S)
    with pytest.raises(InputError, match="exists already"):
        wan.add_host("a", theirs.detach(), ["192.0.2.2"])
    assert ours.recv(10) == b""
    with pytest.raises(InputError, match="no open descriptor"):
        wan.add_host("b", 987_654, ["192.0.2.2"])
    for refused in (
        lambda: wan.set_link("a", "typo", LinkSettings()),
        lambda: wan.change_link("a", "typo", loss=0.5),
        lambda: wan.change_link("a", "a", speed=1),
        lambda: wan.partition(["a"], ["typo"]),
        lambda: wan.remove_host("typo"),
        lambda: wan.change_addresses("typo", []),
        lambda: wan.change_nat("typo", None),
        lambda: wan.forget_nat_mappings("192.0.2.1"),
    ):
        with pytest.raises(InputError):
            refused()
    assert wan.stats().links == {}


def test_statistics_of_many_links_come_whole(wan: Wan) -> None:
    hosts = [f"h{number:02}" for number in range(50)]
    addresses = {host: f"192.0.2.{number}" for number, host in enumerate(hosts)}
    sockets = {host: join(wan, host, address) for host, address in addresses.items()}
    pairs = [(a, b) for a in hosts for b in hosts if a != b]
    wan.set_many((a, b, LinkSettings(delay_ms=number % 3)) for number, (a, b) in enumerate(pairs))
    for a, b in pairs:
        sockets[a].send(udp((addresses[a], 1), (addresses[b], 2)))
    for host in hosts:
        for _ in range(len(hosts) - 1):
            sockets[host].recv(2048)
    stats = wan.stats()
    assert stats.links == dict.fromkeys(pairs, LinkStats(1, 33, {}))
    assert list(stats.links) == pairs


def test_any_thread_may_ask(wan: Wan) -> None:
    a = join(wan, "a", A[0])
    a.send(b"\0")
    wait_until_counted(wan, "malformed", 1)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: wan.stats(), range(40)))
    assert answers == [wan.stats()] * 40


def test_a_killed_emulator_is_an_error_not_a_hang(wan: Wan) -> None:
    join(wan, "a", A[0])
    os.kill(wan.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(InternalError, match=r"it died \(signal 9\)"):
            wan.stats()


def test_a_crash_says_what_happened(wan: Wan) -> None:
    with pytest.raises(InternalError, match="KeyError: 'no such command'"):
        wan._call("no such command")
    with pytest.raises(InternalError, match="KeyError"):
        wan.set_default(LinkSettings())


def test_closed_twice_and_asked_again() -> None:
    wan = Wan.start()
    wan.stats()
    wan.close()
    wan.close()
    with pytest.raises(InternalError, match="was closed"):
        wan.stats()


def test_it_dies_with_its_parent() -> None:
    program = "from malha.lab.wan import Wan; w = Wan.start(); w.stats(); print(w.pid, flush=True)"
    argv = [sys.executable, "-c", f"{program}; input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        emulator = int(parent.stdout.readline())
        assert is_running(emulator)
        parent.kill()
        parent.wait()
    wait_for(lambda: not is_running(emulator), TIMEOUT_S, what="the emulator's end")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_hosts_that_are_removed_while_they_send_do_no_harm(wan: Wan) -> None:
    """Both lie ready when the emulator wakes: first the removal, then that host's packet."""
    b = join(wan, "b", B[0])
    for number in range(10):
        a, packet = join(wan, "a", A[0]), udp(A, B, bytes([number]))
        with _stopped(wan.pid):
            send_frame(wan._channel, {"command": "remove-host", "name": "a"})
            a.send(packet)
        assert receive_replies(wan._channel) == [{}]
    a, last = join(wan, "a", A[0]), udp(A, B, b"last")
    a.send(last)
    while (received := b.recv(2048)) != last:
        assert len(received) == len(packet), "a packet that was read before its host went"


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    try:
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", TIMEOUT_S)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
