"""The least that any program must do for a full mesh: one f-string per peer, one file per node.

Reads wg-meshconf's database.csv and writes <node>.conf files into the folder that is named.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from malha.wireguard.keys import PrivateKey, PublicKey


def public_key(text: str) -> str:
    """The public key of a private one, as text."""
    key = X25519PrivateKey.from_private_bytes(PrivateKey.parse(text).raw)
    return str(PublicKey(key.public_key().public_bytes_raw()))


def main(out: Path) -> None:
    """Write every node's file."""
    out.mkdir()
    with Path("database.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    nodes = [
        (
            r["Name"],
            r["Address"],
            r["Endpoint"],
            r["ListenPort"],
            r["PrivateKey"],
            public_key(r["PrivateKey"]),
        )
        for r in rows
    ]
    for name, address, _, port, private, _ in nodes:
        parts = [f"[Interface]\nPrivateKey = {private}\nAddress = {address}\nListenPort = {port}\n"]
        for other, allowed, host, other_port, _, key in nodes:
            if other != name:
                parts.append(
                    f"\n[Peer]\n# {other}\nPublicKey = {key}\nEndpoint = {host}:{other_port}\n"
                    f"AllowedIPs = {allowed}\n"
                )
        path = out / f"{name}.conf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write("".join(parts))


main(Path(sys.argv[1]))
