"""What is wrong with a declared overlay, said without positions.

A flaw names its place by the keys that lead to it; `yaml_source` turns that into line and
column, and the canonical JSON form has no lines to give. Rule: a message names the value and
what is allowed, and never repeats a text that could be a private key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from malha.errors import InputError
from malha.wireguard.keys import may_hold_key

Path: TypeAlias = tuple[str | int, ...]

_MAX_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong at one place of the tree."""

    path: Path
    """Keys and list indices from the top; () is the whole overlay."""
    code: str
    """Stable and kebab-case; one of `codes.CODES`."""
    message: str
    at_key: bool = False
    """Whether the key at the end of `path` is wrong, and not its value."""


class Refused(Exception):  # noqa: N818 (a control signal between readers, never seen by users)
    """A value cannot be taken. Paths of the flaws are relative to that value."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


class InvalidOverlay(InputError):  # noqa: N818 (reads as what it is: an overlay that is invalid)
    """The overlay has flaws; all that were found, in the order of their paths."""

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        lines = [f"{dotted(flaw.path)}: {flaw.message} [{flaw.code}]" for flaw in flaws]
        super().__init__("\n".join(["the overlay cannot be used:", *lines]))
        self.flaws = flaws


def refuse(code: str, message: str) -> Refused:
    """Make the refusal of one value for one reason."""
    return Refused([Flaw((), code, message)])


def below(step: str | int, refused: Refused) -> list[Flaw]:
    """Give the flaws of a value as seen from the mapping or list that holds it."""
    return [
        Flaw((step, *flaw.path), flaw.code, flaw.message, flaw.at_key) for flaw in refused.flaws
    ]


def dotted(path: Path) -> str:
    """Write a path for people: `nodes.hkg.serves[0]`.

    >>> dotted(("nodes", "hkg", "serves", 0))
    'nodes.hkg.serves[0]'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shown(step, quote='')}"
    return text.removeprefix(".") or "overlay"


def shown(value: object, *, quote: str = "'") -> str:
    """Name a value in a message: short, on one line, and never a possible key.

    >>> shown("a\\nb"), shown(None), shown(True)
    ("'a\\\\nb'", 'nothing', 'true')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    if may_hold_key(text):
        return "(hidden: it may hold a key)"
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    if len(text) > _MAX_SHOWN_CHARACTERS:
        text = text[:_MAX_SHOWN_CHARACTERS] + "…"
    return text if isinstance(value, int | float) else f"{quote}{text}{quote}"


def near_miss(word: str, allowed: Iterable[str]) -> str:
    """Suggest the likeliest of the allowed words, or give an empty string.

    >>> near_miss("regoin", ["region", "role"])
    ": did you mean 'region'?"
    """
    close = difflib.get_close_matches(word.lower(), list(allowed), n=1)
    return f": did you mean {shown(close[0])}?" if close else ""
