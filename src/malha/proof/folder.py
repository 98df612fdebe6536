"""Machines from a folder of wg-quick files, one `<node>.conf` each, as their steady state.

Rules: every endpoint with a keepalive has been dialled; a literal endpoint is believed unless
most files say otherwise; nothing is forwarded unless a hook switches it on. What was assumed is
said. Hooks are read as text, never run.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from malha.wireguard.device import DEFAULT_DEVICE, Device, Forwarding, NodeState, Peer, Prefix
from malha.wireguard.endpoint import Endpoint
from malha.wireguard.keys import PublicKey
from malha.wireguard.wg_quick import PeerSection, WgQuickFile

ASSUMPTIONS = (
    "steady state: every endpoint with a persistent keepalive has been dialled",
    "literal endpoints lead to the machine with that key, unless most files say otherwise",
    "a machine forwards only if a hook of its file switches forwarding on",
    "routed subnets behind machines and exits are not followed",
    "no firewall outside the files drops WireGuard's port or forwarded packets",
)

# IPv4 forwards by the device a packet came in on, so another device's switch says nothing here.
_OURS = r"(?:all|%i|wg[^\s=./]*)"
_FORWARDING = {
    4: re.compile(
        rf"net[./]ipv4[./](?:ip_forward|conf[./]{_OURS}[./]forwarding)\s*=\s*1"
        rf"|echo\s+[\"']?1[\"']?\s*>+\s*/proc/sys/net/ipv4/(?:ip_forward|conf/{_OURS}/forwarding)"
    ),
    6: re.compile(
        r"net[./]ipv6[./]conf[./]all[./]forwarding\s*=\s*1"
        r"|echo\s+[\"']?1[\"']?\s*>+\s*/proc/sys/net/ipv6/conf/all/forwarding"
    ),
}
_UNREACHABLE = re.compile(r"\bip\b[^;&|]*\broute\s+(?:add|replace)\s+unreachable\s+([^\s;&|]+)")


def states_of_files(
    files: Mapping[str, WgQuickFile], public_keys: Mapping[str, PublicKey]
) -> tuple[NodeState, ...]:
    """What the files say, machine by machine, in the order of their names.

    `public_keys`: each machine's own key, derived from its private one by the caller. A machine
    without one (its key is elsewhere) is left out.
    """
    names = {key: name for name, key in sorted(public_keys.items(), reverse=True)}
    endpoints = _believed_endpoints(files)
    return tuple(
        _state(name, files[name], public_keys[name], names, endpoints.get(public_keys[name]))
        for name in sorted(files)
        if name in public_keys
    )


def _believed_endpoints(files: Mapping[str, WgQuickFile]) -> dict[PublicKey, Endpoint]:
    """For each key the endpoint that most files give it; of equals the smaller text."""
    said: dict[PublicKey, Counter[Endpoint]] = {}
    for file in files.values():
        for section in file.peers:
            if section.endpoint is not None:
                said.setdefault(section.public_key, Counter())[section.endpoint] += 1
    return {
        key: min(counts, key=lambda endpoint: (-counts[endpoint], str(endpoint)))
        for key, counts in said.items()
    }


def _state(
    name: str,
    file: WgQuickFile,
    key: PublicKey,
    names: Mapping[PublicKey, str],
    endpoint: Endpoint | None,
) -> NodeState:
    peers = tuple(_peer(section, names) for section in _merged(file.peers))
    routes = {prefix for peer in peers for prefix in peer.allowed_ips}
    is_routed = file.table is None or file.table.lower() == "auto"
    device = Device(
        name=DEFAULT_DEVICE,
        public_key=key,
        addresses=file.addresses,
        peers=peers,
        routes=tuple(sorted(routes, key=str)) if is_routed else (),
        mtu=file.mtu,
        listen_port=file.listen_port,
    )
    ups = [hook.command for hook in file.hooks if hook.key in ("PreUp", "PostUp")]
    return NodeState(
        name=name,
        devices=(device,),
        unreachable=_unreachable(ups),
        forwarding=Forwarding(
            families=tuple(f for f in (4, 6) if any(map(_FORWARDING[f].search, ups)))
        ),
        endpoint=endpoint,
    )


def _merged(sections: Iterable[PeerSection]) -> Iterable[PeerSection]:
    """One section for each key, as wg(8) leaves it when a file names a peer twice: the later
    section's allowed IPs replace the earlier's, and what it does not say stays as it was."""
    found: dict[PublicKey, PeerSection] = {}
    for section in sections:
        before = found.get(section.public_key, section)
        found[section.public_key] = replace(
            section,
            preshared_key=section.preshared_key or before.preshared_key,
            endpoint=section.endpoint or before.endpoint,
            persistent_keepalive_s=section.persistent_keepalive_s or before.persistent_keepalive_s,
        )
    return found.values()


def _peer(section: PeerSection, names: Mapping[PublicKey, str]) -> Peer:
    fallback = section.comment or f"{str(section.public_key)[:8]}…"
    return Peer(
        name=names.get(section.public_key, fallback),
        public_key=section.public_key,
        allowed_ips=section.allowed_ips,
        endpoint=section.endpoint,
        persistent_keepalive_s=section.persistent_keepalive_s,
        preshared_key=section.preshared_key,
    )


def _unreachable(hooks: list[str]) -> tuple[Prefix, ...]:
    found: list[Prefix] = []
    for hook in hooks:
        for prefix in _UNREACHABLE.findall(hook):
            with suppress(ValueError):  # a variable or a name: nothing that can be relied on
                found.append(ipaddress.ip_network(prefix, strict=False))
    return tuple(found)
