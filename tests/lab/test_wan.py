"""The WAN between real kernels: each host is a network namespace with one TUN.

a 10.9.0.2 -- box 198.18.0.1 --+-- b 203.0.113.1
  2001:db8::a -----------------+     2001:db8::b
                               +-- c 203.0.113.3
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from malha.lab import syscalls
from malha.lab.wan import DropCause, LinkSettings, Nat, Wan

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

T = TypeVar("T")
TIMEOUT_S = 30.0
B4, B6, C4 = "203.0.113.1", "2001:db8::b", "203.0.113.3"
REPLIES = re.compile(r"(\d+) received")
RTTS = re.compile(r"time=([\d.]+) ms")


class Side:
    """A namespace that lives as long as its threads."""

    def __init__(self, *addresses: str) -> None:
        self._threads = ThreadPoolExecutor(2, initializer=self._enter)
        self.tun_fd = -1
        self._net_fd = -1
        self._lock = threading.Lock()
        self.run(lambda: self._create(addresses))

    def _enter(self) -> None:
        with self._lock:
            if self._net_fd >= 0:
                syscalls.setns(self._net_fd, syscalls.CLONE_NEWNET)
                return
            syscalls.unshare(syscalls.CLONE_NEWNET)
            self._net_fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def _create(self, addresses: tuple[str, ...]) -> None:
        self.tun_fd = syscalls.open_tun("eth0")
        for address in addresses:
            ip("address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        ip("link", "set", "eth0", "up")
        ip("link", "set", "lo", "up")
        for family in ("-4", "-6"):
            ip(family, "route", "add", "default", "dev", "eth0")

    def run(self, work: Callable[[], T]) -> T:
        """Do something inside; sockets opened there, and programs, stay inside."""
        return self._threads.submit(work).result()

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """The same beside; gives what waits for the answer."""
        return self._threads.submit(work).result

    def ping(self, address: str, *options: str) -> str:
        argv = ["ping", "-n", "-i", "0.02", "-W", "2", *options, address]
        return self.run(
            lambda: subprocess.run(argv, check=False, capture_output=True, text=True).stdout
        )

    def close(self) -> None:
        self._threads.shutdown()
        os.close(self._net_fd)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def received(said: str) -> int:
    found = REPLIES.search(said)
    assert found, said
    return int(found[1])


@pytest.fixture
def wan() -> Iterator[Wan]:
    with Wan.start(seed=3) as started:
        yield started


@pytest.fixture
def sides(wan: Wan) -> Iterator[dict[str, Side]]:
    made = {
        "a": Side("10.9.0.2", "2001:db8::a"),
        "b": Side(B4, B6),
        "c": Side(C4),
    }
    wan.add_host("a", made["a"].tun_fd, ["10.9.0.2", "2001:db8::a"], nat=Nat("198.18.0.1"))
    wan.add_host("b", made["b"].tun_fd, [B4, B6])
    wan.add_host("c", made["c"].tun_fd, [C4])
    yield made
    for side in made.values():
        side.close()


both_families = pytest.mark.parametrize("address", [B4, B6], ids=["v4", "v6"])


@both_families
@pytest.mark.parametrize("rtt_ms", [0, 49, 246])
def test_round_trips_take_what_was_declared(
    wan: Wan, sides: dict[str, Side], address: str, rtt_ms: float
) -> None:
    wan.set_one_way("a", "b", LinkSettings(delay_ms=rtt_ms / 3))
    wan.set_one_way("b", "a", LinkSettings(delay_ms=rtt_ms * 2 / 3))
    times_ms = [float(time) for time in RTTS.findall(sides["a"].ping(address, "-c", "9"))]
    assert len(times_ms) == 9
    # The quickest: what a busy machine adds to the others is no distance.
    assert rtt_ms - 0.5 <= min(times_ms) <= rtt_ms + 5


@both_families
def test_losses_and_partitions(wan: Wan, sides: dict[str, Side], address: str) -> None:
    wan.set_one_way("a", "b", LinkSettings(loss=0.5))
    replies = received(sides["a"].ping(address, "-c", "40"))
    there = wan.stats().link("a", "b")
    assert 0 < replies == there.packets < 40
    assert there.drops == {DropCause.LOSS: 40 - replies}
    wan.set_default(LinkSettings())
    wan.change_link("a", "b", loss=0)
    wan.partition(["a"], ["b", "c"])
    assert received(sides["a"].ping(address, "-c", "2")) == 0
    assert received(sides["c"].ping(B4, "-c", "1")) == 1
    wan.heal(["a"], ["b", "c"])
    assert received(sides["a"].ping(address, "-c", "2")) == 2


@both_families
def test_an_honest_narrow_path_is_learned(wan: Wan, sides: dict[str, Side], address: str) -> None:
    wan.set_one_way("a", "b", LinkSettings(mtu=1300))
    assert received(sides["a"].ping(address, "-c", "1", "-s", "1200", "-M", "do")) == 1
    sides["a"].ping(address, "-c", "1", "-s", "1400", "-M", "do")
    assert wan.stats().link("a", "b").drops == {DropCause.TOO_BIG: 1}
    argv = ["ip", "route", "get", address]
    route = sides["a"].run(
        lambda: subprocess.run(argv, check=False, capture_output=True, text=True).stdout
    )
    assert "mtu 1300" in route
    # Now the kernel refuses what is too big by itself, or cuts it where that is allowed.
    assert received(sides["a"].ping(address, "-c", "1", "-s", "1400", "-M", "want")) == 1


@both_families
def test_a_black_hole_swallows_only_what_is_big(
    wan: Wan, sides: dict[str, Side], address: str
) -> None:
    wan.set_link("a", "b", LinkSettings(mtu=1300, icmp=False))
    assert received(sides["a"].ping(address, "-c", "1", "-s", "1200", "-M", "do")) == 1
    assert received(sides["a"].ping(address, "-c", "2", "-s", "1400", "-M", "do")) == 0
    assert wan.stats().link("a", "b").drops == {DropCause.BLACK_HOLE: 2}


def test_what_may_be_fragmented_arrives(wan: Wan, sides: dict[str, Side]) -> None:
    wan.set_link("a", "b", LinkSettings(mtu=600, icmp=False))
    # 4,000 bytes leave the host in pieces already, through the NAT, and are cut again.
    assert received(sides["a"].ping(B4, "-c", "2", "-s", "4000", "-M", "dont")) == 2


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, B4), (socket.AF_INET6, B6)], ids=["v4", "v6"]
)
def test_a_stream_passes_nat_narrow_path_and_rate_unharmed(
    wan: Wan, sides: dict[str, Side], family: socket.AddressFamily, address: str
) -> None:
    wan.set_link("a", "b", LinkSettings(delay_ms=2, jitter_ms=1, mtu=1300, rate_mbit=50))
    listener = sides["b"].run(lambda: socket.create_server((address, 7), family=family))
    client = sides["a"].run(lambda: socket.socket(family, socket.SOCK_STREAM))
    sent = os.urandom(300_000)
    with listener, client:
        client.settimeout(TIMEOUT_S)
        client.connect((address, 7))
        server, peer = listener.accept()
        if family is socket.AF_INET:
            assert peer[0] == "198.18.0.1"
        with server, ThreadPoolExecutor(1) as pool:
            echoing = pool.submit(lambda: [server.sendall(server.recv(4096)) for _ in range(1)])
            client.sendall(sent[:1000])
            assert read_exactly(client, 1000) == sent[:1000]
            echoing.result()
            sending = pool.submit(lambda: server.sendall(sent))
            assert read_exactly(client, len(sent)) == sent
            sending.result()


def read_exactly(stream: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        piece = stream.recv(1 << 16)
        assert piece
        read += piece
    return read


def test_a_closed_port_is_reported_through_the_nat(wan: Wan, sides: dict[str, Side]) -> None:
    client = sides["a"].run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with client:
        client.settimeout(TIMEOUT_S)
        client.connect((B4, 9))
        client.send(b"anyone?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def test_nothing_comes_in_unasked_and_leaks_are_seen(wan: Wan, sides: dict[str, Side]) -> None:
    assert received(sides["b"].ping("198.18.0.1", "-c", "1")) == 0
    assert wan.stats().nat_dropped == 1
    assert received(sides["b"].ping("10.50.1.2", "-c", "1")) == 0
    assert wan.stats().unrouted_destinations == {("b", "10.50.1.2"): 1}


def test_an_interface_that_is_down_stops_nobody(wan: Wan, sides: dict[str, Side]) -> None:
    sides["c"].run(lambda: ip("link", "set", "eth0", "down"))
    assert received(sides["b"].ping(C4, "-c", "1")) == 0
    assert wan.stats().undelivered == 1
    assert received(sides["a"].ping(B4, "-c", "1")) == 1
    sides["c"].run(lambda: ip("link", "set", "eth0", "up"))
    sides["c"].run(lambda: ip("route", "add", "default", "dev", "eth0"))
    assert received(sides["b"].ping(C4, "-c", "1")) == 1


def test_a_tunnel_keeps_its_namespace_until_the_host_is_removed(
    wan: Wan, sides: dict[str, Side]
) -> None:
    sides.pop("c").close()
    assert received(sides["b"].ping(C4, "-c", "1")) == 1
    wan.remove_host("c")
    assert received(sides["b"].ping(C4, "-c", "1")) == 0
    assert wan.stats().unrouted == 1
