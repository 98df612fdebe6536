"""What the steps need of a machine, wherever it is: here, in the lab, or behind SSH."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Machine(Protocol):
    """A Linux machine on which we are root."""

    @property
    def name(self) -> str:
        """The node's name, for messages."""

    @property
    def has_kernel_wireguard(self) -> bool:
        """Whether its kernel makes WireGuard devices; else wireguard-go does."""

    def run(self, argv: Sequence[str], *, input: str = "") -> str:  # noqa: A002
        """Run a program to its end and give its output.

        Raises:
            OtherSideError: when its exit code is not 0.
        """

    def uapi(self, device: str, text: str) -> str:
        """Exchange one UAPI message with a userspace device.

        Raises:
            OtherSideError: when the device answers with an error.
        """
