"""Links that the file names: added, forbidden, pinned, to an exit; and round trips of links.

Rule: a link needs an end that can be dialled, and an exit is used over a direct link, because
a default route through a third node would make that node the exit of its own packets.
"""

from __future__ import annotations

from typing import Any

from malha.overlay.draft import Draft
from malha.overlay.flaws import Path
from malha.overlay.model import Role, Topology
from malha.overlay.peering import check_known, role_of

_KINDS = ("add", "forbid", "pin")


def check_linking(draft: Draft) -> None:
    """Check everything that names a pair of nodes."""
    _check_links(draft)
    _check_exits(draft)
    for kind in ("rtt_ms", "estimated_rtt_ms"):
        _check_rtts(draft, kind)


def pairs(draft: Draft, kind: str) -> tuple[tuple[str, str], ...]:
    """Give the links of one kind, each pair sorted by name, without repetition, sorted."""
    return tuple(sorted({_sorted(a, b) for a, b in draft.links.get(kind, ())}))


def _sorted(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _check_links(draft: Draft) -> None:
    forbidden = set(pairs(draft, "forbid"))
    for kind in _KINDS:
        for index, (a, b) in enumerate(draft.links.get(kind, ())):
            path: Path = ("links", kind, index)
            known = [
                check_known(draft, (*path, end), name, draft.nodes, "node")
                for end, name in enumerate((a, b))
            ]
            if a == b:
                draft.add(path, "link-to-itself", f"{a!r} cannot be linked to itself")
            elif kind != "forbid" and all(known):
                _check_wanted(draft, path, (a, b), forbidden)


def _check_wanted(
    draft: Draft, path: Path, pair: tuple[str, str], forbidden: set[tuple[str, str]]
) -> None:
    a, b = pair
    if _sorted(a, b) in forbidden:
        message = f"the link of {a!r} and {b!r} is also forbidden: keep one of the two"
        draft.add(path, "link-conflict", message)
    if not any("endpoint" in draft.nodes[name] or _is_unread(draft, name) for name in pair):
        message = f"neither {a!r} nor {b!r} has an endpoint, so neither can dial the other: "
        message += "give one of them an endpoint, or remove the link"
        draft.add(path, "link-without-endpoint", message)


def _is_unread(draft: Draft, name: str) -> bool:
    """Whether a node's endpoint is there but could not be read: that flaw says enough."""
    return any(flaw.path[:3] == ("nodes", name, "endpoint") for flaw in draft.flaws)


def links_by_topology(draft: Draft, a: str, b: str) -> bool:
    """Say whether the topology links a pair, single links left aside."""
    first, second = draft.nodes[a], draft.nodes[b]
    roles = {role_of(first), role_of(second)}
    topology = draft.head.get("topology", Topology.REGIONAL)
    if topology is Topology.FULL:
        return "endpoint" in first or "endpoint" in second
    if Role.HUB in roles:
        return True
    if topology is Topology.HUB:
        return False
    return roles == {Role.POP} or _serves(first, second) or _serves(second, first)


def _serves(pop: dict[str, Any], node: dict[str, Any]) -> bool:
    return role_of(pop) is Role.POP and node.get("region") in served_regions(pop)


def served_regions(node: dict[str, Any]) -> tuple[str, ...]:
    """Give the regions a pop serves, its own first; nothing for other roles."""
    if role_of(node) is not Role.POP:
        return ()
    return tuple(dict.fromkeys((node.get("region", ""), *node.get("serves", ()))))


def _check_exits(draft: Draft) -> None:
    rules = {kind: set(pairs(draft, kind)) for kind in _KINDS}
    for name, node in draft.nodes.items():
        via = node.get("via_exit")
        path: Path = ("nodes", name, "via_exit")
        if via is None or not check_known(draft, path, via, draft.nodes, "node"):
            continue
        if via == name or node.get("exit"):
            draft.add(path, "bad-exit", f"{name!r} is to use an exit and cannot be one itself")
        elif not draft.nodes[via].get("exit"):
            draft.add(path, "bad-exit", f"{via!r} is no exit: it needs 'exit: true'")
        elif not _is_linked(draft, name, via, rules):
            message = f"{name!r} and its exit {via!r} have no direct link: "
            if _sorted(name, via) in rules["forbid"]:
                message += "take the pair out of links.forbid"
            else:
                message += f"add [{name}, {via}] to links.add"
            draft.add(path, "exit-not-linked", message + ", or choose a linked exit")


def _is_linked(draft: Draft, a: str, b: str, rules: dict[str, set[tuple[str, str]]]) -> bool:
    pair = _sorted(a, b)
    if pair in rules["forbid"]:
        return False
    return pair in rules["add"] or pair in rules["pin"] or links_by_topology(draft, a, b)


def _check_rtts(draft: Draft, kind: str) -> None:
    rtts: dict[tuple[str, str], int] = draft.latency.get(kind, {})
    unknown: set[str] = set()
    for (near, far), rtt_us in rtts.items():
        path: Path = ("latency", kind, near)
        if near not in unknown and near not in draft.nodes:
            _check_rtt_node(draft, path, near)
            unknown.add(near)
        if far not in draft.nodes:
            _check_rtt_node(draft, (*path, far), far)
        elif near == far:
            draft.add((*path, far), "link-to-itself", f"{near!r} has no round trip to itself")
        elif rtts.get((far, near), rtt_us) != rtt_us and near > far:
            message = f"{rtt_us / 1000:g} ms, but {rtts[far, near] / 1000:g} ms from {far!r} to "
            message += f"{near!r}: a pair has one round trip"
            draft.add((*path, far), "rtt-conflict", message)


def _check_rtt_node(draft: Draft, path: Path, name: str) -> None:
    known = len(draft.flaws)
    if not check_known(draft, path, name, draft.nodes, "node"):
        flaw = draft.flaws.pop(known)
        draft.add(flaw.path, flaw.code, flaw.message, at_key=True)
