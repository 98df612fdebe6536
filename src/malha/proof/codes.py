"""The registry of codes: why a packet does not arrive, and what else is worth knowing.

One registry for the checker's causes, its findings and, later, the doctor. A code is stable:
scripts compare it, docs/reference/codes.md has an entry for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that can be wrong."""

    name: str
    severity: Severity
    meaning: str
    mend: str
    """What to do about it, in general; a report adds the particular."""


def _error(name: str, meaning: str, mend: str) -> Code:
    return Code(name, Severity.ERROR, meaning, mend)


def _warning(name: str, meaning: str, mend: str) -> Code:
    return Code(name, Severity.WARNING, meaning, mend)


LEAKED = _error(
    "leaked",
    "No kernel route of the overlay matches: the packet leaves by the default route, in clear.",
    "Give the node a route into its device, or make the prefix unreachable.",
)
NO_ROUTE = _error(
    "no-route",
    "The kernel answers `unreachable`: nothing routes this address into a device.",
    "Add the address to the allowed IPs of the peer that leads there.",
)
NO_PEER = _error(
    "no-peer",
    "A kernel route leads into the device, but no peer's allowed IPs hold the address.",
    "Add the address to the allowed IPs of the peer that leads there, or remove the route.",
)
NO_ENDPOINT = _error(
    "no-endpoint",
    "The node has no endpoint for the peer, and the peer never dials it.",
    "Give one side the other's endpoint, and a keepalive if it sits behind NAT.",
)
WRONG_ENDPOINT = _error(
    "wrong-endpoint",
    "The endpoint is not where the peer listens, and the peer does not dial either.",
    "Correct the endpoint's address or port.",
)
KEY_MISMATCH = _error(
    "key-mismatch",
    "The two ends do not hold each other's public key, or hold different preshared keys.",
    "Write each end's public key (and one preshared key) on the other.",
)
DUPLICATE_KEY = _error(
    "duplicate-key",
    "Two machines have one key: the peer's endpoint flips between them.",
    "Give every machine a key of its own.",
)
SOURCE_NOT_ALLOWED = _error(
    "source-not-allowed",
    "The packet arrives, but its source is not in the allowed IPs of the peer it came from.",
    "Add the source's addresses to that peer's allowed IPs on the dropping node.",
)
NOT_FORWARDING = _error(
    "not-forwarding",
    "The packet reached a node that does not pass packets on.",
    "Switch forwarding on there, or route around it.",
)
LOOP = _error(
    "loop",
    "The packet comes back to a node that it has been at.",
    "Make the nodes of the loop agree on the way.",
)
ADDRESS_CONFLICT = _error(
    "address-conflict",
    "Another machine has the same overlay address and takes the packet.",
    "Give every machine an address of its own.",
)
NO_ADDRESS = _error(
    "no-address",
    "One end has no overlay address of this family.",
    "Give it one.",
)
SUBNET_UNREACHABLE = _error(
    "subnet-unreachable",
    "A finding: a node's packets to a subnet routed behind another node, or the replies to them, "
    "are dropped. Its detail names the node that drops them and the cause, one of the above.",
    "Mend the cause; the subnet has to be in the allowed IPs of every peer on the way, both ways.",
)
EXIT_UNREACHABLE = _error(
    "exit-unreachable",
    "A finding: a node has a default route into the overlay, but its packets reach no exit, or "
    "the replies do not come back. Its detail names the node that drops them and the cause.",
    "Mend the cause; the default route has to be in the allowed IPs of the peer that is the exit.",
)
MTU_DIFFERS = _warning(
    "mtu-differs",
    "The two ends of a link have different MTUs: ping works, large TCP segments may hang.",
    "Set one MTU for the whole overlay, the smallest that every underlay carries.",
)
ORDER_DEPENDENT = _warning(
    "order-dependent",
    "The pair talks only after the side without keepalive has sent something first.",
    "Set a persistent keepalive on the side that dials.",
)
STRANGE_PRIVATE_KEY = _error(
    "strange-private-key",
    "The private key in the keys folder does not belong to the node's declared public key.",
    "Correct public_key in the overlay file, or move the key file away and make a new key.",
)
ADDRESS_NOT_WRITTEN = _warning(
    "address-not-written",
    "The node's overlay address is allocated, but not in the overlay file yet.",
    "Run `malha keys new`, which writes it, so that it never shifts.",
)

ALL: tuple[Code, ...] = (
    LEAKED,
    NO_ROUTE,
    NO_PEER,
    NO_ENDPOINT,
    WRONG_ENDPOINT,
    KEY_MISMATCH,
    DUPLICATE_KEY,
    SOURCE_NOT_ALLOWED,
    NOT_FORWARDING,
    LOOP,
    ADDRESS_CONFLICT,
    NO_ADDRESS,
    SUBNET_UNREACHABLE,
    EXIT_UNREACHABLE,
    MTU_DIFFERS,
    ORDER_DEPENDENT,
    STRANGE_PRIVATE_KEY,
    ADDRESS_NOT_WRITTEN,
)
BY_NAME = {code.name: code for code in ALL}
