"""Changes to a YAML text by the places of its parts: everything else stays byte for byte.

Rule: an added entry begins at the end of the line before it and a removed one ends there, so
adding and removing are each other's inverse, also at the end of a file without a newline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

from malha.overlay.syntax import Entry, Mapping, Sequence, Syntax, is_ambiguous

# Safe without quotes in block and flow style alike; base64 and prefixes among them.
_BARE = re.compile(r"[A-Za-z0-9/+][A-Za-z0-9./_+=-]*\Z")
DEFAULT_INDENT = 2


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """Put `replacement` in place of the characters from `start` up to `end`."""

    start: int
    end: int
    replacement: str = ""


def apply_splices(text: str, splices: Iterable[Splice]) -> str:
    """Carry out splices that do not overlap; their indices count in the old text."""
    parts, position = [], 0
    for splice in sorted(splices):
        parts += [text[position : splice.start], splice.replacement]
        position = splice.end
    return "".join([*parts, text[position:]])


def render_value(value: object) -> str:
    """Write a value in flow style, quoted where a bare word would mean something else.

    >>> render_value({"region": "no", "address": ["10.50.0.1", "fd00::1"], "exit": True})
    '{region: "no", address: [10.50.0.1, "fd00::1"], exit: true}'
    """
    if isinstance(value, dict):
        items = (f"{render_value(key)}: {render_value(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(render_value, value)) + "]"
    if isinstance(value, str) and _BARE.match(value) and not is_ambiguous(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def newline_of(text: str) -> str:
    """Give the text's own line break: that of its first line."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def line_start(text: str, index: int) -> int:
    """Give the index of the first character of a line."""
    return text.rfind("\n", 0, index) + 1


def line_end(text: str, index: int) -> int:
    """Give the index of a line's break, or of the text's end."""
    end = text.find("\n", index)
    if end < 0:
        return len(text)
    return end - 1 if end > index and text[end - 1] == "\r" else end


def _content_end(text: str, start: int, end: int) -> int:
    # The end mark of a block scalar lies in the line after it.
    return start + len(text[start:end].rstrip())


def _block_end(text: str, start: int, end: int, column: int) -> int:
    """Give the end of a block entry's last line, deeper comment lines below it included."""
    stop = line_end(text, _content_end(text, start, end))
    while (following := _line_after(text, stop)) is not None:
        line = text[following : line_end(text, following)]
        bare = line.lstrip(" ")
        if not bare.startswith("#") or len(line) - len(bare) < column:
            break
        stop = line_end(text, following)
    return stop


def _line_after(text: str, end: int) -> int | None:
    following = text.find("\n", end)
    return None if following < 0 else following + 1


def _block_start(text: str, start: int, column: int) -> int:
    """Give the end of the line above a block entry and the comment lines that belong to it."""
    first = line_start(text, start)
    while first:
        above = line_start(text, first - 1)
        line = text[above:first]
        bare = line.lstrip(" ")
        if not bare.startswith("#") or len(line) - len(bare) != column - 1:
            break
        first = above
    return line_end(text, line_start(text, first - 1)) if first else 0


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of a mapping or item of a list, from its key or dash on."""

    start: int
    end: int
    column: int


def _member(text: str, part: Entry | Syntax, *, has_dash: bool) -> _Member:
    start = part.start
    if has_dash:
        start = text.rindex("-", 0, start)
    return _Member(start, part.end, start - line_start(text, start) + 1)


def remove_entries(text: str, container: Mapping | Sequence, gone: set[int]) -> list[Splice]:
    """Remove entries or items by their positions, each with the comments that are its own.

    Its own are the comment lines directly above at its column, the rest of its last line, and
    deeper comment lines directly below.
    """
    parts: list[Entry | Syntax] = (
        list(container.entries.values())
        if isinstance(container, Mapping)
        else list(container.items)
    )
    has_dash = isinstance(container, Sequence) and not container.is_flow
    members = [_member(text, part, has_dash=has_dash) for part in parts]
    if container.is_flow:
        return [s for run in _runs(gone) for s in _remove_run(text, members, run)]
    return [
        Splice(
            _block_start(text, members[i].start, members[i].column),
            _block_end(text, members[i].start, members[i].end, members[i].column),
        )
        for i in sorted(gone)
    ]


def _runs(gone: set[int]) -> list[tuple[int, int]]:
    """Group positions into (first, last) of neighbours."""
    runs: list[tuple[int, int]] = []
    for index in sorted(gone):
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _remove_run(text: str, members: list[_Member], run: tuple[int, int]) -> list[Splice]:
    first, last = run
    start, end = members[first].start, members[last].end
    before = text[members[first - 1].end : start] if first else ""
    if "#" in before or (not first and _begins_line(text, start)):
        return [_remove_lines(text, start, end)]
    if first:
        return [Splice(members[first - 1].end, end), *_trailing_comment(text, end)]
    if last + 1 < len(members):
        return [Splice(start, members[last + 1].start)]
    return [Splice(start, end), *_trailing_comma(text, end)]


def _begins_line(text: str, start: int) -> bool:
    return not text[line_start(text, start) : start].strip()


def _remove_lines(text: str, start: int, end: int) -> Splice:
    """Remove flow entries that stand on lines of their own; the comma before them may stay."""
    rest = re.compile(r"[ \t]*,?[ \t]*(#[^\r\n]*)?").match(text, end)
    stop = rest.end() if rest else end
    column = start - line_start(text, start) + 1
    if _begins_line(text, start) and stop == line_end(text, end):
        return Splice(_block_start(text, start, column), stop)
    return Splice(start, stop)


def _trailing_comment(text: str, end: int) -> list[Splice]:
    found = re.compile(r"[ \t]*,?([ \t]+#[^\r\n]*)").match(text, end)
    return [Splice(*found.span(1))] if found else []


def _trailing_comma(text: str, end: int) -> list[Splice]:
    found = re.compile(r"[ \t]*,").match(text, end)
    return [Splice(*found.span())] if found else []


def insert_entry(text: str, holder: Entry, key: str, value: MappingType[str, object]) -> Splice:
    """Add an entry at the end of the mapping that `holder` holds, in the style of its last one."""
    mapping = holder.value
    if isinstance(mapping, Mapping) and mapping.is_flow:
        return _insert_flow(text, mapping, f"{render_value(key)}: {render_value(value)}")
    newline = newline_of(text)
    if not isinstance(mapping, Mapping):
        indent = " " * (holder.key.column - 1 + DEFAULT_INDENT)
        line = f"{newline}{indent}{render_value(key)}: {render_value(value)}"
        end = line_end(text, holder.end)
        return Splice(end, end, line)
    last = next(reversed(mapping.entries.values()))
    indent = " " * (mapping.column - 1)
    body = _block_body(last, value, newline) or _flow_body(mapping, key, value)
    end = _block_end(text, last.start, last.end, mapping.column)
    return Splice(end, end, f"{newline}{indent}{render_value(key)}:{body}")


def insert_field(text: str, mapping: Mapping, key: str, value: object) -> Splice:
    """Add one key at the end of a mapping that has others."""
    line = f"{render_value(key)}: {render_value(value)}"
    if mapping.is_flow:
        return _insert_flow(text, mapping, line)
    last = next(reversed(mapping.entries.values()))
    end = _block_end(text, last.start, last.end, mapping.column)
    return Splice(end, end, f"{newline_of(text)}{' ' * (mapping.column - 1)}{line}")


def _insert_flow(text: str, mapping: Mapping, entry: str) -> Splice:
    if not mapping.entries:
        return Splice(mapping.start + 1, mapping.start + 1, entry)
    last = next(reversed(mapping.entries.values()))
    separator = ", "
    if len(mapping.entries) > 1 and _begins_line(text, last.start):
        separator = f",{newline_of(text)}{' ' * (last.key.column - 1)}"
    return Splice(last.end, last.end, separator + entry)


def _block_body(last: Entry, value: MappingType[str, object], newline: str) -> str:
    """Write the fields on lines of their own, when the last entry does so too."""
    if not isinstance(last.value, Mapping) or last.value.is_flow or not value:
        return ""
    indent = newline + " " * (last.value.column - 1)
    return "".join(f"{indent}{field}: {render_value(item)}" for field, item in value.items())


def _flow_body(mapping: Mapping, key: str, value: MappingType[str, object]) -> str:
    """Write the fields in braces, in the column where the other entries have theirs."""
    recent = list(mapping.entries.values())[-3:]
    columns = {entry.value.column - entry.key.column for entry in recent}
    lengths = {len(entry.key.text) for entry in recent}
    width = columns.pop() if len(columns) == 1 and len(lengths) > 1 else 0
    gap = max(1, width - len(render_value(key)) - 1)
    return " " * gap + render_value(value)


def replace_value(text: str, entry: Entry, value: object) -> Splice:
    """Put another value in place of an entry's."""
    if entry.value.start == entry.value.end:
        return Splice(entry.value.end, entry.value.end, f" {render_value(value)}")
    end = _content_end(text, entry.value.start, entry.value.end)
    return Splice(entry.value.start, end, render_value(value))
