"""A machine that remembers what it was told, as text; the secrets come by `input` alone."""

from __future__ import annotations

from collections.abc import Sequence


class FakeMachine:
    """Runs nothing. `answers` gives the output of a command line."""

    name = "fake"

    def __init__(
        self, *, has_kernel_wireguard: bool, answers: dict[str, str] | None = None
    ) -> None:
        self.has_kernel_wireguard = has_kernel_wireguard
        self.commands: list[str] = []
        self.inputs: list[str] = []
        self.messages: list[str] = []
        self._answers = answers or {}

    def run(self, argv: Sequence[str], *, input: str = "") -> str:  # noqa: A002
        command = " ".join(argv)
        self.commands.append(command)
        self.inputs.append(input)
        return self._answers.get(command, "")

    def uapi(self, device: str, text: str) -> str:
        self.messages.append(text)
        return "errno=0\n\n"
