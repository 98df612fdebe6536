"""A small overlay file that uses every key, for tests that change it in one place."""

from __future__ import annotations

from pathlib import Path

from malha.errors import InputError, Problem
from malha.overlay.model import Overlay
from malha.overlay.yaml_source import load_overlay, source_of

KEY_A = "He2jX3+iEl7hUaaJG/i3YcSnStEFAcW/rs/lP0Pw+nc="
KEY_B = "rImgzxPu9MuhqLpcvXQ9xckSSA+AGbDOpBGvTUOwaHQ="

SAMPLE = f"""\
# The sample overlay.
overlay: sample
description: one of everything
prefixes: [10.50.0.0/16, "fd50::/48"]
topology: regional
defaults: {{listen_port: 51820, spare_port: 51821, persistent_keepalive: 25, mtu: auto}}

regions:
  central: {{subnet: [10.50.0.0/24, "fd50::/64"]}}
  ap:      {{subnet: 10.50.4.0/24, description: Asia Pacific}}   # three backends
  hkg:     {{subnet: 10.50.5.0/24}}

nodes:
  hub-1: {{region: central, role: hub, endpoint: "192.0.2.1:51820", public_key: {KEY_A}}}
  # the pop in Hong Kong
  hkg:
    region: hkg
    role: pop
    serves: [ap]         # its own region besides
    endpoint: "hkg.example.org:51820"
    public_key: {KEY_B}
    exit: true
    routes: [192.168.7.0/24, 0.0.0.0/0]
    location: asia-east2
  nrt: {{region: ap, address: 10.50.4.7, via_exit: hkg, persistent_keepalive: 0}}
  sin: {{region: ap, managed: false, mtu: 1380, description: a phone}}

links:
  add: [[hub-1, nrt]]
  forbid: [[hub-1, sin]]
  pin: [[hkg, nrt]]
latency:
  rtt_ms:
    hub-1: {{hkg: 242, nrt: 250.5}}
  estimated_rtt_ms: {{hkg: {{sin: 38}}}}
  how_estimated: great circle
"""


def overlay_of(text: str) -> Overlay:
    """The overlay that a text declares."""
    return source_of(text, Path("overlay.yaml")).overlay


def problems_of(text: str) -> tuple[Problem, ...]:
    """All problems of a text; fails when there are none."""
    try:
        overlay = overlay_of(text)
    except InputError as error:
        return error.problems
    raise AssertionError(f"accepted: {overlay}")


def problems_of_file(path: Path) -> tuple[Problem, ...]:
    """All problems of a file; fails when there are none."""
    try:
        overlay = load_overlay(path)
    except InputError as error:
        return error.problems
    raise AssertionError(f"accepted: {overlay}")


def changed(old: str, new: str) -> str:
    """The sample with one place changed; fails when the place is not there once."""
    assert SAMPLE.count(old) == 1, f"{old!r} stands {SAMPLE.count(old)} times"
    return SAMPLE.replace(old, new)


def place_of(text: str, fragment: str) -> tuple[int, int]:
    """Line and column of the first place of a fragment."""
    before = text[: text.index(fragment)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
