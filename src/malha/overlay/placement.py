"""Where things lie in the address space: prefixes, subnets, addresses, routed subnets.

Rule: every overlay address lies in one region's subnet, every subnet in one prefix, and
nothing overlaps, so that longest-prefix matching can never be asked a question with two answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from malha.overlay.draft import Draft
from malha.overlay.flaws import Path
from malha.wireguard.device import Address, Prefix


@dataclass(frozen=True, slots=True)
class Claim:
    """One prefix that somebody claims at one place of the file."""

    prefix: Prefix
    path: Path
    owner: str
    """Who claims it, for messages."""


def overlaps(claims: Iterable[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Give (later, earlier) in the order given, for claims that overlap an enclosing one."""
    ranked = sorted(
        enumerate(claims),
        key=lambda item: (
            item[1].prefix.version,
            int(item[1].prefix.network_address),
            item[1].prefix.prefixlen,
            item[0],
        ),
    )
    outer: tuple[int, Claim] | None = None
    for rank, claim in ranked:
        if outer and contains(outer[1].prefix, claim.prefix):
            pair = sorted((outer, (rank, claim)), key=lambda item: item[0])
            yield pair[1][1], pair[0][1]
        else:
            outer = (rank, claim)


def contains(outer: Prefix, inner: Prefix) -> bool:
    """Say whether all of `inner` lies in `outer`; never across families."""
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def prefix_claims(draft: Draft) -> list[Claim]:
    """Give the overlay's own prefixes."""
    prefixes: tuple[Prefix, ...] = draft.head.get("prefixes", ())
    return [Claim(p, ("prefixes", i), f"prefix {p}") for i, p in enumerate(prefixes)]


def subnet_claims(draft: Draft) -> list[Claim]:
    """Give the regions' subnets."""
    return [
        Claim(subnet, ("regions", name, "subnet", index), f"region {name!r}")
        for name, region in draft.regions.items()
        for index, subnet in enumerate(region.get("subnet", ()))
    ]


def route_claims(draft: Draft) -> list[Claim]:
    """Give the routed subnets behind nodes, default routes left out."""
    return [
        Claim(route, ("nodes", name, "routes", index), f"node {name!r}")
        for name, node in draft.nodes.items()
        for index, route in enumerate(node.get("routes", ()))
        if route.prefixlen
    ]


def check_placement(draft: Draft) -> None:
    """Check prefixes, subnets and routes against each other."""
    _check_prefixes(draft)
    _check_subnets(draft)
    _check_routes(draft)


def _check_prefixes(draft: Draft) -> None:
    claims = prefix_claims(draft)
    if "prefixes" in draft.head and not claims:
        draft.add(("prefixes",), "missing-key", "an overlay needs at least one prefix")
    for claim in claims:
        if claim.prefix.prefixlen == 0 or not _is_unicast(claim.prefix):
            message = f"{claim.prefix} cannot be an overlay's: take a part of 10.0.0.0/8, "
            message += "172.16.0.0/12, 192.168.0.0/16 or fd00::/8"
            draft.add(claim.path, "bad-prefix", message)
    for later, earlier in overlaps(claims):
        message = f"{later.prefix} overlaps {earlier.owner}: prefixes may not overlap"
        draft.add(later.path, "overlapping-prefixes", message)


def _is_unicast(prefix: Prefix) -> bool:
    first = prefix.network_address
    return not (first.is_multicast or first.is_loopback or first.is_link_local)


def _check_subnets(draft: Draft) -> None:
    prefixes = [claim.prefix for claim in prefix_claims(draft)]
    claims = subnet_claims(draft)
    for claim in claims:
        if prefixes and not any(contains(prefix, claim.prefix) for prefix in prefixes):
            allowed = ", ".join(map(str, prefixes))
            message = f"{claim.prefix} lies outside the overlay's prefixes ({allowed})"
            draft.add(claim.path, "outside-prefixes", message)
    for later, earlier in overlaps(claims):
        message = f"{later.prefix} overlaps {earlier.prefix} of {earlier.owner}: "
        draft.add(later.path, "overlapping-subnets", message + "each region needs its own")
    for name, region in draft.regions.items():
        _check_one_per_family(draft, ("regions", name, "subnet"), region.get("subnet"))


def _check_one_per_family(draft: Draft, path: Path, subnets: tuple[Prefix, ...] | None) -> None:
    if subnets == ():
        draft.add(path, "missing-key", "a region needs a subnet")
    versions = [subnet.version for subnet in subnets or ()]
    for index, version in enumerate(versions):
        if version in versions[:index]:
            message = f"a second IPv{version} subnet: a region has one of each family"
            draft.add((*path, index), "family-mismatch", message)


def _check_routes(draft: Draft) -> None:
    own = prefix_claims(draft)
    routes = route_claims(draft)
    marks = {claim.path for claim in routes}
    for later, earlier in overlaps([*own, *routes]):
        if later.path in marks:
            message = f"{later.prefix} overlaps {earlier.prefix} of {earlier.owner}: "
            message += "a routed subnet lies outside the overlay and belongs to one node"
            draft.add(later.path, "overlapping-routes", message)
    for name, node in draft.nodes.items():
        for index, route in enumerate(node.get("routes", ())):
            if route.prefixlen == 0 and not node.get("exit"):
                message = f"{route} takes everything: only a node with 'exit: true' may"
                draft.add(("nodes", name, "routes", index), "default-route", message)


def is_reserved(address: Address, subnet: Prefix) -> bool:
    """Say whether no host may have this address of its subnet.

    IPv4: network and broadcast address, except in /31 and /32 (RFC 3021). IPv6: the
    subnet-router anycast address, except in /127 and /128 (RFC 4291 2.6.1, RFC 6164).
    """
    if subnet.max_prefixlen - subnet.prefixlen <= 1:
        return False
    if address == subnet.network_address:
        return True
    return subnet.version == 4 and address == subnet.broadcast_address
