"""Whether the private keys in the folder are those of the declared public keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from malha.secrets.folder import read_keys
from malha.secrets.keys import derive_public_key
from malha.wireguard.keys import PublicKey


def strange_keys(folder: Path, declared: Mapping[str, PublicKey]) -> dict[str, str]:
    """For each node whose private key is in the folder but does not fit: what is wrong.

    Raises:
        InputError: when a key file cannot be used.
    """
    found: dict[str, str] = {}
    for name, key in read_keys(folder, declared).items():
        if declared[name].raw == key.raw:
            found[name] = (
                f"the public_key of {name} is its private key, which whoever reads the file now "
                "knows: remove the line and the key file, then `malha keys new`"
            )
        elif derive_public_key(key) != declared[name]:
            found[name] = (
                f"{folder / name}.key is not the private key of the public_key of {name}: correct "
                "the overlay file, or move the key away"
            )
    return found
