"""Where a peer is dialled on the underlay: host and UDP port."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache

# RFC 1123 host names; an all-numeric last label would be a mistyped IPv4 address.
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
MAX_HOST_CHARACTERS = 253


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host (IPv4, IPv6 or a name; IPv6 without brackets) and a UDP port, 1 to 65535."""

    host: str
    port: int

    @property
    def family(self) -> int | None:
        """4 or 6 for a literal address, None for a name, which may resolve to either."""
        return _family(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@cache
def _family(host: str) -> int | None:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def parse_endpoint(text: str) -> Endpoint:
    """Read `192.0.2.1:51820`, `[2001:db8::1]:51820` or `hub.example.org:51820`.

    Raises:
        ValueError: with a sentence that says what is wrong and what is allowed.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError("an IPv6 endpoint is written [address]:port")
        return Endpoint(_parse_ipv6(host), parse_port(rest[1:]))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("an endpoint needs a port: host:port")
    if ":" in host:
        raise ValueError(f"an IPv6 endpoint needs brackets: [address]:port, not {text}")
    return Endpoint(_parse_host(host), parse_port(port))


def _parse_ipv6(host: str) -> str:
    address, _, scope = host.partition("%")
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError as error:
        raise ValueError(f"{host!r} is not an IPv6 address") from error
    if scope and not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", scope):
        raise ValueError(f"{scope!r} is not an interface name")
    return f"{parsed}%{scope}" if scope else str(parsed)


def _parse_host(host: str) -> str:
    labels = host.split(".")
    if labels[-1].isdigit():
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise ValueError(f"{host!r} is not an IPv4 address") from error
    if len(host) > MAX_HOST_CHARACTERS or not all(_LABEL.match(label) for label in labels):
        raise ValueError(f"{host!r} is neither an address nor a host name")
    return host


def parse_port(text: str) -> int:
    """Read a UDP port, 1 to 65535.

    Raises:
        ValueError: when it is no number, or out of range.
    """
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"port {text!r} is not a number from 1 to 65535")
    return int(text)
