"""How a command changes the overlay file.

Rule: whoever changes the file holds its lock from reading to writing, writes all allocated
addresses first so that none ever shifts, and writes nothing that could not be loaded again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from malha.errors import InputError, Problem
from malha.host.files import locked, write_atomic
from malha.overlay.edit import write_addresses
from malha.overlay.model import Overlay
from malha.overlay.yaml_source import Source, load_source, source_of


@dataclass(frozen=True, slots=True)
class Edited:
    """The texts that a command wants to stand in the overlay file and its latency file."""

    text: str
    latency_text: str | None = None
    """None: the latency file stays as it is, or there is none."""


def edit_overlay(path: Path, edit: Callable[[str, Source], Edited]) -> tuple[Overlay, Overlay]:
    """Change the overlay file; gives the overlay as it was and as it is.

    Args:
        path: the overlay file.
        edit: takes the file's text, with all addresses written, and the source it came from.

    Raises:
        InputError: when the file, or what it would become, cannot be used; nothing is written.
        MissingError: when the file is not writable, or another command holds it too long.
    """
    if not path.exists():
        load_source(path)  # says that there is no such file; a lock would say less
    with locked(path):
        before = load_source(path)
        mark = before.document.byte_order_mark
        edited = edit(write_addresses(mark + before.document.text, before.overlay), before)
        after = checked_source(edited, path)
        # The latency file first: without a round trip the overlay is still one.
        if after.latency and before.latency and edited.latency_text is not None:
            write_atomic(after.latency[0], edited.latency_text.encode())
        write_atomic(path, edited.text.encode())
    return before.overlay, after.overlay


def checked_source(edited: Edited, path: Path) -> Source:
    """Load texts that are not written yet.

    Raises:
        InputError: when they cannot be used; its problems name no lines.
    """
    try:
        return source_of(edited.text, path, edited.latency_text)
    except InputError as error:
        # Lines of a text that nobody will see would only mislead.
        where = f"{path} with this change"
        problems = tuple(Problem(where, 0, 0, p.code, p.message) for p in error.problems)
        raise InputError(f"nothing was written: {path} stays as it was", problems) from error
