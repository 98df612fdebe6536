"""Private keys as files: `<folder>/<node>.key`, mode 0600, in a folder that git ignores.

Rule: a key that exists is never overwritten, and a file that others could read is refused.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from malha.errors import InputError
from malha.host.files import sync_folder
from malha.secrets.keys import make_private_key
from malha.wireguard.keys import PrivateKey

DEFAULT_FOLDER = "keys"
"""Beside the overlay file."""

_KEY_FILE_BYTES = 4096
"""More than any key file has; a larger one is not read."""


def folder_of(overlay_file: Path) -> Path:
    """Where the keys of an overlay file's nodes are."""
    return overlay_file.resolve().parent / DEFAULT_FOLDER


def prepare_folder(folder: Path) -> None:
    """Make the folder (0700), with a .gitignore of its own so that no key is ever committed.

    Raises:
        InputError: when it cannot be made, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            raise InputError(f"{folder} can be entered by others: chmod 700 {folder}")
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# private keys: never in git\n*\n")
    except OSError as error:
        raise InputError(f"{folder} cannot be used for keys: {error.strerror}") from error


def key_file(folder: Path, node: str) -> Path:
    """The file of a node's private key."""
    return folder / f"{node}.key"


def has_key(folder: Path, node: str) -> bool:
    """Whether a node's private key is in the folder."""
    return key_file(folder, node).exists()


def read_key(folder: Path, node: str) -> PrivateKey:
    """Read a node's private key.

    Raises:
        InputError: when there is none, others can read it, or it is no key (never its text).
    """
    path = key_file(folder, node)
    try:
        # O_NONBLOCK: opening a FIFO would else wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse_unsafe(path, os.fstat(descriptor).st_mode)
            text = os.read(descriptor, _KEY_FILE_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        return PrivateKey.parse(text)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _refuse_unsafe(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is no regular file: a private key is read from nothing else")
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(f"{path} can be read by others: chmod 600 {path}")


def read_keys(folder: Path, nodes: Iterable[str]) -> dict[str, PrivateKey]:
    """Private keys of those nodes that have one in the folder."""
    return {node: read_key(folder, node) for node in nodes if has_key(folder, node)}


def make_key(folder: Path, node: str) -> PrivateKey:
    """Make and store a node's private key; if another process was quicker, give its key.

    Raises:
        InputError: when it cannot be stored.
    """
    key = make_private_key()
    path = key_file(folder, node)
    try:
        # mkstemp makes it 0600, under a name that no killed run has left behind.
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{node}.", suffix=".key")
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{key.reveal()}\n")
                file.flush()
                os.fsync(file.fileno())
            # link(2) refuses an existing name: whole or not at all, and never an overwrite.
            os.link(unfinished, path)
            # Else a power cut could lose the key whose public half is in the overlay by then.
            sync_folder(folder)
        finally:
            unfinished.unlink()
    except FileExistsError:
        return read_key(folder, node)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return key
