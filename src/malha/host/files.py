"""Files that are never half-written, and turns among commands that change the same file.

Rule: a reader sees the old content or the new one, also after a crash; and whoever reads a
file in order to change it holds its lock from before the reading until after the writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from malha.errors import InputError, MissingError

SECRET_MODE = 0o600
DEFAULT_MODE = 0o644
DEFAULT_LOCK_TIMEOUT_S = 30.0
_POLL_S = 0.02


def write_atomic(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put `content` in place of a file's, or make the file, in one step.

    Args:
        path: a symbolic link is followed; the link itself stays.
        content: all of it.
        mode: permissions; None keeps those of the file there, 0644 for a new one.

    Raises:
        MissingError: when the folder is missing, read-only or full.
    """
    target = Path(os.path.realpath(path))
    try:
        _replace(target, content, mode)
    except OSError as error:
        raise _unwritable(path, target.parent, error) from error


def _replace(target: Path, content: bytes, mode: int | None) -> None:
    # mkstemp makes the file 0600, so a secret is never readable by others, not for a moment.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _copy_owner_and_mode(file.fileno(), target, mode)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(target.parent)


def _copy_owner_and_mode(descriptor: int, target: Path, mode: int | None) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, DEFAULT_MODE if mode is None else mode)
        return
    with suppress(PermissionError):  # only root may give a file away; ours is then ours
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) if mode is None else mode)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk: a new one may else be lost in a power cut, content and all."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_changed(
    folder: Path, files: Iterable[tuple[str, bytes]], *, mode: int
) -> tuple[list[str], list[str]]:
    """Write each (name, content) of a folder that differs from what stands there, atomically.

    The folder is made, for its owner alone, if it is missing. Gives the names of the files that
    were written and of those that were not. Cheaper than one `write_atomic` each: the folder is
    opened and synced once.

    Raises:
        MissingError, InputError: as `write_atomic`; files before the failing one are written.
    """
    written: list[str] = []
    unchanged: list[str] = []
    name = ""
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, content in files:
                if _holds(place, name, content, mode):
                    unchanged.append(name)
                else:
                    _replace_at(place, name, content, mode)
                    written.append(name)
            os.fsync(place)
        finally:
            os.close(place)
    except OSError as error:
        raise _unwritable(folder / name, folder, error) from error
    return written, unchanged


def _holds(place: int, name: str, content: bytes, mode: int) -> bool:
    """Whether a file has exactly this content and mode."""
    # O_NONBLOCK: opening a FIFO would else wait for somebody to write into it.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(name, flags, dir_fd=place)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_size != len(content) or status.st_mode != stat.S_IFREG | mode:
            return False
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read() == content
    finally:
        os.close(descriptor)


def _replace_at(place: int, name: str, content: bytes, mode: int) -> None:
    unfinished = f".{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(unfinished, flags, SECRET_MODE, dir_fd=place)
    except FileExistsError:  # left behind by a process of the same number that was killed
        os.unlink(unfinished, dir_fd=place)
        descriptor = os.open(unfinished, flags, SECRET_MODE, dir_fd=place)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=place)
        raise


def _unwritable(path: Path, folder: Path, error: OSError) -> MissingError | InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MissingError(
            f"{path} was not written, the disk is full; the old file is untouched",
            mend=f"df -h {folder}   # then make room",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingError(
            f"{path} cannot be written: the folder {folder} is read-only or closed for this user",
            mend=f"ls -ld {folder}   # then make it writable, or choose another file",
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MissingError(
            f"{path} cannot be written: there is no folder {folder}", mend=f"mkdir -p {folder}"
        )
    reason = (error.strerror or "unknown reason").lower()
    return InputError(f"{path} cannot be written: {reason}; the old file is untouched")


@contextmanager
def locked(path: Path, *, timeout_s: float = DEFAULT_LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the one lock of a file among malha's commands; nothing is left when it is given back.

    The lock is a file beside, `.NAME.lock`, that holds the holder's pid. The kernel frees it
    when the holder dies.

    Raises:
        MissingError: when the folder is not writable, or the lock is not free in `timeout_s`;
            the message names the holder's pid.
    """
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}.lock")
    try:
        descriptor = _acquire(lock, time.monotonic() + timeout_s)
    except TimeoutError as error:
        holder = _holder(lock)
        raise MissingError(
            f"{path} is being changed by another malha command (pid {holder}) "
            f"and was not free within {timeout_s:g} s",
            mend=f"ps -p {holder}   # then wait for it, or end it, and try again",
        ) from error
    except OSError as error:
        raise _unwritable(path, target.parent, error) from error
    try:
        yield
    finally:
        # Removed while still held: the next one finds that its file is gone and makes its own.
        with suppress(FileNotFoundError):
            lock.unlink()
        os.close(descriptor)


def _acquire(lock: Path, deadline: float) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(lock, flags, SECRET_MODE)
        try:
            _wait_for(descriptor, deadline)
            if _is_same_file(descriptor, lock):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait_for(descriptor: int, deadline: float) -> None:
    while not _try_lock(descriptor):
        if time.monotonic() >= deadline:
            raise TimeoutError
        time.sleep(_POLL_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        return lock.read_text(encoding="ascii").strip() or "unknown"
    except OSError:
        return "unknown"
