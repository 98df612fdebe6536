"""An overlay file in a folder of its own, and malha as its command line calls it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from malha.cli.main import main

TEXT = """\
# our overlay
overlay: test
prefixes: [10.50.0.0/16]
topology: regional   # one word
regions:
  central: {subnet: 10.50.0.0/24}
  ap: {subnet: 10.50.4.0/24}
  hkg: {subnet: 10.50.5.0/24}
nodes:
  hub-1: {region: central, role: hub, endpoint: "192.0.2.1:51820", address: 10.50.0.1}
  # the pop
  hkg: {region: hkg, role: pop, serves: [ap], endpoint: "192.0.2.2:51820", address: 10.50.5.9}
  nrt: {region: ap}   # Tokyo
  sin: {region: ap}

# single links
links: {pin: [[hkg, nrt]]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """overlay.yaml in the folder in which malha is called."""
    path = tmp_path / "overlay.yaml"
    path.write_text(TEXT)
    return path


@dataclass(frozen=True)
class Result:
    """What a call gave."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def malha(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Calls malha's entry point in the test's folder, with the arguments of a command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MALHA_OVERLAY", raising=False)

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["malha", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return run
