"""Running a command of the operator's terminal inside a node of a running lab."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from malha.lab import syscalls
from malha.lab.control import ask
from malha.lab.missing import search_path
from malha.lab.state_dir import StateDir

_EXIT_SIGNALLED = 128
"""A shell's way to say by which signal a command ended. Source: POSIX, shell, 2.8.2."""
_EXIT_NOT_FOUND = 127


def run_inside(place: StateDir, node: str, argv: Sequence[str]) -> int:
    """Run `argv` in a node with this process's terminal, and give its exit code.

    The command keeps our session, so that Ctrl-C and job control work, and belongs to the lab's
    PID namespace, so that it ends with the lab. The caller has no threads: it forks.

    Raises:
        InputError: when no such lab runs, or it has no such node.
    """
    _, (user_fd, pid_fd, net_fd, mount_fd) = ask(place, {"op": "enter", "host": node})
    here = Path.cwd()
    sys.stdout.flush()
    sys.stderr.flush()
    if not _is_own_user_namespace(user_fd):
        syscalls.setns(user_fd, syscalls.CLONE_NEWUSER)
    syscalls.setns(pid_fd, syscalls.CLONE_NEWPID)  # of children
    child = os.fork()
    if child == 0:
        _become(net_fd, mount_fd, here, argv)
    return _await_child(child)


def _is_own_user_namespace(fd: int) -> bool:
    return os.fstat(fd).st_ino == Path("/proc/self/ns/user").stat().st_ino


def _become(net_fd: int, mount_fd: int, here: Path, argv: Sequence[str]) -> NoReturn:
    try:
        syscalls.setns(net_fd, syscalls.CLONE_NEWNET)
        syscalls.setns(mount_fd, syscalls.CLONE_NEWNS)
        with contextlib.suppress(OSError):
            os.chdir(here)
        os.environ["PATH"] = search_path()
        os.execvp(argv[0], list(argv))
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_EXIT_NOT_FOUND)


def _await_child(child: int) -> int:
    # The terminal sends Ctrl-C to the command too, which is the one to answer it.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _EXIT_SIGNALLED - code
