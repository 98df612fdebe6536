"""Bring a machine to a state, or from one state to the next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from malha.changes.model import (
    AddressesChanged,
    Change,
    DeviceAdded,
    DeviceRemoved,
    ForwardingChanged,
    MtuChanged,
    RoutesChanged,
    UnreachableChanged,
)
from malha.changes.predict import predict
from malha.changes.uapi_text import render_changes
from malha.host import ip_batch
from malha.host.default_route import apply_default_rules
from malha.host.device import configure_device, create_device, remove_device, tell_device
from malha.host.machine import Machine
from malha.render.nftables import (
    forwarding_script,
    forwarding_settings,
    remove_forwarding,
    render_forwarding,
)
from malha.wireguard.device import Device, NodeState


def bring_up(machine: Machine, state: NodeState) -> None:
    """Make everything of a state on a machine that has none of its devices yet.

    The firewall stands before a device is up. Endpoints are literal; private keys are joined.

    Raises:
        OtherSideError: when a command fails.
    """
    for device in state.devices:
        _make_device(machine, device)
    apply_forwarding(machine, state)
    run_ip_batch(machine, ip_batch.state_lines(state))


def _make_device(machine: Machine, device: Device) -> None:
    create_device(machine, device.name)
    configure_device(machine, device)
    apply_default_rules(machine, device.name, old=(), new=device.routes)


def _unmake_device(machine: Machine, device: Device) -> None:
    apply_default_rules(machine, device.name, old=device.routes, new=())
    remove_device(machine, device.name)


def tear_down(machine: Machine, state: NodeState) -> None:
    """Remove everything that `bring_up` made; kernel settings stay as they are."""
    for device in state.devices:
        _unmake_device(machine, device)
    lines = (ip_batch.unreachable_line(prefix, verb="del") for prefix in state.unreachable)
    run_ip_batch(machine, lines)
    machine.run(["nft", "-f", "-"], input=remove_forwarding([d.name for d in state.devices]))


def apply_changes(machine: Machine, state: NodeState, changes: Sequence[Change]) -> NodeState:
    """Apply changes to a machine that is in `state`; gives the state that it is in then.

    Devices are told first, each in one message, then the kernel's own tables.

    Raises:
        OtherSideError: when a command fails.
    """
    for change in changes:
        if isinstance(change, DeviceAdded):
            _make_device(machine, change.device)
        if isinstance(change, RoutesChanged):
            apply_default_rules(machine, change.device, old=change.old, new=change.new)
    for name in sorted({device.name for device in state.devices}):
        message = render_changes(c for c in changes if getattr(c, "device", None) == name)
        if message:
            tell_device(machine, name, message)
    after = predict(state, changes)
    if any(isinstance(c, ForwardingChanged | DeviceAdded | DeviceRemoved) for c in changes):
        apply_forwarding(machine, after)
    run_ip_batch(machine, _ip_lines(changes))
    for change in changes:
        if isinstance(change, DeviceRemoved):
            _unmake_device(machine, change.device)
    return after


def _ip_lines(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        match change:
            case DeviceAdded(device=Device() as device):
                yield from ip_batch.device_lines(device)
            case MtuChanged(new=mtu) if mtu is not None:
                yield ip_batch.mtu_line(change.device, mtu)
            case AddressesChanged():
                yield from ip_batch.changed_addresses(change.device, change.old, change.new)
            case RoutesChanged():
                yield from ip_batch.changed_routes(change.device, change.old, change.new)
            case UnreachableChanged():
                yield from ip_batch.changed_unreachable(change.old, change.new)


def run_ip_batch(machine: Machine, lines: Iterable[str]) -> None:
    """Run the lines as one `ip -batch`; nothing when there are none.

    Raises:
        OtherSideError: at the first line that fails; those before it stay.
    """
    text = "".join(f"{line}\n" for line in lines)
    if text:
        machine.run(["ip", "-batch", "-"], input=text)


def apply_forwarding(machine: Machine, state: NodeState) -> None:
    """Put the node's own firewall table in place, then switch forwarding on where it relays."""
    machine.run(["nft", "-f", "-"], input=render_forwarding(state))
    settings = forwarding_settings(state)
    lines = forwarding_script(settings) if settings else tuple(_inherited_lines(state))
    if lines:
        machine.run(["sh", "-eu"], input="\n".join(lines) + "\n")


def _inherited_lines(state: NodeState) -> Iterator[str]:
    """Give the devices of a node that relays nothing what any new device of it would have."""
    folder = "/proc/sys/net/ipv4/conf"
    names = (shlex.quote(device.name) for device in state.devices)
    yield from (f"cat {folder}/default/forwarding > {folder}/{name}/forwarding" for name in names)
