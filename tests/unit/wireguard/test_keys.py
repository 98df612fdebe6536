"""Keys: one spelling each, and no way but one to a secret's text."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.wireguard.device import Device
from malha.wireguard.keys import PresharedKey, PrivateKey, PublicKey, may_hold_key
from tests.builders import a_private_key, a_public_key

RAW = st.binary(min_size=32, max_size=32)
TYPES = [PublicKey, PrivateKey, PresharedKey]
SECRETS = [PrivateKey, PresharedKey]


def text_of(raw: bytes) -> str:
    """A key as wg(8) writes it."""
    return base64.b64encode(raw).decode()


@given(RAW)
def test_a_key_has_one_text(raw: bytes) -> None:
    text = text_of(raw)
    assert PublicKey.parse(text).raw == raw
    assert str(PublicKey.parse(text)) == text
    for kind in SECRETS:
        assert kind.parse(text) == kind(raw)
        assert kind.parse(text).reveal() == text
    assert may_hold_key(text)
    assert may_hold_key(f"x = {raw.hex()}")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: f"{text} ",
        lambda text: f" {text[1:]}",
        lambda text: f"{text[:-2]}{'B' if text[-2] != 'B' else 'C'}=",
        lambda text: text.replace("=", "A"),
        lambda text: f"{text[:20]}\n{text[21:]}",
        lambda text: f"é{text[1:]}",
        lambda text: text.replace(text[4], "-"),
        lambda text: "",
        lambda text: text * 2,
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(
    kind: type[PublicKey], spoil: Callable[[str], str]
) -> None:
    text = text_of(bytes(range(32)))
    with pytest.raises(ValueError, match="not a WireGuard key") as caught:
        kind.parse(spoil(text))
    assert text[5:15] not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(kind: type[PublicKey], length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        kind(bytes(length))


@pytest.mark.parametrize("kind", SECRETS)
def test_nothing_but_reveal_shows_a_secret(kind: type[PrivateKey]) -> None:
    key = kind(bytes(range(32)))
    shown = [str(key), repr(key), f"{key}", f"{key!r:>99}", f"{key:>20}", "%s %r" % (key, key)]  # noqa: UP031
    shown += [format(key, ""), str([key]), str({"key": key}), ascii(key), str(ValueError(key))]
    forms = (text_of(key.raw), key.raw.hex(), str(key.raw), str(list(key.raw)))
    for text in shown:
        assert "hidden" in text
        assert not any(form[:10] in text for form in forms)
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_leaves_the_process_in_no_serial_form(kind: type[PrivateKey]) -> None:
    key = kind(bytes(range(32)))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(key, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(key)
    with pytest.raises(TypeError):
        json.dumps({"key": key})
    with pytest.raises(TypeError):
        bytes(key)  # type: ignore[call-overload]


def test_a_device_with_its_key_joined_shows_none() -> None:
    key = a_private_key("a")
    device = Device("wg0", a_public_key("a"), (), (), (), private_key=key)
    assert key.reveal()[:10] not in repr(device)
    assert key.raw.hex()[:10] not in repr(device)
    with pytest.raises(TypeError, match="not pickled"):
        dataclasses.asdict(device)


def test_a_key_equals_only_its_like() -> None:
    raw = bytes(range(32))
    keys = [kind(raw) for kind in TYPES]
    for i, one in enumerate(keys):
        for k, other in enumerate(keys):
            assert (one == other) == (i == k)
    assert len({*keys, *(kind(raw) for kind in TYPES)}) == 3
    assert min(PublicKey(b"b" * 32), PublicKey(b"a" * 32)).raw == b"a" * 32
