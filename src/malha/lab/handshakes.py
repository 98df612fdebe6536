"""Starting the handshakes of links, one end each, and seeing them done at both ends."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from malha.host.device import read_device, tell_device
from malha.host.machine import Machine
from malha.lab.dialling import END_KEEPALIVE_S, Dial, LinkEnd
from malha.wireguard.device import NodeState
from malha.wireguard.keys import PublicKey
from malha.wireguard.uapi import keepalive_line, message

_POLL_S = 0.01


def start_handshakes(machines: Mapping[str, Machine], dials: Sequence[Dial]) -> None:
    """Let each starter begin: a keepalive that is switched on is sent at once."""
    starters = [dial.starter for dial in dials]
    _set_keepalives(machines, [(end, end.keepalive_s or END_KEEPALIVE_S) for end in starters])


def settle_keepalives(machines: Mapping[str, Machine], dials: Sequence[Dial]) -> None:
    """Give both ends the keepalives that are declared, once sessions stand."""
    wrong = [dial.starter for dial in dials if dial.starter.keepalive_s is None]
    wrong += [dial.answerer for dial in dials if dial.answerer.keepalive_s is not None]
    _set_keepalives(machines, [(end, end.keepalive_s) for end in wrong])


def _set_keepalives(
    machines: Mapping[str, Machine], rows: Iterable[tuple[LinkEnd, int | None]]
) -> None:
    lines: defaultdict[tuple[str, str], list[str]] = defaultdict(lambda: ["set=1"])
    for end, interval_s in rows:
        lines[end.node, end.device] += [
            f"public_key={end.peer.raw.hex()}",
            "update_only=true",
            keepalive_line(interval_s),
        ]
    for (node, device), part in lines.items():
        tell_device(machines[node], device, message(part))


def await_handshakes(
    machines: Mapping[str, Machine],
    states: Mapping[str, NodeState],
    dials: Iterable[Dial],
    *,
    timeout_s: float,
) -> None:
    """Wait until every link has seen a handshake at both ends.

    Raises:
        TimeoutError: naming the links that have not after `timeout_s`.
    """
    end_at = time.monotonic() + timeout_s
    keys = {(n, d.name): d.public_key for n, state in states.items() for d in state.devices}
    pending = {end: dial for dial in dials for end in dial.ends}
    while pending:
        # Read each device once for all of its links.
        for node, device in {(end.node, end.device) for end in pending}:
            seen = _peers_seen(machines[node], device, keys[node, device])
            for end in [e for e in pending if (e.node, e.device) == (node, device)]:
                if end.peer in seen:
                    del pending[end]
        if pending and time.monotonic() > end_at:
            raise TimeoutError(f"no handshake after {timeout_s} s: {_name_links(pending.values())}")
        if pending:
            time.sleep(_POLL_S)


def _peers_seen(machine: Machine, device: str, key: PublicKey) -> set[PublicKey]:
    facts = read_device(machine, device, public_key=key).facts
    return {peer for peer, fact in facts.items() if fact.latest_handshake_at is not None}


def _name_links(dials: Iterable[Dial]) -> str:
    pairs = sorted({f"{dial.starter.node}-{dial.answerer.node}" for dial in dials})
    more = f" and {len(pairs) - 10} more" if len(pairs) > 10 else ""
    return ", ".join(pairs[:10]) + more
