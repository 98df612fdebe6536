"""How the lab starts its own small Python programs: this interpreter, standard library only."""

from __future__ import annotations

import sys
from pathlib import Path

import malha

_ROOT = Path(malha.__file__).parents[1]


def python_argv(module: str, *arguments: int | str) -> list[str]:
    """Command line that calls `main(*arguments)` of a module.

    Site packages stay out (-S, -I): that halves the start, and a program that runs in a
    hundred hosts pays for each.
    """
    call = (
        f"import sys; sys.path.insert(0, {str(_ROOT)!r}); "
        f"from {module} import main; main(*{arguments!r})"
    )
    return [sys.executable, "-I", "-S", "-c", call]
