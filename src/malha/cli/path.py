"""`malha path A B`: one packet, hop by hop, there and back."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from malha.cli.fleet_input import Fleet, read_fleet
from malha.cli.output import json_option, note, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.proof.walk import Step, Walk, walk
from malha.proof.world import World


@click.command()
@click.argument("source")
@click.argument("target")
@overlay_option
@json_option
@click.pass_context
def path(ctx: click.Context, source: str, target: str, overlay_path: Path, as_json: bool) -> None:
    """Follow one packet from SOURCE to TARGET and its reply, hop by hop.

    --overlay may also name a folder of wg-quick files. Exit 1 when the packet or its reply does
    not arrive.
    """
    fleet = read_fleet(overlay_path)
    for flaw in fleet.flaws:
        note(f"error    {flaw}")
    world = World(fleet.states)
    a, b = _index(world, source), _index(world, target)
    if a == b:
        raise InputError(f"{source} is both ends: a path needs two nodes")
    walks = [
        (leg, walk(world, *ends, family))
        for family in world.families
        for leg, ends in (("request", (a, b)), ("reply", (b, a)))
    ]
    if as_json:
        print_json({"from": source, "to": target, "legs": [_tree(*one) for one in walks]})
    else:
        for leg, walked in walks:
            _print_walk(leg, walked, fleet)
    ctx.exit(1 if any(walked.drop is not None for _, walked in walks) else 0)


def _index(world: World, name: str) -> int:
    if name in world.index:
        return world.index[name]
    near = difflib.get_close_matches(name, world.index, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    raise InputError(f"no node is called {name!r}{hint}")


def _tree(leg: str, walked: Walk) -> dict[str, Any]:
    drop = walked.drop
    return {
        "leg": leg,
        "family": walked.family,
        "arrives": drop is None,
        "nodes": list(walked.nodes),
        "steps": [
            {
                "node": step.node,
                "device": step.device,
                "route": str(step.route),
                "peer": step.peer,
                "allowed_ip": str(step.allowed_ip),
                "dials": step.dials,
            }
            for step in walked.steps
        ],
        "drop": None
        if drop is None
        else {"at": drop.node, "cause": drop.cause.name, "detail": drop.detail},
    }


def _print_walk(leg: str, walked: Walk, fleet: Fleet) -> None:
    click.echo(
        click.style(f"{leg}, IPv{walked.family}: {walked.source} → {walked.target}", bold=True)
    )
    for step in walked.steps:
        click.echo(f"  {step.node}")
        click.echo(f"  │ {_describe(step)}{_time(step, fleet)}")
    drop = walked.drop
    if drop is None:
        click.echo(f"  {walked.target}  ✓ arrives")
    else:
        click.echo(f"  {drop.node}  ✗ dropped here: {drop.cause.name}")
        click.echo(f"    {drop.detail}")
        click.echo(f"    mend: {drop.cause.mend}")
    click.echo()


def _describe(step: Step) -> str:
    where = f"at {step.dials}" if step.dials is not None else "where it dialled in from"
    route = "" if step.route == step.allowed_ip else f"route {step.route}, "
    return f"{route}{step.device}, allowed IP {step.allowed_ip} → {step.peer} {where}"


def _time(step: Step, fleet: Fleet) -> str:
    """The link's round-trip time, if the overlay knows one."""
    if fleet.overlay is None:
        return ""
    pair = tuple(sorted((step.node, step.peer)))
    latency = fleet.overlay.latency
    for times, mark in ((latency.rtt_us, ""), (latency.estimated_us, " (estimate)")):
        for known, rtt_us in times:
            if known == pair:
                return f", {rtt_us / 1000:g} ms{mark}"
    return ""
