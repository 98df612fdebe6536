"""What a lab leaves behind: nothing, whatever ended it; and what it touches outside: nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from malha.errors import OtherSideError
from malha.lab.flows import Flows
from malha.lab.keeper.client import Keeper
from malha.lab.lab import Lab
from malha.lab.limits import INOTIFY_INSTANCES
from malha.lab.overlay_lab import OverlayLab
from malha.lab.waiting import wait_for
from tests.builders import a_node, an_overlay

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("can_lab")]

VICTIM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
from malha.lab.overlay_lab import OverlayLab
from tests.lab.conftest import small_overlay
with OverlayLab.prepare(small_overlay(4)).start() as lab:
    lab.hosts["one"].run(["sh", "-c", "setsid sleep 1234567 >/dev/null 2>&1 &"])
    print(lab.keeper.pid, lab.wan.pid, flush=True)
    time.sleep(600)
"""


def descendants(root: int) -> set[int]:
    """Every process below `root`, whatever its parent was meant to be."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found, before = {root}, 0
    while before != len(found):
        before = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def comms(pids: set[int]) -> set[str]:
    """The names of processes, as far as they still live."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_everything_ends_with_the_lab_process(number: int) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert victim.stdout is not None
    try:
        line = victim.stdout.readline()
        # A program that turned itself into a daemon belongs to the lab too.
        wait_for(lambda: "sleep" in comms(descendants(victim.pid)), 30, what="the daemon's start")
        family = descendants(victim.pid)
        assert {int(pid) for pid in line.split()} < family
        victim.send_signal(number)
        victim.wait(60)
    finally:
        victim.kill()
        victim.wait()
        victim.stdout.close()
    wait_for(lambda: all(map(is_gone, family)), 60, what="the end of every process")


INTERRUPTED = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
from malha.lab.overlay_lab import OverlayLab
from tests.lab.conftest import small_overlay
with OverlayLab.prepare(small_overlay(4)).start() as lab:
    try:
        print("up", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        lab.hosts["one"].run(["true"])
"""


def test_ctrl_c_reaches_the_lab_alone() -> None:
    """A terminal sends it to the whole foreground group; the lab decides what ends, and when."""
    victim = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert victim.stdout is not None
    try:
        assert victim.stdout.readline() == "up\n"
        os.killpg(victim.pid, signal.SIGINT)
        _, errors = victim.communicate(timeout=60)
    finally:
        victim.kill()
        victim.communicate()
    assert (victim.returncode, errors) == (0, "")


LIMITED = """
from malha.lab.keeper.client import Keeper
keeper = Keeper.start()
keeper.make_room(5000)
print("raised", flush=True)
input()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise the limit on inotify instances")
def test_a_raised_limit_is_put_back_after_a_crash() -> None:
    before = INOTIFY_INSTANCES.read_text()
    victim = subprocess.Popen(
        [sys.executable, "-c", LIMITED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    try:
        assert victim.stdout.readline() == "raised\n"
        assert int(INOTIFY_INSTANCES.read_text()) > 5000
    finally:
        victim.kill()
        victim.communicate()
    wait_for(lambda: INOTIFY_INSTANCES.read_text() == before, 30, what="the limit's return")


def test_closing_ends_everything(prepared: OverlayLab) -> None:
    others = descendants(os.getpid())
    lab = prepared.start()
    family = descendants(os.getpid()) - others
    assert {lab.keeper.pid, lab.wan.pid} < family
    assert len(family) >= 8, "the keeper and its parent, the WAN, five devices"
    lab.close()
    assert all(map(is_gone, family))
    lab.close()


def test_nothing_is_left_open(prepared: OverlayLab) -> None:
    prepared.start().close()
    before = open_descriptors()
    prepared.start().close()
    assert open_descriptors() <= before


def the_machine() -> tuple[object, ...]:
    """What a lab could have touched outside; a machine with a wg0 of its own passes too."""
    words = (["ip", "-o", "link"], ["ip", "route"], ["ip", "rule"], ["cat", "/proc/mounts"])
    told = (
        subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in words
    )
    return (sorted(Path("/run").glob("wireguard/*")), *told)


def test_the_machines_run_and_devices_stay_as_they_are(prepared: OverlayLab) -> None:
    before = the_machine()
    with prepared.start() as lab:
        assert lab.hosts["one"].run(["ls", "/run/wireguard"]).split() == ["wg0.sock"]
        assert the_machine() == before
    assert the_machine() == before


def test_programs_get_no_descriptor_but_their_own(regional_lab: Lab) -> None:
    """The fourth is that of the listed folder; a socket would let them listen to the lab."""
    assert regional_lab.hosts["one"].run(["ls", "/proc/self/fd"]).split() == ["0", "1", "2", "3"]


def test_two_labs_side_by_side(regional_lab: Lab, prepared: OverlayLab) -> None:
    with prepared.start() as second:
        assert None not in second.ping_all().values()
        assert None not in regional_lab.ping_all().values()
    assert None not in regional_lab.ping_all().values()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise the limit on inotify instances")
def test_more_hosts_than_linux_has_inotify_instances_for() -> None:
    """140 wireguard-go want more than the 128 that Linux allows; afterwards it allows 128 again."""
    limit = INOTIFY_INSTANCES.read_text()
    leaves = [a_node(f"n{i}", "r", f"10.50.0.{i}") for i in range(2, 141)]
    hub = a_node("hub", "r", "10.50.0.1", role="hub", endpoint="192.0.2.1:51820")
    overlay = an_overlay({"r": ["10.50.0.0/24"]}, hub, *leaves, topology="hub")
    with OverlayLab.prepare(overlay).start() as lab:
        (observed,) = lab.observe("hub")
        assert len(observed.facts) == 139
        assert all(fact.latest_handshake_at for fact in observed.facts.values())
    assert INOTIFY_INSTANCES.read_text() == limit


def test_a_programs_failure_is_told_with_its_words(regional_lab: Lab) -> None:
    with pytest.raises(OtherSideError, match=r"one: ls ended with 2: .*no-such-file"):
        regional_lab.hosts["one"].run(["ls", "/no-such-file"])


def test_a_program_that_does_not_exist(regional_lab: Lab) -> None:
    with pytest.raises(OtherSideError, match=r"ended with 127: .*no-such-program"):
        regional_lab.hosts["one"].run(["no-such-program"])


def test_a_program_that_takes_too_long_is_ended(regional_lab: Lab) -> None:
    began_at = time.monotonic()
    with pytest.raises(TimeoutError):
        regional_lab.hosts["one"].run(["sleep", "600"], timeout_s=0.2)
    assert time.monotonic() - began_at < 30


def test_large_input_and_output(regional_lab: Lab) -> None:
    text = "x" * 300_000
    assert regional_lab.hosts["one"].run(["cat"], input=text) == text


def test_a_signal_is_an_exit_code(regional_lab: Lab) -> None:
    code, _, _ = regional_lab.hosts["one"].try_run(["sh", "-c", "kill -9 $$"])
    assert code == -signal.SIGKILL


def test_a_device_that_is_not_there_is_named(regional_lab: Lab) -> None:
    with pytest.raises(OtherSideError, match="wg7 of one does not answer"):
        regional_lab.hosts["one"].uapi("wg7", "get=1\n\n")


def test_a_device_that_refuses_is_told_without_the_message(regional_lab: Lab) -> None:
    with pytest.raises(OtherSideError, match=r"refused its configuration \(errno=") as caught:
        regional_lab.hosts["one"].uapi("wg0", "set=1\nprivate_key=5ec7e7\n\n")
    assert "5ec7e7" not in str(caught.value)


def test_a_dead_keeper_is_an_error_and_no_hang(prepared: OverlayLab) -> None:
    keeper = Keeper.start()
    keeper.make_host("a")
    inner = descendants(keeper.pid) - {keeper.pid}
    for pid in inner:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(map(is_gone, inner)), 30)
    with pytest.raises(Exception, match="keeper is gone"):
        keeper.make_host("b")
    keeper.close()


def test_a_flow_between_unknown_nodes_leaves_no_station(regional_lab: Lab) -> None:
    flows = Flows(regional_lab.hosts, {}, [("one", "two")], rate_per_s=1, size_bytes=100)
    with pytest.raises(KeyError), flows:
        pass
    assert not flows.results


def test_sockets_live_inside(regional_lab: Lab) -> None:
    with regional_lab.hosts["one"].socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.bind(("10.50.1.2", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, pytest.raises(OSError):  # noqa: PT011
        outside.bind(("10.50.1.2", 0))
