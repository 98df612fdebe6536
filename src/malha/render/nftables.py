"""What a node forwards, as an nftables table of its own, and the kernel settings that go with it.

Rules: never a rule in somebody else's chain; one transaction, so that running it twice leaves
what running it once leaves; whatever meets an overlay device and is not named here is dropped.
A table can only forbid: a drop in another table (a firewall, Docker) still stands.

Source: nft(8); Documentation/networking/ip-sysctl.rst of Linux.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from malha.wireguard.device import Forwarding, NodeState, Prefix

KEEP_ROUTER_ADVERTISEMENTS = (
    "for f in /proc/sys/net/ipv6/conf/*/accept_ra; do "
    'if [ "$(cat "$f")" = 1 ]; then echo 2 > "$f"; fi; done'
)
"""Shell, to run before IPv6 forwarding is switched on: a forwarding machine ignores router
advertisements unless accept_ra is 2, and clouds hand out the IPv6 default route by them.
Source: ip-sysctl.rst, accept_ra."""

_PROTOCOL = {4: "ipv4", 6: "ipv6"}
_HEADER = {4: "ip", 6: "ip6"}


def forwarding_table(devices: Sequence[str]) -> str:
    """The table's family and name, after the node's first device: one machine may be a node of
    two overlays, and neither may take the other's filter away."""
    return f"inet malha-{devices[0]}"


def remove_forwarding(devices: Sequence[str]) -> str:
    """Remove the table whether it exists or not: the first line makes sure that it does.

    A node without a device has no table, and nothing to remove.
    """
    if not devices:
        return ""
    return f"table {forwarding_table(devices)}\ndelete table {forwarding_table(devices)}\n"


def render_forwarding(state: NodeState, *, devices: Sequence[str] | None = None) -> str:
    """Write the table for `nft -f`; `devices` replaces the state's device names (wg-quick's %i).

    A node that forwards nothing has no table: what its owner forwards (containers) is not ours.
    """
    names = [device.name for device in state.devices] if devices is None else devices
    if state.forwarding == Forwarding() or not names:
        return remove_forwarding(names)
    overlay = "{ " + ", ".join(f'"{name}"' for name in names) + " }"
    blocks = [_chain("forward", "filter hook forward priority filter", _forward(state, overlay))]
    if state.forwarding.exit_families:
        hook = "nat hook postrouting priority srcnat"
        blocks.append(_chain("exit", hook, _translate(state.forwarding, overlay)))
    table = f"table {forwarding_table(names)} {{\n" + "".join(blocks) + "}\n"
    return remove_forwarding(names) + table


def _chain(name: str, hook: str, rules: Iterator[str]) -> str:
    lines = [f"type {hook}; policy accept;", *rules]
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def _forward(state: NodeState, overlay: str) -> Iterator[str]:
    inward, outward = f"iifname {overlay}", f"oifname {overlay}"
    away = f"oifname != {overlay}"
    for family in state.forwarding.families:
        yield f"{inward} {outward} meta nfproto {_PROTOCOL[family]} accept"
    for subnet in state.forwarding.subnets:
        header = _HEADER[subnet.version]
        yield f"{inward} {away} {header} daddr {subnet} accept"
        yield f"{outward} {header} saddr {subnet} accept"
    for family in state.forwarding.exit_families:
        yield f"{inward} {away} meta nfproto {_PROTOCOL[family]} accept"
        yield f"{outward} meta nfproto {_PROTOCOL[family]} ct state established,related accept"
    yield f"{inward} counter drop"
    yield f"{outward} counter drop"


def _translate(forwarding: Forwarding, overlay: str) -> Iterator[str]:
    """Rules that give an exit's own address to what leaves; routed subnets answer untranslated."""
    for family in forwarding.exit_families:
        subnets = [s for s in forwarding.subnets if s.version == family]
        yield (
            f"iifname {overlay} oifname != {overlay} meta nfproto {_PROTOCOL[family]} "
            f"{_elsewhere(subnets, family)}masquerade"
        )


def _elsewhere(subnets: Sequence[Prefix], family: int) -> str:
    if not subnets:
        return ""
    return f"{_HEADER[family]} daddr != {{ {', '.join(map(str, subnets))} }} "


def forwarding_script(settings: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Give the shell lines, one a command, that make `forwarding_settings` so."""
    lines = tuple(
        f"echo {shlex.quote(value)} > {shlex.quote(f'/proc/sys/{path}')}"
        for path, value in settings
    )
    is_ipv6 = any(path.startswith("net/ipv6/") for path, _ in settings)
    return (KEEP_ROUTER_ADVERTISEMENTS, *lines) if is_ipv6 else lines


def forwarding_settings(
    state: NodeState, *, devices: Sequence[str] | None = None
) -> tuple[tuple[str, str], ...]:
    """Give the sysctls that this forwarding needs, as (path below /proc/sys, value), sorted.

    IPv4 decides by the device a packet came in on, so a relay touches its own devices only.
    Subnets and exits also take packets in from devices that are not ours: then all of them.
    IPv6 knows only one switch for the whole machine.
    """
    forwarding = state.forwarding
    names = [device.name for device in state.devices] if devices is None else devices
    outside = {subnet.version for subnet in forwarding.subnets} | set(forwarding.exit_families)
    settings = set()
    if 4 in forwarding.families:
        settings |= {(f"net/ipv4/conf/{name}/forwarding", "1") for name in names}
        # A relay sends out of the device that it received on, and would tell the sender each
        # time that there is a shorter way. The kernel asks "all or the device", so both.
        settings |= {(f"net/ipv4/conf/{name}/send_redirects", "0") for name in (*names, "all")}
    if 4 in outside:
        settings.add(("net/ipv4/ip_forward", "1"))
    if 6 in outside or 6 in forwarding.families:
        settings.add(("net/ipv6/conf/all/forwarding", "1"))
    return tuple(sorted(settings))
