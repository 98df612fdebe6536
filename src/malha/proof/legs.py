"""Which packets do not arrive, of all ordered pairs at once.

Nodes with one and the same row of next hops form a *crowd*: their packets to a destination take
one path. Along it a machine takes them if it takes every one of the crowd's sources from the
previous machine, and machines that share their peers share that answer too. A crowd of which
somebody fails is asked one by one, so the answer is exact. Machines that the tables cannot hold
(several devices, a key or an address held twice) are walked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import itemgetter

from malha.proof.facts import NOWHERE
from malha.proof.tables import Tables
from malha.proof.walk import walk

Leg = tuple[int, int]
"""(from, to): machine indexes."""


def failed_legs(tables: Tables) -> set[Leg]:
    """Every packet that does not arrive."""
    rows: dict[int, list[int]] = {}
    alone: list[int] = []
    for machine, row in enumerate(tables.following):
        if row is None or machine in tables.walked or tables.place[machine] == NOWHERE:
            alone.append(machine)
        else:
            rows.setdefault(id(row), []).append(machine)
    crowds = [_Crowd(tables, tuple(machines)) for machines in rows.values()]
    everyone = range(len(tables.place))
    failed = set(_one_by_one(tables, alone, everyone))
    for crowd in crowds:
        if len(crowd.machines) == 1 and tables.reaches_all_directly(crowd.machines[0]):
            continue
        failed.update(_one_by_one(tables, crowd.machines, alone))
        for targets in crowds:
            if not crowd.all_reach_all(targets):
                failed.update(_failed_between(tables, crowd, targets))
    return failed


def _one_by_one(tables: Tables, sources: Iterable[int], targets: Iterable[int]) -> Iterator[Leg]:
    for source in sources:
        for target in targets:
            if source != target and not arrives(tables, source, target):
                yield source, target


def _failed_between(tables: Tables, crowd: _Crowd, targets: _Crowd) -> Iterator[Leg]:
    for target in targets.machines:
        if not crowd.all_reach_all(_Crowd(tables, (target,))):
            yield from _one_by_one(tables, crowd.machines, (target,))


class _Crowd:
    """Machines with one row of next hops; answers "all of them do", or "ask one by one"."""

    def __init__(self, tables: Tables, machines: tuple[int, ...]) -> None:
        self.tables = tables
        self.machines = machines
        self._places = [tables.place[machine] for machine in machines]
        self._pick = itemgetter(*self._places)
        self._row = tables.following[machines[0]]
        self._known: dict[tuple[int, int], bool] = {}

    def of_row(self, row: list[int]) -> tuple[int, ...]:
        """What a row says of each of these machines."""
        return self._pick(row) if len(self.machines) > 1 else (self._pick(row),)

    def all_reach_all(self, targets: _Crowd) -> bool:
        """Whether every packet from here to there arrives, the whole crowd on one path."""
        tables, row, previous = self.tables, self._row, NOWHERE
        for _ in tables.following:
            if row is None:
                return False
            hops = targets.of_row(row)
            is_last = hops == targets.machines
            if not is_last and (hops[0] < 0 or hops.count(hops[0]) != len(hops)):
                return False
            if is_last:
                return all(self._is_taken(row, previous) for row in targets.accepting_rows)
            if not self._is_taken(tables.accepting[hops[0]], previous):
                return False
            previous = hops[0]
            row = tables.following[previous] if tables.forwards[previous] else None
        return False

    @cached_property
    def accepting_rows(self) -> list[list[int] | None]:
        """The different rows by which these machines take packets; mostly it is one."""
        rows = map(self.tables.accepting.__getitem__, self.machines)
        return list({id(row): row for row in rows}.values())

    def _is_taken(self, row: list[int] | None, previous: int) -> bool:
        """Whether a machine with this accepting row takes all sources' packets from `previous`;
        NOWHERE: from each source itself."""
        # Rows live as long as the tables, so their ids are unique.
        key = id(row), previous
        if key not in self._known:
            taken = () if row is None else self.of_row(row)
            wanted = self.machines if previous == NOWHERE else (previous,) * len(self.machines)
            self._known[key] = taken == wanted
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
