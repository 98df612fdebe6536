"""Who is where: hosts, their addresses, and the NAT boxes in front of them.

Rule: an address belongs to one host of one realm. The public realm is everybody's; every NAT
box has an inside realm of IPv4 addresses of its own, so two boxes may use the same ones. IPv6
is always public.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from random import Random

from malha.errors import InputError
from malha.lab.wan.link import Link
from malha.lab.wan.mapping import Flow
from malha.lab.wan.nat import NatBox
from malha.lab.wan.settings import Nat


class Host:
    """One host: its name, its tunnel's descriptor, its addresses, its NAT box."""

    __slots__ = ("addresses", "box", "fd", "flows", "name", "routes")

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.addresses: frozenset[bytes] = frozenset()
        self.box: NatBox | None = None
        self.routes: dict[bytes, tuple[Link, Host]] = {}
        """Untranslated flows already seen, by `flow_key`: the emulator's fast path."""
        self.flows: dict[bytes, Flow] = {}
        """Translated flows already seen, by `flow_key_with_ports`."""


class Realms:
    """All hosts and boxes of one WAN. `seed` decides the random ports of the boxes."""

    def __init__(self, seed: int) -> None:
        self.public: dict[bytes, Host] = {}
        self.boxes: dict[bytes, NatBox] = {}
        """By public address."""
        self._inside: dict[bytes, dict[bytes, Host]] = {}
        self._hosts: dict[str, Host] = {}
        self._seed = seed
        self._names: set[str] = set()

    def inside(self, box: NatBox) -> dict[bytes, Host]:
        """The hosts behind a box, by their own addresses."""
        return self._inside[box.public_address]

    def add_host(self, name: str, fd: int, addresses: Sequence[str], nat: Nat | None) -> Host:
        """Put a host on the WAN. Links declared for a host of that name before still stand.

        Raises:
            InputError: when the name or an address is taken, an address is none, or another
                host declared the same NAT box differently.
        """
        if name in self._hosts:
            raise InputError(f"host {name!r} exists already")
        host = Host(name, fd)
        self._place(host, addresses, nat)
        self._hosts[name] = host
        self._names.add(name)
        return host

    def remove_host(self, name: str) -> Host:
        """Take a host off the WAN; what is on its way to it is lost."""
        host = self.find_host(name)
        box = host.box
        self._displace(host)
        del self._hosts[name]
        self._drop_unused_box(box)
        return host

    def move_host(self, name: str, addresses: Sequence[str], nat: Nat | None) -> None:
        """Give a host new addresses, and another NAT box or none; on an error, nothing moves."""
        host = self.find_host(name)
        old_addresses, old_box = host.addresses, host.box
        self._displace(host)
        if old_box and old_box.nat != nat:
            self._drop_unused_box(old_box)
        try:
            self._place(host, addresses, nat)
        except InputError:
            self._settle(host, old_addresses, old_box)
            raise

    def find_host(self, name: str) -> Host:
        """The host of that name.

        Raises:
            InputError: when there is none now.
        """
        host = self._hosts.get(name)
        if host is None:
            raise InputError(f"no such host: {name}")
        return host

    def nat_of(self, name: str) -> Nat | None:
        """The NAT in front of a host."""
        box = self.find_host(name).box
        return box.nat if box else None

    def forget_nat_mappings(self, public_address: str) -> None:
        """Restart the NAT box of that address."""
        box = self.boxes.get(_parse_address(public_address))
        if box is None:
            raise InputError(f"{public_address!r} is the public address of no NAT")
        box.forget_mappings()

    def require_known(self, names: Sequence[str]) -> None:
        """Refuse names that no host ever had."""
        unknown = sorted(set(names) - self._names)
        if unknown:
            raise InputError(f"no such host: {', '.join(unknown)}")

    def _place(self, host: Host, addresses: Sequence[str], nat: Nat | None) -> None:
        parsed = {_parse_address(text): text for text in addresses}
        box = self._find_box(nat) if nat else None
        for raw, text in parsed.items():
            self._require_free(raw, text, box)
        self._settle(host, frozenset(parsed), box)

    def _settle(self, host: Host, addresses: frozenset[bytes], box: NatBox | None) -> None:
        host.addresses, host.box = addresses, box
        if box:
            self.boxes[box.public_address] = box
            self._inside.setdefault(box.public_address, {})
        for raw in addresses:
            self._realm(host, raw)[raw] = host
        self._forget_routes()

    def _displace(self, host: Host) -> None:
        for raw in host.addresses:
            del self._realm(host, raw)[raw]
        host.addresses, host.box = frozenset(), None
        self._forget_routes()

    def _drop_unused_box(self, box: NatBox | None) -> None:
        if box and not any(host.box is box for host in self._hosts.values()):
            del self.boxes[box.public_address], self._inside[box.public_address]

    def _realm(self, host: Host, address: bytes) -> dict[bytes, Host]:
        if host.box and len(address) == 4:
            return self._inside[host.box.public_address]
        return self.public

    def _find_box(self, nat: Nat) -> NatBox:
        raw = _parse_address(nat.public_address)
        box = self.boxes.get(raw)
        if box is None:
            if raw in self.public:
                raise InputError(f"{nat.public_address} is a host's own address, so no NAT's")
            return NatBox(nat, raw, Random(f"{self._seed}/{nat.public_address}"))
        if box.nat != nat:
            raise InputError(f"the NAT {nat.public_address} is declared in two ways")
        return box

    def _require_free(self, raw: bytes, text: str, box: NatBox | None) -> None:
        is_inside = box is not None and len(raw) == 4
        if is_inside and box is not None:
            realm = self._inside.get(box.public_address, {})
        else:
            realm = self.public
        if raw in realm:
            raise InputError(f"address {text} belongs to host {realm[raw].name!r} already")
        if raw in self.boxes or (box is not None and raw == box.public_address):
            raise InputError(f"address {text} is the public address of a NAT")

    def _forget_routes(self) -> None:
        for host in self._hosts.values():
            host.routes.clear()
            host.flows.clear()


def _parse_address(text: str) -> bytes:
    try:
        return ip_address(text).packed
    except ValueError as error:
        raise InputError(f"{text!r} is no IPv4 or IPv6 address") from error
