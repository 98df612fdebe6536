"""Which overlay address each node has: the declared one, or the lowest free one of its region.

Rule: allocation looks at regions and nodes in declaration order and at nothing else, so the
same file always gives the same addresses. A removed node would shift those after it; that is
why every command that writes the file writes all allocated addresses into it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from ipaddress import ip_network
from typing import TypeAlias

from malha.overlay.draft import Draft
from malha.overlay.model import Overlay
from malha.overlay.placement import is_reserved
from malha.wireguard.device import Address, Prefix

Subnets: TypeAlias = dict[int, Prefix]


def subnets_of(draft: Draft, region: str) -> Subnets:
    """Give a region's subnets by family, IPv4 first; empty when the region is unknown."""
    subnets = draft.regions.get(region, {}).get("subnet", ())
    return {subnet.version: subnet for subnet in sorted(subnets, key=lambda s: s.version)}


def check_addresses(draft: Draft) -> None:
    """Check the declared addresses against their regions and each other."""
    holders: dict[Address, str] = {}
    for name, node in draft.nodes.items():
        if "address" not in node:
            continue
        _check_own(draft, name)
        for index, address in enumerate(node["address"]):
            if address in holders:
                message = f"{address} is already the address of node {holders[address]!r}"
                draft.add(("nodes", name, "address", index), "duplicate-address", message)
            holders.setdefault(address, name)


def _check_own(draft: Draft, name: str) -> None:
    node = draft.nodes[name]
    subnets = subnets_of(draft, node.get("region", ""))
    seen: set[int] = set()
    for index, address in enumerate(node["address"]):
        path = ("nodes", name, "address", index)
        if address.version in seen:
            message = f"a second IPv{address.version} address: a node has one of each family"
            draft.add(path, "family-mismatch", message)
        seen.add(address.version)
        if not subnets:
            continue
        subnet = subnets.get(address.version)
        if subnet is None:
            message = f"{address}: region {node['region']!r} has no IPv{address.version} subnet"
            draft.add(path, "family-mismatch", message)
        elif address not in subnet:
            message = f"{address} lies outside {subnet}, the subnet of region {node['region']!r}"
            draft.add(path, "outside-region", message)
        elif is_reserved(address, subnet):
            message = f"{address} is no host of {subnet}: its network or broadcast address"
            draft.add(path, "reserved-address", message)


def free_hosts(subnet: Prefix, taken: Collection[Address]) -> Iterator[Address]:
    """Give the hosts of a subnet that nobody has, lowest first."""
    for address in subnet:
        if address not in taken and not is_reserved(address, subnet):
            yield address


def allocate(draft: Draft) -> dict[str, tuple[Address, ...]]:
    """Give every node its addresses, one per subnet of its region, IPv4 first."""
    taken = {a for node in draft.nodes.values() for a in node.get("address", ())}
    free = {
        (region, version): free_hosts(subnet, taken)
        for region in draft.regions
        for version, subnet in subnets_of(draft, region).items()
    }
    full: set[tuple[str, int]] = set()
    result = {}
    for name, node in draft.nodes.items():
        region = node.get("region", "")
        declared = {address.version: address for address in node.get("address", ())}
        for version in subnets_of(draft, region):
            address = declared.get(version) or next(free[region, version], None)
            if address is None:
                full.add((region, version))
            else:
                declared[version] = address
        result[name] = tuple(declared[version] for version in sorted(declared))
    for region, version in sorted(full):
        _add_full(draft, region, version)
    return result


def _add_full(draft: Draft, region: str, version: int) -> None:
    subnet = subnets_of(draft, region)[version]
    nodes = sum(node.get("region") == region for node in draft.nodes.values())
    reserved = sum(is_reserved(a, subnet) for a in {subnet[0], subnet[-1]})
    message = f"{subnet} has room for {subnet.num_addresses - reserved} nodes and "
    message += f"{nodes} are in region {region!r}: give it a larger subnet"
    index = draft.regions[region]["subnet"].index(subnet)
    draft.add(("regions", region, "subnet", index), "region-too-small", message)


def next_subnets(overlay: Overlay) -> tuple[Prefix, ...] | None:
    """Give the next free subnet of each family for one more region; None when one is exhausted.

    A new subnet is as large as most of that family are, or, with no region to go by, /24 and
    /64, and is the lowest of the prefixes that overlaps no other.
    """
    subnets = [_next_subnet(overlay, version) for version in overlay.families]
    return None if None in subnets else tuple(s for s in subnets if s is not None)


def _next_subnet(overlay: Overlay, version: int) -> Prefix | None:
    used = [s for region in overlay.regions for s in region.subnets if s.version == version]
    sizes = Counter(subnet.prefixlen for subnet in used)
    length = max(sizes, key=lambda n: (sizes[n], n)) if sizes else {4: 24, 6: 64}[version]
    for prefix in overlay.prefixes:
        if prefix.version == version:
            found = _lowest_free(prefix, max(length, prefix.prefixlen), used)
            if found is not None:
                return found
    return None


def _lowest_free(prefix: Prefix, length: int, used: list[Prefix]) -> Prefix | None:
    size = 1 << (prefix.max_prefixlen - length)
    candidate, last = int(prefix.network_address), int(prefix.broadcast_address)
    spans = sorted((int(s.network_address), int(s.broadcast_address)) for s in used)
    for first_used, last_used in spans:
        if candidate + size - 1 < first_used:
            break
        if last_used >= candidate:
            candidate = (last_used // size + 1) * size
    if candidate + size - 1 > last:
        return None
    address = prefix.network_address + (candidate - int(prefix.network_address))
    return ip_network(f"{address}/{length}")
