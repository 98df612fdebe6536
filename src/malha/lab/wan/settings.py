"""What one declares about the emulated WAN: the quality of a link, and the kind of a NAT.

Rule: everything is checked here, so that the emulator's data path never meets a bad number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv4Address
from typing import TypeAlias

from malha.errors import InputError

MIN_MTU_BYTES = 68
"""What every IPv4 router must forward unfragmented. Source: RFC 791, section 3.2."""

MAX_MTU_BYTES = 65535

Row: TypeAlias = list[float | int | bool | None]
"""A `LinkSettings` in the order of its fields, as it crosses the control channel."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How packets fare in one direction between two hosts.

    Raises:
        InputError: when a field is out of its range.
    """

    delay_ms: float = 0
    """One way, from the end of serialisation to arrival."""
    jitter_ms: float = 0
    """Each packet's delay differs by up to this, evenly spread both ways; order is kept."""
    loss: float = 0
    """Probability, 0 to 1, that a packet vanishes."""
    rate_mbit: float | None = None
    """Million bits of IP packet per second; None: unlimited."""
    queue_ms: float = 200
    """The longest wait in front of `rate_mbit`; a packet that would wait longer is dropped."""
    mtu: int | None = None
    """Largest IP packet in bytes; None: unlimited."""
    icmp: bool = True
    """Whether a packet too big for `mtu` is answered (ICMP, ICMPv6) or swallowed: a black hole."""
    up: bool = True
    """False swallows everything."""

    def __post_init__(self) -> None:
        for field in ("delay_ms", "jitter_ms", "queue_ms"):
            _require_number(field, getattr(self, field), "milliseconds, 0 or more")
        _require_number("loss", self.loss, "a probability from 0 to 1")
        if self.loss > 1:
            raise InputError(f"loss {self.loss!r}: allowed is a probability from 0 to 1")
        if self.rate_mbit is not None:
            _require_number("rate_mbit", self.rate_mbit, "more than 0, or None for unlimited")
            if self.rate_mbit == 0:
                raise InputError("rate_mbit 0: allowed is more than 0; up=False stops a link")
        if self.mtu is not None and not _is_mtu(self.mtu):
            raise InputError(f"mtu {self.mtu!r}: allowed is {MIN_MTU_BYTES} to {MAX_MTU_BYTES}")

    def to_row(self) -> Row:
        """The fields in their order; `LinkSettings(*row)` is the way back."""
        return [
            self.delay_ms,
            self.jitter_ms,
            self.loss,
            self.rate_mbit,
            self.queue_ms,
            self.mtu,
            self.icmp,
            self.up,
        ]


def _require_number(field: str, value: object, allowed: str) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # The comparison is written so that NaN fails it too.
    if not is_number or not 0 <= value < math.inf:  # type: ignore[operator]
        raise InputError(f"{field} {value!r}: allowed is {allowed}")


def _is_mtu(value: object) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and MIN_MTU_BYTES <= value <= MAX_MTU_BYTES  # type: ignore[operator]


class NatBehaviour(Enum):
    """On what of the remote end a mapping, or a filter, depends.

    Source: RFC 4787, section 4.1 (mapping) and section 5 (filtering).
    """

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


@dataclass(frozen=True, slots=True)
class Nat:
    """A NAT box for IPv4, seen from outside as one address; hosts that name the same
    `public_address` sit behind the same box. The defaults are the usual home router
    ("port restricted cone"). IPv6 is never translated.

    Raises:
        InputError: when the address is no IPv4 address, or the timeout not positive.
    """

    public_address: str
    mapping: NatBehaviour = NatBehaviour.ENDPOINT_INDEPENDENT
    filtering: NatBehaviour = NatBehaviour.ADDRESS_AND_PORT_DEPENDENT
    timeout_s: float = 120
    """A mapping, and each permission of its filter, dies this long after the last *outbound*
    packet. Inbound packets refresh nothing (RFC 4787, REQ-6 leaves that to the box)."""
    port_preserving: bool = True
    """Whether a new mapping takes the inside port when it is free, or always a random one."""
    hairpin: bool = True
    """Whether inside hosts reach each other through the public address (RFC 4787, REQ-9:
    the receiver then sees the sender's *external* address). False drops such packets."""

    def __post_init__(self) -> None:
        try:
            IPv4Address(self.public_address)
        except AddressValueError as error:
            raise InputError(
                f"public_address {self.public_address!r}: allowed is an IPv4 address"
            ) from error
        _require_number("timeout_s", self.timeout_s, "seconds, more than 0")
        if self.timeout_s == 0:
            raise InputError("timeout_s 0: allowed is seconds, more than 0")
