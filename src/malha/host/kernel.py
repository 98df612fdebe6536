"""Kernel WireGuard through wg(8): the same UAPI messages, said as `wg set` commands.

Rule: a key never stands in an argument list. Each command takes at most one secret, by its
standard input, which `wg` opens as a file.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

_STDIN = "/dev/stdin"
_NO_KEY = "0" * 64
_PLAIN = {"listen_port": "listen-port", "fwmark": "fwmark"}
_PEER_PLAIN = {"endpoint": "endpoint", "persistent_keepalive_interval": "persistent-keepalive"}


@dataclass(slots=True)
class WgSet:
    """One `wg set` command: arguments after the device, and the secret for standard input."""

    arguments: list[str]
    secret: str = field(default="", repr=False)
    allowed_ips: list[str] | None = field(default=None, repr=False)

    def argv(self, device: str) -> list[str]:
        """Give the whole command line."""
        allowed = [] if self.allowed_ips is None else ["allowed-ips", ",".join(self.allowed_ips)]
        return ["wg", "set", device, *self.arguments, *allowed]


def wg_set_commands(message: str) -> list[WgSet]:
    """Translate one `set=1` message; one command for the device and one for each peer's part.

    Raises:
        ValueError: for a line that has no counterpart.
    """
    commands = [WgSet([])]
    for line in message.splitlines():
        key, _, value = line.partition("=")
        if key == "public_key":
            commands.append(WgSet(["peer", _base64(value)]))
        elif key == "private_key":
            commands[-1].arguments += ["private-key", _STDIN]
            commands[-1].secret = _base64(value) + "\n"
        elif key == "preshared_key":
            commands[-1].arguments += ["preshared-key", _STDIN]
            # wg(8): an empty file clears the preshared key.
            commands[-1].secret = "" if value == _NO_KEY else _base64(value) + "\n"
        else:
            _add_plain(commands[-1], key, value)
    return [c for c in commands if c.arguments or c.allowed_ips is not None]


def _add_plain(command: WgSet, key: str, value: str) -> None:
    match key:
        case "" | "set" | "replace_peers" | "update_only":
            pass  # replacing all peers is the caller's: it knows which ones there are
        case "remove":
            command.arguments.append("remove")
        case "replace_allowed_ips":
            command.allowed_ips = []
        case "allowed_ip" if command.allowed_ips is not None:
            command.allowed_ips.append(value)
        case _:
            word = {**_PLAIN, **_PEER_PLAIN}.get(key)
            if word is None:
                raise ValueError(f"wg set has no word for {key}")
            command.arguments += [word, value]


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def dump_to_uapi(dump: str) -> str:
    """Say `wg show DEVICE dump` as an answer to `get=1`, so that there is one parser.

    Source: wg(8), "dump": tab-separated; the device first, then one line for each peer.
    """
    own, *peers = (line.split("\t") for line in dump.splitlines())
    lines = [] if own[0] == "(none)" else [f"private_key={_hex(own[0])}"]
    lines.append(f"listen_port={own[2]}")
    for peer in peers:
        lines += _dumped_peer(peer)
    return "\n".join([*lines, "errno=0"]) + "\n\n"


def _dumped_peer(fields: list[str]) -> list[str]:
    key, preshared, endpoint, allowed, handshake, received, sent, keepalive = fields
    lines = [f"public_key={_hex(key)}"]
    if preshared != "(none)":
        lines.append(f"preshared_key={_hex(preshared)}")
    if endpoint != "(none)":
        lines.append(f"endpoint={endpoint}")
    if allowed != "(none)":
        lines += [f"allowed_ip={prefix}" for prefix in allowed.split(",")]
    interval = "0" if keepalive == "off" else keepalive
    return [
        *lines,
        f"last_handshake_time_sec={handshake}",
        f"rx_bytes={received}",
        f"tx_bytes={sent}",
        f"persistent_keepalive_interval={interval}",
    ]


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()
