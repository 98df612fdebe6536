"""The small parts of the lab that need neither root nor namespaces."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from malha.cli import lab_demo
from malha.errors import InputError, MissingError, OtherSideError
from malha.lab import missing, ping, state_dir
from malha.lab.flow_station import Receiving
from malha.lab.limits import inotify_instances
from malha.lab.waiting import wait_for


def test_waiting_gives_what_was_waited_for() -> None:
    answers = iter([None, 0, "", "done"])
    assert wait_for(lambda: next(answers), 5, interval_s=0) == "done"


def test_waiting_ends_and_says_what_for() -> None:
    with pytest.raises(TimeoutError, match="a miracle"):
        wait_for(lambda: False, 0, what="a miracle")


def test_an_echo_request_has_a_right_checksum() -> None:
    packet = ping._echo_request(4, 0x1234, 7)
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@pytest.mark.parametrize("version", [4, 6])
def test_only_our_replies_count(version: int) -> None:
    header = b"\x45" + bytes(19) if version == 4 else b""
    reply = header + struct.pack("!BBHHH", {4: 0, 6: 129}[version], 0, 0, 0x1234, 7)
    assert ping._parse_reply(reply, version, 0x1234) == 7
    assert ping._parse_reply(reply, version, 0x4321) is None
    assert (
        ping._parse_reply(header + ping._echo_request(version, 0x1234, 7), version, 0x1234) is None
    )
    assert ping._parse_reply(reply[:-1], version, 0x1234) is None


def test_a_flow_counts_lost_doubled_and_late_packets() -> None:
    received = Receiving()
    for number, at in [(0, 1.0), (1, 1.1), (4, 1.5), (3, 1.6), (3, 1.7), (5, 1.8)]:
        received.take(number, at)
    assert len(received.seen) == 5
    assert (received.duplicated, received.reordered) == (1, 1)
    assert received.longest_gap_s == pytest.approx(0.4)


def test_inotify_is_raised_for_as_long_as_needed(tmp_path: Path) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text("128")
    with inotify_instances(200, setting=setting):
        assert int(setting.read_text()) >= 328 - 64
    assert setting.read_text() == "128"


def test_inotify_that_somebody_else_changed_is_left_alone(tmp_path: Path) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text("128")
    with inotify_instances(200, setting=setting):
        setting.write_text("9999")
    assert setting.read_text() == "9999"


@pytest.mark.parametrize("limit", ["128", "8192"])
def test_inotify_is_not_touched_for_a_small_lab(tmp_path: Path, limit: str) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text(limit)
    with inotify_instances(12, setting=setting):
        assert setting.read_text() == limit


@pytest.mark.parametrize(
    ("attribute", "value", "mend"),
    [
        ("_APPARMOR", "1", "apparmor_restrict_unprivileged_userns=0"),
        ("_CLONE", "0", "unprivileged_userns_clone=1"),
        ("_MAXIMUM", "0", "user.max_user_namespaces=15000"),
    ],
)
def test_refused_namespaces_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, value: str, mend: str
) -> None:
    for name in ("_APPARMOR", "_CLONE", "_MAXIMUM"):
        path: Path = getattr(missing, name)
        monkeypatch.setattr(missing, name, tmp_path / path.name)
    getattr(missing, attribute).write_text(value + "\n")
    error = missing.explain_isolation_error("Operation not permitted")
    assert mend in error.mend
    assert "Operation not permitted" in str(error)


def test_refusal_without_a_visible_setting_still_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_APPARMOR", "_CLONE", "_MAXIMUM"):
        monkeypatch.setattr(missing, name, tmp_path / name)
    assert "run as root" in missing.explain_isolation_error("no").mend


def test_a_missing_tun_device_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="modprobe tun"):
        missing.check_tun(tmp_path / "tun")


@pytest.mark.parametrize("program", ["ip", "wg", "nft", "wireguard-go"])
def test_a_missing_program_is_explained(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing.shutil, "which", lambda name, path: name != program or None)
    with pytest.raises(MissingError, match=f"needs the program {program}") as caught:
        missing.check_programs(kernel_wireguard=False)
    assert "--no-install-recommends" in caught.value.mend


def test_kernel_wireguard_needs_no_userspace_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing.shutil, "which", lambda name, path: name != "wireguard-go" or None)
    missing.check_programs(kernel_wireguard=True)


@pytest.fixture
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_dir, "labs_root", lambda: tmp_path / "labs")


@pytest.mark.usefixtures("_own_root")
def test_a_lab_is_running_while_its_lock_is_held() -> None:
    place = state_dir.state_dir("one")
    assert not place.is_running
    lock = place.take()
    assert place.is_running
    assert place.path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(InputError, match="a lab named one runs"):
        state_dir.state_dir("one").take()
    os.close(lock)  # what a crash does
    assert not place.is_running


@pytest.mark.usefixtures("_own_root")
def test_a_stale_lab_is_taken_over() -> None:
    place = state_dir.state_dir("one")
    os.close(place.take())
    place.control.touch()
    assert [known.name for known in state_dir.known_labs()] == ["one"]
    lock = place.take()
    assert not place.control.exists()
    place.remove()
    os.close(lock)
    assert state_dir.known_labs() == []


@pytest.mark.usefixtures("_own_root")
def test_only_what_a_crash_left_is_removed_as_stale() -> None:
    place = state_dir.state_dir("one")
    assert not place.remove_if_stale()
    lock = place.take()
    assert not place.remove_if_stale()
    os.close(lock)
    assert place.remove_if_stale()
    assert not place.path.parent.exists()


@pytest.mark.usefixtures("_own_root")
def test_the_folder_of_all_labs_goes_with_the_last() -> None:
    one, two = state_dir.state_dir("one"), state_dir.state_dir("two")
    locks = [one.take(), two.take()]
    one.remove()
    assert two.is_running
    two.remove()
    assert not two.path.parent.exists()
    for lock in locks:
        os.close(lock)


@pytest.mark.usefixtures("_own_root")
def test_a_folder_of_all_labs_that_goes_meanwhile_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`lab up` while the last lab ends: the root vanishes before the new lab's folder is in it."""
    place, made = state_dir.state_dir("one"), []
    make = state_dir._make_private

    def make_and_lose_the_first(path: Path) -> None:
        make(path)
        made.append(path)
        if len(made) == 1:
            path.rmdir()

    monkeypatch.setattr(state_dir, "_make_private", make_and_lose_the_first)
    os.close(place.take())
    assert made == [place.path.parent, place.path.parent, place.path]


@pytest.mark.usefixtures("_own_root")
def test_a_folder_that_others_can_enter_is_refused() -> None:
    place = state_dir.state_dir("one")
    place.path.mkdir(parents=True)
    place.path.parent.chmod(0o755)
    with pytest.raises(InputError, match="this user alone"):
        place.take()


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "A", "-a", "a-", "a" * 33, "a\n", "."])
def test_a_lab_is_called_something_harmless(name: str) -> None:
    with pytest.raises(InputError, match="a lab's name"):
        state_dir.state_dir(name)


@pytest.mark.usefixtures("_own_root")
def test_a_lock_whose_folder_was_removed_meanwhile_is_not_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`lab down` and `lab up` at once: the old daemon removes what the new one has just opened."""
    place = state_dir.state_dir("one")
    held = [place.take()]
    is_locked = state_dir._is_locked_by_us

    def is_locked_once_the_old_one_ended(fd: int) -> bool:
        if held:
            place.remove()
            os.close(held.pop())
        return is_locked(fd)

    monkeypatch.setattr(state_dir, "_is_locked_by_us", is_locked_once_the_old_one_ended)
    lock = place.take()
    assert os.path.samestat(os.fstat(lock), (place.path / "lock").stat())
    assert place.is_running
    os.close(lock)


def test_a_runtime_folder_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_dir, "labs_root", lambda: tmp_path / "gone" / "malha-lab")
    with pytest.raises(MissingError, match="gone") as caught:
        state_dir.state_dir("one").take()
    assert "mkdir" in caught.value.mend


def test_a_demo_whose_handshakes_do_not_come_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object) -> None:
        raise TimeoutError("no handshake after 20 s: a-b")

    monkeypatch.setattr(lab_demo, "run_demo", give_up)
    with pytest.raises(OtherSideError, match="no handshake after 20 s: a-b; is this machine busy"):
        lab_demo.show_demo(None, as_json=False)
