"""One tree of errors, by who must act. The CLI turns each branch into an exit code.

Rule: a message says what to do, in one sentence, and never holds a private key.
"""

from __future__ import annotations

from dataclasses import dataclass


class MalhaError(Exception):
    """Anything malha says about something that went wrong."""

    exit_code = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in one place of a file."""

    file: str
    line: int
    """1 is the first line; 0 when the place is the whole file."""
    column: int
    """1 is the first column; 0 when the place is the whole line."""
    code: str
    """Stable, kebab-case, for machines: `unknown-key`, `duplicate-address`, …"""
    message: str
    """What is wrong, the value, and what is allowed."""

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column}"
        return f"{place}: {self.message} [{self.code}]"


class InputError(MalhaError):
    """The author of a file, or the caller, must act. Exit 2. Nothing was written."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class MissingError(MalhaError):
    """This machine lacks something; `mend` is the command that supplies it. Exit 3."""

    exit_code = 3

    def __init__(self, message: str, *, mend: str) -> None:
        super().__init__(f"{message}\n  mend: {mend}")
        self.mend = mend


class UnprovenError(MalhaError):
    """What was asked for would leave pairs that cannot talk. Exit 1. Nothing was written."""


class OtherSideError(MalhaError):
    """Another machine or service did not answer as it should. Exit 1."""


class InternalError(MalhaError):
    """A defect of malha itself. Exit 1; please report it."""
