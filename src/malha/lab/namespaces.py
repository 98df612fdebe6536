"""Unnamed network and mount namespaces, held by nothing but file descriptors.

Rule: no name under /run/netns, no mount outside: when the last descriptor closes and the last
process ends, the kernel removes everything, whatever killed the lab.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from malha.lab import syscalls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Namespace:
    """One host's view of the network and the file system."""

    net_fd: int
    mount_fd: int
    run_fd: int
    """The host's own /run: its UAPI sockets are reached through it without entering."""

    def enter(self) -> None:
        """Move the calling thread inside. Its working directory becomes the root."""
        syscalls.setns(self.net_fd, syscalls.CLONE_NEWNET)
        # A thread that shares its root directory with others may not change mount namespace.
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(self.mount_fd, syscalls.CLONE_NEWNS)

    def close(self) -> None:
        """Let go of the namespaces; they end when nobody else holds them."""
        for fd in (self.net_fd, self.mount_fd, self.run_fd):
            os.close(fd)


def in_own_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread that ends with it, so that it may change its namespaces."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def create(hosts_text: str = "") -> Namespace:
    """Make a namespace pair with a private /run, loopback up and `hosts_text` as /etc/hosts."""
    return in_own_thread(lambda: _create_here(hosts_text))


def _create_here(hosts_text: str) -> Namespace:
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    # UAPI sockets live in /run/wireguard and are not per network namespace: without a /run of
    # its own, `wg` in one host would see every host's userspace device.
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    Path("/run").chmod(0o755)
    if hosts_text:
        _replace_hosts(hosts_text)
    _set_loopback_up()
    flags = os.O_RDONLY | os.O_CLOEXEC
    namespaces = "/proc/thread-self/ns"
    created = Namespace(
        net_fd=os.open(f"{namespaces}/net", flags),
        mount_fd=os.open(f"{namespaces}/mnt", flags),
        run_fd=os.open("/run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
    )
    # A view of /proc for the lab's own process numbers. Refused without root where somebody
    # masked parts of the machine's /proc (containers); then the outer one stays, which serves.
    with contextlib.suppress(OSError):
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    return created


def _replace_hosts(text: str) -> None:
    own = Path("/run/hosts")
    own.write_text(text, encoding="utf-8")
    if Path("/etc/hosts").exists():
        syscalls.mount(str(own), "/etc/hosts", "none", syscalls.MS_BIND)


def _set_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        syscalls.set_up(inside.fileno(), "lo")


def open_tun(namespace: Namespace, device: str) -> int:
    """Create a TUN device inside and return its packets' end."""

    def work() -> int:
        syscalls.setns(namespace.net_fd, syscalls.CLONE_NEWNET)
        return syscalls.open_tun(device)

    return in_own_thread(work)


def open_socket(namespace: Namespace, family: int, kind: int, protocol: int) -> int:
    """Open a socket that lives inside, and return its descriptor."""

    def work() -> int:
        syscalls.setns(namespace.net_fd, syscalls.CLONE_NEWNET)
        return socket.socket(family, kind, protocol).detach()

    return in_own_thread(work)
