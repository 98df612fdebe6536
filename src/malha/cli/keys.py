"""`malha keys`: make what is missing, list what there is. Nothing is ever overwritten."""

from __future__ import annotations

from pathlib import Path

import click

from malha.cli.editing import Edited, edit_overlay
from malha.cli.output import json_option, note, print_json, print_table
from malha.cli.overlay_file import overlay_option
from malha.overlay.edit import set_node_fields
from malha.overlay.model import Node
from malha.overlay.yaml_source import Source, load_overlay
from malha.secrets.folder import (
    folder_of,
    has_key,
    make_key,
    prepare_folder,
    read_key,
)
from malha.secrets.keys import derive_public_key

folder_option = click.option(
    "--keys",
    "keys_folder",
    type=click.Path(path_type=Path, readable=False),
    help="The folder of private keys; by default `keys` beside the overlay file.",
)


@click.group()
def keys() -> None:
    """Make and list WireGuard keys.

    Private keys are files of mode 0600, <node>.key, in a folder that git ignores. Public keys
    go into the overlay file.
    """


@keys.command()
@overlay_option
@folder_option
@json_option
def new(overlay_path: Path, keys_folder: Path | None, as_json: bool) -> None:
    """Make the keys that are missing. A key that exists is never touched.

    Writes each node's public_key, and each address that malha has allocated, into the overlay
    file. Nodes that already have a public_key keep it: their private key is elsewhere.
    """
    folder = keys_folder or folder_of(overlay_path)
    made: list[str] = []
    reused: list[str] = []

    def write_missing(text: str, source: Source) -> Edited:
        missing = [node.name for node in source.overlay.nodes if node.public_key is None]
        if missing:
            prepare_folder(folder)
        fields = {}
        for name in missing:
            existed = has_key(folder, name)
            key = read_key(folder, name) if existed else make_key(folder, name)
            fields[name] = {"public_key": str(derive_public_key(key))}
            (reused if existed else made).append(name)
        return Edited(set_node_fields(text, fields) if fields else text)

    before, after = edit_overlay(overlay_path, write_missing)
    named = [n.name for n in before.nodes if n.public_key is None]
    addressed = [n.name for n in before.nodes if not n.addresses_written]
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "made": made,
                "reused": reused,
                "public_keys_written": named,
                "addresses_written": addressed,
            }
        )
        return
    if not named and not addressed:
        click.echo(f"nothing is missing: all {len(after.nodes)} nodes have a key and an address")
        return
    beside = f", {len(reused)} reused" if reused else ""
    click.echo(f"{len(made)} private keys made in {folder}{beside}")
    click.echo(f"{len(named)} public keys and {len(addressed)} addresses written to {overlay_path}")
    note(f"next: malha check --overlay {overlay_path}")


@keys.command("list")
@overlay_option
@folder_option
@json_option
def list_keys(overlay_path: Path, keys_folder: Path | None, as_json: bool) -> None:
    """List each node's public key, and whether its private key is in the folder."""
    folder = keys_folder or folder_of(overlay_path)
    rows = [_row(node, folder) for node in load_overlay(overlay_path).nodes]
    if as_json:
        print_json({"folder": str(folder), "nodes": rows})
        return
    table = [
        (row["node"] or "", row["public_key"] or "none", row["private_key"] or "") for row in rows
    ]
    print_table(table, ("node", "public key", "private key"))


def _row(node: Node, folder: Path) -> dict[str, str | None]:
    public_key = None if node.public_key is None else str(node.public_key)
    private = "absent"
    if has_key(folder, node.name):
        key = read_key(folder, node.name)
        if node.public_key is not None and node.public_key.raw == key.raw:
            public_key = "(hidden)"  # somebody pasted the private key: never print it
        fits = str(derive_public_key(key)) == public_key
        private = "here" if fits else "here, but it does not fit: malha check"
    return {"node": node.name, "public_key": public_key, "private_key": private}
