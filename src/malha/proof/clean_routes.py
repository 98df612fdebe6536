"""Whether a machine's kernel routes choose exactly what its allowed IPs choose.

Then the allowed IPs alone say where a packet goes. It is the usual case: one route for each
allowed IP, and nothing unreachable that is more particular.
"""

from __future__ import annotations

from itertools import chain

from malha.proof.swap import swapped
from malha.wireguard.device import Device, NodeState, Prefix


class CleanRoutes:
    """Answers by identity of a device's peers and routes, which the world keeps alive."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], bool] = {}
        self._last: Device | None = None
        """The last device whose answer was yes, and that has one route for each allowed IP:
        then one swapped together with the other leaves the rest as it was."""
        self._last_longest = -1

    def are_allowed_ips(self, state: NodeState, device: Device) -> bool:
        """Whether it is so for this machine's only device."""
        if any(a.network.prefixlen < a.max_prefixlen for a in device.addresses):
            return False
        longest = max((prefix.prefixlen for prefix in state.unreachable), default=0)
        key = id(device.peers), id(device.routes), longest
        if key not in self._known:
            follows = self._follows_last(device, longest)
            self._known[key] = follows or _covers(device, longest)
            if follows or (self._known[key] and _names_each_once(device)):
                self._last, self._last_longest = device, longest
        return self._known[key]

    def _follows_last(self, device: Device, longest: int) -> bool:
        """Whether it is the last device with one peer, and just that peer's route, swapped."""
        last = self._last
        if last is None or longest != self._last_longest:
            return False
        peers, routes = swapped(last.peers, device.peers), swapped(last.routes, device.routes)
        if peers is None or routes is None:
            return False
        gone, come = last.routes[routes[0]], device.routes[routes[1]]
        return (
            last.peers[peers[0]].allowed_ips == (gone,)
            and device.peers[peers[1]].allowed_ips == (come,)
            and come.prefixlen >= longest
        )


def _covers(device: Device, longest: int) -> bool:
    allowed: list[Prefix] = list(chain.from_iterable(peer.allowed_ips for peer in device.peers))
    same = set(map(id, device.routes)) == set(map(id, allowed))
    if not same and set(device.routes) != set(allowed):
        return False
    return all(prefix.prefixlen >= longest for prefix in device.routes)


def _names_each_once(device: Device) -> bool:
    allowed = sum(len(peer.allowed_ips) for peer in device.peers)
    return allowed == len(device.routes) == len(set(device.routes))
