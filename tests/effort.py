"""How hard the random tests try: a little in `make test`, much in a long run.

MALHA_EFFORT=20 runs twenty times the examples that a test names; `make test` runs a fifth.
"""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("MALHA_EFFORT", "0.2"))


def examples(count: int) -> int:
    """So many examples for a test that names `count`; never fewer than five."""
    return max(5, int(count * FACTOR))
