"""Keys as types: a public key shows itself, a private one never does by accident."""

from __future__ import annotations

import base64
import binascii
import re
from typing import final

KEY_BYTES = 32
"""Length of every WireGuard key. Source: WireGuard paper, section 5.4 (Curve25519 points)."""

KEY_TEXT_CHARACTERS = 44
"""Length of a key in wg(8)'s base64 text, the trailing `=` included."""

_KEY_LIKE = re.compile(r"[A-Za-z0-9+/]{40,}")


def may_hold_key(text: str) -> bool:
    """Whether a text must not be repeated in a message, because a key could be part of it.

    A key is 43 characters and `=` in base64, 64 in hexadecimal; shorter runs are safe.
    """
    return bool(_KEY_LIKE.search(text))


def _decode(text: str) -> bytes:
    # Strict like wg(8): exactly 44 characters, canonical base64. Lenient decoders would take
    # a key with stray characters and make two spellings of one key compare as different.
    if len(text) == KEY_TEXT_CHARACTERS:
        try:
            raw = base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raw = b""
        if len(raw) == KEY_BYTES and base64.b64encode(raw).decode() == text:
            return raw
    # The text itself is left out: it may be a private key pasted in the wrong place.
    raise ValueError(
        "not a WireGuard key: expected 44 characters of base64 ending in '=' (32 bytes)"
    )


@final
class PublicKey:
    """A Curve25519 public key: the name by which WireGuard knows a peer."""

    __slots__ = ("_text", "raw")

    def __init__(self, raw: bytes) -> None:
        """Take the 32 bytes of the point.

        Raises:
            ValueError: when `raw` has another length.
        """
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(raw)}")
        self.raw = raw
        self._text = base64.b64encode(raw).decode()

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read a key in wg(8)'s base64 text.

        Raises:
            ValueError: when `text` is not exactly one key; the text is not repeated.
        """
        return cls(_decode(text))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"PublicKey({self._text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __lt__(self, other: PublicKey) -> bool:
        return self.raw < other.raw


class _Secret:
    """32 bytes that `str`, `repr`, formatting and pickling do not give away."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(raw)}")
        self._raw = raw

    @property
    def raw(self) -> bytes:
        """The 32 secret bytes, for deriving and for the device; never for a message."""
        return self._raw

    def reveal(self) -> str:
        """Give the key in wg(8)'s base64 text. The one named way to the secret's text."""
        return base64.b64encode(self._raw).decode()

    def __str__(self) -> str:
        return "(hidden)"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> str:
        raise TypeError(f"{type(self).__name__} is not pickled: secrets stay in one process")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._raw == self._raw

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._raw))


@final
class PrivateKey(_Secret):
    """A Curve25519 private key. Hidden; `reveal()` is the only way to its text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """Read a key in wg(8)'s base64 text.

        Raises:
            ValueError: when `text` is not exactly one key; the text is not repeated.
        """
        return cls(_decode(text))


@final
class PresharedKey(_Secret):
    """A symmetric key mixed into one pair's handshake. Hidden like a private key."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> PresharedKey:
        """Read a key in wg(8)'s base64 text.

        Raises:
            ValueError: when `text` is not exactly one key; the text is not repeated.
        """
        return cls(_decode(text))
