"""Write docs/reference/codes.md from the registries of codes.

.venv/bin/python tools/codes_page.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from malha.overlay.codes import CODES
from malha.proof.codes import ALL, Code, Severity

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "codes.md"

WG_QUICK_CODES = {
    "bad-address": "an Address is no IP address",
    "bad-allowed-ips": "AllowedIPs holds something that is no prefix",
    "bad-endpoint": "an Endpoint is no host:port",
    "bad-keepalive": "a PersistentKeepalive is out of range",
    "bad-key": "a key is missing or not 44 characters of base64; its text is not repeated",
    "bad-mtu": "an MTU is out of range",
    "bad-port": "a ListenPort is out of range",
    "key-not-in-file": "a hook reads the private key on the node: the machine cannot be proven",
    "no-private-key": "the file has no [Interface] with a PrivateKey",
    "unknown-key": "a key that wg-quick does not know",
    "unknown-section": "a section other than [Interface] and [Peer]",
    "unreadable-file": "the file cannot be read, or is no text",
    "unreadable-line": "a line that is neither a section nor a key with a value",
}
"""What `malha check` says of a folder's files, by the codes of wireguard/wg_quick.py."""

HEAD = """\
# Codes

Every code is stable: scripts may compare it. A code that is gone is never used for something else.
This page is written by `tools/codes_page.py` from the registries in the code.
"""
CAUSES = """\
## Why a packet does not arrive

`cause` of a failure of `malha check`, and of `malha path`. `at` is the machine that drops the
packet or lets it leak.
"""
FINDINGS = """\
## What else is worth knowing

`code` of a finding of `malha check`. A finding stops no packet by itself; warnings alone exit 0.
"""
FILES = """\
## What is wrong in a wg-quick file

`code` of a finding of `malha check FOLDER`, of severity `error`.
"""
OVERLAY = """\
## What is wrong in an overlay file

The code at the end of each problem's line, in brackets, and `code` of a problem with `--json`. The
message beside it names the value and what is allowed. Exit code 2; nothing was written.
"""


def render_entries(codes: Iterable[Code]) -> str:
    """A heading, what it means and what to do, for each code."""
    return "\n".join(f"### {c.name}\n\n{c.meaning}\n\nMend: {c.mend}\n" for c in codes)


def render_table(meanings: Mapping[str, str]) -> str:
    """One row for each code, sorted."""
    rows = "".join(f"| `{name}` | {meanings[name]} |\n" for name in sorted(meanings))
    return f"| code | meaning |\n|---|---|\n{rows}"


def render_page() -> str:
    """The whole text of docs/reference/codes.md."""
    causes = [code for code in ALL if code.severity is Severity.ERROR]
    findings = [code for code in ALL if code.severity is not Severity.ERROR]
    parts = [HEAD, CAUSES, render_entries(causes), FINDINGS, render_entries(findings)]
    parts += [FILES, render_table(WG_QUICK_CODES), OVERLAY, render_table(CODES)]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
