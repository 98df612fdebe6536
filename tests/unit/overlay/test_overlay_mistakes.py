"""Every kind of mistake in an overlay file: its code, its place, what the message says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from malha.errors import Problem
from malha.overlay.codes import CODES
from tests.unit.overlay.overlay_sample import KEY_A, SAMPLE, changed, place_of, problems_of

# Each line: what is changed in the sample, into what, the code, the text at whose beginning the
# problem is placed (null: anywhere), words of the message.
CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "mistakes.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("old", "new", "code", "place", "words"), CASES)
def test_a_mistake_is_named_with_its_place(
    old: str, new: str, code: str, place: str | None, words: str
) -> None:
    text = changed(old, new)
    matching = [problem for problem in problems_of(text) if problem.code == code]
    assert matching, problems_of(text)
    assert words in matching[0].message
    if place is not None:
        assert (matching[0].line, matching[0].column) == place_of(text, place)


def test_all_problems_come_at_once_and_sorted() -> None:
    text = SAMPLE.replace("51821", "99999").replace("role: pop", "role: pip")
    text = text.replace("10.50.4.7", "nonsense").replace("[hub-1, sin]", "[hub-1, nobody]")
    problems = problems_of(text)
    codes = [problem.code for problem in problems]
    assert codes == ["bad-port", "bad-choice", "bad-address", "unknown-node"]
    assert problems == tuple(sorted(problems))


def test_problems_of_yaml_and_of_the_overlay_come_together() -> None:
    text = changed("  nrt: {region: ap", "  hub-1: {region: ap").replace("51821", "99999")
    codes = [problem.code for problem in problems_of(text)]
    assert codes[:2] == ["bad-port", "repeated-key"]


def test_a_misspelt_role_is_not_also_a_missing_hub() -> None:
    codes = {p.code for p in problems_of(changed("role: hub", "role: hubb"))}
    assert codes == {"bad-choice"}


SECRET = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"public_key: {KEY_A}", f"public_key: {SECRET}x"),
        ("exit: true", f"private_key: {SECRET}"),
        ("exit: true", f"privat: {SECRET}"),
        ("exit: true", f"{SECRET}: true"),
        ("region: hkg\n", f"region: {SECRET}\n"),
        ("serves: [ap]", f"serves: [{SECRET}]"),
        ('"hkg.example.org:51820"', f'"{SECRET}"'),
        ('"hkg.example.org:51820"', f'"{SECRET}:51820"'),
        ("  nrt: {", f"  {SECRET}: {{"),
        ("add: [[hub-1, nrt]]", f"add: [[hub-1, {SECRET}]]"),
        ("nrt: 250.5", f"nrt: {SECRET}"),
        ("how_estimated: great circle", f"how_estimated: *{SECRET}"),
        ("overlay: sample", f"overlay: !{SECRET} sample"),
        ("address: 10.50.4.7", f"address: {SECRET}"),
        ("subnet: 10.50.5.0/24", f"subnet: {SECRET}/24"),
        ("listen_port: 51820", f"listen_port: {SECRET}"),
        ("role: pop", f"role: {SECRET}"),
    ],
)
def test_what_could_be_a_private_key_is_never_repeated(old: str, new: str) -> None:
    problems = problems_of(changed(old, new))
    assert SECRET[:12] not in "\n".join(map(str, problems))


def test_every_code_in_use_is_registered_and_every_registered_one_is_used() -> None:
    source = Path(__file__).parents[3] / "src" / "malha" / "overlay"
    used = set()
    for file in sorted(source.glob("*.py")):
        if file.name not in ("codes.py", "model.py"):
            used |= set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', file.read_text()))
    used |= {"unknown-node", "unknown-region"}
    assert used - set(CODES) <= {"utf-8", "ascii-safe"}
    assert set(CODES) <= used


def test_a_problem_prints_as_file_line_column_message_code() -> None:
    problem = Problem("a.yaml", 3, 7, "bad-port", "99999 is not a port")
    assert str(problem) == "a.yaml:3:7: 99999 is not a port [bad-port]"


def test_an_endpoint_with_a_bad_port_is_not_also_said_to_be_missing() -> None:
    text = changed("hkg.example.org:51820", "hkg.example.org:99999")
    assert {p.code for p in problems_of(text)} == {"bad-endpoint"}


def test_a_forbidden_link_to_an_exit_is_taken_out_of_the_forbidden_ones() -> None:
    (problem,) = (p for p in problems_of(_forbidding_the_exit()) if p.code == "exit-not-linked")
    assert "take the pair out of links.forbid" in problem.message


def _forbidding_the_exit() -> str:
    exits = [line for line in SAMPLE.splitlines() if "via_exit" in line]
    user = exits[0].split(":")[0].strip()
    exit_name = re.search(r"via_exit: ([\w-]+)", exits[0])
    assert exit_name is not None
    return re.sub(r"forbid: \[", f"forbid: [[{user}, {exit_name[1]}], ", SAMPLE, count=1)
