"""Write latency.yaml: the known round trips, and an estimate for every other pair.

Rule: a known round trip is never replaced by an estimate, and an estimate is always marked as one.

    python examples/edgeproxy/estimate_latency.py > examples/edgeproxy/latency.yaml
"""

from __future__ import annotations

import math
import statistics
from itertools import combinations

EARTH_RADIUS_KM = 6371.0

PLACES = {  # latitude, longitude in degrees, of the city
    "ec2-ireland": (53.35, -6.26),
    "hkg": (22.32, 114.17),
    "gru": (-23.55, -46.63),
    "iad": (39.04, -77.49),
    "ord": (41.88, -87.63),
    "lax": (34.05, -118.24),
    "lhr": (51.51, -0.13),
    "fra": (50.11, 8.68),
    "cdg": (48.86, 2.35),
    "nrt": (35.68, 139.69),
    "sin": (1.35, 103.82),
    "syd": (-33.87, 151.21),
}

KNOWN_RTT_MS = {  # measured by the operator
    ("ec2-ireland", "lhr"): 12,
    ("ec2-ireland", "cdg"): 18,
    ("ec2-ireland", "fra"): 27,
    ("ec2-ireland", "iad"): 86,
    ("ec2-ireland", "ord"): 122,
    ("ec2-ireland", "lax"): 138,
    ("ec2-ireland", "sin"): 166,
    ("ec2-ireland", "gru"): 198,
    ("ec2-ireland", "hkg"): 242,
    ("ec2-ireland", "nrt"): 250,
    ("ec2-ireland", "syd"): 258,
    ("hkg", "nrt"): 49,
    ("hkg", "sin"): 38,
    ("hkg", "syd"): 122,
}

HEAD = """\
# Round trips between the underlay addresses, in milliseconds. Each pair stands here once.
# Made by estimate_latency.py beside this file; the known ones are the operator's own measurements.
"""


def great_circle_km(a: str, b: str) -> float:
    """The shortest way between two places on a sphere, in km (haversine formula)."""
    (lat_a, lon_a), (lat_b, lon_b) = (map(math.radians, PLACES[name]) for name in (a, b))
    half_chord_squared = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half_chord_squared))


def fitted_factor_ms_per_km() -> float:
    """Milliseconds of round trip per km: the median over the known pairs, so no outlier decides."""
    return statistics.median(
        rtt_ms / great_circle_km(a, b) for (a, b), rtt_ms in KNOWN_RTT_MS.items()
    )


def estimated_rtt_ms() -> dict[tuple[str, str], int]:
    """Every pair that nobody measured, in the order of PLACES, in whole ms and at least 1."""
    factor = fitted_factor_ms_per_km()
    return {
        (a, b): max(1, round(factor * great_circle_km(a, b)))
        for a, b in combinations(PLACES, 2)
        if (a, b) not in KNOWN_RTT_MS
    }


def render_pairs(key: str, rtts: dict[tuple[str, str], int]) -> str:
    """One YAML mapping of mappings: a line per first node."""
    lines = [f"{key}:"]
    for first in PLACES:
        row = [f"{b}: {rtt_ms}" for (a, b), rtt_ms in rtts.items() if a == first]
        if row:
            lines.append(f"  {first}: {{{', '.join(row)}}}")
    return "\n".join(lines) + "\n"


def render_latency() -> str:
    """The whole text of latency.yaml."""
    how = (
        f"great-circle distance between the cities x {fitted_factor_ms_per_km():.4f} ms per km, "
        f"the median of the {len(KNOWN_RTT_MS)} known pairs"
    )
    return (
        f"{HEAD}{render_pairs('rtt_ms', KNOWN_RTT_MS)}"
        f"{render_pairs('estimated_rtt_ms', estimated_rtt_ms())}how_estimated: {how}\n"
    )


if __name__ == "__main__":
    print(render_latency(), end="")
