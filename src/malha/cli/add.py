"""`malha add`: a node, or a region, more in the overlay file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from malha.cli.affected import Affected, affected_nodes
from malha.cli.editing import Edited, checked_source, edit_overlay
from malha.cli.output import json_option, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.overlay.addresses import next_subnets
from malha.overlay.edit import add_node, add_region, render_addresses, write_addresses
from malha.overlay.flaws import near_miss, shown
from malha.overlay.model import Overlay, Role
from malha.overlay.yaml_source import Source

_FIELDS = ("role", "address", "endpoint", "public_key", "listen_port", "location", "description")


@click.command()
@click.argument("name", required=False)
@click.option("--region", required=True, help="The node's region, or a new one.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="[default: backend]")
@click.option("--address", multiple=True, help="Overlay address; the lowest free one otherwise.")
@click.option("--endpoint", help="host:port that others dial; a hub or pop needs one.")
@click.option("--public-key", help="Without it, 'malha keys new' makes a pair.")
@click.option("--serves", multiple=True, help="A region that this pop serves besides its own.")
@click.option("--listen-port", type=int, help="UDP port; the overlay's default otherwise.")
@click.option("--location", help="Where it runs, in a few words.")
@click.option("--description", help="What it is, in a few words.")
@click.option("--subnet", multiple=True, help="Of a new region; the next free one otherwise.")
@click.option("--unmanaged", is_flag=True, help="malha configures the others for it, but not it.")
@overlay_option
@json_option
def add(
    name: str | None,
    region: str,
    overlay_path: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Add node NAME to a region; a region that does not exist is made, with the next free subnet.

    Without NAME, only the new REGION. Prints the address that the node got and which nodes must
    change.
    """
    if name is None:
        _refuse_options(options)
        _add_region(region, options, overlay_path, as_json=as_json)
    else:
        fields = _node_fields(region, options)
        _add_node(name, fields, options["subnet"], overlay_path, as_json=as_json)


def _refuse_options(options: dict[str, Any]) -> None:
    given = [
        key for key, value in options.items() if value and key not in ("subnet", "description")
    ]
    if given:
        option = given[0].replace("_", "-")
        raise InputError(f"--{option} is for a node: malha add NAME --region R --{option} …")


def _node_fields(region: str, options: dict[str, Any]) -> dict[str, Any]:
    """Give the node's fields in the order in which people read them."""
    fields = {"region": region} | {key: options[key] for key in _FIELDS if options[key]}
    if "address" in fields:
        fields["address"] = render_addresses(options["address"])
    if options["serves"]:
        fields["serves"] = list(options["serves"])
    if options["unmanaged"]:
        fields["managed"] = False
    return fields


def _add_node(
    name: str, fields: dict[str, Any], subnet: Sequence[str], path: Path, *, as_json: bool
) -> None:
    region = fields["region"]

    def edit(text: str, source: Source) -> Edited:
        if region not in source.overlay.region_by_name:
            text = add_region(text, region, _new_region(region, source.overlay, subnet))
        elif subnet:
            raise InputError(f"region {region} has its subnet: --subnet is for a new region")
        added = add_node(text, name, fields)
        # Twice: the address that the new node is given is known only once it is declared.
        return Edited(_with_address(added, source))

    before, after = edit_overlay(path, edit)
    affected, is_new = affected_nodes(before, after), region not in before.region_by_name
    node = after.node_by_name[name]
    addresses = [str(address) for address in node.addresses]
    if as_json:
        answer = {"node": name, "region": node.region, "region_is_new": is_new}
        answer |= {"role": node.role.value, "addresses": addresses}
        print_json(answer | affected_tree(affected))
        return
    if is_new:
        subnets = ", ".join(map(str, after.region_by_name[region].subnets))
        click.echo(f"added region {region}, which is new: {subnets}")
    click.echo(f"added {name} to region {node.region}: {node.role.value}, {', '.join(addresses)}")
    print_affected(affected)
    if node.public_key is None:
        click.echo(f"next: 'malha keys new' makes the keys of {name}", err=True)


def _with_address(text: str, source: Source) -> str:
    after = checked_source(Edited(text), source.path)
    return write_addresses(text, after.overlay)


def _new_region(region: str, overlay: Overlay, subnet: Sequence[str]) -> dict[str, Any]:
    """Give a new region's fields: the given subnets, or the next free ones.

    Raises:
        InputError: when the name looks like a slip, or nothing is free.
    """
    names = [known.name for known in overlay.regions]
    slip = near_miss(region, names)
    if slip and not subnet:
        raise InputError(
            f"no region is named {shown(region)}{slip} "
            f"If a new one is meant: 'malha add --region {region}' makes it first"
        )
    subnets = subnet or next_subnets(overlay)
    if subnets is None:
        prefixes = ", ".join(map(str, overlay.prefixes))
        raise InputError(f"no subnet is free in {prefixes}: give the overlay one more prefix")
    return {"subnet": render_addresses(map(str, subnets))}


def _add_region(region: str, options: dict[str, Any], path: Path, *, as_json: bool) -> None:
    def edit(text: str, source: Source) -> Edited:
        subnet = options["subnet"] or list(map(str, next_subnets(source.overlay) or ()))
        fields = _new_region(region, source.overlay, subnet)
        if options["description"]:
            fields["description"] = options["description"]
        return Edited(add_region(text, region, fields))

    before, after = edit_overlay(path, edit)
    affected = affected_nodes(before, after)
    subnets = [str(subnet) for subnet in after.region_by_name[region].subnets]
    if as_json:
        print_json({"region": region, "subnets": subnets} | affected_tree(affected))
        return
    click.echo(f"added region {region}: {', '.join(subnets)}")
    print_affected(affected)


def affected_tree(affected: Affected) -> dict[str, Any]:
    """Give the answer's JSON fields that say which nodes must change."""
    return {
        "must_change": list(affected.change),
        "must_be_changed_by_owner": list(affected.by_owner),
        "unchanged": affected.unchanged,
    }


def print_affected(affected: Affected) -> None:
    """Say which nodes must change."""
    managed = [name for name in affected.change if name not in affected.by_owner]
    total = len(affected.change) + affected.unchanged
    if managed:
        click.echo(f"must change: {', '.join(managed)}")
    if affected.by_owner:
        click.echo(f"must be changed by their owners: {', '.join(affected.by_owner)}")
    click.echo(f"stay as they are: {affected.unchanged} of {total} nodes")
