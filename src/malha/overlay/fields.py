"""Readers: one plain value of the overlay's tree each, or a refusal that says what is allowed.

A reader takes a str, int, float, bool, None, list or dict and returns the value in the
project's own types. Rule: readers look at one value only; what values mean to each other is
checked in `placement`, `peering` and `linking`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias, TypeVar

from malha.overlay.flaws import Flaw, Refused, below, near_miss, refuse, shown
from malha.overlay.model import DEFAULT_MTU, MAX_MTU, MIN_MTU
from malha.wireguard.device import Address, Prefix
from malha.wireguard.endpoint import Endpoint, parse_endpoint
from malha.wireguard.keys import KEY_BYTES, PublicKey

T = TypeVar("T")
Read: TypeAlias = Callable[[object], T]

MAX_TEXT_CHARACTERS = 200
MAX_PORT = 65535
MAX_KEEPALIVE_S = 65535
"""A 16-bit field of the device. Source: wg(8), persistent-keepalive."""

# Names become file names, host names and comments, so they are DNS labels: RFC 1123, 2.1.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_SECRET_KEYS = frozenset({"privatekey", "presharedkey", "secretkey"})


def read_name(value: object) -> str:
    """Read the name of an overlay, a region or a node."""
    text = _text(value, "a name")
    if not _NAME.match(text):
        raise refuse(
            "bad-name",
            f"{shown(text)} is not a name: 1 to 63 of a-z, 0-9 and '-', "
            "beginning and ending with a letter or digit",
        )
    return text


def read_text(value: object) -> str:
    """Read a description or location: one printable line."""
    text = _text(value, "a text")
    if not text.isprintable():
        raise refuse(
            "bad-text", f"{shown(text)} holds a line break or control character: one line only"
        )
    if len(text) > MAX_TEXT_CHARACTERS:
        raise refuse(
            "bad-text", f"{len(text)} characters are too many: {MAX_TEXT_CHARACTERS} at most"
        )
    return text


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise refuse("not-text", f"{what} is expected here, not {shown(value)}")
    return value


def read_flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise refuse("wrong-type", f"true or false is expected here, not {shown(value)}")
    return value


def _whole(value: object, *, lowest: int, highest: int, what: str, code: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise refuse(code, f"{shown(value)} is not {what}: {lowest} to {highest} is allowed")
    return value


def read_port(value: object) -> int:
    """Read a UDP port, 1 to 65535."""
    return _whole(value, lowest=1, highest=MAX_PORT, what="a port", code="bad-port")


def read_keepalive(value: object) -> int:
    """Read seconds between keepalives, 0 to 65535; 0 means off."""
    what = "a keepalive in seconds (0 is off)"
    return _whole(value, lowest=0, highest=MAX_KEEPALIVE_S, what=what, code="bad-keepalive")


def read_mtu(value: object) -> int:
    """Read an MTU in bytes; `auto` is what fits every usual underlay."""
    if value == "auto":
        return DEFAULT_MTU
    what = "'auto' or an MTU in bytes"
    return _whole(value, lowest=MIN_MTU, highest=MAX_MTU, what=what, code="bad-mtu")


def choice(kind: type[Enum]) -> Read[Any]:
    """Make a reader of one of an enumeration's words."""
    words = [str(member.value) for member in kind]

    def read(value: object) -> Enum:
        if value in words:
            return kind(value)
        hint = near_miss(value, words) if isinstance(value, str) else ""
        allowed = f"{', '.join(words[:-1])} or {words[-1]} is allowed"
        raise refuse("bad-choice", f"{shown(value)} is not known here: {allowed}{hint}")

    return read


def read_prefix(value: object) -> Prefix:
    """Read a prefix such as 10.50.0.0/16 or fd00:50::/48, without host bits."""
    text = _text(value, "a prefix such as 10.50.0.0/24")
    if "/" not in text:
        raise refuse("bad-prefix", f"{shown(text)} lacks its length: write 10.50.0.0/24")
    parsed = _parse_prefix(text)
    if isinstance(parsed, Flaw):
        raise Refused([parsed])
    return parsed


@lru_cache(maxsize=4096)
def _parse_prefix(text: str) -> Prefix | Flaw:
    try:
        prefix = ip_network(text, strict=False)
    except ValueError:
        return Flaw((), "bad-prefix", f"{shown(text)} is not a prefix: write 10.50.0.0/24")
    length = text.rpartition("/")[2]
    if not (length.isascii() and length.isdigit()) or "%" in text:
        return Flaw((), "bad-prefix", f"{shown(text)} is not a prefix: give its length in bits")
    if ip_address(text.partition("/")[0]) != prefix.network_address:
        return Flaw((), "host-bits", f"{shown(text)} has host bits set: write {prefix}")
    return prefix


def read_address(value: object) -> Address:
    """Read one overlay address, without a prefix length."""
    text = _text(value, "an address")
    try:
        return IPv6Address(text) if ":" in text and "%" not in text else IPv4Address(text)
    except ValueError:
        pass
    bare = text.partition("/")[0]
    hint = f"write {bare}, without the length" if "/" in text else "write 10.50.4.1 or fd00::1"
    raise refuse("bad-address", f"{shown(text)} is not an address: {hint}")


def read_endpoint(value: object) -> Endpoint:
    """Read host:port."""
    text = _text(value, "an endpoint host:port")
    try:
        return parse_endpoint(text)
    except ValueError as error:
        hidden = shown(text).startswith("(hidden")
        raise refuse("bad-endpoint", shown(text) if hidden else str(error)) from error


def read_public_key(value: object) -> PublicKey:
    """Read a public key; a text that is none is not repeated: it could be a private one."""
    try:
        key = PublicKey.parse(_text(value, "a public key"))
    except ValueError as error:
        raise refuse("bad-public-key", str(error)) from error
    if key.raw == bytes(KEY_BYTES):
        raise refuse("zero-key", "a key of zeros is nobody's: make one with 'malha keys new'")
    return key


def list_of(read: Read[T]) -> Read[tuple[T, ...]]:
    """Make a reader of a list; nothing is an empty list."""

    def read_list(value: object) -> tuple[T, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise refuse("wrong-type", f"a list is expected here, not {shown(value)}")
        items, flaws = [], []
        for index, item in enumerate(value):
            try:
                items.append(read(item))
            except Refused as refused:  # noqa: PERF203 (every item's flaws are wanted)
                flaws += below(index, refused)
        if flaws:
            raise Refused(flaws)
        return tuple(items)

    return read_list


def one_or_list_of(read: Read[T]) -> Read[tuple[T, ...]]:
    """Make a reader of a single value or a list of them."""
    read_list = list_of(read)
    return lambda value: read_list(value) if isinstance(value, list) else (read(value),)


@dataclass(frozen=True, slots=True)
class Schema:
    """The keys that a mapping may have, each with its reader."""

    what: str
    """What the mapping describes, for messages: `a node`."""
    readers: Mapping[str, Read[Any]]
    required: tuple[str, ...] = ()

    def read(self, tree: object) -> tuple[dict[str, Any], list[Flaw]]:
        """Read what can be read of a mapping, and say what cannot."""
        if not isinstance(tree, dict):
            message = f"{self.what} is a mapping of keys, not {shown(tree)}"
            return {}, [Flaw((), "wrong-type", message)]
        values: dict[str, Any] = {}
        flaws: list[Flaw] = []
        for key, value in tree.items():
            reader = self.readers.get(key)
            try:
                if reader is None:
                    flaws.append(self._unknown(key))
                else:
                    values[key] = reader(value)
            except Refused as refused:
                flaws += below(key, refused)
        for key in self.required:
            if key not in tree:
                flaws.append(Flaw((), "missing-key", f"{self.what} needs {key!r}", at_key=True))
        return values, flaws

    def _unknown(self, key: object) -> Flaw:
        name = str(key)
        if name.lower().replace("_", "").replace("-", "") in _SECRET_KEYS:
            message = "private and preshared keys never go in the overlay file: remove it and "
            message += "make a new key with 'malha keys new', which keeps it in a file of its own"
            return Flaw((name,), "private-key", message, at_key=True)
        hint = near_miss(name, self.readers) or f"; known: {', '.join(self.readers)}"
        message = f"{self.what} has no key {shown(name)}{hint}"
        return Flaw((name,), "unknown-key", message, at_key=True)


def named(schema: Schema) -> Read[tuple[dict[str, dict[str, Any]], list[Flaw]]]:
    """Make a reader of a mapping from names to mappings of one schema, in the file's order."""

    def read(value: object) -> tuple[dict[str, dict[str, Any]], list[Flaw]]:
        if value is None:
            return {}, []
        if not isinstance(value, dict):
            message = f"a mapping from names is expected here, not {shown(value)}"
            return {}, [Flaw((), "wrong-type", message)]
        entries: dict[str, dict[str, Any]] = {}
        flaws: list[Flaw] = []
        for key, body in value.items():
            try:
                read_name(key)
            except Refused as refused:
                flaws += [Flaw((key,), f.code, f.message, at_key=True) for f in refused.flaws]
            entries[key], inner = schema.read(body)
            flaws += [Flaw((key, *f.path), f.code, f.message, f.at_key) for f in inner]
        return entries, flaws

    return read
