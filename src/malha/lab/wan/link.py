"""One direction between two hosts: when does a packet arrive, if it does? Pure: the time is
passed in, and the randomness belongs to the link, so that one seed gives the same losses
whatever happens on other links.

A packet passes in this order: up or partitioned, loss, the queue before the rate, the delay
with its jitter. Packets stay in order, except that after a change of settings new ones may
overtake those that are already on their way, as on a path that changed.
"""

from __future__ import annotations

from random import Random

from malha.lab.wan.settings import MAX_MTU_BYTES, LinkSettings
from malha.lab.wan.stats import DropCause, LinkStats

NS_PER_MS = 1_000_000
_UNLIMITED_BYTES = MAX_MTU_BYTES + 1


class Link:
    """The state of one direction. All times are nanoseconds of one monotonic clock."""

    __slots__ = (
        "_delay_ns",
        "_free_at_ns",
        "_is_plain",
        "_jitter_ns",
        "_last_due_ns",
        "_loss",
        "_ns_per_byte",
        "_partitioned",
        "_queue_ns",
        "_random",
        "_settings",
        "bytes",
        "drops",
        "mtu_bytes",
        "packets",
    )

    def __init__(self, settings: LinkSettings, seed: str) -> None:
        self.packets = 0
        self.bytes = 0
        self.drops: dict[DropCause, int] = {}
        self._random: Random | str = seed
        self._partitioned = False
        self.settings = settings

    @property
    def settings(self) -> LinkSettings:
        """What was declared; setting it keeps the counters and the sequence of losses."""
        return self._settings

    @settings.setter
    def settings(self, settings: LinkSettings) -> None:
        self._settings = settings
        self.mtu_bytes = settings.mtu or _UNLIMITED_BYTES
        self._delay_ns = round(settings.delay_ms * NS_PER_MS)
        self._jitter_ns = round(settings.jitter_ms * NS_PER_MS)
        self._queue_ns = round(settings.queue_ms * NS_PER_MS)
        self._ns_per_byte = 8000 / settings.rate_mbit if settings.rate_mbit else 0.0
        self._loss = settings.loss
        self._free_at_ns = 0.0
        self._last_due_ns = 0
        self._refresh_plain()

    @property
    def partitioned(self) -> bool:
        """Cut by a partition, whatever the settings say."""
        return self._partitioned

    @partitioned.setter
    def partitioned(self, partitioned: bool) -> None:
        self._partitioned = partitioned
        self._refresh_plain()

    @property
    def delay_ns(self) -> int:
        """The declared one-way delay."""
        return self._delay_ns

    def _refresh_plain(self) -> None:
        varies = self._loss or self._jitter_ns or self._ns_per_byte
        self._is_plain = self._settings.up and not self._partitioned and not varies

    def schedule(self, now_ns: int, size_bytes: int) -> int | None:
        """When a packet that enters now arrives; None when it is dropped (and counted)."""
        if self._is_plain:
            due_ns = now_ns + self._delay_ns
        else:
            cause = self._find_drop(now_ns)
            if cause is not None:
                self.count_drop(cause)
                return None
            due_ns = self._schedule_varying(now_ns, size_bytes)
        self.packets += 1
        self.bytes += size_bytes
        return due_ns

    def find_cut(self) -> DropCause | None:
        """Why nothing at all passes; None when the link is open."""
        if not self._settings.up:
            return DropCause.DOWN
        return DropCause.PARTITION if self._partitioned else None

    def _find_drop(self, now_ns: int) -> DropCause | None:
        cut = self.find_cut()
        if cut is not None:
            return cut
        if self._loss and self._draw().random() < self._loss:
            return DropCause.LOSS
        if self._ns_per_byte and self._free_at_ns - now_ns > self._queue_ns:
            return DropCause.QUEUE
        return None

    def _schedule_varying(self, now_ns: int, size_bytes: int) -> int:
        sent_at_ns = float(now_ns)
        if self._ns_per_byte:
            sent_at_ns = max(sent_at_ns, self._free_at_ns) + size_bytes * self._ns_per_byte
            self._free_at_ns = sent_at_ns
        delay_ns = self._delay_ns
        if self._jitter_ns:
            delay_ns += round(self._draw().uniform(-self._jitter_ns, self._jitter_ns))
        due_ns = max(int(sent_at_ns) + max(delay_ns, 0), self._last_due_ns)
        self._last_due_ns = due_ns
        return due_ns

    def _draw(self) -> Random:
        # A generator weighs 2.5 KB: a lab of 1,000 hosts makes them only where they are used.
        if isinstance(self._random, str):
            self._random = Random(self._random)
        return self._random

    def count_drop(self, cause: DropCause) -> None:
        """Count a packet that does not arrive."""
        self.drops[cause] = self.drops.get(cause, 0) + 1

    def read_stats(self) -> LinkStats:
        """The counters as they stand."""
        return LinkStats(self.packets, self.bytes, dict(self.drops))
