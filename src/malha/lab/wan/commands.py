"""What the lab may ask of a running emulator: requests as JSON in, replies as JSON out.

The writer of every request, and the reader of every reply, is `client.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from malha.errors import InputError
from malha.lab.wan.control import Message
from malha.lab.wan.realms import Host
from malha.lab.wan.routing import Underlay
from malha.lab.wan.settings import LinkSettings, Nat, NatBehaviour

_ROWS_PER_REPLY = 1000
"""Statistics are cut into replies of this size, and packets flow between two of them."""

_Row = TypeVar("_Row")


class Commands:
    """Answers requests about one underlay."""

    def __init__(
        self,
        underlay: Underlay,
        *,
        attach: Callable[[Host], None],
        detach: Callable[[Host], None],
    ) -> None:
        self._underlay = underlay
        self._attach = attach
        self._detach = detach
        self._by_name: dict[str, Callable[..., Iterator[Message] | None]] = {
            "add-host": self._add_host,
            "remove-host": self._remove_host,
            "move-host": self._move_host,
            "forget-nat-mappings": underlay.realms.forget_nat_mappings,
            "set-links": self._set_links,
            "change-link": self._change_link,
            "set-default": self._set_default,
            "partition": self._partition,
            "heal": self._heal,
            "stats": self._read_stats,
        }

    def answer(self, request: Message) -> Iterator[Message]:
        """The replies to one request; `error` is set when the caller asked for nonsense."""
        arguments = dict(request)
        try:
            replies = self._by_name[arguments.pop("command")](**arguments)
        except InputError as error:
            replies = iter([{"error": str(error)}])
        return replies or iter([{}])

    def _add_host(
        self, name: str, addresses: list[str], nat: dict[str, Any] | None, fd: int
    ) -> None:
        self._attach(self._underlay.realms.add_host(name, fd, addresses, parse_nat(nat)))

    def _remove_host(self, name: str) -> None:
        self._detach(self._underlay.realms.remove_host(name))

    def _move_host(
        self, name: str, addresses: list[str] | None, nat: dict[str, Any] | str | None
    ) -> None:
        """None for addresses, and "same" for the NAT, keep what is."""
        realms = self._underlay.realms
        chosen_nat = realms.nat_of(name) if isinstance(nat, str) else parse_nat(nat)
        if addresses is None:
            raw_addresses = sorted(realms.find_host(name).addresses)
            addresses = [str(ip_address(raw)) for raw in raw_addresses]
        realms.move_host(name, addresses, chosen_nat)

    def _set_links(self, settings: list[list[Any]], rows: list[tuple[str, str, int]]) -> None:
        """`settings` are rows of `LinkSettings`; a row names two hosts and one of them."""
        self._underlay.realms.require_known([name for row in rows for name in row[:2]])
        distinct = [LinkSettings(*row) for row in settings]
        for source, destination, index in rows:
            self._underlay.links.set_one_way(source, destination, distinct[index])

    def _change_link(self, a: str, b: str, fields: dict[str, object]) -> None:
        self._underlay.realms.require_known([a, b])
        self._underlay.links.change(a, b, fields)
        self._underlay.links.change(b, a, fields)

    def _set_default(self, settings: list[Any]) -> None:
        self._underlay.links.set_default(LinkSettings(*settings))

    def _partition(self, group_a: list[str], group_b: list[str]) -> None:
        self._underlay.realms.require_known([*group_a, *group_b])
        self._underlay.links.partition(group_a, group_b)

    def _heal(self, group_a: list[str], group_b: list[str]) -> None:
        self._underlay.realms.require_known([*group_a, *group_b])
        self._underlay.links.heal(group_a, group_b)

    def _read_stats(self) -> Iterator[Message]:
        # The counters are read at once, so that all replies tell of one instant.
        links = [
            [*pair, link.packets, link.bytes, {c.value: n for c, n in link.drops.items()}]
            for pair, link in self._underlay.links
        ]
        counts = self._underlay.counts
        unrouted = [
            [name, str(ip_address(raw)), number]
            for (name, raw), number in sorted(counts.unrouted_destinations.items())
        ]
        totals = {
            name: getattr(counts, name)
            for name in counts.__slots__
            if name != "unrouted_destinations"
        }
        return _stats_replies(links, unrouted, totals)


def _stats_replies(
    links: list[list[Any]], unrouted: list[list[Any]], totals: dict[str, int]
) -> Iterator[Message]:
    for chunk in split_rows(links, _ROWS_PER_REPLY):
        yield {"links": chunk, "more": True}
    yield {"unrouted_destinations": unrouted, "totals": totals}


def split_rows(rows: Sequence[_Row], size: int) -> Iterator[Sequence[_Row]]:
    """The rows in order, in pieces of `size`.

    >>> list(split_rows([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def nat_to_json(nat: Nat | None) -> dict[str, Any] | None:
    """A NAT as it crosses the control channel; `parse_nat` is the way back."""
    if nat is None:
        return None
    return {
        "public_address": nat.public_address,
        "mapping": nat.mapping.value,
        "filtering": nat.filtering.value,
        "timeout_s": nat.timeout_s,
        "port_preserving": nat.port_preserving,
        "hairpin": nat.hairpin,
    }


def parse_nat(fields: dict[str, Any] | None) -> Nat | None:
    """A NAT from the control channel.

    >>> parse_nat(nat_to_json(Nat("192.0.2.1"))) == Nat("192.0.2.1")
    True
    """
    if fields is None:
        return None
    return Nat(
        **fields
        | {
            "mapping": NatBehaviour(fields["mapping"]),
            "filtering": NatBehaviour(fields["filtering"]),
        }
    )
