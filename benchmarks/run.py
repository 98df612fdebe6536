"""`make bench`: ratios against named alternatives, interleaved in one run, median of several.

Everything happens on a tmpfs. No timing decides a test: this prints, and docs/benchmarks.md
keeps what it printed on a named machine.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from malha.overlay.yaml_source import load_overlay
from malha.secrets.keys import derive_public_key, make_private_key
from malha.wireguard.keys import PrivateKey

BIN = Path(sys.executable).parent
MESH_NODES = 1000
REGIONAL_NODES = 10_000
REGIONS = 50
_COLUMNS = (
    *("Name", "Address", "Endpoint", "AllowedIPs", "ListenPort", "PersistentKeepalive", "FwMark"),
    *("PrivateKey", "DNS", "MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"),
)


def cpu_s(run: Callable[[], None]) -> float:
    """CPU seconds (user and system) of the child processes that `run` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def call(*argv: str | Path, cwd: Path) -> None:
    """Run a command to its end, quietly; its failure is ours."""
    subprocess.run(
        [str(a) for a in argv],
        cwd=cwd,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def write_mesh(folder: Path) -> None:
    """The same 1,000 nodes for malha, for wg-meshconf and for the naive writer."""
    keys = [make_private_key() for _ in range(MESH_NODES)]
    (folder / "keys").mkdir(mode=0o700)
    lines = ["overlay: mesh", "prefixes: [10.50.0.0/16]", "topology: full", "regions:"]
    lines += [f"  r{k}: {{subnet: 10.50.{k * 4}.0/22}}" for k in range(4)]
    lines.append("nodes:")
    with (folder / "database.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for i, key in enumerate(keys):
            region, place = i % 4, i // 4
            address = f"10.50.{region * 4 + place // 250}.{place % 250 + 1}"
            host = f"198.18.{i // 250}.{i % 250 + 1}"
            role = "hub" if i == 0 else "backend"
            lines.append(
                f"  n{i}: {{region: r{region}, role: {role}, address: {address}, "
                f'endpoint: "{host}:51820", public_key: {derive_public_key(key)}}}'
            )
            writer.writerow(
                {
                    "Name": f"n{i}",
                    "Address": f"{address}/32",
                    "Endpoint": host,
                    "ListenPort": 51820,
                    "PrivateKey": key.reveal(),
                    "MTU": 1420,
                }
            )
            store_key(folder / "keys" / f"n{i}.key", key)
    (folder / "overlay.yaml").write_text("\n".join(lines) + "\n")


def store_key(path: Path, key: PrivateKey) -> None:
    """A key file as malha wants it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.reveal() + "\n")


def write_regional(folder: Path) -> None:
    """10,000 nodes in 50 regions: a hub, a pop in each region, backends that dial out."""
    lines = ["overlay: planet", "prefixes: [10.0.0.0/8]", "topology: regional", "regions:"]
    lines += [f"  r{k}: {{subnet: 10.{k}.0.0/16}}" for k in range(REGIONS)]
    lines.append("nodes:")

    def add(name: str, region: int, address: str, rest: str) -> None:
        key = derive_public_key(make_private_key())
        lines.append(
            f"  {name}: {{region: r{region}, address: {address}, public_key: {key}{rest}}}"
        )

    add("hub", 0, "10.0.0.1", ', role: hub, endpoint: "198.18.0.1:51820"')
    for k in range(REGIONS):
        add(f"pop{k}", k, f"10.{k}.255.1", f', role: pop, endpoint: "198.19.{k}.1:51820"')
    for i in range(REGIONAL_NODES - REGIONS - 1):
        region, place = i % REGIONS, i // REGIONS
        add(f"b{i}", region, f"10.{region}.{place // 250 + 1}.{place % 250 + 1}", "")
    (folder / "overlay.yaml").write_text("\n".join(lines) + "\n")


def interleaved(rounds: int, runs: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Each contender once per round, in turn; CPU seconds by contender."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            print(f"\r  round {number + 1} of {rounds}: {name:<40}", end="", file=sys.stderr)
            times[name].append(cpu_s(run))
    print("\r" + " " * 72 + "\r", end="", file=sys.stderr)
    return times


def report(times: dict[str, list[float]]) -> None:
    """Median and spread of each contender."""
    for name, values in times.items():
        print(f"  {name:<44} {median(values):8.3f} s   ({min(values):.3f} to {max(values):.3f})")


def ratio(times: dict[str, list[float]], slow: str, quick: str) -> float:
    """How many times longer `slow` takes, median by median."""
    return median(times[slow]) / median(times[quick])


def bench_rendering(folder: Path, rounds: int) -> None:
    """Full mesh of 1,000 nodes against wg-meshconf and a naive writer; 10,000 in 50 regions."""
    mesh, planet = folder / "mesh", folder / "planet"
    mesh.mkdir()
    planet.mkdir()
    write_mesh(mesh)
    write_regional(planet)
    naive = Path(__file__).with_name("naive_writer.py")

    def fresh(cwd: Path, out: str, *argv: str | Path) -> Callable[[], None]:
        def run() -> None:
            shutil.rmtree(cwd / out, ignore_errors=True)
            call(*argv, cwd=cwd)

        return run

    malha = BIN / "malha"
    times = interleaved(
        rounds,
        {
            "malha render, 1,000 full mesh (proven)": fresh(
                mesh, "m", malha, "render", "--out", "m"
            ),
            "naive f-string writer, the same files": fresh(mesh, "n", sys.executable, naive, "n"),
            "malha render, 10,000 regional (proven)": fresh(
                planet, "m", malha, "render", "--out", "m"
            ),
            "wg-meshconf genconfig, 1,000 full mesh": fresh(
                mesh, "w", BIN / "wg-meshconf", "-d", "database.csv", "genconfig", "-o", "w"
            ),
        },
    )
    report(times)
    mesh_run, naive_run, planet_run, other = times
    quicker, costlier = ratio(times, other, mesh_run), ratio(times, mesh_run, naive_run)
    print(f"  full mesh: {quicker:.1f} times faster than wg-meshconf (wanted: 50)")
    print(f"  full mesh: {costlier:.2f} times the naive writer's time (at most 4)")
    share = ratio(times, other, planet_run)
    print(f"  10,000 regional: 1/{share:.1f} of wg-meshconf's time for 1,000 (wanted: 1/20)")
    bench_rewriting(planet)


def bench_rewriting(planet: Path) -> None:
    """Nothing changed: no file is written. One node changed: its neighbours' files only."""
    malha = BIN / "malha"
    print("  nothing changed:", written(planet))
    call(
        malha,
        "add",
        "new",
        "--region",
        "r7",
        "--public-key",
        str(derive_public_key(make_private_key())),
        cwd=planet,
    )
    neighbours = {"hub", "pop7", "new"}
    print(
        f"  one node added to r7: {written(planet)} (its neighbours and itself: "
        f"{len(neighbours)}) of {len(load_overlay(planet / 'overlay.yaml').nodes)}"
    )


def written(planet: Path) -> str:
    """What `malha render` says that it wrote."""
    done = subprocess.run(
        [BIN / "malha", "render", "--out", "m"],
        cwd=planet,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def bench_starting(folder: Path, rounds: int) -> None:
    """CPU time of `malha --help` and `malha show`, in bare starts of Python."""
    example = Path(__file__).parents[1] / "examples" / "edgeproxy" / "overlay.yaml"
    shutil.copytree(example.parent, folder / "edgeproxy")

    def ten(*argv: str | Path) -> Callable[[], None]:
        # Ten starts to one reading: the kernel counts CPU time in steps.
        return lambda: [call(*argv, cwd=folder / "edgeproxy") for _ in range(10)] and None

    times = interleaved(
        rounds,
        {
            "python3 -c pass, ten times": ten(sys.executable, "-c", "pass"),
            "malha --help, ten times": ten(BIN / "malha", "--help"),
            "malha show, 12 nodes, ten times": ten(BIN / "malha", "show"),
        },
    )
    report(times)
    bare, shown_help, show = times
    print(f"  malha --help: {ratio(times, shown_help, bare):.1f} times a bare start (at most 6)")
    print(f"  malha show: {ratio(times, show, bare):.1f} times a bare start (at most 12)")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["rendering", "starting"])
    arguments = parser.parse_args()
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base, prefix="malha-bench-") as name:
        if arguments.only != "rendering":
            print("starting: CPU seconds, median and spread")
            bench_starting(Path(name), max(arguments.rounds, 5))
        if arguments.only != "starting":
            print("rendering: CPU seconds, median and spread")
            bench_rendering(Path(name), arguments.rounds)


if __name__ == "__main__":
    main()
