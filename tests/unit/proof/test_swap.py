"""`swapped` against trying every pair of places."""

from __future__ import annotations

from itertools import product

from malha.proof.swap import swapped


def naive(old: tuple[str, ...], new: tuple[str, ...]) -> set[tuple[int, int]]:
    """Every (i, j) such that the rest of both is the same."""
    if old == new:
        return set()
    return {
        (i, j)
        for i in range(len(old))
        for j in range(len(new))
        if old[:i] + old[i + 1 :] == new[:j] + new[j + 1 :]
    }


def test_every_pair_of_short_tuples() -> None:
    tuples = [t for n in range(5) for t in product("abc", repeat=n)]
    for old in tuples:
        for new in tuples:
            found = swapped(old, new)
            expected = naive(old, new)
            assert (found in expected) if expected else (found is None), (old, new, found)


def test_a_long_one() -> None:
    old = tuple(range(1000))
    assert swapped(old, (*old[1:], -1)) == (0, 999)
    assert swapped((*old[1:], -1), old) == (999, 0)
    assert swapped(old, (*old[:500], -1, *old[501:])) == (500, 500)
    assert swapped(old, (-2, *old[1:999], -1)) is None
