"""How exact and how fast the WAN emulator is on this machine: `python benchmarks/wan.py`.

Needs root. Two hosts in namespaces, one TUN each:

    a 10.9.0.1 ---- WAN ---- b 203.0.113.1 (and the same with a behind a NAT)

Prints the median round trip of ping at two distances, and for a few rates how many UDP packets
of 100 bytes per second were offered, and what part of them arrived.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from malha.lab import syscalls
from malha.lab.wan import LinkSettings, Nat, Wan

_PORT = 9999
_SECONDS = 3

_SENDER = """
import socket, sys, time
address, port, rate, seconds = sys.argv[1], *map(int, sys.argv[2:])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
udp.connect((address, port))
start = time.monotonic()
sent, total, body = 0, rate * seconds, bytes(72)
while sent < total:
    due = min(total, int((time.monotonic() - start) * rate))
    if sent >= due:
        time.sleep(0.0002)
    while sent < due:
        udp.send(body)
        sent += 1
print(sent, round(sent / (time.monotonic() - start)))
"""

_RECEIVER = """
import socket, sys
SO_RCVBUFFORCE = 33
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
udp.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
count = 0
try:
    while True:
        udp.recv(2048)
        count += 1
        udp.settimeout(1.5)
except TimeoutError:
    print(count)
"""


class Side:
    """A network namespace that lives as long as its one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.tun_fd = 0

    def run(self, work: Callable[[], str]) -> str:
        """Run something inside; what it starts is inside too."""
        return self._thread.submit(work).result()

    def create(self, address: str) -> int:
        """Make the namespace and its TUN; gives the descriptor for the WAN."""

        def make() -> int:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            fd = syscalls.open_tun("eth0")
            for line in (
                f"address add {address}/32 dev eth0",
                "link set eth0 up txqueuelen 2000",
                "route add default dev eth0",
            ):
                subprocess.run(["ip", *line.split()], check=True)
            return fd

        return self._thread.submit(make).result()

    def close(self) -> None:
        """End the thread, and the namespace with it."""
        self._thread.shutdown()


_PINGER = """
import socket, statistics, sys, time
icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
icmp.connect((sys.argv[1], 0))
times = []
for number in range(1, 41):
    body = number.to_bytes(2, "big")
    checksum = 0xFFFF - (0x0800 + 0x1234 + number)
    start = time.monotonic()
    icmp.send(b"\\x08\\0" + checksum.to_bytes(2, "big") + b"\\x12\\x34" + body)
    while True:
        reply = icmp.recv(100)[20:]
        if reply[0] == 0 and reply[6:] == body:
            break
    times.append(time.monotonic() - start)
print(1000 * statistics.median(times))
"""


def measure_rtt_ms(side: Side, address: str) -> float:
    """The median of 40 echoes; ping itself prints three digits only."""
    argv = [sys.executable, "-c", _PINGER, address]
    said = side.run(lambda: subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return float(said)


def measure_rate(sender: Side, receiver: Side, address: str, rate: int) -> str:
    """One line: what was offered per second, and what part of it arrived."""
    listening = threading.Event()
    counted: list[int] = []

    def receive() -> str:
        argv = [sys.executable, "-c", _RECEIVER, str(_PORT)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            listening.set()
            counted.append(int(process.stdout.readline()))
        return ""

    waiting = threading.Thread(target=lambda: receiver.run(receive))
    waiting.start()
    listening.wait()
    argv = [sys.executable, "-c", _SENDER, address, str(_PORT), str(rate), str(_SECONDS)]
    said = sender.run(
        lambda: subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    )
    waiting.join()
    sent, per_second = map(int, said.split())
    return f"{per_second:>7}/s offered, {100 * counted[0] / sent:.3f} % of {sent} arrived"


def main() -> None:
    """Measure, and print as it goes."""
    for nat in (None, Nat("198.18.0.1")):
        a, b = Side(), Side()
        with Wan.start() as wan:
            wan.add_host("a", a.create("10.9.0.1"), ["10.9.0.1"], nat=nat)
            wan.add_host("b", b.create("203.0.113.1"), ["203.0.113.1"])
            print("behind a NAT" if nat else "routed")
            for rtt_ms in (0, 49, 246):
                wan.set_link("a", "b", LinkSettings(delay_ms=rtt_ms / 2))
                print(f"  rtt {rtt_ms} ms: {measure_rtt_ms(a, '203.0.113.1'):.2f} ms", flush=True)
            for rate in (20_000, 40_000, 60_000, 80_000):
                print("  " + measure_rate(a, b, "203.0.113.1", rate), flush=True)
        a.close()
        b.close()


if __name__ == "__main__":
    main()
