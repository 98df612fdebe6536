"""What a YAML text says and where each part of it stands; and what its bare words mean.

Rule: indices count characters of the text, lines and columns count from 1, as editors do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from malha.overlay.flaws import Flaw, Path, shown

_WORDS: dict[str, bool | None] = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
_WORDS.update({"null": None, "~": None, "": None})
_WORDS |= {form: value for word, value in _WORDS.items() for form in (word.title(), word.upper())}
# Whatever some YAML reader takes for a number: 7, 1_000, 0x1f, 1e3, 12:30, .5, .inf.
_NUMBER = re.compile(
    r"[-+]?(0[xo][0-9a-fA-F_]+|0b[01_]+|[0-9][0-9_]*(:[0-5]?[0-9])+"
    r"|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9_]+([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))"
    r"|\.(nan|NaN|NAN)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
)
_NUMBER_STARTS = frozenset("0123456789.+-")


# Not frozen, unlike all else: 10,000 nodes have 100,000 of these, and freezing doubles their cost.
@dataclass(slots=True)
class Scalar:
    """A key or a single value."""

    text: str
    start: int
    """Index of its first character in the text; `end` is one past its last."""
    end: int
    line: int
    """From 1, as `column` is."""
    column: int
    is_plain: bool
    """Written without quotes."""


@dataclass(slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Syntax

    @property
    def start(self) -> int:
        """Index of the key's first character."""
        return self.key.start

    @property
    def end(self) -> int:
        """Index one past the value's last character; past the key's for an absent value."""
        return max(self.key.end, self.value.end)


@dataclass(slots=True)
class Mapping:
    """Keys with values, in the order of the file."""

    start: int
    end: int
    line: int
    column: int
    is_flow: bool
    """Written in braces on one or more lines, not as an indented block."""
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Sequence:
    """A list."""

    start: int
    end: int
    line: int
    column: int
    is_flow: bool
    items: list[Syntax] = field(default_factory=list)


Syntax: TypeAlias = Scalar | Mapping | Sequence


@dataclass(frozen=True, slots=True)
class Document:
    """A text, what it says and where it says it."""

    text: str
    """Without the byte order mark; the indices of `syntax` count from here."""
    tree: Any
    syntax: Syntax
    byte_order_mark: str = ""
    """What stood before the text, to be kept when it is written back."""


def plain_value(text: str) -> str | int | float | bool | None:
    """Give what an unquoted scalar means.

    >>> plain_value("no"), plain_value("25"), plain_value("12.5"), plain_value("10.50.0.1")
    (False, 25, 12.5, '10.50.0.1')
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_STARTS and _NUMBER.fullmatch(text):
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            return text
    return text


def is_ambiguous(text: str) -> bool:
    """Say whether some YAML reader takes this unquoted scalar for something else than text."""
    return text in _WORDS or (text[0] in _NUMBER_STARTS and bool(_NUMBER.fullmatch(text)))


def quote_it(text: str) -> str:
    """Say what YAML makes of an unquoted scalar and how to say it is a text.

    >>> quote_it("no")
    'YAML reads `no` as false: quote it: "no"'
    """
    if not text:
        return "a name is missing here"
    meaning = shown(_WORDS[text]) if text in _WORDS else "a number"
    return f'YAML reads `{text}` as {meaning}: quote it: "{text}"'


def locate(syntax: Syntax, flaw: Flaw) -> tuple[int, int]:
    """Give line and column of a flaw; of the nearest part that holds it when it has no own."""
    place: Scalar | Mapping | Sequence = syntax
    for depth, step in enumerate(flaw.path):
        is_last = depth == len(flaw.path) - 1
        if isinstance(place, Mapping) and step in place.entries:
            entry = place.entries[str(step)]
            at_key = is_last and (flaw.at_key or _is_absent(entry.value))
            place = entry.key if at_key else entry.value
        elif isinstance(place, Sequence) and isinstance(step, int) and step < len(place.items):
            place = place.items[step]
        else:
            break
    return place.line, place.column


def _is_absent(value: Syntax) -> bool:
    return isinstance(value, Scalar) and value.start == value.end


def scalar_at(syntax: Syntax, path: Path) -> Scalar | None:
    """Give the scalar that a path leads to, if it leads to one."""
    place: Syntax | None = syntax
    for step in path:
        if isinstance(place, Mapping) and step in place.entries:
            place = place.entries[str(step)].value
        elif isinstance(place, Sequence) and isinstance(step, int) and step < len(place.items):
            place = place.items[step]
        else:
            return None
    return place if isinstance(place, Scalar) else None
