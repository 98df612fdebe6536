"""`malha`: finds the command, runs it, and turns errors into exit codes.

Commands are imported when they are called, so that `malha --help` costs little.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from malha import __version__
from malha.errors import InputError, MalhaError

COMMANDS: dict[str, str] = {
    "init": "write a commented overlay.yaml to start from",
    "show": "the overlay, or one node of it; as a table or a graph",
    "add": "add a node, and say which nodes must change",
    "remove": "remove a node, and say which nodes must change",
    "keys": "make and list keys",
    "check": "prove that every pair can talk, before a node is touched",
    "path": "follow one packet, hop by hop, there and back",
    "render": "write each node's configuration files",
    "lab": "run the overlay on this machine, with real WireGuard",
}
"""Command → one line of help. The command is `malha.cli.<name>:<name>`."""


class LazyGroup(click.Group):
    """Knows every command's name and help line; imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of an operator's day, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and give its command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"malha.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="malha")
def cli() -> None:
    """Compile one file into a WireGuard overlay, prove it, run it.

    The overlay file is ./overlay.yaml, or --overlay FILE, or $MALHA_OVERLAY.

    Exit codes: 0 fine; 1 it worked and found something wrong; 2 the input or the call is
    unusable; 3 this machine lacks something, and the message says which command mends it.
    """


def _say(error: MalhaError, *, as_json: bool) -> None:
    if isinstance(error, InputError) and error.problems:
        for problem in error.problems:
            click.echo(str(problem), err=True)
    click.echo(f"malha: {error}", err=True)
    if as_json:
        import json  # noqa: PLC0415 - a tenth of the time of `malha --help`

        problems = error.problems if isinstance(error, InputError) else ()
        click.echo(
            json.dumps(
                {
                    "error": str(error),
                    "problems": [
                        {
                            "file": problem.file,
                            "line": problem.line,
                            "column": problem.column,
                            "code": problem.code,
                            "message": problem.message,
                        }
                        for problem in problems
                    ],
                }
            )
        )


def _drop_stdout() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's end does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run malha with this process's arguments, and end with its exit code."""
    as_json = "--json" in sys.argv[1:]
    try:
        result = cli.main(standalone_mode=False, prog_name="malha")
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except MalhaError as error:
        _say(error, as_json=as_json)
        code = error.exit_code
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("malha: interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader (head, less) has gone; what it wanted is what it got.
        _drop_stdout()
        code = 0
    except OSError as error:
        # What no command foresees: a path too long for the kernel, a folder of another user's,
        # a full disk behind stdout.
        place = f"{os.fsdecode(error.filename)}: " if error.filename else "writing the answer: "
        unusable = InputError(f"{place}{(error.strerror or str(error)).lower()}")
        _say(unusable, as_json=as_json and bool(error.filename))
        if not error.filename:
            _drop_stdout()
        code = unusable.exit_code
    sys.exit(code)
