"""wg-quick's file format, both ways: text to a value with line numbers, and back.

Source: wg-quick(8) and wg(8), "CONFIGURATION FILE FORMAT". Reading executes nothing: hooks are
text. Every problem of a file is collected; nothing that could be a private key is repeated.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from malha.wireguard.device import Device, Interface, Peer, Prefix
from malha.wireguard.endpoint import Endpoint, parse_endpoint, parse_port
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey, may_hold_key

MAX_KEEPALIVE_S = 65535
"""Source: wg(8), PersistentKeepalive is 16 bits."""

HOOK_KEYS = ("PreUp", "PostUp", "PreDown", "PostDown")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong at one line (1 is the first) of a wg-quick file."""

    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A command that wg-quick runs: `key` is one of HOOK_KEYS."""

    key: str
    command: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PeerSection:
    """One `[Peer]` as written."""

    public_key: PublicKey
    comment: str = ""
    preshared_key: PresharedKey | None = None
    endpoint: Endpoint | None = None
    allowed_ips: tuple[Prefix, ...] = ()
    persistent_keepalive_s: int | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class WgQuickFile:
    """A whole file as written."""

    addresses: tuple[Interface, ...] = ()
    private_key: PrivateKey | None = None
    listen_port: int | None = None
    mtu: int | None = None
    table: str | None = None
    hooks: tuple[Hook, ...] = ()
    peers: tuple[PeerSection, ...] = ()
    other: tuple[tuple[str, str], ...] = ()
    """DNS, FwMark, SaveConfig: kept as written, of no consequence to who reaches whom."""


# ---------------------------------------------------------------- value → text


def render_peer(peer: Peer) -> str:
    """One `[Peer]` section, with the node's name as a comment; ends with a line break."""
    lines = ["[Peer]", f"# {peer.name}", f"PublicKey = {peer.public_key}"]
    if peer.preshared_key is not None:
        lines.append(f"PresharedKey = {peer.preshared_key.reveal()}")
    if peer.endpoint is not None:
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.allowed_ips:
        lines.append("AllowedIPs = " + ", ".join(map(str, peer.allowed_ips)))
    if peer.persistent_keepalive_s is not None:
        lines.append(f"PersistentKeepalive = {peer.persistent_keepalive_s}")
    return "\n".join(lines) + "\n"


def render_interface(device: Device, comments: Sequence[str], hooks: Sequence[Hook]) -> str:
    """The `[Interface]` section; ends with a line break. A private key is written if joined."""
    lines = ["[Interface]", *(f"# {comment}" for comment in comments)]
    if device.private_key is not None:
        lines.append(f"PrivateKey = {device.private_key.reveal()}")
    lines += [f"Address = {address}" for address in device.addresses]
    if device.listen_port is not None:
        lines.append(f"ListenPort = {device.listen_port}")
    if device.mtu is not None:
        lines.append(f"MTU = {device.mtu}")
    lines += [f"{hook.key} = {hook.command}" for hook in hooks]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- text → value


def parse_wg_quick(text: str) -> tuple[WgQuickFile, tuple[Flaw, ...]]:
    """Read a file; whatever is unusable is left out and named in the flaws, in line order."""
    reader = _Reader()
    for number, section, comment, line in _lines(text):
        reader.take(number, section, comment, line)
    reader.finish()
    return reader.result(), tuple(sorted(reader.flaws, key=lambda flaw: flaw.line))


def _lines(text: str) -> Iterator[tuple[int, str, str, str]]:
    """(line number, section header or "", comment or "", content) for each line that says
    something. wg-quick cuts comments at the first `#`, wherever it stands."""
    for number, raw in enumerate(text.split("\n"), start=1):
        content, _, comment = raw.partition("#")
        content = content.strip()
        if content.startswith("["):
            yield number, content.lower(), "", ""
        elif content or comment.strip():
            yield number, "", comment.strip(), content


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _parse_interface_address(text: str) -> Interface:
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address or address/length") from error


def _parse_prefix(text: str) -> Prefix:
    try:
        # Host bits are masked away, as wg(8) does.
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address or prefix") from error


def _parse_keepalive(text: str) -> int | None:
    if text.lower() == "off" or text == "0":
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MAX_KEEPALIVE_S:
        raise ValueError(f"{text!r} is not `off` or seconds from 0 to {MAX_KEEPALIVE_S}")
    return int(text)


def _parse_listen_port(text: str) -> int | None:
    return None if text == "0" else parse_port(text)


def _parse_mtu(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 576 <= int(text) <= 65535:
        raise ValueError(f"MTU {text!r} is not a number from 576 to 65535")
    return int(text)


_OTHER_KEYS = ("dns", "fwmark", "saveconfig")
_HOOKS = {key.lower(): key for key in HOOK_KEYS}


class _Reader:
    """Collects one file; keys are case-insensitive as in wg(8)."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self.interface: dict[str, object] = {}
        self.addresses: list[Interface] = []
        self.hooks: list[Hook] = []
        self.other: list[tuple[str, str]] = []
        self.peers: list[PeerSection] = []
        self.peer: dict[str, object] | None = None
        self.section = ""

    def take(self, number: int, section: str, comment: str, content: str) -> None:
        if section:
            self._open(number, section)
            return
        if comment and self.peer is not None and not self.peer["comment"]:
            self.peer["comment"] = "" if may_hold_key(comment) else comment
        if not content:
            return
        key, equals, value = content.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals or not value:
            self._flaw(number, "unreadable-line", "expected `Key = value`")
        elif self.section == "[interface]":
            self._interface_key(number, key, value)
        elif self.section == "[peer]":
            self._peer_key(number, key, value)
        else:
            self._flaw(number, "unreadable-line", "a key outside [Interface] and [Peer]")

    def _open(self, number: int, section: str) -> None:
        self._close_peer()
        self.section = section
        if section == "[peer]":
            self.peer = {"comment": "", "line": number, "allowed_ips": []}
        elif section != "[interface]":
            self._flaw(number, "unknown-section", "a section is [Interface] or [Peer]")

    def _interface_key(self, number: int, key: str, value: str) -> None:
        into = self.interface
        if key == "address":
            for part in _split(value):
                parsed = self._try(number, "bad-address", _parse_interface_address, part)
                if parsed is not None:
                    self.addresses.append(parsed)
        elif key == "privatekey":
            into["private_key"] = self._try(number, "bad-key", PrivateKey.parse, value)
        elif key == "listenport":
            into["listen_port"] = self._try(number, "bad-port", _parse_listen_port, value)
        elif key == "mtu":
            into["mtu"] = self._try(number, "bad-mtu", _parse_mtu, value)
        elif key == "table":
            into["table"] = value
        elif key in _HOOKS:
            self.hooks.append(Hook(_HOOKS[key], value, number))
        elif key in _OTHER_KEYS:
            self.other.append((key, value))
        else:
            self._flaw(number, "unknown-key", f"[Interface] has no key {key[:40]!r}")

    def _peer_key(self, number: int, key: str, value: str) -> None:
        into = self.peer
        assert into is not None  # a [peer] section has just been opened
        if key == "publickey":
            into["public_key"] = self._try(number, "bad-key", PublicKey.parse, value)
        elif key == "presharedkey":
            into["preshared_key"] = self._try(number, "bad-key", PresharedKey.parse, value)
        elif key == "endpoint":
            into["endpoint"] = self._try(number, "bad-endpoint", parse_endpoint, value)
        elif key == "allowedips":
            found = [self._try(number, "bad-allowed-ips", _parse_prefix, p) for p in _split(value)]
            allowed_ips = into["allowed_ips"]
            assert isinstance(allowed_ips, list)
            allowed_ips += [prefix for prefix in found if prefix is not None]
        elif key == "persistentkeepalive":
            into["persistent_keepalive_s"] = self._try(
                number, "bad-keepalive", _parse_keepalive, value
            )
        else:
            self._flaw(number, "unknown-key", f"[Peer] has no key {key[:40]!r}")

    def _try(self, number: int, code: str, parse: Callable[[str], T], text: str) -> T | None:
        try:
            return parse(text)
        except ValueError as error:
            self._flaw(number, code, str(error))
            return None

    def _flaw(self, number: int, code: str, message: str) -> None:
        if may_hold_key(message):
            message = "this cannot be used here, and is not repeated: it may hold a key"
        self.flaws.append(Flaw(number, code, message))

    def _close_peer(self) -> None:
        peer, self.peer = self.peer, None
        if peer is None:
            return
        line = peer["line"]
        assert isinstance(line, int)
        if peer.get("public_key") is None:
            self._flaw(line, "bad-key", "this [Peer] has no usable PublicKey")
            return
        allowed_ips = peer.pop("allowed_ips")
        assert isinstance(allowed_ips, list)
        self.peers.append(PeerSection(allowed_ips=tuple(allowed_ips), **peer))  # type: ignore[arg-type]

    def finish(self) -> None:
        self._close_peer()
        if self.interface.get("private_key") is None and not any(
            "private-key" in hook.command for hook in self.hooks
        ):
            self._flaw(0, "no-private-key", "[Interface] has no usable PrivateKey")

    def result(self) -> WgQuickFile:
        return WgQuickFile(
            addresses=tuple(self.addresses),
            hooks=tuple(self.hooks),
            peers=tuple(self.peers),
            other=tuple(self.other),
            **self.interface,  # type: ignore[arg-type]
        )
