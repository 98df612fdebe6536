"""Whatever stands in the file, the answer is an overlay or problems with places."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.errors import InputError, Problem
from malha.overlay.edit import add_node, remove_node
from malha.overlay.model import Overlay
from malha.overlay.yaml_source import source_of
from tests.effort import examples
from tests.unit.overlay.overlay_sample import SAMPLE

PIECES = st.sampled_from(
    ["\n", "  ", "{", "}", "[", "]", ": ", "- ", "? ", "#", "&a ", "*a", "!!x ", "|\n", ">-\n",
     "'", '"', "%", "@", "`", "\t", "\r", "\x00", "\x85", "\u2028", "\ufeff", "😀", "---\n",
     "...\n", "no", "~", "1", "-1", "1e999", ".nan", "0x", "<<: ", "null", "fd50::1",
     "10.50.0.1", "x" * 70]
)  # fmt: skip


@st.composite
def damaged_samples(draw: st.DrawFn) -> str:
    """The sample with pieces put in, taken out or put in place of others."""
    text = SAMPLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 3, 20])))
        text = text[:start] + draw(PIECES | st.text(max_size=3)) + text[end:]
    return text


@given(damaged_samples())
@settings(max_examples=examples(80))
def test_a_damaged_file_is_an_overlay_or_has_problems_with_places(text: str) -> None:
    try:
        overlay = source_of(text, Path("overlay.yaml")).overlay
    except InputError as error:
        _have_places(error.problems, text)
    else:
        assert isinstance(overlay, Overlay)


def _have_places(problems: tuple[Problem, ...], text: str) -> None:
    lines = sum(text.count(end) for end in ("\n", "\r", "\x85", "\u2028")) + 1
    assert problems
    for problem in problems:
        assert "\n" not in problem.message
        assert 0 <= problem.line <= lines + 1
        assert (problem.line == 0) == (problem.column == 0)


@given(damaged_samples())
@settings(max_examples=examples(40))
def test_edits_of_a_damaged_file_work_or_are_refused(text: str) -> None:
    try:
        source_of(text, Path("overlay.yaml"))
    except InputError:
        return
    for edit in (lambda: add_node(text, "new", {"region": "ap"}), lambda: remove_node(text, "sin")):
        try:
            edited = edit()
        except InputError:
            continue
        assert source_of(edited, Path("overlay.yaml")).overlay
