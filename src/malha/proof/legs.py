"""Which packets do not arrive, of all ordered pairs at once.

Nodes with one and the same row of next hops form a *crowd*: their packets to a destination take
one path. Along it a machine takes them if it takes every one of the crowd's sources from the
previous machine, and machines that share their peers share that answer too. A crowd of which
somebody fails is asked one by one, so the answer is exact. Machines that the tables cannot hold
(several devices, a key or an address held twice) are walked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from malha.proof.facts import NOWHERE
from malha.proof.tables import Tables
from malha.proof.walk import walk

Leg = tuple[int, int]
"""(from, to): machine indexes."""


def failed_legs(tables: Tables) -> set[Leg]:
    """Every packet that does not arrive."""
    crowds: dict[int, list[int]] = {}
    alone: list[int] = []
    for machine, row in enumerate(tables.following):
        if row is None or machine in tables.walked or tables.place[machine] == NOWHERE:
            alone.append(machine)
        else:
            crowds.setdefault(id(row), []).append(machine)
    everyone = range(len(tables.place))
    failed = {(a, b) for a in alone for b in everyone if a != b and not arrives(tables, a, b)}
    for sources in crowds.values():
        if not (len(sources) == 1 and tables.reaches_all_directly(sources[0])):
            failed.update(_failed_of_crowd(tables, sources))
    return failed


def _failed_of_crowd(tables: Tables, sources: Sequence[int]) -> Iterator[Leg]:
    crowd = _Crowd(tables, sources)
    for target in range(len(tables.place)):
        if not crowd.all_reach(target):
            for source in sources:
                if source != target and not arrives(tables, source, target):
                    yield source, target


class _Crowd:
    """Machines with one row of next hops; answers "all of them do", or "ask one by one"."""

    def __init__(self, tables: Tables, sources: Sequence[int]) -> None:
        self.tables = tables
        self.sources = sources
        self.places = [tables.place[source] for source in sources]
        self._row = tables.following[sources[0]]
        self._known: dict[tuple[int, int], bool] = {}

    def all_reach(self, target: int) -> bool:
        tables, dst = self.tables, self.tables.place[target]
        if dst == NOWHERE or target in tables.walked or self._row is None:
            return False
        at = self._row[dst]
        if at < 0 or not self._accepts_each(at):
            return False
        for _ in tables.following:
            if at == target:
                return True
            row = tables.following[at]
            hop = NOWHERE if row is None or not tables.forwards[at] else row[dst]
            if hop < 0 or not self._accepts_all_from(hop, at):
                return False
            at = hop
        return False

    def _accepts_each(self, machine: int) -> bool:
        """Whether a machine takes each source's packets from that source."""
        key = machine, NOWHERE
        if key not in self._known:
            row = self.tables.accepting[machine]
            self._known[key] = row is not None and [row[p] for p in self.places] == self.sources
        return self._known[key]

    def _accepts_all_from(self, machine: int, previous: int) -> bool:
        """Whether a machine takes all sources' packets from `previous`."""
        row = self.tables.accepting[machine]
        # Rows start their life at different times but live as long as the tables: ids are unique.
        key = id(row), previous
        if key not in self._known:
            self._known[key] = row is not None and all(row[p] == previous for p in self.places)
        return self._known[key]


def arrives(tables: Tables, a: int, b: int) -> bool:
    """Whether one packet arrives."""
    following, accepting, walked = tables.following, tables.accepting, tables.walked
    src, dst = tables.place[a], tables.place[b]
    if NOWHERE in (src, dst) or not walked.isdisjoint((a, b)):
        return _walks(tables, a, b)
    at, steps = a, 0
    while at != b:
        row = following[at]
        if row is None:
            return _walks(tables, a, b)
        hop = row[dst]
        if hop < 0 or steps > len(following) or (steps and not tables.forwards[at]):
            return False
        accepted = accepting[hop]
        if accepted is None:
            return _walks(tables, a, b)
        if accepted[src] != at:
            return False
        at, steps = hop, steps + 1
    return True


def _walks(tables: Tables, a: int, b: int) -> bool:
    return walk(tables.world, a, b, tables.family).drop is None
