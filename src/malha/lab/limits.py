"""Limits of the machine that a big lab meets, raised for as long as it runs."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
"""Each wireguard-go watches its socket with one; Linux allows 128 for a user."""

_SPARE_INSTANCES = 64


def raise_open_files() -> None:
    """Allow this process as many descriptors as it may have; a host takes about five."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def inotify_instances(hosts: int, *, setting: Path = INOTIFY_INSTANCES) -> Iterator[None]:
    """Have room for `hosts` more inotify instances, and put the setting back afterwards.

    Without root the setting stays: a lab of more than about 120 hosts then fails by itself.
    """
    before = int(setting.read_text(encoding="ascii"))
    # Somebody else's instances count too, and nobody says how many there are: half of the
    # limit is taken for theirs.
    theirs = before // 2
    wanted = hosts + theirs + _SPARE_INSTANCES
    if hosts <= before - theirs or not _write(setting, wanted):
        yield
        return
    try:
        yield
    finally:
        if int(setting.read_text(encoding="ascii")) == wanted:
            _write(setting, before)


def _write(setting: Path, value: int) -> bool:
    try:
        setting.write_text(str(value), encoding="ascii")
    except OSError:
        return False
    return True
