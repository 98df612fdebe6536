"""How answers look: JSON for machines, aligned text for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Answer as JSON on stdout; fields are only ever added."
)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print aligned columns that fit the terminal; a cell too long is cut with `…`."""
    width = shutil.get_terminal_size((100, 24)).columns
    table = [list(header), *map(list, rows)]
    columns = [max(len(row[i]) for row in table) for i in range(len(header))]
    # The widest column gives way first, down to ten characters.
    while sum(columns) + 2 * (len(columns) - 1) > width and max(columns) > 10:
        columns[columns.index(max(columns))] -= 1
    for number, row in enumerate(table):
        cells = (_fit(cell, size) for cell, size in zip(row, columns, strict=True))
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _fit(cell: str, size: int) -> str:
    return cell.ljust(size) if len(cell) <= size else cell[: size - 1] + "…"


def note(text: str) -> None:
    """Say something beside the answer, on stderr."""
    click.echo(text, err=True)
