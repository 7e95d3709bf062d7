"""What a figure shows, for the tests of all figures."""

from io import BytesIO
from itertools import combinations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image


def assert_closed_and_drawable(figure: Figure) -> None:
    """A figure can be saved, on a white background, and pyplot, whose figures notebooks show again, has none open."""
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    png = BytesIO()
    figure.savefig(png)
    with Image.open(png) as picture:
        assert picture.size[0] == 600
        assert picture.convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


def texts(axes: Axes) -> list[Annotation]:
    """The texts in a panel, such as the labels of its lines."""
    return [text for text in axes.texts if text.get_text()]


def notes(axes: Axes) -> list[str]:
    return [text.get_text() for text in texts(axes)]


def rows(axes: Axes) -> list[str]:
    """The titles of the rows of a panel, from top to bottom."""
    assert axes.yaxis_inverted()
    return [tick.get_text() for tick in axes.get_yticklabels()]


def dots(axes: Axes) -> dict[int, tuple[float, str]]:
    """The place and the colour of the dot in each row."""
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    return {int(line.get_ydata()[0]): (line.get_xdata()[0], line.get_color()) for line in lines}


def intervals(axes: Axes) -> list[tuple[float, float]]:
    """The ends of the intervals, horizontal or vertical, in the order in which they were drawn."""
    found = []
    for lines in axes.collections:
        # An interval of NaN has no ends.
        for ends in filter(len, lines.get_segments() if hasattr(lines, "get_segments") else []):
            (x_low, y_low), (x_high, y_high) = ends
            found.append((x_low, x_high) if y_low == y_high and x_low != x_high else (y_low, y_high))
    return found


def assert_no_texts_overlap(axes: Axes) -> None:
    boxes = {text.get_text(): text.get_window_extent() for text in texts(axes)}
    assert not [(a, b) for a, b in combinations(boxes, 2) if boxes[a].overlaps(boxes[b])]
    figure = axes.figure.bbox
    assert all(figure.x0 <= box.x0 and box.x1 <= figure.x1 for box in boxes.values())
