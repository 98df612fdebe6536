"""The reference says what the code says: every code, every key of the overlay file."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import runpy
import shlex
from typing import Any

import click
import pytest
from click.testing import CliRunner

from malha.cli.main import COMMANDS, cli
from malha.overlay import draft
from tests.repo.checkout import ROOT, SOURCE, commands_of, kept_texts, syntax_of

CODES_PAGE = runpy.run_path(str(ROOT / "tools" / "codes_page.py"))


def test_the_page_of_codes_is_what_its_script_writes() -> None:
    """`.venv/bin/python tools/codes_page.py` writes it anew."""
    assert kept_texts()["docs/reference/codes.md"] == CODES_PAGE["render_page"]()


def test_every_code_of_a_wg_quick_file_is_described() -> None:
    calls = [
        node
        for node in ast.walk(syntax_of(SOURCE / "wireguard" / "wg_quick.py"))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("_flaw", "_try")
    ]
    codes = {c.args[1].value for c in calls if isinstance(c.args[1], ast.Constant)}
    assert len(codes) > 5
    assert codes | {"unreadable-file", "key-not-in-file"} == CODES_PAGE["WG_QUICK_CODES"].keys()


def test_every_key_of_the_overlay_file_is_described() -> None:
    schemas = [value for value in vars(draft).values() if isinstance(value, draft.Schema)]
    keys = {key for schema in schemas for key in schema.readers}
    assert {"overlay", "subnet", "via_exit", "pin", "rtt_ms"} <= keys
    for name in ("docs/overlay-file.md", "docs/overlay-file.pt-BR.md"):
        assert not [key for key in sorted(keys) if f"| `{key}` |" not in kept_texts()[name]]


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_the_readme_lists_the_commands_that_exist(readme: str) -> None:
    listed = re.findall(r"^\| `malha (\w+)` \|", kept_texts()[readme], re.MULTILINE)
    assert listed == list(COMMANDS)


def test_every_command_in_the_documents_exists_and_takes_its_options() -> None:
    """Each `malha …` line of a shell block is parsed by the command line itself, not run."""
    lines = [
        (name, line)
        for name, text in kept_texts().items()
        if name.endswith(".md")
        for line in commands_of(text)
        if line.startswith(("malha ", ".venv/bin/malha "))
    ]
    assert len(lines) > 10
    for name, line in lines:
        assert not complaint_about(line), name


def complaint_about(line: str) -> str:
    """What the command line has against a command; empty if it would run it."""
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"no command {words[0]}"
        command, words = found, words[1:]
    try:
        with contextlib.suppress(click.exceptions.Exit):  # of --help
            command.make_context(line, list(words))
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_a_wrong_command_line_is_noticed() -> None:
    assert "--no-such-option" in complaint_about("malha lab up --no-such-option")
    assert complaint_about("malha no-such-command")
    assert not complaint_about("malha lab up --overlay overlay.yaml")


def shape_of(value: object) -> object:
    """What a JSON value is made of: keys, and the shape of a list's first element."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return None


def documented_json(command: str) -> list[dict[str, Any]]:
    """The JSON blocks of a command's section in docs/reference/json.md."""
    sections = re.split(r"^## ", kept_texts()["docs/reference/json.md"], flags=re.MULTILINE)
    (section,) = (section for section in sections if section.startswith(f"{command}\n"))
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]


@pytest.mark.parametrize(
    "line", ["check", "show", "show ap", "path gru nrt", "check examples/edgeproxy/as-written"]
)
def test_the_documented_json_is_what_is_printed(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [*line.split(), "--overlay", "examples/edgeproxy/overlay.yaml", "--json"]
    printed = json.loads(CliRunner().invoke(cli, arguments).stdout)
    top_keys = {frozenset(block) for block in documented_json(line.split(maxsplit=1)[0])}
    assert frozenset(printed) in top_keys


def test_the_documented_failure_is_the_one_that_is_found() -> None:
    """The example of `check` is not made up: pairs, count, keys and the failure itself."""
    (documented,) = documented_json("check")
    folder = str(ROOT / "examples" / "edgeproxy" / "as-written")
    result = CliRunner().invoke(cli, ["check", folder, "--json"])
    printed = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [printed[key] for key in ("nodes", "pairs", "reachable")] == [12, 132, 70]
    assert [documented[key] for key in ("nodes", "pairs", "reachable")] == [12, 132, 70]
    assert shape_of(printed["failures"]) == shape_of(documented["failures"])
    told = {key: value for key, value in documented["failures"][0].items() if key != "detail"}
    assert told in [{k: f[k] for k in told} for f in printed["failures"]]
