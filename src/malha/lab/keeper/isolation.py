"""How the keeper gets namespaces of its own, as root or as anybody.

As root it needs a PID namespace only. As anybody else it takes a user namespace first, in which
it is root, and owns everything below it. Source: user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import os
from pathlib import Path

from malha.lab import syscalls


def isolate() -> None:
    """Take a PID namespace, in a user namespace where that is needed. Only children enter it.

    Raises:
        OSError: when this machine refuses.
    """
    if os.geteuid() != 0 or not _unshared_as_root():
        _enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWPID)


def _unshared_as_root() -> bool:
    try:
        syscalls.unshare(syscalls.CLONE_NEWPID)
    except PermissionError:  # root of a container without CAP_SYS_ADMIN
        return False
    return True


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    # Without "deny" the kernel lets nobody map a group. Source: user_namespaces(7).
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
