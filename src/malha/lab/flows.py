"""Numbered UDP flows between pairs of hosts: what was lost, doubled, late, and how long a gap.

One program runs in each host that takes part. Nothing is hidden: a packet that left the sender's
hands and did not arrive, for whatever reason, is lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from malha.lab.host import LabHost, LabProcess
from malha.lab.interpreter import python_argv
from malha.wireguard.device import Address

FLOW_PORT = 7007
DRAIN_S = 1.5
"""How long packets that are still under way are waited for once sending has ended."""
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class FlowResult:
    """What became of one flow."""

    source: str
    target: str
    sent: int
    received: int
    """Distinct packets."""
    duplicated: int
    reordered: int
    """Packets that arrived after one with a higher number."""
    longest_gap_ms: float
    """Between two arrivals; one sending interval when all is well."""
    refused: int
    """Of the lost ones, those that the sender's own kernel refused to send."""

    @property
    def lost(self) -> int:
        """Packets that were sent and never arrived."""
        return self.sent - self.received


class Flows:
    """Flows that run while the `with` block does; `results` afterwards."""

    def __init__(
        self,
        hosts: Mapping[str, LabHost],
        addresses: Mapping[str, Address],
        pairs: Sequence[tuple[str, str]],
        *,
        rate_per_s: float,
        size_bytes: int,
    ) -> None:
        self._hosts = hosts
        self._addresses = addresses
        self._pairs = list(pairs)
        self._rate_per_s = rate_per_s
        self._size_bytes = size_bytes
        self._stations: dict[str, LabProcess] = {}
        self.results: tuple[FlowResult, ...] = ()

    def __enter__(self) -> Flows:
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.results = self._collect()
        finally:
            self._close()

    def _start(self) -> None:
        names = sorted({name for pair in self._pairs for name in pair})
        argv = python_argv("malha.lab.flow_station")
        self._stations = {name: self._hosts[name].popen(argv) for name in names}
        for name, station in self._stations.items():
            station.stdin.write(json.dumps(self._setup_of(name)) + "\n")
        for station in self._stations.values():
            _read(station)
        self._ask_all("start")

    def _setup_of(self, name: str) -> dict[str, Any]:
        address = self._addresses[name]
        numbered = list(enumerate(self._pairs))
        return {
            "family": address.version,
            "address": str(address),
            "port": FLOW_PORT,
            "receive": [number for number, (_, target) in numbered if target == name],
            "send": [
                [number, str(self._addresses[target]), self._rate_per_s, self._size_bytes]
                for number, (source, target) in numbered
                if source == name
            ],
        }

    def _ask_all(self, word: str) -> list[dict[str, Any]]:
        for station in self._stations.values():
            station.stdin.write(word + "\n")
        return [_read(station) for station in self._stations.values()]

    def _collect(self) -> tuple[FlowResult, ...]:
        sent = {
            flow: (count, refused)
            for answer in self._ask_all("stop")
            for flow, count, refused in answer["sent"]
        }
        self._drain(sum(count for count, _ in sent.values()))
        reports = {flow["flow"]: flow for a in self._ask_all("report") for flow in a["flows"]}
        return tuple(
            FlowResult(
                source,
                target,
                sent=sent[number][0],
                refused=sent[number][1],
                **{k: v for k, v in reports[number].items() if k != "flow"},
            )
            for number, (source, target) in enumerate(self._pairs)
        )

    def _drain(self, sent: int) -> None:
        end_at = time.monotonic() + DRAIN_S
        while time.monotonic() < end_at:
            if sum(answer["received"] for answer in self._ask_all("count")) >= sent:
                return
            time.sleep(_POLL_S)

    def _close(self) -> None:
        for station in self._stations.values():
            station.close()
        self._stations = {}


def _read(station: LabProcess) -> dict[str, Any]:
    line = station.stdout.readline()
    if not line:
        raise RuntimeError(f"a flow station ended with {station.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer
