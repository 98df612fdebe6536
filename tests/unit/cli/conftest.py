"""An overlay whose keys are made, for commands that prove and render."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_overlay.conftest import TEXT, Run, malha

__all__ = ["malha"]


@pytest.fixture
def keyed(tmp_path: Path, malha: Run) -> Path:
    """overlay.yaml with every public key in it; the private ones are in `keys` beside it."""
    path = tmp_path / "overlay.yaml"
    path.write_text(TEXT)
    assert malha("keys", "new").returncode == 0
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """overlay.yaml without any key."""
    path = tmp_path / "overlay.yaml"
    path.write_text(TEXT)
    return path
