"""A running lab: hosts, the WAN between them, and what one does with them.

    Lab.start ── keeper (PID 1 of the lab) ── hosts: namespaces, WireGuard, programs
              └─ wan: one process that carries every underlay packet

Rule: everything hangs on this object; closing it, or the end of its process, removes it all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

from malha.host.apply import bring_up, run_ip_batch
from malha.host.device import read_device
from malha.lab import handshakes, live_change
from malha.lab.dialling import plan_dials, silenced
from malha.lab.flows import Flows
from malha.lab.host import UNDERLAY_DEVICE, LabHost
from malha.lab.keeper.client import Keeper
from malha.lab.limits import raise_open_files
from malha.lab.missing import check_programs, check_tun
from malha.lab.ping import Pair, ping_pairs
from malha.lab.underlay import Underlay, UnderlayHost
from malha.lab.wan import Wan
from malha.wireguard.device import Address, NodeState
from malha.wireguard.uapi import Observation

T = TypeVar("T")
R = TypeVar("R")

HANDSHAKE_TIMEOUT_S = 20.0
_UNDERLAY_MTU = 1500
_PARALLEL = 16


class Lab:
    """Hosts that run an overlay for real. A context manager."""

    def __init__(self, keeper: Keeper, wan: Wan, underlay: Underlay) -> None:
        """Use `Lab.start`."""
        self.keeper = keeper
        self.wan = wan
        self.underlay = underlay
        self.hosts: dict[str, LabHost] = {}
        self._states: dict[str, NodeState] = {}
        self._is_kernel = False
        self._workers = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="lab")

    @classmethod
    def start(
        cls,
        states: Mapping[str, NodeState],
        underlay: Underlay,
        *,
        handshake_timeout_s: float | None = HANDSHAKE_TIMEOUT_S,
        on_ready: Callable[[], None] = lambda: None,
    ) -> Lab:
        """Bring everything up and wait for the handshake of every link.

        `states` hold private keys; their order decides who dials whom. With None for
        `handshake_timeout_s` nobody waits, for a planet on which some links cannot come up.
        `on_ready` is called once the machine is known to lack nothing.

        Raises:
            MissingError: when the machine lacks something.
            TimeoutError: naming the links without a handshake.
        """
        check_tun()
        raise_open_files()
        keeper = Keeper.start()
        try:
            lab = cls(keeper, Wan.start(), underlay)
        except BaseException:
            keeper.close()
            raise
        try:
            lab._check_machine(states)
            on_ready()
            lab._bring_up(states, handshake_timeout_s)
        except BaseException:
            lab.close()
            raise
        return lab

    def close(self) -> None:
        """End every process and let go of every namespace. May be called again."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        # The keeper first: what still runs would fill the log with complaints about the WAN.
        self.keeper.close()
        self.wan.close()
        for host in self.hosts.values():
            host.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def states(self) -> Mapping[str, NodeState]:
        """What every node was last told to be; endpoints are literal, private keys are joined."""
        return self._states

    def _check_machine(self, states: Mapping[str, NodeState]) -> None:
        self._is_kernel = self._has_kernel_wireguard(next(iter(states)))
        check_programs(kernel_wireguard=self._is_kernel)

    def _bring_up(self, states: Mapping[str, NodeState], timeout_s: float | None) -> None:
        self._states = {name: self.underlay.resolve(state) for name, state in states.items()}
        places = {place.name: place for place in self.underlay.hosts}
        is_kernel = self._is_kernel
        self.keeper.make_room(0 if is_kernel else len(states))
        self.wan.set_default(self.underlay.unknown)
        self.hosts = {
            name: LabHost(name, self.keeper, has_kernel_wireguard=is_kernel) for name in states
        }
        self.each(lambda name: self._bring_up_host(places[name]), states)
        self.wan.set_many(row for row in self.underlay.links if {*row[:2]} <= states.keys())
        dials = plan_dials(self._states)
        handshakes.start_handshakes(self.hosts, dials)
        if timeout_s is not None:
            handshakes.await_handshakes(self.hosts, self._states, dials, timeout_s=timeout_s)
        handshakes.settle_keepalives(self.hosts, dials)

    def _has_kernel_wireguard(self, name: str) -> bool:
        """Ask the kernel, in a host of no other use, whether it makes WireGuard devices."""
        probe = LabHost(name, self.keeper, has_kernel_wireguard=True)
        os.close(probe.create())
        code, _, _ = probe.try_run(["ip", "link", "add", "dev", "wg", "type", "wireguard"])
        probe.close()
        self.keeper.forget_host(name)
        return code == 0

    def _bring_up_host(self, place: UnderlayHost) -> None:
        host = self.hosts[place.name]
        tun_fd = host.create(hosts_text=self.underlay.hosts_text)
        self.wan.add_host(place.name, tun_fd, place.addresses, nat=place.nat)
        run_ip_batch(host, _underlay_lines(place))
        state = self._states[place.name]
        bring_up(host, replace(state, devices=tuple(map(silenced, state.devices))))

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Do the same for many, in parallel; the first error is raised after all have ended."""
        futures = [self._workers.submit(work, item) for item in items]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def observe(self, name: str) -> tuple[Observation, ...]:
        """Read what a node's devices are now, in the order of its state."""
        names = {
            device.public_key: node
            for node, state in self._states.items()
            for device in state.devices
        }
        return tuple(
            read_device(self.hosts[name], device.name, public_key=device.public_key, names=names)
            for device in self._states[name].devices
        )

    def change(
        self,
        states: Mapping[str, NodeState],
        *,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Change the running overlay to other states of the same nodes, make before break.

        What is in flight when a path moves on one device is lost; flows count it.

        Raises:
            ValueError: when the nodes are not the same.
            TimeoutError: when a new link sees no handshake; no path has moved then.
        """
        resolved = {name: self.underlay.resolve(state) for name, state in states.items()}
        live_change.change(self, resolved, handshake_timeout_s, on_step)
        self._states = resolved

    def addresses(self, family: int) -> dict[str, Address]:
        """Give each node's first overlay address of a family; nodes without one are left out."""
        found: dict[str, Address] = {}
        for name, state in self._states.items():
            for interface in (a for device in state.devices for a in device.addresses):
                if interface.version == family:
                    found.setdefault(name, interface.ip)
        return found

    def ping_all(
        self, addresses: Mapping[str, Address] | None = None, *, timeout_s: float = 5.0
    ) -> dict[Pair, float | None]:
        """Ping every ordered pair; round trip of a warm path in ms, None for no answer.

        `addresses` are the overlay addresses by node, all of one family; the nodes' IPv4
        addresses if None.
        """
        known = self.addresses(4) if addresses is None else addresses
        pairs = [(a, b) for a in known for b in known if a != b]
        return ping_pairs(self.hosts, known, pairs, timeout_s=timeout_s)

    def flows(
        self,
        pairs: Sequence[Pair],
        *,
        rate_per_s: float = 100,
        size_bytes: int = 200,
        family: int = 4,
    ) -> Flows:
        """Prepare numbered UDP flows between pairs; they run inside `with`."""
        addresses = self.addresses(family)
        return Flows(self.hosts, addresses, pairs, rate_per_s=rate_per_s, size_bytes=size_bytes)


def _underlay_lines(place: UnderlayHost) -> list[str]:
    device = UNDERLAY_DEVICE
    # No link-local addresses: their chatter would only be counted as unrouted by the WAN.
    lines = [f"link set dev {device} addrgenmode none mtu {_UNDERLAY_MTU} txqueuelen 5000 up"]
    for address in place.addresses:
        is_6 = ":" in address
        prefix = f"{address}/{128 if is_6 else 32}"
        lines.append(f"address add {prefix} dev {device}" + (" nodad" if is_6 else ""))
        lines.append(f"route add {'::/0' if is_6 else '0.0.0.0/0'} dev {device}")
    return lines
