"""A timer that an epoll can wait for, exact to microseconds.

epoll's own time-out counts whole milliseconds, and Python has timerfd only from 3.13 on.
Source: timerfd_create(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from typing import ClassVar

_TFD_TIMER_ABSTIME = 1
_NS_PER_S = 1_000_000_000


class _ItimerSpec(ctypes.Structure):
    _fields_: ClassVar = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


class Timer:
    """One shot at an instant of `time.monotonic_ns`; then `fd` is readable."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        # TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC.
        self.fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _ItimerSpec()
        self._spec_pointer = ctypes.byref(self._spec)
        self._armed_at_ns = 0
        self._set_at_ns = 0

    def arm(self, at_ns: int) -> None:
        """Fire at `at_ns`, or at once if that is past; the instant armed before is forgotten."""
        if at_ns == self._armed_at_ns:
            return
        self._spec.value_s, self._spec.value_ns = divmod(at_ns, _NS_PER_S)
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._spec_pointer, None)
        self._armed_at_ns = at_ns
        self._set_at_ns = time.monotonic_ns()

    def acknowledge(self) -> int:
        """Make `fd` unreadable again; gives the nanoseconds since it could first fire."""
        late_ns = time.monotonic_ns() - max(self._armed_at_ns, self._set_at_ns)
        self._armed_at_ns = 0
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)
        return late_ns
