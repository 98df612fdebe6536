"""Asking the daemon of a running lab. Kept apart from it, so that a question loads no lab."""

from __future__ import annotations

import socket
from typing import Any

from malha.errors import InputError, OtherSideError
from malha.lab.keeper import wire
from malha.lab.state_dir import StateDir

_ANSWER_TIMEOUT_S = 60.0
"""Taking a lab of 200 nodes down takes several seconds."""


def ask(place: StateDir, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """Send one request to a lab's daemon.

    Raises:
        InputError: when no lab of this name runs, or it refuses.
        OtherSideError: when it does not answer.
    """
    if not place.is_running:
        raise InputError(f"no lab named {place.name} runs: malha lab up --name {place.name}")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_ANSWER_TIMEOUT_S)
            connection.connect(str(place.control))
            wire.send(connection, request)
            received = wire.receive(connection)
    except OSError as error:
        raise OtherSideError(f"the lab {place.name} does not answer: {error}") from error
    if received is None:
        raise OtherSideError(f"the lab {place.name} ended; if it broke, {place.log} says why")
    if "error" in received[0]:
        raise InputError(received[0]["error"])
    return received
