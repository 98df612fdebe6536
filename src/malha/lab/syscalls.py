"""The few Linux calls that Python's `os` lacks: namespaces, mounts, prctl, TUN devices.

Source: setns(2), unshare(2), mount(2), prctl(2), Documentation/networking/tuntap.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
CLONE_FS = 0x0000_0200

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

_PR_SET_NAME = 15
_TUNSETIFF = 0x4004_54CA
_IFF_TUN = 0x1
_IFF_NO_PI = 0x1000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ_FLAGS = "16sh22x"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `fd`, which must be of `kind`."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """Mount, bind or change propagation, as mount(2)."""
    texts = [text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), None), f"mount {target}")


def name_thread(name: str) -> None:
    """Name the calling thread as `ps` shows it; at most 15 bytes are kept."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def open_tun(name: str) -> int:
    """Create a TUN device without packet headers in the current network namespace."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack(_IFREQ_FLAGS, name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def set_up(socket_fd: int, device: str) -> None:
    """Bring a device up through any socket of its network namespace."""
    request = struct.pack(_IFREQ_FLAGS, device.encode(), 0)
    answer = fcntl.ioctl(socket_fd, _SIOCGIFFLAGS, request)
    flags = struct.unpack(_IFREQ_FLAGS, answer)[1]
    fcntl.ioctl(
        socket_fd, _SIOCSIFFLAGS, struct.pack(_IFREQ_FLAGS, device.encode(), flags | _IFF_UP)
    )
