"""Sending everything through an exit, without the tunnel's own packets chasing their tail.

WireGuard's packets carry a firewall mark and skip the table that holds the default route into
the device; every longer route of the main table still wins. Source: wg-quick(8), "Table".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from malha.host.device import tell_device
from malha.host.ip_batch import EXIT_TABLE
from malha.host.machine import Machine
from malha.wireguard.device import Prefix
from malha.wireguard.uapi import message

# Just before the main table (32766): longer routes of main first, then the exit.
_RULES = (
    "priority 32764 table main suppress_prefixlength 0",
    f"priority 32765 not fwmark {EXIT_TABLE} table {EXIT_TABLE}",
)
_MARK_CHECKED = "/proc/sys/net/ipv4/conf/all/src_valid_mark"
"""Lets reverse path filtering look up marked packets by their mark. Source: ip-sysctl.rst."""


def default_families(routes: Iterable[Prefix]) -> list[int]:
    """Families whose default route is among `routes`."""
    return sorted({prefix.version for prefix in routes if prefix.prefixlen == 0})


def apply_default_rules(
    machine: Machine, device: str, *, old: Sequence[Prefix], new: Sequence[Prefix]
) -> None:
    """Mark the device's packets and put the rules in place, or take both away again."""
    before, after = default_families(old), default_families(new)
    if before == after:
        return
    if bool(before) != bool(after):
        mark = EXIT_TABLE if after else 0
        tell_device(machine, device, message(["set=1", f"fwmark={mark}"]))
    lines = [*_rule_lines(before, after)]
    if 4 in after:
        lines.append(f"echo 1 > {_MARK_CHECKED}")
    machine.run(["sh", "-eu"], input="\n".join(lines) + "\n")


def _rule_lines(before: Sequence[int], after: Sequence[int]) -> Iterator[str]:
    for family in sorted({*before, *after}):
        for rule in _RULES:
            # Taken away first, as the kernel would keep a second one.
            yield f"ip -{family} rule del {rule} 2>/dev/null || true"
            if family in after:
                yield f"ip -{family} rule add {rule}"
