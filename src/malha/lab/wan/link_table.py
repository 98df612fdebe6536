"""The links of all ordered pairs: declared settings, partitions, and the state of those in use.

A pair costs one reference until its first packet: a full mesh of 1,000 hosts declares a million
directions, of which few carry anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from malha.errors import InputError
from malha.lab.wan.link import Link
from malha.lab.wan.settings import LinkSettings


class LinkTable:
    """One `Link` per ordered pair of host names, made at its first packet."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._default = LinkSettings()
        self._declared: dict[str, dict[str, LinkSettings]] = {}
        self._interned: dict[LinkSettings, LinkSettings] = {}
        self._cut: set[tuple[str, str]] = set()
        self._links: dict[tuple[str, str], Link] = {}

    def find(self, source: str, destination: str) -> Link:
        """The link that carries packets from `source` to `destination`."""
        pair = (source, destination)
        link = self._links.get(pair)
        if link is None:
            link = Link(self._settings_of(pair), f"{self._seed}/{source}/{destination}")
            link.partitioned = pair in self._cut
            self._links[pair] = link
        return link

    def __iter__(self) -> Iterator[tuple[tuple[str, str], Link]]:
        """The links that saw a packet, sorted by pair."""
        return iter(sorted(self._links.items(), key=lambda item: item[0]))

    def set_one_way(self, source: str, destination: str, settings: LinkSettings) -> None:
        """Declare one direction."""
        settings = self._interned.setdefault(settings, settings)
        self._declared.setdefault(source, {})[destination] = settings
        link = self._links.get((source, destination))
        if link is not None:
            link.settings = settings

    def change(self, source: str, destination: str, fields: dict[str, object]) -> None:
        """Declare the named fields of one direction anew and leave the others.

        Raises:
            InputError: when a field is unknown, or its value not allowed.
        """
        current = self._settings_of((source, destination))
        unknown = sorted(fields.keys() - set(LinkSettings.__slots__))
        if unknown:
            allowed = ", ".join(LinkSettings.__slots__)
            raise InputError(f"a link has no {', '.join(unknown)}: allowed is {allowed}")
        self.set_one_way(source, destination, replace(current, **fields))  # type: ignore[arg-type]

    def set_default(self, settings: LinkSettings) -> None:
        """Declare all directions that were not declared one by one, now and later."""
        self._default = settings
        for pair, link in self._links.items():
            link.settings = self._settings_of(pair)

    def partition(self, group_a: Collection[str], group_b: Collection[str]) -> None:
        """Let nothing pass between the groups, either way; packets on their way still arrive."""
        self._cut |= _cross(group_a, group_b)
        self._refresh_cut()

    def heal(self, group_a: Collection[str], group_b: Collection[str]) -> None:
        """Undo partitions between the groups; what `up` says stays."""
        self._cut -= _cross(group_a, group_b)
        self._refresh_cut()

    def _refresh_cut(self) -> None:
        for pair, link in self._links.items():
            link.partitioned = pair in self._cut

    def _settings_of(self, pair: tuple[str, str]) -> LinkSettings:
        return self._declared.get(pair[0], {}).get(pair[1], self._default)


def _cross(group_a: Collection[str], group_b: Collection[str]) -> set[tuple[str, str]]:
    pairs = {(a, b) for a in group_a for b in group_b if a != b}
    return pairs | {(b, a) for a, b in pairs}
