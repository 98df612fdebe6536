"""Packages import downwards only, and the pure ones touch nothing. Each ban has its reason."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.repo.checkout import SOURCE, imports_of, name_in_source, source_files, syntax_of

PURE = ("overlay", "topology", "proof", "wireguard", "changes", "render", "diagnosis")

BANNED_MODULES = {
    "socket": "a pure answer does not depend on the network",
    "ssl": "a pure answer does not depend on the network",
    "urllib": "a pure answer does not depend on the network",
    "http": "a pure answer does not depend on the network",
    "os": "a pure answer does not depend on this machine or its environment",
    "sys": "a pure answer does not depend on this process",
    "platform": "a pure answer does not depend on this machine",
    "shutil": "files are read and written by host/ and cli/",
    "tempfile": "files are read and written by host/ and cli/",
    "glob": "files are read and written by host/ and cli/",
    "io": "files are read and written by host/ and cli/",
    "time": "time is handed in, so that a test can choose it",
    "random": "the same input gives the same bytes",
    "secrets": "keys are made by secrets/ and joined at the last moment",
    "uuid": "the same input gives the same bytes",
    "subprocess": "commands run in host/",
    "asyncio": "waiting is an effect",
    "threading": "waiting is an effect",
    "multiprocessing": "waiting is an effect",
    "signal": "waiting is an effect",
    "logging": "a pure function returns what it has to say",
    "pickle": "a pickle can run code, and would carry secrets out of their types",
}

BANNED_CALLS = {
    "print": "only cli/ prints",
    "input": "only cli/ asks",
    "open": "files are read and written by host/ and cli/",
    "exec": "nothing read from a file is ever run",
    "eval": "nothing read from a file is ever run",
    "now": "time is handed in, so that a test can choose it",
    "utcnow": "time is handed in, so that a test can choose it",
    "today": "time is handed in, so that a test can choose it",
    "read_text": "files are read and written by host/ and cli/",
    "read_bytes": "files are read and written by host/ and cli/",
    "write_text": "files are read and written by host/ and cli/",
    "write_bytes": "files are read and written by host/ and cli/",
    "unlink": "files are read and written by host/ and cli/",
    "mkdir": "files are read and written by host/ and cli/",
    "rmtree": "files are read and written by host/ and cli/",
}

EXCEPTIONS = {
    # The one door from file to Overlay: line numbers belong to it alone. An agent never loads it;
    # it gets the canonical JSON, whose validation (overlay/validate.py) is pure and the same.
    "overlay/yaml_source.py": {"yaml", "open"},
}

MAY_IMPORT = {
    # package: what it may import beside the pure ones. Whoever is not named here may import all.
    **dict.fromkeys(PURE, frozenset[str]()),
    "secrets": frozenset({"host"}),
    "host": frozenset(),
    "lab": frozenset({"host", "secrets"}),
    "cli": frozenset({"host", "secrets", "lab", "fleet", "agent", "controller"}),
}

TERMINAL_MODULES = {
    "click": "only cli/ knows that there is a command line",
    "rich": "only cli/ draws",
}


def package_of(path: Path) -> str:
    """`overlay` for overlay/model.py; empty for modules beside the packages."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def pure_files() -> list[Path]:
    """Every file of a pure package."""
    return [path for path in source_files() if package_of(path) in PURE]


def call_name(node: ast.Call) -> str:
    """`open` for open(…) and for path.open(…)."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def calls_of(path: Path) -> list[ast.Call]:
    """Every call in a file."""
    return [node for node in ast.walk(syntax_of(path)) if isinstance(node, ast.Call)]


def foreign_imports(path: Path) -> set[str]:
    """First names of imported modules that are not malha's."""
    return {name.split(".")[0] for name in imports_of(syntax_of(path))} - {"malha"}


def own_packages_imported(path: Path) -> set[str]:
    """Packages of malha that a file imports; `errors` for malha.errors."""
    names = (name.split(".") for name in imports_of(syntax_of(path)))
    return {name[1] for name in names if name[0] == "malha" and len(name) > 1} - {"__version__"}


def allowed_below(package: str) -> set[str]:
    """What a package's files may import of malha."""
    return {package, "errors", *PURE, *MAY_IMPORT[package]}


def test_the_pure_packages_are_there() -> None:
    assert {package_of(path) for path in pure_files()} >= set(PURE) - {"diagnosis"}


def test_pure_files_import_the_standard_library_and_nothing_that_acts() -> None:
    broken = []
    for path in pure_files():
        for name in sorted(foreign_imports(path) - EXCEPTIONS.get(name_in_source(path), set())):
            if name in BANNED_MODULES:
                broken.append(f"{name_in_source(path)}: {name}: {BANNED_MODULES[name]}")
            elif name not in sys.stdlib_module_names:
                broken.append(f"{name_in_source(path)}: {name}: the agent carries this file")
    assert not broken, "\n".join(broken)


def test_pure_files_call_nothing_that_acts() -> None:
    broken = [
        f"{name_in_source(path)}:{call.lineno}: {call_name(call)}: {BANNED_CALLS[call_name(call)]}"
        for path in pure_files()
        for call in calls_of(path)
        if call_name(call) in BANNED_CALLS.keys() - EXCEPTIONS.get(name_in_source(path), set())
    ]
    assert not broken, "\n".join(broken)


def test_packages_import_downwards_only() -> None:
    broken = {
        name_in_source(path): above
        for path in source_files()
        if package_of(path) in MAY_IMPORT
        and (above := own_packages_imported(path) - allowed_below(package_of(path)))
    }
    assert not broken


def test_only_the_command_line_prints() -> None:
    broken = []
    for path in source_files():
        if package_of(path) != "cli":
            names = sorted(foreign_imports(path) & TERMINAL_MODULES.keys())
            broken += [
                f"{name_in_source(path)}: {name}: {TERMINAL_MODULES[name]}" for name in names
            ]
            if any(call_name(call) == "print" for call in calls_of(path)):
                broken.append(f"{name_in_source(path)}: print: only cli/ prints")
    assert not broken, "\n".join(broken)


def test_a_ban_that_nothing_could_break_is_no_ban() -> None:
    """The tests above see what they look for: here is a file that breaks each rule."""
    tree = ast.parse("import os.path\nfrom time import sleep\nx.open()\nprint(1)\n")
    assert {"os.path", "time", "time.sleep"} <= set(imports_of(tree))
    calls = {call_name(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls == {"open", "print"}
