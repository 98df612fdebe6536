"""overlay.yaml and the latency file it names: text in, overlay out, problems with their places.

The only module of the pure packages that imports yaml or reads a file. It reads libyaml's
events itself, because the usual loaders take what an overlay file must not have: duplicate
keys, aliases, tags, `no` for a name. Rule: the text may come from anybody; size, depth and
references are bounded before use.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml

from malha.errors import InputError, Problem
from malha.overlay.flaws import Flaw, InvalidOverlay, shown
from malha.overlay.model import Overlay
from malha.overlay.syntax import (
    Document,
    Entry,
    Mapping,
    Scalar,
    Sequence,
    Syntax,
    is_ambiguous,
    locate,
    plain_value,
    quote_it,
    scalar_at,
)
from malha.overlay.validate import validate_overlay

MAX_FILE_BYTES = 16 * 1024 * 1024
BYTE_ORDER_MARK = "\ufeff"
MAX_DEPTH = 16
"""The schema needs 4; deeper nesting is a mistake or an attack on the reader's stack."""

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """An overlay file as it was read: the overlay, and the texts it came from."""

    path: FilePath
    document: Document
    overlay: Overlay
    latency: tuple[FilePath, Document] | None
    """The latency file and its text, when the overlay names one."""


def load_overlay(path: FilePath) -> Overlay:
    """Read, check and give the overlay of a file.

    Raises:
        InputError: with all problems, sorted by place.
    """
    return load_source(path).overlay


def load_source(path: FilePath) -> Source:
    """Read an overlay file and keep its texts, for commands that edit them.

    Raises:
        InputError: as `load_overlay`.
    """
    absent = "no such file: 'malha init' writes one, --overlay FILE names another"
    return source_of(read_text_file(path, absent=absent), path)


def source_of(text: str, path: FilePath, latency_text: str | None = None) -> Source:
    """Check an overlay's text as if it stood in `path`.

    Args:
        text: the overlay file's text.
        path: where the latency file is looked for, and what problems are named after.
        latency_text: used in place of the latency file's own, when given.

    Raises:
        InputError: as `load_overlay`.
    """
    document, problems = _parse(text, str(path))
    tree, latency, overlay = document.tree, None, None
    if isinstance(tree, dict) and isinstance(tree.get("latency"), str):
        latency, more = _read_latency(path, document, latency_text)
        problems += more
        tree = {**tree, "latency": latency[1].tree if latency else None}
    try:
        overlay = validate_overlay(tree)
    except InvalidOverlay as invalid:
        problems += [_problem(flaw, path, document, latency) for flaw in invalid.flaws]
    if problems or overlay is None:
        message = f"{path} declares an overlay that cannot be used"
        raise InputError(message, tuple(sorted(set(problems))))
    return Source(path, document, overlay, latency)


def _read_latency(
    path: FilePath, document: Document, latency_text: str | None
) -> tuple[tuple[FilePath, Document] | None, list[Problem]]:
    file = path.parent / document.tree["latency"]
    try:
        text = read_text_file(file) if latency_text is None else latency_text
    except InputError as error:
        line, column = locate(document.syntax, Flaw(("latency",), "", ""))
        message = "; ".join(problem.message for problem in error.problems)
        problem = Problem(
            str(path), line, column, "latency-file", f"{shown(document.tree['latency'])}: {message}"
        )
        return None, [problem]
    latency, problems = _parse(text, str(file))
    return (file, latency), problems


def _problem(
    flaw: Flaw, path: FilePath, document: Document, latency: tuple[FilePath, Document] | None
) -> Problem:
    if latency and flaw.path[:1] == ("latency",):
        flaw = Flaw(flaw.path[1:], flaw.code, flaw.message, flaw.at_key)
        path, document = latency
    message = flaw.message
    scalar = scalar_at(document.syntax, flaw.path) if flaw.code == "not-text" else None
    if scalar and scalar.is_plain and scalar.text:
        message = quote_it(scalar.text)
    return Problem(str(path), *locate(document.syntax, flaw), flaw.code, message)


def read_text_file(path: FilePath, *, absent: str = "no such file") -> str:
    """Read a small text file.

    Raises:
        InputError: when it is missing, no file, too large, empty or no UTF-8 text.
    """
    try:
        raw = _read_bounded(path)
        text = raw.decode("utf-8")
    except FileNotFoundError as error:
        raise _unreadable(path, "no-file", absent) from error
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise _unreadable(path, "unreadable-file", f"cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"byte {raw[error.start]:#04x} is no UTF-8 text: is this a binary file?"
        raise _unreadable(path, "not-text", message, line=line) from error
    except ValueError as error:  # a path with a NUL in it
        raise _unreadable(path, "no-file", absent) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _unreadable(path, "not-text", "a NUL byte: is this a binary file?", line=line)
    if not text.strip().removeprefix(BYTE_ORDER_MARK):
        raise _unreadable(path, "empty-file", "the file is empty")
    return text


def _read_bounded(path: FilePath) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "unreadable-file", "is not a regular file")
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1) if status.st_size <= MAX_FILE_BYTES else None
    if raw is None or len(raw) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 2**20
        raise _unreadable(path, "file-too-large", f"larger than {limit} MiB: not an overlay file")
    return raw


def _unreadable(path: FilePath, code: str, message: str, *, line: int = 0) -> InputError:
    problem = Problem(str(path), line, 1 if line else 0, code, message)
    return InputError(f"{path} cannot be used", (problem,))


def parse_document(text: str, file: str) -> Document:
    """Read one YAML document of the plain kind that overlay files are.

    Raises:
        InputError: with problems that name line and column.
    """
    document, problems = _parse(text, file)
    if problems:
        raise _refusal(problems)
    return document


def _parse(text: str, file: str) -> tuple[Document, list[Problem]]:
    """Read a document, and what is wrong with it though its sense is clear."""
    bare = text.removeprefix(BYTE_ORDER_MARK)
    reader = _Reader(file)
    try:
        tree, syntax = reader.read_document(iter(yaml.parse(bare, Loader=_LOADER)))
    except yaml.MarkedYAMLError as error:
        raise _refusal([_syntax_problem(file, error)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if error.position >= 0 else 1
        message = f"a character that YAML does not allow ({error.reason})"
        raise _refusal([Problem(file, line, 1, "not-text", message)]) from error
    return Document(bare, tree, syntax, text[: len(text) - len(bare)]), reader.problems


def _refusal(problems: list[Problem]) -> InputError:
    return InputError("the file cannot be used", tuple(sorted(problems)))


def _syntax_problem(file: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    context = f" ({error.context})" if error.context else ""
    return Problem(file, *place, "yaml-syntax", f"not YAML: {error.problem}{context}")


class _Reader:
    """Builds tree and syntax from events, and notes what an overlay file may not have."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.events: Iterator[Any] = iter(())

    def read_document(self, events: Iterator[Any]) -> tuple[Any, Syntax]:
        self.events = events
        next(events)  # StreamStart
        start = next(events)
        if not isinstance(start, yaml.DocumentStartEvent):
            raise _refusal([Problem(self.file, 0, 0, "empty-file", "the file is empty")])
        tree, syntax = self._read(next(events), 0)
        next(events)  # DocumentEnd
        extra = next(events)
        if isinstance(extra, yaml.DocumentStartEvent):
            self._note(extra, "yaml-documents", "a second document: an overlay file has one")
        if tree is None and isinstance(syntax, Scalar):
            raise _refusal([Problem(self.file, 0, 0, "empty-file", "the file says nothing")])
        return tree, syntax

    def _note(self, event: Any, code: str, message: str) -> None:
        mark = event.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, code, message))

    def _read(self, event: Any, depth: int) -> tuple[Any, Syntax]:
        if isinstance(event, yaml.AliasEvent):
            self._note(event, "yaml-alias", f"alias *{shown(event.anchor, quote='')}: write it out")
            raise _refusal(self.problems)
        if event.anchor is not None:
            name = shown(event.anchor, quote="")
            self._note(event, "yaml-alias", f"anchor &{name}: write values out where they are used")
        if event.tag is not None and event.tag != "!":
            self._note(event, "yaml-tag", f"tag {shown(event.tag)}: values here need no type")
        if isinstance(event, yaml.ScalarEvent):
            scalar = _scalar(event)
            return (plain_value(scalar.text) if scalar.is_plain else scalar.text), scalar
        if depth >= MAX_DEPTH:
            self._note(event, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
            raise _refusal(self.problems)
        if isinstance(event, yaml.MappingStartEvent):
            return self._read_mapping(event, depth)
        return self._read_sequence(event, depth)

    def _read_mapping(self, start: Any, depth: int) -> tuple[Any, Syntax]:
        mark: Any = start.start_mark
        syntax = Mapping(mark.index, 0, mark.line + 1, mark.column + 1, bool(start.flow_style))
        tree: dict[str, Any] = {}
        event: Any = next(self.events)
        while not isinstance(event, yaml.MappingEndEvent):
            key = self._read_key(event)
            value, inner = self._read(next(self.events), depth + 1)
            if key.text in tree:
                first = syntax.entries[key.text].key.line
                message = f"{shown(key.text)} is already in line {first}: a key stands once"
                self._note(event, "repeated-key", message)
            else:
                tree[key.text] = value
                syntax.entries[key.text] = Entry(key, inner)
            event = next(self.events)
        last = next(reversed(syntax.entries.values()), None)
        mark = event.end_mark
        syntax.end = mark.index if syntax.is_flow or not last else last.end
        return tree, syntax

    def _read_key(self, event: Any) -> Scalar:
        if not isinstance(event, yaml.ScalarEvent):
            self._note(event, "wrong-type", "a key is a name, not a list or a mapping")
            raise _refusal(self.problems)
        key = _scalar(event)
        if event.anchor is not None or (event.tag is not None and event.tag != "!"):
            self._note(event, "yaml-tag", "a key has neither anchor nor tag")
        if key.text == "<<":
            self._note(event, "yaml-alias", "merge key <<: write values out where they are used")
        elif key.is_plain and is_ambiguous(key.text):
            self._note(event, "unquoted-name", quote_it(key.text))
        return key

    def _read_sequence(self, start: Any, depth: int) -> tuple[Any, Syntax]:
        mark: Any = start.start_mark
        syntax = Sequence(mark.index, 0, mark.line + 1, mark.column + 1, bool(start.flow_style))
        tree = []
        event: Any = next(self.events)
        while not isinstance(event, yaml.SequenceEndEvent):
            value, inner = self._read(event, depth + 1)
            tree.append(value)
            syntax.items.append(inner)
            event = next(self.events)
        ends_block = not syntax.is_flow and syntax.items
        mark = event.end_mark
        syntax.end = syntax.items[-1].end if ends_block else mark.index
        return tree, syntax


def _scalar(event: Any) -> Scalar:
    start, end = event.start_mark, event.end_mark
    is_plain = not event.style
    return Scalar(event.value, start.index, end.index, start.line + 1, start.column + 1, is_plain)
