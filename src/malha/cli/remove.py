"""`malha remove`: a node less in the overlay file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from malha.cli.add import affected_tree, print_affected
from malha.cli.affected import affected_nodes
from malha.cli.editing import Edited, edit_overlay
from malha.cli.output import json_option, note, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.overlay.edit import remove_node, remove_rtts
from malha.overlay.flaws import near_miss, shown
from malha.overlay.yaml_source import Source
from malha.secrets.folder import folder_of, has_key, key_file


@click.command()
@click.argument("name")
@overlay_option
@json_option
def remove(name: str, overlay_path: Path, as_json: bool) -> None:
    """Remove node NAME, and the single links and round trips that name it.

    Prints which nodes must change. No other node's address changes. The node's private key
    stays in the keys folder.
    """

    def edit(text: str, source: Source) -> Edited:
        names = source.overlay.node_by_name
        if name not in names:
            raise InputError(f"no node is named {shown(name)}{near_miss(name, names)}")
        return Edited(remove_node(text, name), _latency_without(name, source))

    before, after = edit_overlay(overlay_path, edit)
    _note_key_that_stays(name, overlay_path)
    affected = affected_nodes(before, after)
    if as_json:
        print_json({"node": name} | affected_tree(affected))
        return
    click.echo(f"removed {name}")
    print_affected(affected)


def _note_key_that_stays(name: str, overlay_path: Path) -> None:
    folder = folder_of(overlay_path)
    with suppress(
        OSError
    ):  # a folder that this user may not enter: the node is removed all the same
        if has_key(folder, name):
            note(f"{key_file(folder, name)} stays: delete it if the node is gone for good")


def _latency_without(name: str, source: Source) -> str | None:
    if source.latency is None:
        return None
    document = source.latency[1]
    return remove_rtts(document.byte_order_mark + document.text, name)
