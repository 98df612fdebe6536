"""How one tuple differs from another: in a mesh, each node's peers are its neighbour's but one.

Slices are compared instead of elements, so that a thousand identical ones cost microseconds.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def swapped(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[int, int] | None:
    """Where `old` has the only element that `new` lacks, and `new` the only one that `old` lacks.

    The others stand in the same order in both. None if the two do not differ just so.

    >>> swapped(("a", "b", "c"), ("a", "c", "x"))
    (1, 2)
    """
    if len(old) != len(new) or old == new:
        return None
    start = _first_difference(old, new)
    mine, other = old[start:], new[start:]
    gap = _first_difference(mine[1:], other)
    if mine[1 + gap :] == other[gap + 1 :]:
        return start, start + gap
    gap = _first_difference(mine, other[1:])
    if mine[gap + 1 :] == other[1 + gap :]:
        return start + gap, start
    return None


def _first_difference(one: tuple[T, ...], two: tuple[T, ...]) -> int:
    """The first place at which they differ; the shorter one's length if that begins the longer."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
