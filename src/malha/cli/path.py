"""`malha path A B`: one packet, hop by hop, there and back; B may be an address."""

from __future__ import annotations

import difflib
import ipaddress
from pathlib import Path
from typing import Any

import click

from malha.cli.fleet_input import read_fleet
from malha.cli.output import json_option, note, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.overlay.model import Overlay
from malha.proof.walk import Step, Walk, walk, walk_back, walk_out
from malha.proof.world import World
from malha.topology.links import derive_links
from malha.topology.weights import derive_weights
from malha.wireguard.device import Address


@click.command()
@click.argument("source")
@click.argument("target")
@overlay_option
@json_option
@click.pass_context
def path(ctx: click.Context, source: str, target: str, overlay_path: Path, as_json: bool) -> None:
    """Follow one packet from SOURCE to TARGET and its reply, hop by hop.

    TARGET is a node or an address: a node's own, one in a subnet behind a node, or one beyond an
    exit. --overlay may also name a folder of wg-quick files. Exit 1 when the packet or its reply
    does not arrive.
    """
    fleet = read_fleet(overlay_path)
    for flaw in fleet.flaws:
        note(f"error    {flaw}")
    world = World(fleet.states)
    walks = _walks(world, source, target)
    if as_json:
        print_json({"from": source, "to": target, "legs": [_tree(*one) for one in walks]})
    else:
        times = {} if fleet.overlay is None else _times(fleet.overlay)
        for leg, walked in walks:
            _print_walk(leg, walked, times)
    ctx.exit(1 if any(walked.drop is not None for _, walked in walks) else 0)


def _walks(world: World, source: str, target: str) -> list[tuple[str, Walk]]:
    """(leg, way) of the request and the reply, in each family that they may have."""
    a, address = _index(world, source), _address(target)
    owners = () if address is None else world.owners.get(address, ())
    if address is not None and not owners and target not in world.index:
        return _walks_outside(world, a, address)
    b = owners[0] if owners else _index(world, target)
    if a == b:
        raise InputError(f"{source} is both ends: a path needs two nodes")
    return [
        (leg, walk(world, *ends, family))
        for family in (world.families if address is None else (address.version,))
        for leg, ends in (("request", (a, b)), ("reply", (b, a)))
    ]


def _walks_outside(world: World, source: int, address: Address) -> list[tuple[str, Walk]]:
    """There is a reply only to a request that leaves the overlay: before, nobody knows where."""
    out = walk_out(world, source, address)
    if out.gateway is None:
        return [("request", out)]
    back = walk_back(world, world.index[out.gateway], address, source)
    return [("request", out), ("reply", back)]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


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


def _print_walk(leg: str, walked: Walk, times: Times) -> None:
    click.echo(
        click.style(f"{leg}, IPv{walked.family}: {walked.source} → {walked.target}", bold=True)
    )
    for step in walked.steps:
        click.echo(f"  {step.node}")
        click.echo(f"  │ {_describe(step)}{_time(step, times)}")
    drop = walked.drop
    if drop is None:
        beyond = "" if walked.gateway is None else f", {walked.target} is beyond"
        click.echo(f"  {walked.nodes[-1]}  ✓ arrives{beyond}")
    else:
        click.echo(f"  {drop.node}  ✗ dropped here: {drop.cause.name}")
        click.echo(f"    {drop.detail}")
        click.echo(f"    mend: {drop.cause.mend}")
    click.echo()


def _describe(step: Step) -> str:
    where = f"at {step.dials}" if step.dials is not None else "where it dialled in from"
    route = "" if step.route == step.allowed_ip else f"route {step.route}, "
    return f"{route}{step.device}, allowed IP {step.allowed_ip} → {step.peer} {where}"


Times = dict[tuple[str, str], str]
"""The text of each link's round-trip time, by its ends sorted."""


def _time(step: Step, times: Times) -> str:
    """The link's round-trip time, if the overlay knows one."""
    text = times.get((min(step.node, step.peer), max(step.node, step.peer)))
    return "" if text is None else f", {text}"


def _times(overlay: Overlay) -> Times:
    """Measured times as they were given, else the estimate that the choice of paths leaned on.

    A measured link that is pinned weighs less than it takes, so its weight is not shown.
    """
    links = derive_links(overlay)
    weights = derive_weights(overlay, links)
    if weights.is_hops:
        return {}
    names = [node.name for node in overlay.nodes]
    found: Times = {}
    for a, b in weights.estimated:
        text = f"{weights.of(a, b) / 1000:g} ms (estimate)"
        found[min(names[a], names[b]), max(names[a], names[b])] = text
    for (low, high), rtt_us in overlay.latency.rtt_us:
        found[low, high] = f"{rtt_us / 1000:g} ms"
    return found
