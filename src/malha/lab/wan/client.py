"""The lab's side of the WAN: starts the emulator process and tells it what the planet is like."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, TypeAlias

import malha
from malha.errors import InputError, InternalError
from malha.lab.wan.commands import nat_to_json, split_rows
from malha.lab.wan.control import Message, receive_replies, send_frame
from malha.lab.wan.settings import LinkSettings, Nat
from malha.lab.wan.stats import DropCause, LinkStats, WanStats

LinkRow: TypeAlias = tuple[str, str, LinkSettings]
"""From, to, and how packets fare that way."""

_ANSWER_TIMEOUT_S: Final = 30.0
_EXIT_TIMEOUT_S: Final = 5.0
_LINKS_PER_REQUEST: Final = 5000
_COMPLAINT_CHARACTERS: Final = 4000


class Wan:
    """An emulated internet between tunnels; a context manager.

    It lives in one child process, which ends with this object, or with this process however
    that ends. Methods take effect before they return, for every packet sent afterwards, and may
    be called from any thread.

    All raise:
        InputError: when a host, an address or a setting is not allowed; nothing changed.
        InternalError: when the emulator died or hangs, with what it said last.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], channel: socket.socket, complaints: IO[bytes]
    ) -> None:
        self._process = process
        self._channel = channel
        self._complaints = complaints
        self._lock = threading.Lock()

    @classmethod
    def start(cls, *, seed: int = 0) -> Wan:
        """Start an empty WAN. The same seed and the same packets give the same losses.

        Returns before the process is ready; the first call waits for it.
        """
        ours, theirs = socket.socketpair()
        ours.settimeout(_ANSWER_TIMEOUT_S)
        # A descriptor of this process, not PR_SET_PDEATHSIG: that one fires when the *thread*
        # that started the child ends.
        pidfd = os.pidfd_open(os.getpid())
        # A file, not a pipe: nobody has to read it while the emulator lives.
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        arguments = [str(theirs.fileno()), str(pidfd), str(seed)]
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "malha.lab.wan.emulator", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=(theirs.fileno(), pidfd),
                env=os.environ | {"PYTHONPATH": _import_path()},
                # Ctrl-C is for the lab, which closes the WAN when it is done.
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(pidfd)
        return cls(process, ours, complaints)

    @property
    def pid(self) -> int:
        """Of the emulator."""
        return self._process.pid

    def __enter__(self) -> Wan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add_host(
        self, name: str, tun_fd: int, addresses: Sequence[str], *, nat: Nat | None = None
    ) -> None:
        """Join a host by its tunnel (IFF_TUN, IFF_NO_PI), whose descriptor this call takes over
        and closes here, also when it raises.

        `addresses` are IPv4 and IPv6. With a `nat` the IPv4 ones are private to its box, where
        only hosts of the same box see them; IPv6 is always routed as it is.
        """
        try:
            os.fstat(tun_fd)
        except OSError as error:
            raise InputError(f"tun_fd {tun_fd} is no open descriptor") from error
        try:
            self._call(
                "add-host",
                (tun_fd,),
                name=name,
                addresses=list(addresses),
                nat=nat_to_json(nat),
            )
        finally:
            os.close(tun_fd)

    def remove_host(self, name: str) -> None:
        """Take a host off, and close its tunnel, which until then keeps the host's network
        namespace alive. Links and partitions of that name stay, for a new host that takes it."""
        self._call("remove-host", name=name)

    def change_addresses(self, name: str, addresses: Sequence[str]) -> None:
        """Give a host other addresses instead of those it has, behind the same NAT if any."""
        self._call("move-host", name=name, addresses=list(addresses), nat="same")

    def change_nat(self, name: str, nat: Nat | None) -> None:
        """Put a host behind another NAT box (or one of another public address, which forgets
        its mappings), or with None behind none; its own addresses stay."""
        self._call("move-host", name=name, addresses=None, nat=nat_to_json(nat))

    def forget_nat_mappings(self, public_address: str) -> None:
        """Restart a NAT box: it forgets every mapping."""
        self._call("forget-nat-mappings", public_address=public_address)

    def set_link(self, a: str, b: str, settings: LinkSettings) -> None:
        """Declare both directions between two hosts."""
        self.set_many([(a, b, settings), (b, a, settings)])

    def set_one_way(self, a: str, b: str, settings: LinkSettings) -> None:
        """Declare the direction from `a` to `b`."""
        self.set_many([(a, b, settings)])

    def set_many(self, rows: Iterable[LinkRow]) -> None:
        """Declare many directions, each from its first host to its second. Raises as all do,
        but rows in front of a wrong one may have taken effect."""
        for chunk in split_rows(list(rows), _LINKS_PER_REQUEST):
            distinct = dict.fromkeys(settings for _, _, settings in chunk)
            index = {settings: number for number, settings in enumerate(distinct)}
            self._call(
                "set-links",
                settings=[settings.to_row() for settings in distinct],
                rows=[(a, b, index[settings]) for a, b, settings in chunk],
            )

    def change_link(self, a: str, b: str, **fields: float | bool | None) -> None:
        """Change the named fields of `LinkSettings` in both directions, and no other."""
        self._call("change-link", a=a, b=b, fields=fields)

    def set_default(self, settings: LinkSettings) -> None:
        """Declare all directions, now and later, that are not declared one by one."""
        self._call("set-default", settings=settings.to_row())

    def partition(self, group_a: Collection[str], group_b: Collection[str]) -> None:
        """Let no packet pass between the groups, either way, until `heal`. Packets on their way
        still arrive."""
        self._call("partition", group_a=sorted(group_a), group_b=sorted(group_b))

    def heal(self, group_a: Collection[str], group_b: Collection[str]) -> None:
        """End partitions between the groups. Links with `up=False` stay down."""
        self._call("heal", group_a=sorted(group_a), group_b=sorted(group_b))

    def stats(self) -> WanStats:
        """Everything counted since the start, as of one instant."""
        replies = self._call("stats")
        rows = [row for reply in replies for row in reply.get("links", ())]
        last = replies[-1]
        return WanStats(
            links={(a, b): _parse_link_stats(*rest) for a, b, *rest in rows},
            unrouted_destinations={(a, to): n for a, to, n in last["unrouted_destinations"]},
            **last["totals"],
        )

    def close(self) -> None:
        """End the emulator; packets on their way are lost. May be called again."""
        self._channel.close()
        self._await_end()
        self._complaints.close()

    def _await_end(self) -> int:
        try:
            return self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _call(self, command: str, fds: Sequence[int] = (), **arguments: Any) -> list[Message]:
        with self._lock:
            try:
                send_frame(self._channel, {"command": command, **arguments}, fds)
                replies = receive_replies(self._channel)
            except TimeoutError as error:
                self._process.kill()
                raise self._describe_death(f"no answer in {_ANSWER_TIMEOUT_S} s") from error
            except (EOFError, OSError) as error:
                raise self._describe_death("it died") from error
        if "error" in replies[-1]:
            raise InputError(replies[-1]["error"])
        return replies

    def _describe_death(self, what: str) -> InternalError:
        if self._complaints.closed:
            return InternalError("the WAN emulator was closed")
        status = self._await_end()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip()[-_COMPLAINT_CHARACTERS:]
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        return InternalError(f"the WAN emulator failed: {what} ({how}); {said or 'no message'}")


def _parse_link_stats(packets: int, size_bytes: int, drops: dict[str, int]) -> LinkStats:
    return LinkStats(packets, size_bytes, {DropCause(cause): n for cause, n in drops.items()})


def _import_path() -> str:
    """Where the child finds this very package, however it was found here."""
    ours = str(Path(malha.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return f"{ours}{os.pathsep}{inherited}" if inherited else ours


__all__ = ["LinkRow", "Wan"]
