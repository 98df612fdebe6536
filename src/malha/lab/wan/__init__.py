"""A userspace WAN: one process that carries packets between the hosts of a lab.

Per direction it has delay, jitter, loss, rate, path MTU (honest or a black hole), and
partitions; in front of hosts NAT boxes of all RFC 4787 kinds. No root, no kernel module: only
one TUN descriptor per host.
"""

from __future__ import annotations

from malha.lab.wan.client import Wan
from malha.lab.wan.settings import LinkSettings, Nat, NatBehaviour
from malha.lab.wan.stats import DropCause, LinkStats, WanStats

__all__ = ["DropCause", "LinkSettings", "LinkStats", "Nat", "NatBehaviour", "Wan", "WanStats"]
