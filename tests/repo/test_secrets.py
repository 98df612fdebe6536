"""Private keys come to light in named places only, and none is in git but the worthless ones."""

from __future__ import annotations

import ast
import base64
import re
from pathlib import Path

from malha.wireguard.keys import KEY_BYTES
from malha.wireguard.wg_quick import parse_wg_quick
from tests.repo.checkout import (
    ROOT,
    kept_files,
    kept_texts,
    name_in_source,
    source_files,
    syntax_of,
)

AS_WRITTEN = "examples/edgeproxy/as-written/"

REVEALED_IN = {
    "wireguard/wg_quick.py": "a wg-quick file holds the node's private key: that is its purpose",
    "secrets/folder.py": "the operator's own files of mode 0600",
}
RAW_IN = {
    "wireguard/keys.py": "the types themselves",
    "wireguard/uapi.py": "the UAPI text of userspace WireGuard holds keys in hex",
    "changes/uapi_text.py": "a change of key is UAPI text, keys in hex",
    "secrets/keys.py": "deriving the public key",
}

KEY_LINE = re.compile(
    r"^[ \t]*(?:PrivateKey|PresharedKey|private_key|preshared_key)[ \t]*[=:][ \t]*"
    r"[\"']?([A-Za-z0-9+/]{43}=|[0-9a-f]{64})(?![A-Za-z0-9+/=])",
    re.MULTILINE,
)
OTHER_SECRETS = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{10}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
BARE_KEY_FILE = re.compile(rb"\s*[A-Za-z0-9+/]{43}=\s*")


def uses_of(path: Path, attribute: str) -> list[str]:
    """The text before `.attribute`, wherever a file uses it."""
    return [
        ast.unparse(node.value)
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.Attribute) and node.attr == attribute
    ]


def test_reveal_is_called_in_named_places_only() -> None:
    revealing = {name_in_source(path) for path in source_files() if uses_of(path, "reveal")}
    assert revealing == REVEALED_IN.keys(), "a new place is a decision: give its reason"


def test_raw_secret_bytes_are_read_in_named_places_only() -> None:
    """A public key's bytes are nobody's secret; anything else that is read must be listed."""
    reading = {
        name_in_source(path)
        for path in source_files()
        if uses_of(path, "_raw")
        or any("private" in use or "preshared" in use for use in uses_of(path, "raw"))
    }
    assert reading == RAW_IN.keys(), "a new place is a decision: give its reason"


def test_no_secret_is_in_git_but_the_examples_own() -> None:
    found = {
        name
        for name, text in kept_texts().items()
        if not name.startswith(AS_WRITTEN) and (KEY_LINE.search(text) or OTHER_SECRETS.search(text))
    }
    assert not found


def test_no_file_in_git_is_a_bare_key() -> None:
    for path in kept_files():
        if path.stat().st_size < 100:
            assert not BARE_KEY_FILE.fullmatch(path.read_bytes()), path
        assert path.suffix != ".key", f"{path}: keys never go into git"


def test_every_file_with_a_worthless_key_says_so_in_its_first_line() -> None:
    files = sorted((ROOT / AS_WRITTEN).glob("*.conf"))
    assert len(files) == 12
    for path in files:
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        assert first_line.startswith("# Example only"), path


def test_the_worthless_keys_open_nothing_that_is_declared() -> None:
    """The keys of as-written/ are not those of the real overlay, in either direction."""
    overlay = (ROOT / "examples/edgeproxy/overlay.yaml").read_text(encoding="utf-8")
    for path in (ROOT / AS_WRITTEN).glob("*.conf"):
        config, flaws = parse_wg_quick(path.read_text(encoding="utf-8"))
        assert not flaws
        for peer in config.peers:
            assert str(peer.public_key) not in overlay


def test_the_search_for_keys_finds_keys() -> None:
    """Otherwise the tests above could not fail."""
    key = base64.b64encode(bytes(range(KEY_BYTES))).decode()
    assert KEY_LINE.search(f"[Interface]\nPrivateKey = {key}\n")
    assert KEY_LINE.search(f"    private_key: '{key}'\n")
    assert BARE_KEY_FILE.fullmatch(f"{key}\n".encode())
    assert not KEY_LINE.search(f"PublicKey = {key}\n")
