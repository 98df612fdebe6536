"""One WireGuard device of a machine, kernel or userspace: make, configure, read, remove."""

from __future__ import annotations

from collections.abc import Mapping

from malha.host.kernel import dump_to_uapi, wg_set_commands
from malha.host.machine import Machine
from malha.wireguard import uapi
from malha.wireguard.device import Device
from malha.wireguard.keys import PublicKey
from malha.wireguard.uapi import Observation


def create_device(machine: Machine, name: str) -> None:
    """Make a device that is down and knows nothing yet.

    Raises:
        OtherSideError: when the machine refuses, as for a name that is taken.
    """
    if machine.has_kernel_wireguard:
        machine.run(["ip", "link", "add", "dev", name, "type", "wireguard"])
    else:
        # It turns itself into a daemon and returns once its socket takes connections.
        machine.run(["wireguard-go", name])


def remove_device(machine: Machine, name: str) -> None:
    """Remove a device with its routes; a userspace device's program ends by it."""
    machine.run(["ip", "link", "delete", "dev", name])


def configure_device(machine: Machine, device: Device) -> None:
    """Make a device's keys, port and peers exactly these. For a new device: it sets them all.

    Raises:
        OtherSideError: when the device refuses.
        ValueError: when an endpoint is a name.
    """
    if machine.has_kernel_wireguard:
        declared = {str(peer.public_key) for peer in device.peers}
        for key in machine.run(["wg", "show", device.name, "peers"]).split():
            if key not in declared:
                machine.run(["wg", "set", device.name, "peer", key, "remove"])
    tell_device(machine, device.name, uapi.render_set(device))


def tell_device(machine: Machine, name: str, message: str) -> None:
    """Send one `set=1` message, whatever kind the device is.

    Raises:
        OtherSideError: when the device refuses.
    """
    if not machine.has_kernel_wireguard:
        machine.uapi(name, message)
        return
    for command in wg_set_commands(message):
        machine.run(command.argv(name), input=command.secret)


def read_device(
    machine: Machine,
    name: str,
    *,
    public_key: PublicKey,
    names: Mapping[PublicKey, str] | None = None,
) -> Observation:
    """Read a device's configuration and what it learned.

    Raises:
        OtherSideError: when there is no such device.
    """
    if machine.has_kernel_wireguard:
        answer = dump_to_uapi(machine.run(["wg", "show", name, "dump"]))
    else:
        answer = machine.uapi(name, uapi.GET)
    return uapi.parse_get(answer, name=name, public_key=public_key, names=names)
