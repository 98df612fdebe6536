"""Which overlay file a command works on: --overlay FILE, or $MALHA_OVERLAY, or ./overlay.yaml."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_FILE = "overlay.yaml"

overlay_option = click.option(
    "--overlay",
    "overlay_path",
    type=click.Path(path_type=Path, readable=False),
    envvar="MALHA_OVERLAY",
    default=DEFAULT_FILE,
    show_default=True,
    help="The overlay file; also $MALHA_OVERLAY.",
)
