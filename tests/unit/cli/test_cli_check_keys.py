"""`malha check` looks whether the keys in the folder fit the file, without showing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.cli.main import main
from malha.overlay.edit import set_node_fields
from malha.secrets.folder import make_key, prepare_folder
from malha.secrets.keys import derive_public_key, make_private_key

TEXT = """\
overlay: two
prefixes: [10.50.0.0/16]
topology: hub
regions: {a: {subnet: 10.50.0.0/24}}
nodes:
  hub: {region: a, role: hub, endpoint: "192.0.2.1:51820", address: 10.50.0.1}
  leaf: {region: a, address: 10.50.0.2}
"""


def _check(file: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["malha", "check", "--overlay", str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("mistake", ["none", "another's", "private"])
def test_a_public_key_that_is_not_the_keys_is_an_error(
    tmp_path: Path, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = tmp_path / "keys", tmp_path / "overlay.yaml"
    prepare_folder(folder)
    hub, leaf = make_key(folder, "hub"), make_key(folder, "leaf")
    written = {
        "none": str(derive_public_key(leaf)),
        "another's": str(derive_public_key(make_private_key())),
        "private": leaf.reveal(),
    }[mistake]
    keys = {"hub": str(derive_public_key(hub)), "leaf": written}
    file.write_text(set_node_fields(TEXT, {n: {"public_key": k} for n, k in keys.items()}))
    assert _check(file) == (0 if mistake == "none" else 1)
    captured = capsys.readouterr()
    assert leaf.reveal() not in captured.out + captured.err
    assert ("strange-private-key" in captured.err) == (mistake != "none")


def test_keys_list_hides_a_private_key_in_the_wrong_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = tmp_path / "keys", tmp_path / "overlay.yaml"
    prepare_folder(folder)
    leaf = make_key(folder, "leaf")
    file.write_text(set_node_fields(TEXT, {"leaf": {"public_key": leaf.reveal()}}))
    monkeypatch.setattr("sys.argv", ["malha", "keys", "list", "--overlay", str(file), "--json"])
    with pytest.raises(SystemExit):
        main()
    captured = capsys.readouterr()
    assert "(hidden)" in captured.out
    assert leaf.reveal() not in captured.out + captured.err
