"""`malha show`: the overlay, one node or one region of it; as text, JSON or a drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from malha.cli.output import json_option, print_json, print_table
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.overlay.model import Node, Overlay, Region
from malha.overlay.yaml_source import load_overlay
from malha.topology.links import permitted_links


@click.command()
@click.argument("name", required=False)
@click.option("--graph", type=click.Choice(["svg", "mermaid"]), help="Draw it, on stdout.")
@overlay_option
@json_option
def show(name: str | None, graph: str | None, overlay_path: Path, as_json: bool) -> None:
    """Show the overlay, or the node or region NAME."""
    overlay = load_overlay(overlay_path)
    if graph and (name or as_json):
        raise InputError("--graph draws the whole overlay, and not as JSON: leave the other out")
    if graph:
        click.echo(_draw(overlay, graph), nl=False)
    elif name is None:
        _show_overlay(overlay, as_json=as_json)
    elif name in overlay.node_by_name:
        _show_node(overlay, overlay.node_by_name[name], as_json=as_json)
    elif name in overlay.region_by_name:
        _show_region(overlay, overlay.region_by_name[name], as_json=as_json)
    else:
        raise _unknown(overlay, name)


def _draw(overlay: Overlay, graph: str) -> str:
    if graph == "mermaid":
        from malha.render.graph import render_mermaid  # noqa: PLC0415 (only who draws pays)

        return render_mermaid(overlay)
    from malha.render.graph_svg import render_svg  # noqa: PLC0415

    return render_svg(overlay)


def _unknown(overlay: Overlay, name: str) -> InputError:
    from malha.overlay.flaws import near_miss, shown  # noqa: PLC0415

    hint = near_miss(name, [*overlay.node_by_name, *overlay.region_by_name])
    return InputError(f"no node or region is named {shown(name)}{hint}")


def _show_overlay(overlay: Overlay, *, as_json: bool) -> None:
    links = permitted_links(overlay)
    if as_json:
        from malha.overlay.canonical import overlay_tree  # noqa: PLC0415 (only JSON pays)

        print_json(overlay_tree(overlay) | {"linked": [list(pair) for pair in links]})
        return
    prefixes = ", ".join(map(str, overlay.prefixes))
    click.echo(f"{overlay.name}: {overlay.topology.value} topology, {prefixes}")
    if overlay.description:
        click.echo(overlay.description)
    nodes, regions = len(overlay.nodes), len(overlay.regions)
    click.echo(f"{nodes} nodes in {regions} regions, {len(links)} links\n")
    header = ("node", "region", "role", "address", "endpoint", "key", "location")
    print_table([_row(node) for node in overlay.nodes], header)


def _row(node: Node) -> tuple[str, ...]:
    role = node.role.value + (", exit" if node.is_exit else "")
    return (
        node.name,
        node.region,
        role if node.managed else f"{role}, unmanaged",
        " ".join(map(str, node.addresses)),
        str(node.endpoint) if node.endpoint else "dials out",
        "yes" if node.public_key else "none",
        node.location,
    )


def _show_node(overlay: Overlay, node: Node, *, as_json: bool) -> None:
    linked = _neighbours(overlay, node.name)
    if as_json:
        from malha.overlay.canonical import overlay_tree  # noqa: PLC0415

        (tree,) = (t for t in overlay_tree(overlay)["nodes"] if t["name"] == node.name)
        print_json(tree | {"linked": linked})
        return
    click.echo(node.name)
    for label, value in _facts(overlay, node):
        if value:
            click.echo(f"  {label:<14}{value}")
    click.echo(f"  {'linked to':<14}{', '.join(linked) or 'nobody'}")


def _neighbours(overlay: Overlay, name: str) -> list[str]:
    return [b if a == name else a for a, b in permitted_links(overlay) if name in (a, b)]


def _facts(overlay: Overlay, node: Node) -> list[tuple[str, str]]:
    defaults = overlay.defaults
    keepalive_s = node.persistent_keepalive_s
    if keepalive_s is None:
        keepalive_s = defaults.persistent_keepalive_s
    return [
        ("role", node.role.value),
        ("region", node.region),
        ("address", ", ".join(map(str, node.addresses))),
        ("", "" if node.addresses_written else "(given by malha, not in the file yet)"),
        ("endpoint", str(node.endpoint) if node.endpoint else "none: it dials out"),
        ("public key", str(node.public_key or "none yet: 'malha keys new' makes one")),
        ("listen port", _listen_port(overlay, node)),
        ("spare port", str(node.spare_port or defaults.spare_port)),
        ("keepalive", f"{keepalive_s} s" if keepalive_s else "off"),
        ("mtu", f"{node.mtu or defaults.mtu} bytes"),
        ("serves", ", ".join(node.serves)),
        ("routes", ", ".join(map(str, node.routes))),
        ("exit", "yes, others may send everything through it" if node.is_exit else ""),
        ("via exit", node.via_exit or ""),
        ("managed", "" if node.managed else "no: its owner configures it"),
        ("location", node.location),
        ("description", node.description),
    ]


def _listen_port(overlay: Overlay, node: Node) -> str:
    if node.listen_port is None and not node.is_dialable:
        return "any free one"
    return str(node.listen_port or overlay.defaults.listen_port)


def _show_region(overlay: Overlay, region: Region, *, as_json: bool) -> None:
    names = [node.name for node in overlay.nodes if node.region == region.name]
    subnets = [str(subnet) for subnet in region.subnets]
    if as_json:
        tree: dict[str, Any] = {"region": region.name, "subnets": subnets, "nodes": names}
        print_json(tree | {"description": region.description})
        return
    click.echo(f"region {region.name}{f': {region.description}' if region.description else ''}")
    click.echo(f"  {'subnet':<14}{', '.join(subnets)}")
    click.echo(f"  {'nodes':<14}{', '.join(names) or 'none yet'}")
