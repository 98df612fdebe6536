"""`malha check`: prove every ordered pair, over the configurations that render would write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from malha.cli.fleet_input import Fleet, read_fleet
from malha.cli.output import json_option, note, print_json, print_table
from malha.cli.overlay_file import overlay_option
from malha.errors import Problem
from malha.proof import codes
from malha.proof.codes import BY_NAME, Severity
from malha.proof.outside import ExitReach, SubnetReach
from malha.proof.prove import Failure, Finding, Proof, prove

SHOWN_FAILURES = 20
"""A broken fleet has thousands; people read the first, machines take --json."""
SHOWN_FINDINGS = 50


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@overlay_option
@click.option("--all", "show_all", is_flag=True, help="Print every failing pair.")
@json_option
@click.pass_context
def check(
    ctx: click.Context, path: Path | None, overlay_path: Path, show_all: bool, as_json: bool
) -> None:
    """Prove that every pair can talk, before a node is touched.

    PATH is an overlay file, or a folder of wg-quick files, one <node>.conf each; without it the
    overlay file. Every ordered pair's packet is followed hop by hop, there and back, and every
    node's to the subnets routed behind others and to its exit. Exit 1 when one fails.
    """
    fleet = read_fleet(path or overlay_path)
    proof = prove(fleet.states)
    if as_json:
        print_json(proof_tree(proof, fleet))
    else:
        _print_proof(proof, fleet, show_all=show_all)
    ctx.exit(0 if _is_fine(proof, fleet) else 1)


def _is_fine(proof: Proof, fleet: Fleet) -> bool:
    findings = (*fleet.findings, *proof.findings)
    has_errors = any(finding.severity == Severity.ERROR.value for finding in findings)
    return not (proof.failures or has_errors or fleet.flaws)


def proof_tree(proof: Proof, fleet: Fleet) -> dict[str, Any]:
    """The documented JSON form of a proof; see docs/reference/json.md."""
    return {
        "nodes": proof.nodes,
        "pairs": proof.pairs,
        "reachable": proof.reachable,
        "failures": [
            {
                "from": failure.source,
                "to": failure.target,
                "leg": failure.leg,
                "family": failure.family,
                "at": failure.at,
                "cause": failure.cause,
                "detail": failure.detail,
            }
            for failure in proof.failures
        ],
        "findings": [
            *(_flaw_tree(flaw) for flaw in fleet.flaws),
            *(
                {
                    "code": finding.code,
                    "severity": finding.severity,
                    "node": finding.node,
                    "detail": finding.detail,
                }
                for finding in (*fleet.findings, *proof.findings)
            ),
        ],
        "assumptions": list(fleet.assumptions),
        "subnets": [
            {
                "prefix": str(subnet.prefix),
                "node": subnet.node,
                "reached_by": subnet.reached_by,
                "of": subnet.of,
            }
            for subnet in proof.subnets
        ],
        "exits": [
            {
                "family": reach.family,
                "nodes": list(reach.nodes),
                "reached_by": reach.reached_by,
                "of": reach.of,
            }
            for reach in proof.exits
        ],
    }


def _flaw_tree(flaw: Problem) -> dict[str, Any]:
    return {
        "code": flaw.code,
        "severity": "error",
        "node": Path(flaw.file).stem,
        "detail": str(flaw),
    }


def _print_proof(proof: Proof, fleet: Fleet, *, show_all: bool) -> None:
    for flaw in fleet.flaws:
        note(f"error    {flaw}")
    _print_findings((*fleet.findings, *proof.findings), show_all=show_all)
    for assumption in fleet.assumptions:
        note(f"assumed  {assumption}")
    failures = proof.failures if show_all else proof.failures[:SHOWN_FAILURES]
    if failures:
        header = ("from", "to", "leg", "drops at", "cause", "detail")
        print_table([_row(failure) for failure in failures], header)
        left = len(proof.failures) - len(failures)
        if left:
            click.echo(f"… and {left} more: --all prints them, --json gives them to machines")
        _print_causes(proof, is_overlay=fleet.overlay is not None)
    for line in (*_subnet_lines(proof.subnets), *_exit_lines(proof.exits)):
        click.echo(line)
    verdict = "ok" if _is_fine(proof, fleet) else "FAILED"
    click.echo(f"{verdict}: {proof.reachable} of {proof.pairs} pairs can talk, {proof.nodes} nodes")


def _print_findings(findings: Sequence[Finding], *, show_all: bool) -> None:
    """Errors first, so that no warning hides one."""
    ordered = sorted(findings, key=lambda finding: finding.severity != Severity.ERROR.value)
    shown = ordered if show_all else ordered[:SHOWN_FINDINGS]
    for finding in shown:
        note(f"{finding.severity:8} {finding.node}: {finding.detail} [{finding.code}]")
    if len(shown) < len(ordered):
        note(f"… and {len(ordered) - len(shown)} more findings: --all prints them")


def _subnet_lines(subnets: Sequence[SubnetReach]) -> Iterator[str]:
    if subnets:
        count = f"{len(subnets)} routed subnet" + ("s" if len(subnets) > 1 else "")
        reached = [subnet.reached_by for subnet in subnets]
        least = "at least " if min(reached) < max(reached) else ""
        yield f"{count} reached by {least}{min(reached)} of {subnets[0].of} nodes"


def _exit_lines(exits: Sequence[ExitReach]) -> Iterator[str]:
    for reach in exits:
        if reach.of:
            where = f"IPv{reach.family} exits ({', '.join(reach.nodes)})"
            yield f"{where} reached by {reach.reached_by} of {reach.of} nodes that use one"


def _row(failure: Failure) -> tuple[str, ...]:
    leg = f"{failure.leg} v{failure.family}"
    return failure.source, failure.target, leg, failure.at, failure.cause, failure.detail


NO_PATH = (codes.NO_ROUTE.name, codes.LEAKED.name, codes.NO_PEER.name)


def _print_causes(proof: Proof, *, is_overlay: bool) -> None:
    click.echo()
    for cause, count in Counter(failure.cause for failure in proof.failures).most_common():
        code = BY_NAME[cause]
        mend = code.mend
        if is_overlay and cause in NO_PATH:
            # Allowed IPs are not the author's to edit: the overlay file gives these pairs no path.
            mend = "Give the pair a path: see links.forbid, and which relays its two ends share."
        click.echo(f"{count:5}  {cause}: {code.meaning}")
        click.echo(f"       mend: {mend}")
    click.echo()
