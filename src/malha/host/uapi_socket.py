"""One exchange with a userspace WireGuard device over its UNIX socket."""

from __future__ import annotations

import re
import socket

from malha.errors import OtherSideError

TIMEOUT_S = 10.0
_ERROR = re.compile(r"^errno=(-?\d+)$", re.MULTILINE)


def exchange(path: str, text: str, *, what: str) -> str:
    """Send one message and give the whole answer; `what` names the device in errors.

    Raises:
        OtherSideError: when nobody listens, or the device answers with an error. The message
            itself is never repeated, as it may hold a private key.
    """
    try:
        answer = _send_and_receive(path, text)
    except OSError as error:
        raise OtherSideError(f"{what} does not answer: {error.strerror or error}") from error
    found = _ERROR.search(answer)
    if found is None or found[1] != "0":
        number = found[1] if found else "none"
        raise OtherSideError(f"{what} refused its configuration (errno={number})")
    return answer


def _send_and_receive(path: str, text: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        connection.sendall(text.encode())
        received = bytearray()
        while not received.endswith(b"\n\n"):
            chunk = connection.recv(1 << 16)
            if not chunk:
                break
            received += chunk
        return received.decode()
