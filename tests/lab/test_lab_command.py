"""`malha lab`: started, used, listed and ended from a shell, as root and as nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from malha.lab.state_dir import StateDir, state_dir
from malha.lab.waiting import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("can_lab")]

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples/edgeproxy/overlay.yaml"
SMALL = """
overlay: small
prefixes: [10.60.0.0/24]
topology: hub
regions:
  r: {subnet: 10.60.0.0/24}
nodes:
  hub: {region: r, role: hub, endpoint: "192.0.2.1:51820"}
  one: {region: r, role: backend}
"""
# Through the group itself, so that this file needs nothing of the command line's front door.
CALL = """
import sys
from malha.cli.lab import lab
from malha.errors import MalhaError
try:
    lab(standalone_mode=False)
except MalhaError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

Malha = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def names() -> Iterator[Callable[[str], str]]:
    """Names of labs that no other run of these tests uses; all are taken down afterwards."""
    used: list[str] = []

    def name(word: str) -> str:
        used.append(f"test-{word}-{os.getpid()}")
        return used[-1]

    yield name
    for each in used:
        run_malha(["down", "--name", each])


def run_malha(
    arguments: Sequence[str], before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", CALL, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env={**os.environ, **environment},
    )


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "overlay.yaml"
    path.write_text(SMALL)
    return str(path)


def test_up_run_list_down(small: str, names: Callable[[str], str]) -> None:
    name = names("round")
    up = run_malha(["up", "--name", name, "--json"], MALHA_OVERLAY=small)
    assert up.returncode == 0, up.stderr
    answer = json.loads(up.stdout)
    assert answer["nodes"] == ["hub", "one"]
    assert (answer["overlay"], answer["topology"]) == ("small", "hub")

    ping = run_malha(["run", "--name", name, "one", "--", "ping", "-c", "1", "10.60.0.1"])
    assert ping.returncode == 0, ping.stdout + ping.stderr
    code = run_malha(["run", "--name", name, "one", "--", "sh", "-c", "echo said; exit 42"])
    assert (code.returncode, code.stdout) == (42, "said\n")
    killed = run_malha(["run", "--name", name, "one", "--", "sh", "-c", "kill -9 $$"])
    assert killed.returncode == 128 + signal.SIGKILL
    absent = run_malha(["run", "--name", name, "one", "--", "no-such-program"])
    assert absent.returncode == 127
    nowhere = run_malha(["run", "--name", name, "mars", "--", "true"])
    assert (nowhere.returncode, "no node mars: hub, one" in nowhere.stderr) == (2, True)

    assert up.stderr.startswith("starting 2 nodes …\n")

    again = run_malha(["up", "--name", name, "--overlay", small])
    assert (again.returncode, f"a lab named {name} runs" in again.stderr) == (2, True)
    assert "starting" not in again.stderr
    listed = json.loads(run_malha(["list", "--json"]).stdout)["labs"]
    (row,) = [row for row in listed if row["name"] == name]
    assert (row["running"], row["nodes"]) == (True, ["hub", "one"])

    down = run_malha(["down", "--name", name])
    assert (down.returncode, down.stdout) == (0, f"lab {name}: stopped\n")
    assert run_malha(["down", "--name", name]).returncode == 2
    assert name not in run_malha(["list"]).stdout


def test_two_labs_at_once_and_a_crash(small: str, names: Callable[[str], str]) -> None:
    first, second = names("first"), names("second")
    for name in (first, second):
        assert run_malha(["up", "--name", name, "--overlay", small]).returncode == 0
    labs = {row["name"]: row for row in json.loads(run_malha(["list", "--json"]).stdout)["labs"]}
    assert labs[first]["pid"] != labs[second]["pid"]

    os.kill(labs[first]["pid"], signal.SIGKILL)
    wait_for(lambda: "crashed" in run_malha(["list"]).stdout, 60, what="the crash to show")
    ping = ["ping", "-c", "1", "-W", "20", "10.60.0.1"]
    assert run_malha(["run", "--name", second, "one", "--", *ping]).returncode == 0
    assert run_malha(["run", "--name", first, "one", "--", "true"]).returncode == 2
    assert run_malha(["up", "--name", first, "--overlay", small]).returncode == 0
    assert run_malha(["run", "--name", first, "one", "--", *ping]).returncode == 0


def test_what_runs_inside_ends_with_the_lab(small: str, names: Callable[[str], str]) -> None:
    name = names("end")
    assert run_malha(["up", "--name", name, "--overlay", small]).returncode == 0
    inside = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CALL,
            "run",
            "--name",
            name,
            "one",
            "--",
            "sh",
            "-c",
            "echo in; read x",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    assert inside.stdout is not None
    assert inside.stdout.readline() == "in\n"
    assert run_malha(["down", "--name", name]).returncode == 0
    assert inside.wait(60) == 128 + signal.SIGKILL
    inside.communicate()


def test_whoever_asks_and_goes_away_does_no_harm(small: str, names: Callable[[str], str]) -> None:
    name = names("rude")
    assert run_malha(["up", "--name", name, "--overlay", small]).returncode == 0
    place = state_dir(name)
    ping = ["ping", "-c", "1", "-W", "20", "10.60.0.1"]
    for words in (b"no JSON", b""):
        _say_and_go(place, words)
        assert run_malha(["run", "--name", name, "one", "--", *ping]).returncode == 0
    _say_and_go(place, b'{"op": "down"}')
    wait_for(lambda: not place.path.exists(), 60, what="the lab's end")


def _say_and_go(place: StateDir, words: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(place.control))
        connection.send(words)


def test_a_lab_that_breaks_leaves_the_reason_in_its_log(
    small: str, names: Callable[[str], str]
) -> None:
    name = names("broken")
    assert run_malha(["up", "--name", name, "--overlay", small]).returncode == 0
    (row,) = [
        r for r in json.loads(run_malha(["list", "--json"]).stdout)["labs"] if r["name"] == name
    ]
    children = Path(f"/proc/{row['pid']}/task/{row['pid']}/children").read_text().split()
    (keeper,) = [pid for pid in children if "keeper" in Path(f"/proc/{pid}/cmdline").read_text()]
    (inner,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    os.kill(int(inner), signal.SIGKILL)
    place = state_dir(name)
    assert run_malha(["run", "--name", name, "one", "--", "true"]).returncode != 0
    wait_for(lambda: not place.is_running, 60, what="the lab's end")
    assert "the lab's keeper is gone" in place.log.read_text()
    down = run_malha(["down", "--name", name])
    assert (down.returncode, "had crashed" in down.stdout) == (0, True)
    assert not place.path.exists()


def test_no_lab_of_that_name() -> None:
    result = run_malha(["run", "--name", "never-started", "hub", "--", "true"])
    assert (result.returncode, "malha lab up" in result.stderr) == (2, True)


def test_a_bad_overlay_starts_nothing(tmp_path: Path, names: Callable[[str], str]) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_text("overlay: [")
    name = names("bad")
    result = run_malha(["up", "--name", name, "--overlay", str(path)])
    assert result.returncode == 2
    assert name not in run_malha(["list"]).stdout


def test_the_demo_measures_every_pair_twice() -> None:
    result = run_malha(["demo", "--json", "--overlay", str(EXAMPLE)])
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert [stage["topology"] for stage in answer["stages"]] == ["hub", "regional"]
    for stage in answer["stages"]:
        assert stage["pairs"] == stage["proven"] == stage["pinged"] == 132
    for row in answer["latencies"]:
        # Never faster than the planet; the figures themselves are for eyes, on a quiet machine.
        assert row["hub_ms"] > row["regional_ms"] > row["document_regional_ms"] - 1
    assert all(flow["sent"] > 0 for flow in answer["flows"])
    unmoved = [flow for flow in answer["flows"] if flow["from"] in ("lhr", "gru")]
    assert [flow["lost"] for flow in unmoved] == [0, 0]


def test_a_demo_without_the_measured_nodes_is_refused(small: str) -> None:
    result = run_malha(["demo", "--overlay", small])
    assert (result.returncode, "nodes that this overlay lacks" in result.stderr) == (2, True)


# As nobody, in a mount namespace with a TUN device that everybody may open: this machine's own
# stays as it is. The tmpfs and its node vanish with the namespace.
NOBODY = """
set -e
mount -t tmpfs -o mode=0755 none /mnt
mknod -m 0666 /mnt/tun c 10 200
{bind}
cd /
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""
BIND = "mount --bind /mnt/tun /dev/net/tun"


def as_nobody(runtime: Path, *, bind: str = BIND) -> Malha:
    script = NOBODY.format(bind=bind)
    before = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]

    def malha(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_malha(arguments, before, XDG_RUNTIME_DIR=str(runtime), HOME=str(runtime))

    return malha


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A runtime folder of nobody's, in a place that nobody can reach."""
    if os.geteuid() != 0:
        pytest.skip("becoming nobody needs root; without root every lab test is this test")
    if not os.access(REPOSITORY, os.R_OK | os.X_OK) or "root" in str(Path(sys.prefix).resolve()):
        pytest.skip(f"nobody cannot read {sys.prefix}")
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, 65534, 65534)
        yield Path(folder)


def test_a_lab_without_root(runtime: Path) -> None:
    overlay = runtime / "overlay.yaml"
    overlay.write_text(SMALL)
    overlay.chmod(0o644)
    malha = as_nobody(runtime)
    up = malha("up", "--overlay", str(overlay))
    assert up.returncode == 0, up.stderr
    try:
        inside = malha("run", "one", "--", "sh", "-c", "id -u; ping -c 1 -W 20 10.60.0.1 >&2")
        assert (inside.returncode, inside.stdout) == (0, "0\n"), inside.stderr
        assert (runtime / "malha-lab/lab").stat().st_mode & 0o777 == 0o700
    finally:
        down = malha("down")
    assert down.returncode == 0, down.stderr
    assert not (runtime / "malha-lab/lab").exists()


def test_a_closed_tun_device_is_explained(runtime: Path) -> None:
    overlay = runtime / "overlay.yaml"
    overlay.write_text(SMALL)
    overlay.chmod(0o644)
    closed = as_nobody(runtime, bind="chmod 0600 /mnt/tun; " + BIND)
    result = closed("up", "--overlay", str(overlay))
    assert result.returncode == 3
    assert "may not" in result.stderr
    assert "chmod 0666 /dev/net/tun" in result.stderr
    assert "starting" not in result.stderr
    assert not (runtime / "malha-lab").exists(), "what fails leaves nothing behind"


def test_refused_namespaces_are_explained(small: str) -> None:
    """In a user namespace whose own limits are 0; the machine's stay as they are."""
    limits = "cd /proc/sys/user; echo 0 > max_user_namespaces; echo 0 > max_pid_namespaces; "
    before = ["unshare", "--user", "--map-root-user", "sh", "-c", limits + 'cd /; exec "$@"', "sh"]
    result = run_malha(["up", "--name", "refused", "--overlay", small], before)
    assert result.returncode == 3, result.stderr
    assert "sysctl -w user.max_user_namespaces" in result.stderr
    assert "starting" not in result.stderr
