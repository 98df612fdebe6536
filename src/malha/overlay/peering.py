"""What nodes must have to be peers: roles, regions, keys, endpoints, ports.

Rule: WireGuard knows a peer by its public key and finds it by its endpoint, so neither may
belong to two nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from malha.overlay.draft import Draft
from malha.overlay.flaws import Path, near_miss, shown
from malha.overlay.model import DEFAULT_LISTEN_PORT, DEFAULT_SPARE_PORT, Role, Topology
from malha.overlay.placement import prefix_claims, route_claims

MAX_HINTED_FLAWS = 100
"""Beyond this many flaws a hint costs more time than it saves its reader."""


def role_of(node: dict[str, Any]) -> Role:
    """Give a node's role, `backend` when it declares none."""
    role: Role = node.get("role", Role.BACKEND)
    return role


def check_known(draft: Draft, path: Path, name: str, known: Iterable[str], what: str) -> bool:
    """Say whether a name is declared, and note it when it is not."""
    if name in known:
        return True
    hint = near_miss(name, known) if len(draft.flaws) < MAX_HINTED_FLAWS else ""
    draft.add(path, f"unknown-{what}", f"no {what} is named {shown(name)}{hint}")
    return False


def check_peering(draft: Draft) -> None:
    """Check every node by itself and against the others' keys and endpoints."""
    unread = {flaw.path for flaw in draft.flaws}
    for name, node in draft.nodes.items():
        if "region" in node:
            path = ("nodes", name, "region")
            check_known(draft, path, node["region"], draft.regions, "region")
        if ("nodes", name, "endpoint") not in unread:
            _check_dialable(draft, name, node)
        if ("nodes", name, "role") not in unread:
            _check_serves(draft, name, node)
    _check_hub(draft)
    _check_unique(draft, "public_key", "duplicate-public-key")
    _check_unique(draft, "endpoint", "duplicate-endpoint")
    _check_endpoints_outside(draft)
    _check_ports(draft)


def _check_dialable(draft: Draft, name: str, node: dict[str, Any]) -> None:
    role = role_of(node)
    if role is not Role.BACKEND and "endpoint" not in node:
        message = f"{role.value} {name!r} needs an endpoint host:port: the others dial it"
        draft.add(("nodes", name), "missing-endpoint", message, at_key=True)


def _check_serves(draft: Draft, name: str, node: dict[str, Any]) -> None:
    role, path = role_of(node), ("nodes", name, "serves")
    if "serves" in node and role is not Role.POP:
        message = f"only a pop serves regions, and {name!r} is a {role.value}"
        draft.add(path, "serves-without-pop", message, at_key=True)
    for index, region in enumerate(node.get("serves", ())):
        check_known(draft, (*path, index), region, draft.regions, "region")


def _check_hub(draft: Draft) -> None:
    topology = draft.head.get("topology", Topology.REGIONAL)
    roles_unread = any(flaw.path[2:3] == ("role",) for flaw in draft.flaws)
    if not draft.nodes or roles_unread or topology is Topology.FULL:
        return
    if all(role_of(node) is not Role.HUB for node in draft.nodes.values()):
        message = f"topology {topology.value!r} needs a node with 'role: hub' and an endpoint"
        draft.add(("nodes",), "missing-hub", message, at_key=True)


def _check_unique(draft: Draft, field: str, code: str) -> None:
    holders: dict[object, str] = {}
    for name, node in draft.nodes.items():
        if field not in node:
            continue
        first = holders.setdefault(_comparable(node[field]), name)
        if first != name:
            what = field.replace("_", " ")
            message = f"{what} {node[field]} already belongs to node {first!r}"
            draft.add(("nodes", name, field), code, message)


def _comparable(value: Any) -> object:
    # Host names are compared without case: RFC 4343.
    return str(value).lower() if hasattr(value, "port") else value


def _check_endpoints_outside(draft: Draft) -> None:
    prefixes = [claim.prefix for claim in prefix_claims(draft) if claim.prefix.prefixlen]
    routes = route_claims(draft)
    for name, node in draft.nodes.items():
        endpoint = node.get("endpoint")
        if endpoint is None or endpoint.family is None:
            continue
        address = ip_address(endpoint.host)
        if any(address in prefix for prefix in prefixes):
            message = f"{address} is an overlay address: the tunnel would be routed into itself"
            draft.add(("nodes", name, "endpoint"), "endpoint-in-overlay", message)
        elif (inside := [claim for claim in routes if address in claim.prefix]) != []:
            message = f"{address} lies in {inside[0].prefix}, which {inside[0].owner} routes: the "
            message += "tunnel would be routed into itself; give an address outside, or narrower "
            draft.add(("nodes", name, "endpoint"), "endpoint-in-routes", message + "routes")
        elif address.is_unspecified or address.is_multicast:
            message = f"{address} cannot be dialled: give the address that others see"
            draft.add(("nodes", name, "endpoint"), "bad-endpoint", message)


def _check_ports(draft: Draft) -> None:
    listen = draft.defaults.get("listen_port", DEFAULT_LISTEN_PORT)
    spare = draft.defaults.get("spare_port", DEFAULT_SPARE_PORT)
    if listen == spare:
        _add_port_clash(draft, ("defaults",), draft.defaults, listen)
    for name, node in draft.nodes.items():
        if "listen_port" in node or "spare_port" in node:
            own = node.get("listen_port", listen)
            if own == node.get("spare_port", spare):
                _add_port_clash(draft, ("nodes", name), node, own)


def _add_port_clash(draft: Draft, path: Path, fields: dict[str, Any], port: int) -> None:
    field = "spare_port" if "spare_port" in fields else "listen_port"
    message = f"listen_port and spare_port are both {port}: two devices cannot share one port"
    draft.add((*path, field), "port-clash", message)
