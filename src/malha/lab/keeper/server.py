"""The keeper's own program. Started by `malha.lab.keeper.client`, never by hand.

    lab process ──request + descriptors──▶ keeper (PID 1) ──fork, setns, exec──▶ programs

Rules: one thread outside of `namespaces.in_own_thread`, because it forks; every request brings
its own answering end as first descriptor; the connection's end is the keeper's end.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from typing import Any

from malha.lab import namespaces, syscalls
from malha.lab.keeper import wire
from malha.lab.keeper.isolation import isolate
from malha.lab.limits import inotify_instances
from malha.lab.namespaces import Namespace

EXIT_NOT_STARTED = 127
"""What a shell answers for a command it could not start."""


def main(connection_fd: int) -> None:
    """Isolate, become process 1 of a PID namespace, and serve until the lab ends."""
    connection = socket.socket(fileno=connection_fd)
    connection.set_inheritable(False)  # or every program of the lab could listen in
    try:
        isolate()
        child = os.fork()
    except OSError as error:
        wire.send(connection, {"error": str(error), "errno": error.errno})
        return
    if child:
        connection.close()
        os.waitpid(child, 0)
        return
    Keeper(connection).serve()


class Keeper:
    """Hosts by name, running programs by process number."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._hosts: dict[str, Namespace] = {}
        self._answers: dict[int, socket.socket] = {}
        self._pids: dict[int, int] = {}
        self._limits = contextlib.ExitStack()
        self._wakeup, wakeup_write = socket.socketpair()
        self._wakeup.setblocking(False)
        wakeup_write.setblocking(False)
        # Kept open for as long as the process lives: the interpreter writes to it on SIGCHLD.
        self._wakeup_write = wakeup_write
        signal.set_wakeup_fd(wakeup_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Answer requests until the lab closes the connection; every child dies with us."""
        syscalls.name_thread("malha-keeper")
        wire.send(self._connection, {"ready": True})
        with self._limits, selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._wakeup, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wakeup:
                        self._reap()
                    elif not self._serve_request():
                        return

    def _serve_request(self) -> bool:
        received = wire.receive(self._connection)
        if received is None:
            return False
        request, fds = received
        answer = socket.socket(fileno=fds[0])
        try:
            self._perform(request, answer, fds[1:])
        except (OSError, KeyError) as error:
            number = error.errno if isinstance(error, OSError) else None
            self._answer(answer, {"error": str(error), "errno": number})
        finally:
            for fd in fds[1:]:
                os.close(fd)
        return True

    def _perform(self, request: dict[str, Any], answer: socket.socket, fds: list[int]) -> None:
        match request["op"]:
            case "spawn":
                self._spawn(request, answer, fds)
            case "host":
                self._answer(answer, {}, self._make_host(request))
            case "socket":
                place = self._hosts[request["host"]]
                fd = namespaces.open_socket(place, *request["socket"])
                self._answer(answer, {}, [fd])
            case "signal":
                self._send_signal(request)
                self._answer(answer, {})
            case "own":
                kinds = ("user", "pid")
                self._answer(
                    answer, {}, [os.open(f"/proc/self/ns/{k}", os.O_RDONLY) for k in kinds]
                )
            case "room":
                # Here and not in the lab, which may be killed: we put the limit back whatever
                # ended it.
                self._limits.enter_context(inotify_instances(request["hosts"]))
                self._answer(answer, {})
            case "forget":
                self._hosts.pop(request["host"]).close()
                self._answer(answer, {})

    def _answer(
        self, answer: socket.socket, message: dict[str, Any], fds: list[int] | None = None
    ) -> None:
        with contextlib.suppress(OSError), answer:  # whoever asked may have gone
            wire.send(answer, message, fds or [])
        for fd in fds or []:
            if not self._is_namespace_fd(fd):
                os.close(fd)

    def _is_namespace_fd(self, fd: int) -> bool:
        return any(fd in (n.net_fd, n.mount_fd, n.run_fd) for n in self._hosts.values())

    def _make_host(self, request: dict[str, Any]) -> list[int]:
        place = namespaces.create(request["hosts_text"])
        self._hosts[request["host"]] = place
        tuns = [namespaces.open_tun(place, device) for device in request["tuns"]]
        return [place.net_fd, place.mount_fd, place.run_fd, *tuns]

    def _spawn(self, request: dict[str, Any], answer: socket.socket, fds: list[int]) -> None:
        place = self._hosts[request["host"]]
        pid = os.fork()
        if pid == 0:
            _become(place, request, fds)
        self._answers[pid] = answer
        self._pids[request["id"]] = pid

    def _send_signal(self, request: dict[str, Any]) -> None:
        pid = self._pids.get(request["id"])
        if pid is not None:
            _send_to_group(pid, request["signal"])

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._report_exit(pid, os.waitstatus_to_exitcode(status))

    def _report_exit(self, pid: int, code: int) -> None:
        answer = self._answers.pop(pid, None)  # None: a daemon that we adopted
        if answer is not None:
            self._pids = {k: v for k, v in self._pids.items() if v != pid}
            self._answer(answer, {"exit": code})


def _send_to_group(pid: int, number: int) -> None:
    """Signal a program and what it started in its group, or it alone as long as it has none."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        # Just forked: it leads no group before its setsid.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _become(place: Namespace, request: dict[str, Any], fds: list[int]) -> None:
    """Turn this forked child into the requested program. Never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        place.enter()
        if request["cwd"]:
            with contextlib.suppress(OSError):
                os.chdir(request["cwd"])
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.execvpe(request["argv"][0], request["argv"], {**os.environ, **request["env"]})
    except BaseException as error:
        os.write(2, f"{request['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(EXIT_NOT_STARTED)
