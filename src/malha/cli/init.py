"""`malha init`: a commented overlay file to start from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import click

from malha.cli.output import json_option, print_json
from malha.cli.overlay_file import overlay_option
from malha.errors import InputError
from malha.host.files import locked, write_atomic
from malha.overlay.fields import read_prefix
from malha.overlay.flaws import Refused, shown
from malha.overlay.splice import render_value
from malha.overlay.yaml_source import source_of
from malha.wireguard.device import Prefix

_STARTER = """\
# The overlay: one file says which nodes there are and how they reach each other.
# 'malha check' proves it, 'malha render' writes every node's configuration.
overlay: {name}

# Every address of the overlay lies in here. IPv4, IPv6 (such as "fd50:0:0::/48"), or both.
prefixes: [{prefixes}]

# Which pairs are linked directly; the other pairs go through a relay.
#   hub       every node to the hubs, and nothing else: all packets cross a hub
#   regional  besides, pops directly to the nodes of the regions they serve, and to each other
#             (some documents call this "full mesh")
#   full      every pair of which at least one end can be dialled
# Changing it later is this one word.
topology: regional

defaults:
  listen_port: 51820
  spare_port: 51821         # open it in firewalls too: live moves use a second device there
  persistent_keepalive: 25  # seconds; keeps the NAT mappings of nodes that dial out; 0 is off
  mtu: auto                 # 1420, or a number of bytes from 1280 to 9921

# A region groups nodes and has a subnet of its own. One more: malha add --region NEW
regions:
  central: {{subnet: {subnets}, description: where the hub is}}

# Roles: hub (has an endpoint, linked to all, relays), pop (has an endpoint, relays for the regions
# it serves), backend (the default; it may be behind NAT and dial out).
# One more: malha add NAME --region R
nodes:
  hub-1: {{region: central, role: hub, endpoint: "hub.example.org:51820"}}  # change the endpoint

# Single links that differ from the topology's, as lists of pairs of nodes:
# links: {{add: [[a, b]], forbid: [[c, d]], pin: [[e, f]]}}

# Known round trips, so that paths follow the shortest time; in this file or in one of its own:
# latency: measured.yaml
"""


@click.command()
@click.option("--name", default="overlay", show_default=True, help="The overlay's name.")
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    default=["10.50.0.0/16"],
    show_default=True,
    help="Its address space; twice for IPv4 and IPv6.",
)
@overlay_option
@json_option
def init(name: str, prefixes: tuple[str, ...], overlay_path: Path, as_json: bool) -> None:
    """Write a commented overlay.yaml to start from; an existing file is never overwritten."""
    text = _render_starter(name, [_read_prefix(prefix) for prefix in prefixes])
    source_of(text, overlay_path)
    with locked(overlay_path):
        if overlay_path.exists() or overlay_path.is_symlink():
            raise InputError(f"{overlay_path} exists already and was left as it is")
        write_atomic(overlay_path, text.encode())
    if as_json:
        print_json({"overlay": name, "file": str(overlay_path)})
        return
    click.echo(f"wrote {overlay_path}")
    click.echo(
        "next: put your hub's endpoint in it, then 'malha add NAME --region central'", err=True
    )


def _render_starter(name: str, prefixes: Sequence[Prefix]) -> str:
    firsts = {prefix.version: prefix for prefix in reversed(prefixes)}
    subnets = [_quoted(_first_subnet(firsts[version])) for version in sorted(firsts)]
    return _STARTER.format(
        name=render_value(name),
        prefixes=", ".join(map(_quoted, prefixes)),
        subnets=subnets[0] if len(subnets) == 1 else f"[{', '.join(subnets)}]",
    )


def _quoted(prefix: Prefix) -> str:
    return f'"{prefix}"'


def _first_subnet(prefix: Prefix) -> Prefix:
    """Give the first subnet that a region of usual size takes: /24 or /64, or all there is."""
    length = {4: 24, 6: 64}[prefix.version]
    return ip_network(f"{prefix.network_address}/{max(length, prefix.prefixlen)}")


def _read_prefix(prefix: str) -> Prefix:
    if "," in prefix:
        raise InputError(
            f"--prefix {shown(prefix)} is a list: repeat the option, "
            "as in --prefix 10.50.0.0/16 --prefix fd50::/48"
        )
    try:
        return read_prefix(prefix)
    except Refused as refused:
        raise InputError(f"--prefix: {refused.flaws[0].message}") from refused
