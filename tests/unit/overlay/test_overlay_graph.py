"""Drawings of the overlay: well-formed, complete, safe, the same every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from malha.overlay.model import Overlay
from malha.render.graph import plan_drawing, render_mermaid
from malha.render.graph_svg import render_svg
from malha.topology.links import permitted_links
from tests.builders import a_node, an_overlay, edgeproxy
from tests.unit.overlay.overlay_sample import SAMPLE, overlay_of

SVG = "{http://www.w3.org/2000/svg}"


def sixty(topology: str) -> Overlay:
    """Two hubs, two pops and 56 backends in eight regions."""
    regions = {f"r{i}": [f"10.50.{i}.0/24"] for i in range(8)}
    relays = [("hub-a", "r0", "hub"), ("hub-b", "r1", "hub"), ("pop-a", "r2", "pop")]
    relays.append(("pop-b", "r5", "pop"))
    nodes = [
        a_node(name, region, f"10.50.{region[1]}.1", role=role, endpoint=f"192.0.2.{i}:1")
        for i, (name, region, role) in enumerate(relays)
    ]
    nodes += [a_node(f"n{i}", f"r{i % 8}", f"10.50.{i % 8}.{i // 8 + 2}") for i in range(56)]
    return an_overlay(regions, *nodes, topology=topology)


OVERLAYS = {
    "edgeproxy-hub": edgeproxy("hub"),
    "edgeproxy": edgeproxy(),
    "edgeproxy-full": edgeproxy("full"),
    "sample": overlay_of(SAMPLE),
    "sixty": sixty("regional"),
    "sixty-full": sixty("full"),
    "empty": an_overlay({"r": ["10.50.0.0/24"]}),
}


@pytest.fixture(params=list(OVERLAYS))
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each of the overlays in turn."""
    return OVERLAYS[request.param]


def drawn_links(overlay: Overlay) -> set[frozenset[str]]:
    """The links that the drawing's lines and notes say, read back."""
    drawing = plan_drawing(overlay)
    groups = {region.name: [] for region in overlay.regions}  # type: ignore[var-annotated]
    for node in overlay.nodes:
        groups[node.region].append(node.name)
    said = set()
    for line in drawing.lines:
        ends = [groups[end.name] if end.is_region else [end.name] for end in (line.a, line.b)]
        said |= {frozenset((a, b)) for a in ends[0] for b in ends[1]}
    for region, note in drawing.notes.items():
        centres = groups[region] if note == "all linked" else note.split(" to ")[-1].split(", ")
        said |= {frozenset((a, b)) for a in centres for b in groups[region] if note and a != b}
    return said


def test_lines_and_notes_say_every_link_and_no_other(overlay: Overlay) -> None:
    linked = {frozenset(pair) for pair in permitted_links(overlay)}
    assert drawn_links(overlay) == linked
    assert plan_drawing(overlay).links == len(linked)


def test_a_drawing_has_fewer_lines_than_links() -> None:
    assert len(plan_drawing(edgeproxy()).lines) == 6
    assert len(plan_drawing(sixty("regional")).lines) < 40


def test_svg_is_xml_that_stands_alone(overlay: Overlay) -> None:
    text = render_svg(overlay)
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "style", "rect", "text", "tspan", "g", "path", "circle", "polygon",
    }  # fmt: skip
    assert not re.search(r"href|url\(|@import|<script|\bon[a-z]+=", text)
    assert "prefers-color-scheme:dark" in text
    assert text == render_svg(overlay)


def test_svg_names_every_node_and_its_address(overlay: Overlay) -> None:
    words = {element.text for element in ET.fromstring(render_svg(overlay)).iter(f"{SVG}text")}
    for node in overlay.nodes:
        assert node.name in words
        assert any(word and word.startswith(str(node.addresses[0])) for word in words)


def boxes(text: str) -> list[tuple[int, int, int, int]]:
    found = ET.fromstring(text).iter(f"{SVG}rect")
    return [
        tuple(int(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in found
        if box.attrib["class"] == "box"
    ]  # type: ignore[misc]


def test_no_two_regions_overlap_and_all_are_inside(overlay: Overlay) -> None:
    text = render_svg(overlay)
    left, top, width, height = map(int, ET.fromstring(text).attrib["viewBox"].split())
    placed = boxes(text)
    assert len(placed) == len(overlay.regions)
    for x, y, w, h in placed:
        assert left <= x
        assert top <= y
        assert x + w <= left + width
        assert y + h <= top + height
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(placed, 2):
        assert ax + aw < bx or bx + bw < ax or ay + ah < by or by + bh < ay


def test_roles_differ_in_shape() -> None:
    root = ET.fromstring(render_svg(edgeproxy()))
    shapes = {
        element.attrib["class"]: (element.tag, element.attrib.get("points", "").count(","))
        for element in root.iter()
        if element.attrib.get("class") in ("hub", "pop", "backend")
    }
    assert len(set(shapes.values())) == 3


HOSTILE = '</title><script>alert(1)</script>"]; click n0 "javascript:x" & \'q\' #35;'


def test_texts_cannot_break_out() -> None:
    overlay = an_overlay(
        {"r": ["10.50.0.0/24"]},
        a_node("hub", "r", "10.50.0.1", role="hub", endpoint="a.test:1", description=HOSTILE),
    )
    region = type(overlay.regions[0])("r", overlay.regions[0].subnets, HOSTILE)
    overlay = type(overlay)(**{**overlay.__dict__, "regions": (region,)})
    titles = [t.text for t in ET.fromstring(render_svg(overlay)).iter(f"{SVG}title")]
    assert any(HOSTILE in (title or "") for title in titles)
    for line in render_mermaid(overlay).splitlines():
        assert line.count('"') in (0, 2)
        assert "<script" not in line


def test_mermaid_of_the_first_users_overlay() -> None:
    lines = render_mermaid(edgeproxy()).splitlines()
    assert lines[:4] == [
        "flowchart TB",
        '  subgraph r0["central  10.50.0.0/24"]',
        '    n0{{"ec2-ireland<br/>10.50.0.1"}}:::hub',
        "  end",
    ]
    assert [line for line in lines if " --- " in line or " === " in line] == [
        "  n0 --- n1",
        "  n0 --- r2",
        "  n0 --- r3",
        "  n0 --- r4",
        "  n0 --- n11",
        "  r4 === n11",
    ]
