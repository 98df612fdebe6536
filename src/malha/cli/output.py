"""How answers look: JSON for machines, aligned text for people."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

UNCUT_COLUMN = "cause"
"""A code: half of one finds nothing in the reference."""
_MIN_LAST_COLUMN = 20
_MIN_COLUMN = 10

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Answer as JSON on stdout; fields are only ever added."
)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print aligned columns; on a terminal they fit it, and a cell too long is cut with `…`."""
    table = [list(header), *map(list, rows)]
    columns = [max(len(row[i]) for row in table) for i in range(len(header))]
    # Whatever else reads it (a file, grep, another program) gets every cell whole.
    if sys.stdout.isatty():
        room = shutil.get_terminal_size((100, 24)).columns - 2 * (len(columns) - 1)
        columns = _narrowed(columns, header, room)
    for number, row in enumerate(table):
        cells = (_fit(cell, size) for cell, size in zip(row, columns, strict=True))
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 and _has_bold() else line)


def _narrowed(columns: Sequence[int], header: Sequence[str], room: int) -> list[int]:
    """Give widths that add up to `room` if they can: the last column gives way, then the widest."""
    widths, last = list(columns), len(columns) - 1
    least = [_MIN_COLUMN] * last + [_MIN_LAST_COLUMN]
    free = [i for i, name in enumerate(header) if name != UNCUT_COLUMN]
    while sum(widths) > room:
        wide = [i for i in free if widths[i] > least[i]]
        if not wide:
            break
        widths[last if last in wide else max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _has_bold() -> bool:
    """Whether bold is wanted; click drops it by itself where stdout is no terminal."""
    # An empty NO_COLOR is none. Source: no-color.org
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fit(cell: str, size: int) -> str:
    return cell.ljust(size) if len(cell) <= size else cell[: size - 1] + "…"


def note(text: str) -> None:
    """Say something beside the answer, on stderr."""
    click.echo(text, err=True)
