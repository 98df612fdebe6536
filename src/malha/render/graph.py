"""The overlay as a drawing: its regions, its nodes, and the links between them; Mermaid text.

Rule: a link to a whole region stands for a link to every node of it, so that a drawing of 60
nodes shows its structure and not 60 lines to each hub. Same overlay, same bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from malha.overlay.model import Node, Overlay, Region, Role
from malha.topology.links import permitted_links

Pair: TypeAlias = tuple[Node, Node]


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of a drawn line: a node, or all nodes of a region."""

    name: str
    is_region: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line of the drawing, standing for one link or for many."""

    a: End
    b: End
    role: Role
    """The most central role at an end: what the link is for."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn, in a fixed order, before it is placed anywhere."""

    lines: tuple[Line, ...]
    notes: dict[str, str]
    """For a region, the links inside it that words say and no lines show."""
    links: int
    """How many links lines and notes stand for."""


def members(overlay: Overlay) -> dict[str, list[Node]]:
    """Give the nodes of every region, in declaration order; regions without nodes too."""
    found: dict[str, list[Node]] = {region.name: [] for region in overlay.regions}
    for node in overlay.nodes:
        found[node.region].append(node)
    return found


def plan_drawing(overlay: Overlay) -> Drawing:
    """Decide which lines to draw."""
    groups = members(overlay)
    linked = _links_by_regions(overlay, list(groups))
    lines: list[Line] = []
    notes: dict[str, str] = {}
    for region, nodes in groups.items():
        notes[region], pairs = _inside(nodes, linked[region, region])
        lines += [_line(End(a.name), End(b.name), a, b) for a, b in pairs]
    for a, b in combinations(groups, 2):
        lines += _between((a, groups[a]), (b, groups[b]), linked[a, b])
    return Drawing(tuple(lines), notes, sum(map(len, linked.values())))


def _links_by_regions(
    overlay: Overlay, regions: list[str]
) -> defaultdict[tuple[str, str], list[Pair]]:
    """Give the links by the regions of their ends; regions and ends in the regions' order."""
    rank = {region: index for index, region in enumerate(regions)}
    linked: defaultdict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in permitted_links(overlay):
        ends = [overlay.node_by_name[name] for name in pair]
        a, b = sorted(ends, key=lambda node: rank[node.region])
        linked[a.region, b.region].append((a, b))
    return linked


def _inside(nodes: list[Node], pairs: list[Pair]) -> tuple[str, list[Pair]]:
    """Give a note for what has a short name, and the pairs that are left to be drawn."""
    if len(nodes) < 3:
        return "", pairs
    if len(pairs) == len(nodes) * (len(nodes) - 1) // 2:
        return "all linked", []
    degree = Counter(node.name for pair in pairs for node in pair)
    centres = [node.name for node in nodes if degree[node.name] == len(nodes) - 1]
    left = [(a, b) for a, b in pairs if a.name not in centres and b.name not in centres]
    return f"all linked to {', '.join(centres)}" if centres else "", left


def _between(
    a: tuple[str, list[Node]], b: tuple[str, list[Node]], pairs: list[Pair]
) -> Iterator[Line]:
    """Give the lines between two regions: as few as say the same."""
    if pairs and len(pairs) == len(a[1]) * len(b[1]):
        yield _line(_end(*a), _end(*b), *_least_central(pairs))
        return
    degree = Counter(node.name for pair in pairs for node in pair)
    to_all_of_b = {x.name: x for x, _ in pairs if degree[x.name] == len(b[1])}
    to_all_of_a = {y.name: y for _, y in pairs if degree[y.name] == len(a[1])}
    for x in to_all_of_b.values():
        yield _line(End(x.name), _end(*b), *_least_central([(x, y) for y in b[1]]))
    for y in to_all_of_a.values():
        yield _line(_end(*a), End(y.name), *_least_central([(x, y) for x in a[1]]))
    for x, y in pairs:
        if x.name not in to_all_of_b and y.name not in to_all_of_a:
            yield _line(End(x.name), End(y.name), x, y)


def _end(region: str, nodes: list[Node]) -> End:
    return End(region, is_region=True) if len(nodes) > 1 else End(nodes[0].name)


_RANK = {Role.HUB: 0, Role.POP: 1, Role.BACKEND: 2}


def _least_central(pairs: list[Pair]) -> Pair:
    """Give the pair that best says what all of them are for: the least central of them."""
    return max(pairs, key=lambda pair: min(_RANK[pair[0].role], _RANK[pair[1].role]))


def _line(end_a: End, end_b: End, a: Node, b: Node) -> Line:
    return Line(end_a, end_b, min(a.role, b.role, key=_RANK.__getitem__))


def region_label(region: Region) -> str:
    """Give a region's name with its subnets."""
    return f"{region.name}  {', '.join(map(str, region.subnets))}"


_MERMAID_SHAPES = {Role.HUB: ("{{", "}}"), Role.POP: ("([", "])"), Role.BACKEND: ("[", "]")}
_MERMAID_LINES = {Role.HUB: "---", Role.POP: "===", Role.BACKEND: "-.-"}
_MERMAID_CLASSES = (
    "classDef hub fill:#1d4ed8,stroke:#1e3a8a,color:#ffffff",
    "classDef pop fill:#b45309,stroke:#7c2d12,color:#ffffff",
    "classDef backend fill:#e2e8f0,stroke:#475569,color:#0f172a",
    "classDef unmanaged stroke-dasharray:4 3",
)


def render_mermaid(overlay: Overlay) -> str:
    """Draw an overlay as a Mermaid flow chart.

    A line to a region's box means every node in it. Source: the syntax of Mermaid's flowcharts.
    """
    drawing = plan_drawing(overlay)
    # Identifiers are numbers: names such as `end` are words of the language.
    ids = {End(node.name): f"n{index}" for index, node in enumerate(overlay.nodes)}
    ids |= {End(r.name, is_region=True): f"r{index}" for index, r in enumerate(overlay.regions)}
    lines = ["flowchart TB"]
    for region in overlay.regions:
        lines += _mermaid_region(overlay, region, drawing, ids)
    lines += [
        f"  {ids[line.a]} {_MERMAID_LINES[line.role]} {ids[line.b]}" for line in drawing.lines
    ]
    lines += [f"  {declaration}" for declaration in _MERMAID_CLASSES]
    return "\n".join(lines) + "\n"


def _mermaid_region(
    overlay: Overlay, region: Region, drawing: Drawing, ids: dict[End, str]
) -> list[str]:
    label = region_label(region)
    if drawing.notes[region.name]:
        label += f" ({drawing.notes[region.name]})"
    if region.description:
        label += f": {region.description}"
    lines = [f'  subgraph {ids[End(region.name, is_region=True)]}["{_mermaid_text(label)}"]']
    for node in members(overlay)[region.name]:
        before, after = _MERMAID_SHAPES[node.role]
        text = _mermaid_text(f"{node.name}\n{', '.join(map(str, node.addresses))}")
        lines.append(f'    {ids[End(node.name)]}{before}"{text}"{after}:::{node.role.value}')
        if not node.managed:
            lines.append(f"    class {ids[End(node.name)]} unmanaged")
    return [*lines, "  end"]


def _mermaid_text(text: str) -> str:
    """Write a text so that nothing in it is Mermaid's or HTML's."""
    safe = "".join(c if c.isalnum() or c in " .,:/-_()\n" else f"#{ord(c)};" for c in text)
    return safe.replace("\n", "<br/>")
