"""Making keys and deriving public ones. Source: RFC 7748 (X25519), by `cryptography`."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from malha.wireguard.keys import PrivateKey, PublicKey


def make_private_key() -> PrivateKey:
    """A new private key from the system's randomness, as `wg genkey` makes it (clamped)."""
    return PrivateKey(X25519PrivateKey.generate().private_bytes_raw())


def derive_public_key(private_key: PrivateKey) -> PublicKey:
    """The public key that belongs to a private one, as `wg pubkey` derives it."""
    key = X25519PrivateKey.from_private_bytes(private_key.raw)
    return PublicKey(key.public_key().public_bytes_raw())
