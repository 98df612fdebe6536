"""One machine of the lab: run programs in it, open sockets in it, talk to its devices."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import IO

from malha.errors import OtherSideError
from malha.host.uapi_socket import exchange
from malha.lab.keeper.client import Keeper, Spawned, close_all
from malha.lab.namespaces import Namespace

UNDERLAY_DEVICE = "eth0"


class LabHost:
    """A host of the lab; a `malha.host.machine.Machine`."""

    def __init__(self, name: str, keeper: Keeper, *, has_kernel_wireguard: bool) -> None:
        self.name = name
        self.has_kernel_wireguard = has_kernel_wireguard
        self._keeper = keeper
        self._namespace: Namespace | None = None

    def create(self, *, hosts_text: str = "") -> int:
        """Make the namespaces and the underlay device; gives the packets' end of that TUN."""
        self._namespace, (tun_fd,) = self._keeper.make_host(
            self.name, tuns=[UNDERLAY_DEVICE], hosts_text=hosts_text
        )
        return tun_fd

    @property
    def namespace(self) -> Namespace:
        """The host's namespaces; it was created."""
        assert self._namespace is not None, f"{self.name} was not created"
        return self._namespace

    def close(self) -> None:
        """Let go of the namespaces."""
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None

    def popen(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> LabProcess:
        """Start a program with pipes to its input and output; its errors are ours."""
        return LabProcess(self, argv, env=env)

    def run(self, argv: Sequence[str], *, input: str = "", timeout_s: float = 60) -> str:  # noqa: A002
        """Run a program to its end and give its output.

        Raises:
            OtherSideError: when its exit code is not 0, with what it said.
            TimeoutError: when it does not end in time.
        """
        code, output, errors = self.try_run(argv, input=input, timeout_s=timeout_s)
        if code != 0:
            said = errors.strip() or output.strip()
            raise OtherSideError(f"{self.name}: {argv[0]} ended with {code}: {said}")
        return output

    def try_run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",  # noqa: A002
        timeout_s: float = 60,
    ) -> tuple[int, str, str]:
        """Run a program to its end; gives exit code, output and errors."""
        # Files in memory instead of pipes: nothing fills up, and a daemon that the program
        # leaves behind with our output open does not keep us waiting.
        with _memory_file(input) as stdin, _memory_file() as stdout, _memory_file() as stderr:
            stdio = (stdin.fileno(), stdout.fileno(), stderr.fileno())
            spawned = self.spawn(argv, stdio)
            try:
                code = spawned.wait(timeout_s)
            except TimeoutError:
                spawned.kill()
                raise
            return code, _read_back(stdout), _read_back(stderr)

    def spawn(
        self,
        argv: Sequence[str],
        stdio: tuple[int, int, int],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
    ) -> Spawned:
        """Start a program with the caller's own descriptors."""
        return self._keeper.spawn(self.name, argv, stdio, env=env, cwd=cwd)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket inside this host, for use by this process."""
        return self._keeper.open_socket(self.name, family, kind, protocol)

    def uapi(self, device: str, text: str) -> str:
        """Exchange one UAPI message with a userspace device of this host, without entering it.

        Raises:
            OtherSideError: when the device answers with an error.
        """
        path = f"/proc/self/fd/{self.namespace.run_fd}/wireguard/{device}.sock"
        return exchange(path, text, what=f"{device} of {self.name}")


class LabProcess:
    """A program inside a host, with pipes: `stdin` to write to, `stdout` to read from."""

    def __init__(
        self, host: LabHost, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> None:
        input_read, input_write = os.pipe2(os.O_CLOEXEC)
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        self.stdin = os.fdopen(input_write, "w", encoding="utf-8", buffering=1)
        self.stdout = os.fdopen(output_read, encoding="utf-8")
        self._spawned = host.spawn(argv, (input_read, output_write, 2), env=env)
        close_all([input_read, output_write])

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        return self._spawned.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end and give the exit code; negative is the signal that ended it."""
        return self._spawned.wait(timeout_s)

    def close(self) -> None:
        """End it and its children of the same process group, and close the pipes."""
        self._spawned.kill()
        self._spawned.wait()
        self.stdin.close()
        self.stdout.close()


def _memory_file(text: str = "") -> IO[str]:
    file = os.fdopen(os.memfd_create("lab"), "w+", encoding="utf-8", errors="replace")
    file.write(text)
    file.seek(0)
    return file


def _read_back(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
