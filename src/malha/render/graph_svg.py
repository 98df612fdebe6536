"""The overlay as a drawing: SVG made by hand, with hubs in the middle and regions around.

It stands alone: no script, font or style from elsewhere, legible on light and dark, and with
shapes as well as colours for the roles. Rule: positions follow from the overlay alone and are
whole pixels, so the same overlay gives the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from xml.sax.saxutils import escape

from malha.overlay.model import Node, Overlay, Region, Role
from malha.render.graph import Drawing, End, Line, members, plan_drawing

_CELL_HEIGHT = 46
_HEADER_HEIGHT = 46
_MARGIN = 14
_GAP = 44
"""Least distance between two boxes: room for the lines to be told apart."""
_MAX_ROWS = 5
_MAX_LABEL_CHARACTERS = 24
_NAME_WIDTH, _SMALL_WIDTH = 8.2, 6.6
"""Widest usual advance of a character in pixels, at 14 px bold and at 11 px."""

_STYLE = """\
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#0f172a}
.bg{fill:#ffffff}.box{fill:#f1f5f9;stroke:#94a3b8}
.head{font-size:20px;font-weight:600}.name{font-size:14px;font-weight:600}
.region{font-size:13px;font-weight:600}.small{font-size:11px;font-weight:400;fill:#475569}
.name,.region,.small{paint-order:stroke;stroke:#f1f5f9;stroke-width:3px;stroke-linejoin:round}
.hub{fill:#1d4ed8;stroke:#1e3a8a}.pop{fill:#d97706;stroke:#92400e}
.backend{fill:#ffffff;stroke:#475569}.unmanaged{stroke-dasharray:3 2}
.line{fill:none;stroke-width:2}.line-hub{stroke:#3b82f6}
.line-pop{stroke:#d97706;stroke-width:2.5}.line-backend{stroke:#64748b;stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){
text{fill:#e2e8f0}.bg{fill:#0b1220}.box{fill:#172033;stroke:#475569}.small{fill:#a3b1c6}
.name,.region,.small{stroke:#172033}.hub{fill:#60a5fa;stroke:#bfdbfe}.pop{fill:#fbbf24;stroke:#fde68a}
.backend{fill:#0b1220;stroke:#a3b1c6}.line-hub{stroke:#60a5fa}.line-pop{stroke:#fbbf24}
.line-backend{stroke:#94a3b8}}
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """A region with the size its nodes need; x and y are its centre."""

    region: Region
    nodes: tuple[Node, ...]
    columns: int
    cell_width: int
    width: int
    height: int
    x: int = 0
    y: int = 0

    def at(self, x: float, y: float) -> _Box:
        return _Box(
            self.region, self.nodes, self.columns, self.cell_width,
            self.width, self.height, round(x), round(y),
        )  # fmt: skip

    def shape_at(self, index: int) -> tuple[int, int]:
        """Give the centre of a node's shape."""
        column, row = index % self.columns, index // self.columns
        left = self.x - self.width // 2 + _MARGIN + column * self.cell_width
        top = self.y - self.height // 2 + _HEADER_HEIGHT + row * _CELL_HEIGHT
        return left + 12, top + _CELL_HEIGHT // 2 - 4


def render_svg(overlay: Overlay) -> str:
    """Draw an overlay as an SVG image.

    A line that ends at a region's box means every node in it.
    """
    drawing = plan_drawing(overlay)
    boxes = _place(overlay, drawing)
    left = min(box.x - box.width // 2 for box in boxes) - _GAP
    right = max(box.x + box.width // 2 for box in boxes) + _GAP
    top = min(box.y - box.height // 2 for box in boxes) - _GAP - 40
    bottom = max(box.y + box.height // 2 for box in boxes) + _GAP + 30
    right = max(right, left + 720)  # the legend's width
    size = f"{left} {top} {right - left} {bottom - top}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{size}" '
        f'width="{right - left}" height="{bottom - top}">',
        f"<title>{escape(_headline(overlay, drawing))}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="bg" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>',
        f'<text class="head" x="{left + 24}" y="{top + 36}">'
        f"{escape(_headline(overlay, drawing))}</text>",
        *(_box_frame(box) for box in boxes),
        *_lines(drawing, boxes),
        *(part for box in boxes for part in _box_content(box, drawing)),
        *_legend(left + 36, bottom - 24),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _headline(overlay: Overlay, drawing: Drawing) -> str:
    nodes = _count(len(overlay.nodes), "node")
    links = _count(drawing.links, "link")
    return f"{overlay.name}: {overlay.topology.value}, {nodes}, {links}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(region: Region, nodes: list[Node], note: str) -> _Box:
    labels = [_NAME_WIDTH * min(len(n.name), _MAX_LABEL_CHARACTERS) for n in nodes]
    details = [_SMALL_WIDTH * len(_detail(node)) for node in nodes]
    cell = math.ceil(max([90.0, *labels, *details])) + 42
    columns = max(1, math.ceil(len(nodes) / _MAX_ROWS), math.isqrt(len(nodes)) if nodes else 1)
    rows = math.ceil(len(nodes) / columns)
    title = _NAME_WIDTH * (len(_short(region.name)) + 1) + _SMALL_WIDTH * len(note)
    header = max(_SMALL_WIDTH * len(_subnets(region)), title)
    width = max(columns * cell, math.ceil(header)) + 2 * _MARGIN
    height = _HEADER_HEIGHT + rows * _CELL_HEIGHT + 8
    return _Box(region, tuple(nodes), columns, cell, width, height)


def _subnets(region: Region) -> str:
    return ", ".join(map(str, region.subnets))


def _short(name: str) -> str:
    if len(name) <= _MAX_LABEL_CHARACTERS:
        return name
    return name[: _MAX_LABEL_CHARACTERS - 1] + "…"


def _detail(node: Node) -> str:
    words = [str(node.addresses[0])] if node.addresses else []
    words += ["exit"] if node.is_exit else []
    words += ["unmanaged"] if not node.managed else []
    return " · ".join(words)


def _place(overlay: Overlay, drawing: Drawing) -> list[_Box]:
    """Put the regions that hold hubs in the middle, the others on an ellipse around them."""
    boxes = {
        name: _size(overlay.region_by_name[name], nodes, drawing.notes[name])
        for name, nodes in members(overlay).items()
    }
    inner = [b for b in boxes.values() if any(node.role is Role.HUB for node in b.nodes)]
    outer = [boxes[name] for name in _ring(overlay) if boxes[name] not in inner]
    middle = _row(inner)
    if not middle and len(outer) == 1:
        return [outer[0].at(0, 0)]
    scale = 120
    while True:
        placed = [*middle, *_ellipse(outer, scale)]
        if not any(_collide(a, b) for a, b in combinations(placed, 2)):
            return placed
        scale += 10


def _row(boxes: list[_Box]) -> list[_Box]:
    width = sum(box.width for box in boxes) + _GAP * (len(boxes) - 1)
    placed, x = [], -width / 2
    for box in boxes:
        placed.append(box.at(x + box.width / 2, 0))
        x += box.width + _GAP
    return placed


def _ellipse(boxes: list[_Box], scale: int) -> list[_Box]:
    placed = []
    for index, box in enumerate(boxes):
        angle = 2 * math.pi * (index + 0.5) / len(boxes) - math.pi
        placed.append(box.at(1.5 * scale * math.cos(angle), scale * math.sin(angle)))
    return placed


def _collide(a: _Box, b: _Box) -> bool:
    return (
        abs(a.x - b.x) < (a.width + b.width) / 2 + _GAP
        and abs(a.y - b.y) < (a.height + b.height) / 2 + _GAP
    )


def _ring(overlay: Overlay) -> list[str]:
    """Order the regions so that those a pop serves stand beside the pop's own."""
    order: list[str] = []
    for node in overlay.nodes:
        served = [name for name in node.serves if name != node.region and name not in order]
        if node.role is Role.POP and node.region not in order:
            half = len(served) // 2
            order += [*served[:half], node.region, *served[half:]]
    return order + [region.name for region in overlay.regions if region.name not in order]


def _lines(drawing: Drawing, boxes: list[_Box]) -> list[str]:
    places: dict[End, tuple[int, int]] = {}
    homes: dict[End, _Box] = {}
    for box in boxes:
        end = End(box.region.name, is_region=True)
        places[end], homes[end] = (box.x, box.y), box
        for index, node in enumerate(box.nodes):
            places[End(node.name)] = box.shape_at(index)
            homes[End(node.name)] = box
    return [_line(line, places, homes) for line in drawing.lines]


def _line(line: Line, places: dict[End, tuple[int, int]], homes: dict[End, _Box]) -> str:
    start, end = places[line.a], places[line.b]
    if _ends_at_box(line.a, homes):
        start = _border(homes[line.a], end)
    if _ends_at_box(line.b, homes):
        end = _border(homes[line.b], start)
    title = f"{line.a.name} to {line.b.name}"
    path = f"M{start[0]} {start[1]}Q{_bend(start, end, homes[line.a] is homes[line.b])}"
    return (
        f'<path class="line line-{line.role.value}" d="{path} {end[0]} {end[1]}">'
        f"<title>{escape(title)}</title></path>"
    )


def _ends_at_box(end: End, homes: dict[End, _Box]) -> bool:
    return end.is_region or len(homes[end].nodes) == 1


def _bend(start: tuple[int, int], end: tuple[int, int], inside: bool) -> str:
    """Give a control point that keeps parallel lines, and lines past other nodes, apart."""
    (x0, y0), (x1, y1) = start, end
    share = 0.18 if inside else 0.06
    return f"{round((x0 + x1) / 2 - share * (y1 - y0))} {round((y0 + y1) / 2 + share * (x1 - x0))}"


def _border(box: _Box, towards: tuple[int, int]) -> tuple[int, int]:
    """Give the point where the way from a box's centre to another point leaves the box."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    if not dx and not dy:
        return box.x, box.y
    reach = min(
        box.width / 2 / abs(dx) if dx else math.inf, box.height / 2 / abs(dy) if dy else math.inf
    )
    return round(box.x + dx * reach), round(box.y + dy * reach)


def _box_frame(box: _Box) -> str:
    left, top = box.x - box.width // 2, box.y - box.height // 2
    size = f'width="{box.width}" height="{box.height}"'
    return f'<rect class="box" x="{left}" y="{top}" {size} rx="10"/>'


def _box_content(box: _Box, drawing: Drawing) -> list[str]:
    left, top = box.x - box.width // 2 + _MARGIN, box.y - box.height // 2
    note = f'<tspan class="small" dx="8">{escape(drawing.notes[box.region.name])}</tspan>'
    title = escape(f"{box.region.name}: {box.region.description}".removesuffix(": "))
    parts = [
        f'<g><title>{title}</title><text class="region" x="{left}" y="{top + 20}">'
        f"{escape(_short(box.region.name))}{note}</text>"
        f'<text class="small" x="{left}" y="{top + 35}">{escape(_subnets(box.region))}</text></g>'
    ]
    for index, node in enumerate(box.nodes):
        parts.append(_node(node, *box.shape_at(index)))
    return parts


def _node(node: Node, x: int, y: int) -> str:
    words = [node.name, node.role.value, *map(str, node.addresses), node.location]
    words += [node.description] if node.description else []
    title = escape(", ".join(word for word in words if word))
    return (
        f"<g><title>{title}</title>{_shape(node, x, y)}"
        f'<text class="name" x="{x + 18}" y="{y + 1}">{escape(_short(node.name))}</text>'
        f'<text class="small" x="{x + 18}" y="{y + 15}">{escape(_detail(node))}</text></g>'
    )


def _shape(node: Node, x: int, y: int) -> str:
    style = node.role.value + ("" if node.managed else " unmanaged")
    return _role_shape(node.role, style, x, y)


def _role_shape(role: Role, style: str, x: int, y: int) -> str:
    if role is Role.BACKEND:
        return f'<circle class="{style}" cx="{x}" cy="{y}" r="8" stroke-width="2"/>'
    corners = {
        Role.HUB: ((-11, 0), (-6, -10), (6, -10), (11, 0), (6, 10), (-6, 10)),
        Role.POP: ((0, -11), (11, 0), (0, 11), (-11, 0)),
    }[role]
    points = " ".join(f"{x + dx},{y + dy}" for dx, dy in corners)
    return f'<polygon class="{style}" points="{points}" stroke-width="2"/>'


def _legend(x: int, y: int) -> list[str]:
    parts = []
    for role, words in (
        (Role.HUB, "hub: relays for all"),
        (Role.POP, "pop: relays for its regions"),
        (Role.BACKEND, "backend"),
    ):
        parts.append(_role_shape(role, role.value, x, y - 4))
        parts.append(f'<text class="small" x="{x + 16}" y="{y}">{words}</text>')
        x += 16 + round(_SMALL_WIDTH * len(words)) + 24
    words = "a line to a box: every node in it"
    return [*parts, f'<text class="small" x="{x}" y="{y}">{words}</text>']
