"""Tables: whole where a program reads them, fitted where a person does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from malha.cli.output import print_table

HEADER = ("from", "cause", "detail")
ROW = ("a-backend-with-a-name", "a-cause-of-more-than-twenty-letters", "words " * 20 + "end")
BOLD = "\x1b[1m"


@pytest.fixture
def print_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Prints the first columns of the table on a terminal that knows bold."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def print_columns(count: int = 3) -> None:
        # pytest puts another stdout in place for the test itself: only now is it this one.
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_table([ROW[:count]], HEADER[:count])

    return print_columns


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_nothing_is_cut_where_no_terminal_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table([ROW], HEADER)
    assert lines_of(capsys)[1].split("  ") == list(ROW)


@pytest.mark.parametrize(
    ("columns", "widths"),
    [(300, (21, 35, 123)), (100, (21, 35, 40)), (80, (21, 35, 20)), (72, (13, 35, 20))],
)
def test_the_last_column_gives_way_first(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    print_on_terminal: Callable[..., None],
    columns: int,
    widths: tuple[int, ...],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_on_terminal()
    cells = [
        cell if len(cell) <= width else cell[: width - 1] + "…"
        for cell, width in zip(ROW, widths, strict=True)
    ]
    line = lines_of(capsys)[1]
    assert line == "  ".join(cells)
    assert len(line) <= columns


def test_a_cause_is_never_cut(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    print_on_terminal: Callable[..., None],
) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    print_on_terminal()
    print_on_terminal(2)
    assert [ROW[1] in line for line in lines_of(capsys)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("setting", "is_bold"),
    [(("TERM", "xterm"), True), (("TERM", "dumb"), False), (("NO_COLOR", "1"), False)],
)
def test_bold_is_for_terminals_that_want_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    print_on_terminal: Callable[..., None],
    setting: tuple[str, str],
    is_bold: bool,
) -> None:
    monkeypatch.setenv(*setting)
    print_on_terminal()
    assert (BOLD in capsys.readouterr().out) == is_bold
