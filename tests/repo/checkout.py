"""The files of this checkout, for tests that read them as text or as Python syntax."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "malha"
COMMAND_BLOCK = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LEFTOVERS = {"__pycache__", ".venv", ".cache", ".git", ".hypothesis", "keys", "out", "dist"}


@cache
def kept_files() -> tuple[Path, ...]:
    """Every file that is in git or would be added; in a copy without git, all but leftovers."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
        return tuple(sorted(ROOT / name for name in names if (ROOT / name).is_file()))
    return tuple(sorted(_walk(ROOT)))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in LEFTOVERS or path.name.endswith("_cache"):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


@cache
def kept_texts() -> dict[str, str]:
    """The text of every kept file, by its path from the root; a binary file is left out."""
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in kept_files()}
    return {name: raw.decode() for name, raw in contents.items() if b"\0" not in raw}


@cache
def source_files() -> tuple[Path, ...]:
    """Every Python file of the package."""
    return tuple(sorted(SOURCE.rglob("*.py")))


def name_in_source(path: Path) -> str:
    """A source file's name as the tests' tables write it: `overlay/model.py`."""
    return path.relative_to(SOURCE).as_posix()


@cache
def syntax_of(path: Path) -> ast.Module:
    """The parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every imported module's dotted name, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def commands_of(markdown: str) -> list[str]:
    """Every command line of the fenced shell blocks; what a shell prints, and remarks, left out."""
    lines = "\n".join(COMMAND_BLOCK.findall(markdown)).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line and not line.startswith("#")]
