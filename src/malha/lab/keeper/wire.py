"""Requests and answers between a lab and its keeper: one JSON value with file descriptors."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

MAX_MESSAGE_BYTES = 1 << 20
MAX_FDS = 16


def send(connection: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message; the receiver gets descriptors of its own."""
    socket.send_fds(connection, [json.dumps(message).encode()], list(fds))


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive one message with its descriptors; None when the other side has ended."""
    text, fds, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, MAX_FDS)
    for fd in fds:
        os.set_inheritable(fd, False)
    if not text:
        return None
    message: dict[str, Any] = json.loads(text)
    return message, fds


def pair() -> tuple[socket.socket, socket.socket]:
    """Make a connected pair that keeps message boundaries and holds large messages."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_MESSAGE_BYTES)
    return ours, theirs
