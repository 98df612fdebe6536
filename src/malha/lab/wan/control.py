"""How the lab talks to its emulator: JSON in frames on a stream socket, descriptors beside it.

A frame is a length (4 bytes, big-endian) and that many bytes of JSON, so that a message may
have any size. A request gets one or more replies; all but the last say `"more": true`. A
descriptor travels by SCM_RIGHTS with the first byte of the frame it belongs to.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]

_LENGTH = struct.Struct("!I")
_RECEIVE_BYTES = 1 << 16
_MAX_DESCRIPTORS = 16


def encode_frame(message: Message) -> bytes:
    """One frame as it crosses the socket."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Puts frames together from the pieces in which a stream arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[Message]:
        """The frames that are complete with this piece."""
        self._buffer += piece
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield json.loads(body)


def send_frame(channel: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one frame, and descriptors with it; blocks until all is sent."""
    frame = encode_frame(message)
    sent = socket.send_fds(channel, [frame], fds) if fds else 0
    channel.sendall(frame[sent:])


def receive_replies(channel: socket.socket) -> list[Message]:
    """All replies to one request; blocks.

    Raises:
        EOFError: when the other side is gone.
        TimeoutError: when it says nothing for as long as the socket's time-out.
    """
    reader = FrameReader()
    replies: list[Message] = []
    while not replies or replies[-1].get("more"):
        piece = channel.recv(_RECEIVE_BYTES)
        if not piece:
            raise EOFError
        replies.extend(reader.feed(piece))
    return replies


def receive_piece(channel: socket.socket) -> tuple[bytes, list[int]]:
    """What has arrived, and the descriptors with it; an empty piece is the end."""
    piece, fds, _, _ = socket.recv_fds(channel, _RECEIVE_BYTES, _MAX_DESCRIPTORS)
    return piece, list(fds)
