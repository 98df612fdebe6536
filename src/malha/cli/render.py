"""`malha render`: each node's configuration as files. Only files that differ are written."""

from __future__ import annotations

from pathlib import Path

import click

from malha.cli.fleet_input import compile_states
from malha.cli.output import json_option, note, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError, UnprovenError
from malha.host.files import SECRET_MODE, write_changed
from malha.overlay.model import Overlay
from malha.overlay.yaml_source import load_overlay
from malha.proof import Proof, prove
from malha.render.wg_quick import render_all
from malha.secrets.folder import folder_of, read_keys
from malha.secrets.keys import derive_public_key
from malha.wireguard.device import NodeState
from malha.wireguard.keys import PrivateKey, PublicKey

MAX_DEVICE_NAME = 15
"""Longest name of a Linux device. Source: IFNAMSIZ in <linux/if.h>, less the final zero."""


@click.command()
@click.option(
    "--format", "kind", type=click.Choice(["wg-quick"]), default="wg-quick", show_default=True
)
@click.option(
    "--out",
    # readable=False: whether it can be used is found out by using it, and said with a mend.
    type=click.Path(path_type=Path, readable=False),
    default="out",
    show_default=True,
    help="The folder to write to.",
)
@click.option(
    "--keys",
    "keys_folder",
    type=click.Path(path_type=Path, readable=False),
    help="The folder of private keys; by default `keys` beside the overlay file.",
)
@click.option("--unproven", is_flag=True, help="Write the files even if some pairs could not talk.")
@overlay_option
@json_option
def render(
    kind: str,
    out: Path,
    keys_folder: Path | None,
    unproven: bool,
    overlay_path: Path,
    as_json: bool,
) -> None:
    """Write each node's configuration: <node>.conf, mode 0600, in the folder --out.

    Every pair is proven first; if one could not talk, nothing is written and the exit code is 1.

    A node whose private key is in the keys folder gets it in its file. Any other node's file
    reads the key on the node, from /etc/wireguard/<device>.key. The same input gives the same
    bytes, and a file that would not change is not written.
    Files of nodes that are not in the overlay (any more) are named and left alone.
    """
    overlay = load_overlay(overlay_path)
    states = compile_states(overlay, overlay_path)
    keys = read_keys(keys_folder or folder_of(overlay_path), states)
    _refuse_strange_keys(states, keys)
    if not unproven:
        _refuse_unreachable_pairs(prove(states), overlay_path)
    texts = render_all(states, keys)
    files = ((f"{name}.conf", text.encode()) for name, text in texts)
    written, unchanged = write_changed(out, files, mode=SECRET_MODE)
    keyless = [name for name in states if name not in keys]
    stale = _stale_files(out, states)
    if as_json:
        print_json(
            {
                "format": kind,
                "out": str(out),
                "written": written,
                "unchanged": unchanged,
                "without_private_key": keyless,
                "stale": stale,
            }
        )
        return
    click.echo(f"{out}: {len(written)} files written, {len(unchanged)} unchanged")
    _note_peculiar(states, keyless, stale)
    if written:
        _note_next(out, overlay, written)


def _note_peculiar(states: dict[str, NodeState], keyless: list[str], stale: list[str]) -> None:
    if keyless:
        note(
            f"{len(keyless)} of {len(states)} files hold no private key ({_few(keyless)}): "
            "these nodes read theirs from /etc/wireguard/<device>.key"
        )
    long = [name for name in states if len(name) > MAX_DEVICE_NAME]
    if long:
        note(
            f"longer than a device's name may be ({_few(long)}): install as /etc/wireguard/wg0.conf"
        )
    if stale:
        note(f"stale: {', '.join(stale)}: no node of the overlay has this name; left as they are")


def _note_next(out: Path, overlay: Overlay, written: list[str]) -> None:
    foreign = [n.name for n in overlay.nodes if not n.managed and f"{n.name}.conf" in written]
    if foreign:
        note(f"files for unmanaged nodes ({_few(foreign)}): give them to their owners")
    note(f"next: copy {out}/<node>.conf to the node as /etc/wireguard/wg0.conf; wg-quick up wg0")


def _stale_files(out: Path, states: dict[str, NodeState]) -> list[str]:
    """Names of .conf files that belong to no node; `malha check` of the folder would read them."""
    names = sorted(path.name for path in out.glob("*.conf") if path.stem not in states)
    return [name if name.isprintable() else ascii(name)[1:-1] for name in names]


def _refuse_unreachable_pairs(proof: Proof, overlay_path: Path) -> None:
    if proof.failures:
        raise UnprovenError(
            f"nothing was written: {proof.pairs - proof.reachable} of {proof.pairs} pairs could "
            f"not talk; `malha check --overlay {overlay_path}` says why, --unproven writes anyway"
        )


def _refuse_strange_keys(states: dict[str, NodeState], keys: dict[str, PrivateKey]) -> None:
    """A private key that is not the declared public key's would cut its node off."""

    strange = [
        name for name, key in keys.items() if derive_public_key(key) != _declared(states[name])
    ]
    if strange:
        raise InputError(
            f"the private keys of {_few(strange)} do not belong to the public_key in the overlay "
            "file: correct the file, or move the key away and run `malha keys new`"
        )


def _declared(state: NodeState) -> PublicKey:
    return state.devices[0].public_key


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
