"""The diagrams at the top of the notebooks: committed as the script draws them, readable on white and on dark."""

import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest

from benchmarks.roads import BOXES, DARK, HERE_FILL, MODELS, ROADS, TITLES, road, write_roads

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def boxes_of(name: str) -> dict[str, str]:
    """The fill of each box by its first line of text; a text belongs to the rectangle before it."""
    fills, fill = {}, None
    for element in ElementTree.fromstring(road(name)).iter():
        if element.tag == f"{SVG}rect":
            fill = element.get("fill")
        elif element.tag == f"{SVG}text" and fill is not None:
            fills[element.text], fill = fill, None
    return fills


@pytest.mark.parametrize("name", ROADS)
def test_the_committed_diagram_is_what_the_script_draws(name, tmp_path):
    write_roads(tmp_path)
    committed = ROOT / "docs" / f"road-{name}.svg"
    assert committed.read_bytes() == (tmp_path / committed.name).read_bytes(), "run `python -m benchmarks.roads`"


@pytest.mark.parametrize("name", ROADS)
def test_the_boxes_of_the_notebook_and_only_these_are_marked(name):
    fills, (here, with_sign) = boxes_of(name), ROADS[name]
    stops = {*MODELS, *(title for title, *_ in BOXES)}
    assert {title for title in stops if fills[title] == HERE_FILL} == here
    assert with_sign in here and fills["you are here"] == DARK


def relative_luminance(colour: str) -> float:
    """Luminance of a colour such as #E69F00, in [0, 1], by the rules for readable web pages (WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted([relative_luminance(one), relative_luminance(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ROADS)
def test_texts_and_arrows_can_be_seen_on_white_and_on_dark(name):
    tree = ElementTree.fromstring(road(name))
    # A text is drawn on the rectangle before it, so its contrast does not depend on the page.
    fill = None
    for element in tree.iter():
        if element.tag == f"{SVG}rect":
            fill = element.get("fill")
        elif element.tag == f"{SVG}text":
            assert contrast(element.get("fill", DARK), fill) > 7, element.text
    arrows = [path.get("stroke") for path in tree.iter(f"{SVG}path") if path.get("marker-end")]
    assert arrows and all(contrast(arrow, page) > 3 for arrow in arrows for page in ("#FFFFFF", "#0D1117"))


@pytest.mark.parametrize("name", ROADS)
def test_the_notebook_begins_with_its_diagram(name):
    path = ROOT / TITLES[name].split(" ")[0]
    first = nbformat.read(path, as_version=4).cells[0].source
    assert re.findall(r"^!\[[^\]]+\]\((.+)\)$", first, re.MULTILINE) == [f"docs/road-{name}.svg"]
