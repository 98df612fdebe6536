"""Longest-prefix match, for one address and for all of an overlay's addresses at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from malha.wireguard.device import Address, Prefix

V = TypeVar("V")

_BITS = {4: 32, 6: 128}


class PrefixTable(Generic[V]):
    """Prefixes with values; the longest one that holds an address answers.

    Of two equal prefixes the later entry replaces the earlier, as wg(8) does.
    """

    def __init__(self, entries: Iterable[tuple[Prefix, V]]) -> None:
        by_length: dict[tuple[int, int], dict[int, tuple[Prefix, V]]] = {}
        for prefix, value in entries:
            length, bits = prefix.prefixlen, _BITS[prefix.version]
            key = int(prefix.network_address) >> (bits - length)
            by_length.setdefault((prefix.version, length), {})[key] = (prefix, value)
        self._by_length = {
            version: [
                (_BITS[version] - length, found)
                for (v, length), found in sorted(by_length.items(), key=lambda item: -item[0][1])
                if v == version
            ]
            for version in _BITS
        }

    def lookup(self, address: Address) -> tuple[Prefix, V] | None:
        """The longest prefix that holds `address`, and its value; None if none does."""
        number = int(address)
        for shift, found in self._by_length[address.version]:
            entry = found.get(number >> shift)
            if entry is not None:
                return entry
        return None


Span = tuple[int, int, int]
"""(prefix length, first place, place after the last) of the addresses that a prefix holds."""


class AddressRow:
    """All addresses of one family in order, to look prefixes up for all of them at once."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.family = addresses[0].version if addresses else 4
        self.bits = _BITS[self.family]
        self.numbers = [int(address) for address in addresses]

    def spans(self, prefixes: Iterable[Prefix]) -> Iterator[Span]:
        """The spans of the family's prefixes, in their order; those that hold nobody left out."""
        for prefix in prefixes:
            if prefix.version == self.family:
                low = int(prefix.network_address)
                high = low + (1 << (self.bits - prefix.prefixlen))
                first, after = bisect_left(self.numbers, low), bisect_left(self.numbers, high)
                if first < after:
                    yield prefix.prefixlen, first, after

    def paint(self, entries: Iterable[tuple[Span, int]], blank: int) -> list[int]:
        """For each address the value of the longest prefix that holds it; `blank` if none.

        Of two equal prefixes the later entry wins.
        """
        row = [blank] * len(self.numbers)
        longest = self.bits
        hosts: list[tuple[int, int]] = []
        wide: list[tuple[int, int, int, int]] = []
        for (length, first, after), value in entries:
            # Host prefixes are longer than all others, so they may simply come last, unsorted.
            if length == longest:
                hosts.append((first, value))
            else:
                wide.append((length, first, after, value))
        wide.sort(key=lambda entry: entry[0])
        for _, first, after, value in wide:
            row[first:after] = [value] * (after - first)
        for place, value in hosts:
            row[place] = value
        return row
