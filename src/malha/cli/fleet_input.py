"""What check and path look at: the compiled overlay, or a folder of wg-quick files."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from malha.errors import InputError, Problem
from malha.overlay.model import Overlay
from malha.overlay.yaml_source import load_overlay
from malha.proof import codes
from malha.proof.folder import ASSUMPTIONS, states_of_files
from malha.proof.prove import Finding
from malha.secrets.fit import strange_keys
from malha.secrets.folder import folder_of
from malha.secrets.keys import derive_public_key
from malha.topology.compile import MissingKeyError, compile_overlay
from malha.wireguard.device import NodeState
from malha.wireguard.keys import PublicKey
from malha.wireguard.wg_quick import WgQuickFile, parse_wg_quick

MAX_FILE_BYTES = 64 * 1024 * 1024
"""A hundred thousand peers are some 20 MB."""

_KEY_NOT_IN_FILE = (
    "the private key is read on the node, so nobody can tell here which key is this machine's, "
    "and it is left out: check the overlay file, or files rendered where the keys are"
)


@dataclass(frozen=True)
class Fleet:
    """The machines to look at, and what came to light while they were read."""

    states: tuple[NodeState, ...]
    overlay: Overlay | None
    """None for a folder of files."""
    flaws: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[str, ...] = ()


def read_fleet(path: Path) -> Fleet:
    """Read an overlay file, or a folder of wg-quick files.

    Raises:
        InputError: when neither can be used.
    """
    return _read_folder(path) if path.is_dir() else _read_overlay(path)


def compile_states(overlay: Overlay, path: Path) -> dict[str, NodeState]:
    """Compile an overlay, saying what to do when keys are missing.

    Raises:
        InputError: when nodes have no public key.
    """

    try:
        return compile_overlay(overlay)
    except MissingKeyError as error:
        nodes = ", ".join(error.names[:5]) + (" …" if len(error.names) > 5 else "")
        raise InputError(
            f"{len(error.names)} of {len(overlay.nodes)} nodes have no public_key ({nodes}): "
            f"`malha keys new --overlay {path}` makes what is missing"
        ) from error


def _read_overlay(path: Path) -> Fleet:

    overlay = load_overlay(path)
    states = tuple(compile_states(overlay, path).values())
    findings = (*_unwritten_addresses(overlay), *_strange_keys(overlay, path))
    return Fleet(states, overlay, findings=findings)


def _strange_keys(overlay: Overlay, path: Path) -> list[Finding]:
    code = codes.STRANGE_PRIVATE_KEY
    declared = {node.name: node.public_key for node in overlay.nodes if node.public_key is not None}
    found = strange_keys(folder_of(path), declared)
    return [Finding(name, code.name, code.severity.value, text) for name, text in found.items()]


def _unwritten_addresses(overlay: Overlay) -> list[Finding]:
    code = codes.ADDRESS_NOT_WRITTEN
    return [
        Finding(
            node.name,
            code.name,
            code.severity.value,
            f"{', '.join(map(str, node.addresses))} is allocated but not in the file: "
            "`malha keys new` writes it",
        )
        for node in overlay.nodes
        if not node.addresses_written
    ]


def _read_folder(folder: Path) -> Fleet:

    paths = sorted(folder.glob("*.conf"))
    if not paths:
        raise InputError(f"{folder} has no .conf file: expected one <node>.conf per machine")
    files: dict[str, WgQuickFile] = {}
    flaws: list[Problem] = []
    for path in paths:
        file, found = _read_file(path)
        flaws += found
        if file is not None:
            files[path.stem] = file
    keys = {name: key for name, file in files.items() if (key := _public_key(file)) is not None}
    states = states_of_files(files, keys)
    return Fleet(states, None, flaws=tuple(flaws), assumptions=ASSUMPTIONS)


def _read_file(path: Path) -> tuple[WgQuickFile | None, list[Problem]]:

    if not path.name.isprintable():
        shown = path.with_name(ascii(path.name)[1:-1])
        return None, [_unreadable(shown, "a name that cannot be printed: expected <node>.conf")]
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            return None, [_unreadable(path, "not a regular file")]
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            return None, [_unreadable(path, f"larger than {MAX_FILE_BYTES} bytes")]
        text = raw.decode("utf-8")
    except OSError as error:
        return None, [_unreadable(path, str(error.strerror))]
    except UnicodeDecodeError:
        return None, [_unreadable(path, "not text in UTF-8")]
    file, flaws = parse_wg_quick(text)
    problems = [Problem(str(path), f.line, 1, f.code, f.message) for f in flaws]
    if file.private_key is None and not problems:
        problems.append(Problem(str(path), 0, 0, "key-not-in-file", _KEY_NOT_IN_FILE))
    return file, problems


def _unreadable(path: Path, why: str) -> Problem:
    return Problem(str(path), 0, 0, "unreadable-file", why)


def _public_key(file: WgQuickFile) -> PublicKey | None:

    return None if file.private_key is None else derive_public_key(file.private_key)
