"""The fewest prefixes, against counting addresses."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from malha.topology.allowed_ips import fewest
from malha.wireguard.device import Prefix

SMALL = st.builds(
    lambda number, length: ipaddress.ip_network((0x0A320000 | number, length), strict=False),
    st.integers(0, 63),
    st.integers(26, 32),
)


def covered(prefixes: tuple[Prefix, ...] | list[Prefix]) -> set[object]:
    """Every address of some small prefixes."""
    return {address for prefix in prefixes for address in prefix}


def needed(addresses: set[object]) -> int:
    """How few prefixes hold just these addresses: each block of 2^n that is whole is one."""
    numbers = {int(address) for address in addresses}  # type: ignore[call-overload]
    count = 0
    for length in range(26, 33):
        size = 1 << (32 - length)
        for start in [n for n in numbers if n % size == 0]:
            block = set(range(start, start + size))
            if block <= numbers:
                numbers -= block
                count += 1
    return count


@given(st.lists(SMALL, max_size=12))
def test_the_same_addresses_in_as_few_prefixes_as_there_can_be(prefixes: list[Prefix]) -> None:
    found = fewest(prefixes)
    assert covered(found) == covered(prefixes)
    assert len(found) == needed(covered(prefixes))
    assert sum(prefix.num_addresses for prefix in found) == len(covered(found))
    assert list(found) == sorted(found)  # type: ignore[type-var]


def test_ipv4_comes_first_and_default_routes_swallow_nothing() -> None:
    texts = ["fd00::/64", "::/0", "10.50.1.0/24", "0.0.0.0/0", "10.50.0.0/24", "0.0.0.0/0"]
    found = fewest(ipaddress.ip_network(text) for text in texts)
    assert [str(prefix) for prefix in found] == ["0.0.0.0/0", "10.50.0.0/23", "::/0", "fd00::/64"]


def test_nothing_is_nothing() -> None:
    assert fewest(()) == ()
