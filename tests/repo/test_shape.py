"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

from tests.repo.checkout import name_in_source, source_files, syntax_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 10
MAX_POSITIONAL_PARAMETERS = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(path: Path) -> list[Function]:
    """Every function and method of a file."""
    return [node for node in ast.walk(syntax_of(path)) if isinstance(node, Function)]


def length_of(function: Function) -> int:
    """Lines from `def` to the last one; decorators are not counted."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def name_of(path: Path, function: Function) -> str:
    """Where to look, for a message."""
    return f"{name_in_source(path)}:{function.lineno} {function.name}"


def positional_parameters(function: Function) -> list[str]:
    """Names of what may be passed by position, `self` and `cls` left out."""
    arguments = function.args.posonlyargs + function.args.args
    return [a.arg for a in arguments if a.arg not in ("self", "cls")]


def is_command(function: Function) -> bool:
    """Whether click calls it, by keyword: its parameters are the command's options."""
    return any(ast.unparse(d).startswith("click.") for d in function.decorator_list)


def test_files_are_short() -> None:
    lengths = {name_in_source(p): len(p.read_text("utf-8").splitlines()) for p in source_files()}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES}


def test_functions_are_short() -> None:
    lengths = {name_of(p, f): length_of(f) for p in source_files() for f in functions_of(p)}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}


def test_parameters_passed_by_position_are_few() -> None:
    counts = {
        name_of(path, function): len(positional_parameters(function))
        for path in source_files()
        for function in functions_of(path)
        if not is_command(function)
    }
    assert not {name: count for name, count in counts.items() if count > MAX_POSITIONAL_PARAMETERS}


def test_no_boolean_is_passed_by_position() -> None:
    assert not [
        name_of(path, function)
        for path in source_files()
        for function in functions_of(path)
        for default in function.args.defaults
        if isinstance(default, ast.Constant) and isinstance(default.value, bool)
    ]


def test_the_median_function_is_short() -> None:
    lengths = [length_of(function) for path in source_files() for function in functions_of(path)]
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES
