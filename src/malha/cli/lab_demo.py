"""`malha lab demo`: progress while it works, then one table of measured figures."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import malha
from malha.errors import InputError, OtherSideError
from malha.lab.demo import DOCUMENT_MS, Demo, Stage, run_demo
from malha.lab.flows import FlowResult
from malha.lab.ping import Pair
from malha.overlay.yaml_source import load_overlay

EXAMPLE = Path("examples/edgeproxy/overlay.yaml")
EXIT_FOUND_WRONG = 1


def show_demo(path: str | None, *, as_json: bool) -> int:
    """Run the demo and print it; gives the exit code, 1 when a pair did not answer."""
    overlay = load_overlay(Path(path) if path else _find_example())
    progress = Console(stderr=True)
    with progress.status("") as status:

        def on_step(text: str) -> None:
            status.update(text)
            if not progress.is_terminal:
                click.echo(text, err=True)

        try:
            demo = run_demo(overlay, on_step)
        except TimeoutError as error:
            raise OtherSideError(f"{error}; is this machine busy? Try again") from error
    if as_json:
        click.echo(json.dumps(_to_json(demo), ensure_ascii=False))
    else:
        _draw(Console(), demo)
    return 0 if demo.is_fine else EXIT_FOUND_WRONG


def _find_example() -> Path:
    for root in (Path.cwd(), Path(malha.__file__).parents[2]):
        if (root / EXAMPLE).exists():
            return root / EXAMPLE
    raise InputError(f"{EXAMPLE} is not here: run this in malha's source folder, or use --overlay")


def _draw(console: Console, demo: Demo) -> None:
    console.print(_latency_table(demo))
    for stage in (demo.before, demo.after):
        console.print(_stage_line(stage))
    lost = sum(flow.lost for flow in demo.flows)
    sent = sum(flow.sent for flow in demo.flows)
    console.print(
        f"changed live in {demo.change_s:.2f} s: {lost} of {sent} packets lost "
        f"in {len(demo.flows)} running flows"
    )
    for flow in demo.flows:
        console.print(_flow_line(flow))
    console.print("  lost is what was on its way over the old path when the addresses moved;")
    console.print("  then the shorter path delivers at once, so the gap seen is small")
    console.print(
        f"{demo.nodes} WireGuard nodes up in {demo.up_s:.2f} s, whole demo "
        f"{demo.whole_s:.1f} s, nothing left behind"
    )
    click.echo(_next(), err=True)


_NEXT = """
next, with O=--overlay={example}:
  {malha} check $O           prove every pair, without a lab
  {malha} path hkg nrt $O    follow one packet, there and back
  {malha} lab up $O          leave it running, and then:
  {malha} lab run hkg -- ping -c 3 10.50.4.1"""


def _next() -> str:
    """What to type next, so that it works where the demo was started."""
    called = "malha" if shutil.which("malha") else os.path.relpath(sys.argv[0])
    return _NEXT.format(malha=called, example=EXAMPLE)


def _latency_table(demo: Demo) -> Table:
    said = "in brackets: what the user's document says"
    table = Table(title=f"round trips in ms, measured in this run\n({said})")
    table.add_column("pair")
    for title in ("through the hub", "direct", "times faster"):
        table.add_column(title, justify="right")
    for pair, (hub_ms, direct_ms) in DOCUMENT_MS.items():
        via, direct = demo.before.pings[pair], demo.after.pings[pair]
        table.add_row(
            " → ".join(name.upper() for name in pair),
            f"{_ms(via)} ({hub_ms:g})",
            f"{_ms(direct)} ({direct_ms:g})",
            f"{_ratio(via, direct)} ({hub_ms / direct_ms:.1f})",
        )
    return table


def _ms(rtt: float | None) -> str:
    return "no answer" if rtt is None else f"{rtt:.1f}"


def _ratio(via: float | None, direct: float | None) -> str:
    return f"{via / direct:.1f}" if via and direct else "—"


def _stage_line(stage: Stage) -> str:
    return (
        f"{stage.topology.value}: {stage.proof.reachable} of {stage.proof.pairs} pairs proven, "
        f"{stage.answered} of {len(stage.pings)} pinged"
    )


def _flow_line(flow: FlowResult) -> str:
    return (
        f"  {flow.source} → {flow.target}: {flow.lost} of {flow.sent} lost, "
        f"longest gap {flow.longest_gap_ms:.0f} ms"
    )


def _to_json(demo: Demo) -> dict[str, Any]:
    return {
        "nodes": demo.nodes,
        "up_s": round(demo.up_s, 3),
        "stages": [_stage_to_json(stage) for stage in (demo.before, demo.after)],
        "change_s": round(demo.change_s, 3),
        "flows": [_flow_to_json(flow) for flow in demo.flows],
        "latencies": [_latency_to_json(demo, pair) for pair in DOCUMENT_MS],
        "whole_s": round(demo.whole_s, 3),
    }


def _stage_to_json(stage: Stage) -> dict[str, Any]:
    return {
        "topology": stage.topology.value,
        "pairs": stage.proof.pairs,
        "proven": stage.proof.reachable,
        "pinged": stage.answered,
    }


def _flow_to_json(flow: FlowResult) -> dict[str, Any]:
    return {
        "from": flow.source,
        "to": flow.target,
        "sent": flow.sent,
        "lost": flow.lost,
        "duplicated": flow.duplicated,
        "reordered": flow.reordered,
        "longest_gap_ms": round(flow.longest_gap_ms, 3),
    }


def _latency_to_json(demo: Demo, pair: Pair) -> dict[str, Any]:
    via, direct = demo.before.pings[pair], demo.after.pings[pair]
    document_hub_ms, document_direct_ms = DOCUMENT_MS[pair]
    return {
        "from": pair[0],
        "to": pair[1],
        "hub_ms": via and round(via, 3),
        "regional_ms": direct and round(direct, 3),
        "ratio": round(via / direct, 2) if via and direct else None,
        "document_hub_ms": document_hub_ms,
        "document_regional_ms": document_direct_ms,
    }
