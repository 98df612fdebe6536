"""The lab's side of the keeper: start it, ask for hosts, start programs in them."""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from malha.errors import InternalError, OtherSideError
from malha.lab.interpreter import python_argv
from malha.lab.keeper import wire
from malha.lab.missing import explain_isolation_error, search_path
from malha.lab.namespaces import Namespace


class Keeper:
    """A running keeper. Closing it ends every process in every host."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._sending = threading.Lock()
        self._ids = itertools.count(1)

    @classmethod
    def start(cls) -> Keeper:
        """Start the keeper's process and wait until it is isolated.

        Raises:
            MissingError: when this machine refuses the namespaces; says why and what mends it.
        """
        ours, theirs = wire.pair()
        with theirs:
            process = subprocess.Popen(
                python_argv("malha.lab.keeper.server", theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": search_path()},
                # Ctrl-C at the lab's terminal is the lab's to answer, which then closes us.
                start_new_session=True,
            )
        greeting = wire.receive(ours)
        if greeting is None or "error" in greeting[0]:
            process.wait()
            ours.close()
            if greeting is None:
                raise InternalError("the lab's keeper ended before it was ready")
            raise explain_isolation_error(greeting[0]["error"])
        return cls(process, ours)

    def close(self) -> None:
        """End the keeper and, with it, every process of the lab. Returns when they are gone."""
        self._connection.close()
        self._process.wait()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process number of the keeper's parent, which is our child."""
        return self._process.pid

    def make_host(
        self, name: str, *, tuns: Sequence[str] = (), hosts_text: str = ""
    ) -> tuple[Namespace, list[int]]:
        """Make a host's namespaces and the TUN devices `tuns` in it; gives their packet ends."""
        request = {"op": "host", "host": name, "tuns": list(tuns), "hosts_text": hosts_text}
        net_fd, mount_fd, run_fd, *tun_fds = self._ask(request)
        return Namespace(net_fd, mount_fd, run_fd), tun_fds

    def forget_host(self, name: str) -> None:
        """Let go of a host's namespaces; they end with their last process."""
        self._ask({"op": "forget", "host": name})

    def open_socket(self, host: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket inside a host, for use out here."""
        (fd,) = self._ask({"op": "socket", "host": host, "socket": [family, kind, protocol]})
        return socket.socket(fileno=fd)

    def make_room(self, hosts: int) -> None:
        """Raise the machine's limits for this many userspace devices, until the keeper ends."""
        self._ask({"op": "room", "hosts": hosts})

    def own_namespaces(self) -> tuple[int, int]:
        """Open the user and the PID namespace in which all programs of the lab run."""
        user_fd, pid_fd = self._ask({"op": "own"})
        return user_fd, pid_fd

    def spawn(
        self,
        host: str,
        argv: Sequence[str],
        stdio: tuple[int, int, int],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
    ) -> Spawned:
        """Start a program inside a host with these descriptors as its standard streams."""
        identity = next(self._ids)
        request = {"op": "spawn", "id": identity, "host": host, "argv": list(argv)}
        answer = self._send({**request, "env": dict(env or {}), "cwd": cwd}, stdio)
        return Spawned(self, identity, answer)

    def send_signal(self, identity: int, number: int) -> None:
        """Send a signal to a spawned program and its process group."""
        self._ask({"op": "signal", "id": identity, "signal": int(number)})

    def _ask(self, request: dict[str, Any]) -> list[int]:
        with self._send(request) as answer:
            received = wire.receive(answer)
        if received is None:
            raise InternalError("the lab's keeper is gone")
        message, fds = received
        if "error" in message:
            raise OtherSideError(f"the lab's keeper could not {request['op']}: {message['error']}")
        return fds

    def _send(self, request: dict[str, Any], fds: Sequence[int] = ()) -> socket.socket:
        ours, theirs = wire.pair()
        try:
            with theirs, self._sending:
                wire.send(self._connection, request, [theirs.fileno(), *fds])
        except OSError as error:
            ours.close()
            raise InternalError("the lab's keeper is gone") from error
        return ours


class Spawned:
    """A program that runs inside a host."""

    def __init__(self, keeper: Keeper, identity: int, answer: socket.socket) -> None:
        self._keeper = keeper
        self._identity = identity
        self._answer = answer
        self._waiting = threading.Lock()
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        return self._exit_code if self._is_answered(0) else None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end and give the exit code; negative is the signal that ended it.

        Raises:
            TimeoutError: when it still runs after `timeout_s`.
        """
        if not self._is_answered(timeout_s):
            raise TimeoutError(f"a program in the lab still runs after {timeout_s} s")
        assert self._exit_code is not None
        return self._exit_code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, SIGKILL unless told otherwise; without effect once it ended."""
        if self.poll() is None:
            self._keeper.send_signal(self._identity, number)

    def _is_answered(self, timeout_s: float | None) -> bool:
        with self._waiting:
            if self._exit_code is not None:
                return True
            poller = select.poll()
            poller.register(self._answer, select.POLLIN)
            if not poller.poll(None if timeout_s is None else timeout_s * 1000):
                return False
            received = wire.receive(self._answer)
            self._answer.close()
            message = {"exit": -signal.SIGKILL} if received is None else received[0]
            if "error" in message:
                raise OtherSideError(f"the lab could not start a program: {message['error']}")
            self._exit_code = int(message["exit"])
            return True


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that were handed on."""
    for fd in fds:
        os.close(fd)
