"""What the lab needs of a machine, and which command supplies what is missing.

Rule: look before building anything, name one cause, and a command that mends exactly that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from malha.errors import MissingError

TUN = Path("/dev/net/tun")

_APT = "apt-get install -y --no-install-recommends"
PROGRAMS = {
    "ip": f"{_APT} iproute2",
    "wg": f"{_APT} wireguard-tools",
    "nft": f"{_APT} nftables",
}
USERSPACE_WIREGUARD = "wireguard-go"

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_MAXIMUM = Path("/proc/sys/user/max_user_namespaces")


def search_path() -> str:
    """Where programs are looked for: users other than root often lack the sbin folders."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def check_programs(*, kernel_wireguard: bool) -> None:
    """Raise for the first program that is missing.

    Raises:
        MissingError: with the command that installs it.
    """
    needed = dict(PROGRAMS)
    if not kernel_wireguard:
        needed[USERSPACE_WIREGUARD] = f"{_APT} wireguard-go"
    for program, mend in needed.items():
        if shutil.which(program, path=search_path()) is None:
            raise MissingError(f"the lab needs the program {program}", mend=mend)


def check_tun(device: Path = TUN) -> None:
    """Raise when this user cannot make TUN devices.

    Raises:
        MissingError: saying whether the device is missing or closed to this user.
    """
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError as error:
        message = f"the lab needs to open {device}, and this user may not"
        raise MissingError(message, mend=f"sudo chmod 0666 {device}, or run as root") from error
    except OSError as error:
        message = f"the lab needs {device}: {error.strerror}"
        raise MissingError(message, mend="sudo modprobe tun") from error


def explain_isolation_error(reason: str) -> MissingError:
    """Say why this machine refuses user namespaces, from what its kernel settings show."""
    if _is(_APPARMOR, "1"):
        return MissingError(
            "AppArmor keeps users from having user namespaces of their own "
            f"({_APPARMOR.name}=1): {reason}",
            mend=f"sudo sysctl -w kernel.{_APPARMOR.name}=0, or run as root",
        )
    if _is(_CLONE, "0"):
        return MissingError(
            f"this kernel keeps users from having user namespaces ({_CLONE.name}=0): {reason}",
            mend=f"sudo sysctl -w kernel.{_CLONE.name}=1, or run as root",
        )
    if _is(_MAXIMUM, "0"):
        return MissingError(
            f"user namespaces are switched off (user.{_MAXIMUM.name}=0): {reason}",
            mend=f"sudo sysctl -w user.{_MAXIMUM.name}=15000, or run as root",
        )
    return MissingError(
        f"this machine refuses the lab its namespaces: {reason} "
        "(a container without CAP_SYS_ADMIN, or a seccomp filter, does that)",
        mend="run as root, or give the container CAP_SYS_ADMIN",
    )


def _is(setting: Path, value: str) -> bool:
    try:
        return setting.read_text(encoding="ascii").strip() == value
    except OSError:
        return False
