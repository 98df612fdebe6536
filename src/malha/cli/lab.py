"""`malha lab`: the overlay on this machine, as real WireGuard in network namespaces."""

# ruff: noqa: PLC0415 - each command loads only what it needs: `lab run` starts in a blink
from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from malha.overlay.model import Topology

_NAME = click.option("--name", default="lab", show_default=True, help="Which lab.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_OVERLAY = click.option(
    "--overlay",
    "path",
    default="overlay.yaml",
    show_default=True,
    envvar="MALHA_OVERLAY",
    help="The overlay file.",
)


@click.group()
def lab() -> None:
    """Run the overlay on this machine: one network namespace per node, real WireGuard, and an
    emulated internet with the overlay's round-trip times.

    A lab makes keys of its own in memory and puts them in the place of every node's declared
    key; nothing is read from the folder of private keys. It changes nothing of the machine and
    leaves nothing behind. Without root it needs user namespaces and an open /dev/net/tun.
    """


@lab.command()
@_NAME
@_OVERLAY
@click.option(
    "--topology",
    type=click.Choice([topology.value for topology in Topology]),
    help="Instead of the one that the file declares.",
)
@_JSON
def up(name: str, path: str, topology: str | None, as_json: bool) -> None:
    """Start a lab and leave it running in the background."""
    from pathlib import Path

    from malha.lab.daemon import start_daemon
    from malha.lab.overlay_lab import OverlayLab
    from malha.lab.state_dir import state_dir
    from malha.overlay.yaml_source import load_overlay

    place = state_dir(name)
    overlay = load_overlay(Path(path))
    chosen = overlay.topology if topology is None else Topology(topology)
    prepared = OverlayLab.prepare(overlay)
    facts = {"overlay": overlay.name, "topology": chosen.value}
    began_at = time.monotonic()
    start_daemon(
        place,
        lambda on_ready: prepared.start(chosen, on_ready=on_ready),
        facts,
        on_starting=lambda: click.echo(f"starting {len(overlay.nodes)} nodes …", err=True),
    )
    seconds = round(time.monotonic() - began_at, 2)
    nodes = [node.name for node in overlay.nodes]
    if as_json:
        _answer({"name": name, "nodes": nodes, "seconds": seconds, **facts})
        return
    click.echo(f"lab {name}: {len(nodes)} nodes, {chosen.value}, up in {seconds} s")
    click.echo(f"next: {_command('run', name)} {nodes[0]} -- wg show", err=True)


@lab.command()
@_NAME
@_JSON
def down(name: str, as_json: bool) -> None:
    """Stop a lab; every process and namespace of it ends. Of one that crashed, which has none
    left, the folder with its log goes."""
    from malha.lab.control import ask
    from malha.lab.state_dir import state_dir

    place = state_dir(name)
    was_stale = place.remove_if_stale()
    if not was_stale:
        ask(place, {"op": "down"})
    if as_json:
        _answer({"name": name, "stopped": True})
    else:
        click.echo(
            f"lab {name}: " + ("had crashed; its log is removed" if was_stale else "stopped")
        )


@lab.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAME
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run a COMMAND inside a NODE of a running lab: `malha lab run hkg -- ping 10.50.0.1`.

    The exit code is the command's own.
    """
    from malha.lab.entering import run_inside
    from malha.lab.state_dir import state_dir

    # click keeps the "--" that ends options once a positional argument came before it.
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise click.UsageError("which command? malha lab run NODE -- COMMAND …")
    sys.exit(run_inside(state_dir(name), node, argv))


@lab.command("list")
@_JSON
def list_labs(as_json: bool) -> None:
    """List the labs of this user."""
    from malha.lab.state_dir import known_labs

    rows = [_describe(place) for place in known_labs()]
    if as_json:
        _answer({"labs": rows})
        return
    for row in rows:
        click.echo(f"{row['name']}: {_details(row)}")
    if not rows:
        click.echo("no lab runs: malha lab up", err=True)


def _details(row: dict[str, Any]) -> str:
    if not row["running"]:
        return "crashed; `malha lab up` of this name replaces it, `malha lab down` removes it"
    return f"{row['overlay']}, {row['topology']}, {len(row['nodes'])} nodes"


def _describe(place: Any) -> dict[str, Any]:
    from malha.errors import MalhaError
    from malha.lab.control import ask

    nothing: dict[str, Any] = {"name": place.name, "running": False, "nodes": []}
    try:
        status, _ = ask(place, {"op": "status"})
    except MalhaError:
        return nothing
    return {**nothing, "running": True, **status}


@lab.command()
@click.option("--overlay", "path", help="Instead of examples/edgeproxy/overlay.yaml.")
@_JSON
def demo(path: str | None, as_json: bool) -> None:
    """Run the first user's overlay, change it live, and print what was measured."""
    from malha.cli.lab_demo import show_demo

    sys.exit(show_demo(path, as_json=as_json))


def _command(verb: str, name: str) -> str:
    return f"malha lab {verb}" + ("" if name == "lab" else f" --name {name}")


def _answer(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
