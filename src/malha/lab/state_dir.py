"""Where running labs are found: one folder for each, with a lock that only its daemon holds.

    /run/malha-lab/<name>/            root
    $XDG_RUNTIME_DIR/malha-lab/<name>/  anybody else

Rule: the lock decides whether a lab runs, as the kernel drops it whatever ended the daemon. A
folder whose lock is free is stale, and whoever wants the name takes it over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from malha.errors import InputError, MissingError
from malha.lab.waiting import wait_for

_LOOKING_S = 0.2
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")


def labs_root() -> Path:
    """The folder of this user's labs."""
    if os.geteuid() == 0:
        return Path("/run/malha-lab")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "malha-lab")
    return Path(tempfile.gettempdir(), f"malha-lab-{os.geteuid()}")


@dataclass(frozen=True, slots=True)
class StateDir:
    """One lab's folder."""

    name: str
    path: Path

    @property
    def control(self) -> Path:
        """The daemon's socket."""
        return self.path / "control.sock"

    @property
    def log(self) -> Path:
        """What the daemon and the lab's programs complain about."""
        return self.path / "lab.log"

    @property
    def is_running(self) -> bool:
        """Whether a daemon holds the lock."""
        try:
            fd = self._open_lock(os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def take(self) -> int:
        """Make the folder ours and give the lock's descriptor, to be kept open.

        Raises:
            InputError: when a lab of this name runs.
            MissingError: when there is no folder for labs to be in.
        """
        try:
            # Somebody who only looks holds the lock for an instant: `is_running`.
            fds = wait_for(self._try_take, _LOOKING_S, interval_s=0.02)
        except TimeoutError:
            message = f"a lab named {self.name} runs: malha lab down --name {self.name}"
            raise InputError(message) from None
        self.control.unlink(missing_ok=True)  # what a crashed daemon left
        return fds[0]

    def _try_take(self) -> list[int]:
        """Give the lock's descriptor, or none while somebody else holds it."""
        self._make_root()
        try:
            _make_private(self.path)
            fd = self._open_lock(os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:  # a daemon that ends removed one of the folders in between
            return []
        # The lock of a file that such a daemon has removed keeps nobody out.
        if _is_locked_by_us(fd) and _is_file_of(fd, self.path / "lock"):
            return [fd]
        os.close(fd)
        return []

    def _make_root(self) -> None:
        root = self.path.parent
        try:
            _make_private(root)
        except FileNotFoundError as error:
            if root.parent.is_dir():  # a daemon that ends removed it in between: the next try
                return
            message = f"running labs are kept in {root}, and there is no {root.parent}"
            raise MissingError(message, mend=f"mkdir -m 0700 {root.parent}") from error

    def remove_if_stale(self) -> bool:
        """Remove what a crashed daemon left; False when there is nothing, or a lab runs."""
        if not self.path.is_dir() or self.is_running:
            return False
        lock = self.take()
        self.remove()
        os.close(lock)
        return True

    def remove(self) -> None:
        """Remove the folder, and the one of all labs with the last; only the lock's holder may."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # another lab's folder is in it
            self.path.parent.rmdir()

    def _open_lock(self, flags: int) -> int:
        return os.open(self.path / "lock", flags | os.O_CLOEXEC, 0o600)


def state_dir(name: str) -> StateDir:
    """The folder of the lab of this name, whether it exists or not.

    Raises:
        InputError: when the name could not be a folder's.
    """
    if not _NAME.match(name):
        raise InputError(f"a lab's name is 1 to 32 of a-z, 0-9 and inner '-', not {name!r}")
    return StateDir(name, labs_root() / name)


def known_labs() -> list[StateDir]:
    """Every lab that has a folder, stale ones included, by name."""
    root = labs_root()
    names = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
    return [StateDir(name, root / name) for name in names if _NAME.match(name)]


def _is_locked_by_us(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_file_of(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _make_private(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.stat(follow_symlinks=False)
    # In a shared /tmp somebody else may have made it first, to be asked for our namespaces.
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise InputError(f"{path} must belong to this user alone (mode 0700)")
