"""Waiting for a condition, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], timeout_s: float, *, interval_s: float = 0.01, what: str = ""
) -> T:
    """Ask until `condition` gives something true, and give that.

    Raises:
        TimeoutError: naming `what`, after `timeout_s`; the condition was asked at least once.
    """
    end_at = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end_at:
            name = what or getattr(condition, "__doc__", None) or "the condition"
            raise TimeoutError(f"waited {timeout_s} s in vain for {name}")
        time.sleep(interval_s)
