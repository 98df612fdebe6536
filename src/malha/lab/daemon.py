"""A lab that stays up in the background, and the socket by which commands reach it.

Requests, one for each connection: `status`, `enter` (gives the namespaces of one node), `down`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from malha.errors import MalhaError, OtherSideError
from malha.lab.keeper import wire
from malha.lab.lab import Lab
from malha.lab.state_dir import StateDir

_REQUEST_TIMEOUT_S = 5.0

Start: TypeAlias = Callable[[Callable[[], None]], Lab]
"""Starts a lab; calls what it is given once the machine is known to lack nothing."""


def start_daemon(
    place: StateDir,
    start: Start,
    facts: dict[str, Any],
    *,
    on_starting: Callable[[], None] = lambda: None,
) -> None:
    """Start a lab in a process of its own and return once it is up.

    `facts` are what `status` answers beside the node names; `on_starting` is called once the name
    is taken and the machine is known to lack nothing. The caller has no threads: it forks.

    Raises:
        InputError: when a lab of this name runs.
        MalhaError: when the lab could not start, with its reason.
    """
    lock = place.take()
    ours, theirs = wire.pair()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        ours.close()
        _become_daemon(place, start, facts, theirs)
    theirs.close()
    os.close(lock)  # the daemon has it
    os.waitpid(child, 0)
    with ours:
        received = wire.receive(ours)
        if received is not None and "starting" in received[0]:
            on_starting()
            received = wire.receive(ours)
    if received is None:
        raise OtherSideError(f"the lab ended before it was up; {place.log} says why")
    if "error" in received[0]:
        failure = MalhaError(received[0]["error"])
        failure.exit_code = received[0]["exit_code"]
        raise failure


def _become_daemon(
    place: StateDir, start: Start, facts: dict[str, Any], ready: socket.socket
) -> NoReturn:
    """Leave the terminal, run the lab, and never return."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _redirect_streams(place)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = _run(place, start, facts, ready)
    except BaseException:
        # The folder stays, with this in its log: `lab list` calls such a lab crashed.
        traceback.print_exc()
    finally:
        os._exit(code)


def _redirect_streams(place: StateDir) -> None:
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for target, fd in ((0, nothing), (1, log), (2, log)):
        os.dup2(fd, target)


def _run(place: StateDir, start: Start, facts: dict[str, Any], ready: socket.socket) -> int:
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            start(lambda: wire.send(ready, {"starting": True})) as lab,
        ):
            listener.bind(str(place.control))
            listener.listen()
            wire.send(ready, {"ready": True})
            ready.close()
            _serve(listener, lab, facts)
    except (MalhaError, TimeoutError, ValueError, OSError) as error:
        if ready.fileno() < 0:  # it was up, and nobody waits to be told any more
            raise
        exit_code = getattr(error, "exit_code", 1)
        with contextlib.suppress(OSError):
            wire.send(ready, {"error": str(error), "exit_code": exit_code})
        place.remove()
        return exit_code
    except SystemExit:
        pass
    place.remove()
    return 0


def _serve(listener: socket.socket, lab: Lab, facts: dict[str, Any]) -> None:
    """Answer until somebody asks for the end; whoever asks nonsense gets no answer."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(_REQUEST_TIMEOUT_S)
        with connection, contextlib.suppress(OSError, ValueError):
            received = wire.receive(connection)
            request = received[0] if received else {}
            if request.get("op") == "down":
                lab.close()
                with contextlib.suppress(OSError):  # whoever asked may have gone
                    wire.send(connection, {})
                return
            _answer(connection, lab, facts, request)


def _answer(
    connection: socket.socket, lab: Lab, facts: dict[str, Any], request: dict[str, Any]
) -> None:
    if request.get("op") == "status":
        status = {"nodes": list(lab.hosts), "pid": os.getpid(), **facts}
        wire.send(connection, status)
        return
    host = lab.hosts.get(request.get("host", ""))
    if host is None:
        names = ", ".join(lab.hosts)
        wire.send(connection, {"error": f"the lab has no node {request.get('host')}: {names}"})
        return
    own = lab.keeper.own_namespaces()
    wire.send(connection, {}, [*own, host.namespace.net_fd, host.namespace.mount_fd])
    for fd in own:
        os.close(fd)
