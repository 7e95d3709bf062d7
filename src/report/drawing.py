"""How every figure looks: its colours, its background, its axes, and labels that cover nothing.

Figures are made without pyplot, so none stays open, and a notebook shows each once: as the value of its cell.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import matplotlib
import numpy as np
from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import (
    AutoLocator,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)
from matplotlib_inline.config import InlineBackend

from src.evaluation.metrics import Metric

WIDTH = 6  # inches
# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, SKY_BLUE, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILION, PURPLE, BLACK = "#E69F00", "#D55E00", "#CC79A7", "#000000"
GREY, LIGHT_GREEN = "#767676", "#66C2A5"
SYSTEM_COLOURS = {
    "LSTM": BLUE,
    "LSTM with n-grams": GREEN,
    "Kneser-Ney n-gram": ORANGE,
    "constant answer": BLACK,
    "word list": GREY,
    "presage": PURPLE,
}
SMALL = 8.5  # points
# Our style has every colour, because a reader may have set white text for a dark page.
STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": BLACK,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "font.size": 10,
    "grid.color": "#E4E4E4",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "text.color": BLACK,
    "xtick.color": GREY,
    "xtick.labelcolor": BLACK,
    "xtick.labelsize": 9,
    "ytick.color": GREY,
    "ytick.labelcolor": BLACK,
    "ytick.labelsize": 9,
}

LABEL_HEIGHT = 13  # points from one label to the next
LABEL_DISTANCE = 6  # points from a dot to its label
# Of the three colours of a pixel, the darkest is below this (of 255) in all that is drawn but grid lines.
DARK = 200
# Points. A label further up or down than this is connected with its dot by a line.
FAR = 15
# The share of a panel's width after which the end of a line is on the right.
RIGHT = 0.6


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A decorator for functions that draw: their figures have our style, whatever the reader's own is."""

    @functools.wraps(draw)
    def draw_in_style(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            # Tick labels get their style when they are first drawn.
            figure.draw_without_rendering()
        return figure

    return draw_in_style


def new_figure(height: float) -> Figure:
    """An empty figure of the width that all have.

    Args:
        height: in inches.
    """
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def show_sharply(shell: InteractiveShell) -> None:
    """Let a notebook show a figure 600 pixels wide, drawn with 1,200 for screens with dense pixels."""
    backend = InlineBackend.instance(parent=shell)
    backend.shell = shell
    # "tight" would cut each figure to another width.
    backend.print_figure_kwargs = {"bbox_inches": None}
    backend.figure_formats = {"retina"}


def title_with_direction(metric: Metric) -> str:
    """The title of a metric with an arrow: up if higher values are better, down if lower ones are."""
    return f"{metric.title} {'↓' if metric.lower_is_better else '↑'}"


def system_colour(name: str) -> str:
    """The colour of a system in every figure.

    Other forms of the LSTM ("LSTM, ...") share one colour, and those of the LSTM with n-grams another. Any other name
    is a transformer; its other forms ("..., int8") and its form before fine-tuning ("... before") share one colour.
    """
    if name in SYSTEM_COLOURS:
        return SYSTEM_COLOURS[name]
    if name.startswith("LSTM with n-grams, "):
        return LIGHT_GREEN
    if name.startswith("LSTM, "):
        return SKY_BLUE
    return PURPLE if ", " in name or name.endswith(" before") else VERMILION


def use_log_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Make an axis logarithmic, with tick labels such as 0.5 and 2,000. Zero gets a place if it is among the values."""
    values = np.asarray(values, dtype=np.float64)
    set_scale, axis = (axes.set_xscale, axes.xaxis) if which == "x" else (axes.set_yscale, axes.yaxis)
    low, high = values[values > 0].min(), values.max()
    locator = LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,))
    if (values > 0).all():
        set_scale("log")
        axis.set_major_locator(locator)
    else:
        set_scale("symlog", linthresh=low)
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(FixedLocator([0, *(tick for tick in locator.tick_values(low, high) if tick >= low)]))
    axis.set_major_formatter(StrMethodFormatter("{x:,.9g}"))
    axis.set_minor_formatter(NullFormatter())


def label_point(
    axes: Axes, text: str, point: tuple[float, float], colour: str, distance: float = LABEL_DISTANCE
) -> Annotation:
    """Write a label right of a point; `separate_labels` then moves it to where it covers nothing.

    Args:
        point: in data coordinates.
        distance: points between the middle of the point and the label.
    """
    return axes.annotate(
        text,
        point,
        xytext=(distance, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        annotation_clip=False,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def label_line_ends(figure: Figure) -> None:
    """Write the label of each line after its last point, in all panels; lines without a label get none.

    The labels of lines that end on the right stand in a column there, in the order of their ends.
    """
    for axes in figure.axes:
        # AutoLocator would choose other numbers at the resolution of a notebook, for which the layout has no room.
        if isinstance(axes.yaxis.get_major_locator(), AutoLocator):
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    # The axes get their limits.
    figure.draw_without_rendering()
    columns, others, connections = [], [], []
    for axes in figure.axes:
        ends = {line: _line_end(line) for line in axes.lines if not line.get_label().startswith("_")}
        ends = {line: end for line, end in ends.items() if end is not None}
        right = max((end[0] for end in ends.values()), default=0)
        column = []
        for line, end in ends.items():
            if _is_on_the_right(axes, end):
                column.append(label_point(axes, line.get_label(), (right, end[1]), line.get_color()))
                connections.append((column[-1], end))
            else:
                others.append(label_point(axes, line.get_label(), end, line.get_color()))
        columns.append(column)
    separate_labels(figure, others, columns)
    for label, end in connections:
        _connect(label, end)


def _line_end(line: Line2D) -> tuple[float, float] | None:
    """The last point of a line that is drawn."""
    points = np.asarray(line.get_xydata(), dtype=np.float64)
    points = points[~np.isnan(points).any(axis=1)]
    return tuple(points[-1].tolist()) if len(points) else None


def _is_on_the_right(axes: Axes, point: tuple[float, float]) -> bool:
    return axes.transAxes.inverted().transform(axes.transData.transform(point))[0] >= RIGHT


def separate_labels(figure: Figure, labels: Sequence[Annotation], columns: Sequence[Sequence[Annotation]] = ()) -> None:
    """Move labels to where they cover nothing, as near to their points as possible.

    Args:
        labels: labels that may move to any side of their points.
        columns: labels that only move up or down, so that no two of a column overlap.
    """
    figure.draw_without_rendering()
    # The layout has made room for the labels beside the axes. Moving them must not change it.
    figure.set_layout_engine("none")
    for column in columns:
        ordered = sorted(column, key=_height)
        if not column:
            continue
        # Above the panel is its title, below it are the numbers of its axis.
        bottom, top = (edge * 72 / figure.dpi for edge in column[0].axes.bbox.intervaly)
        heights = spread(
            [_height(label) for label in ordered], LABEL_HEIGHT, bottom + LABEL_HEIGHT / 2, top - LABEL_HEIGHT / 2
        )
        for label, height in zip(ordered, heights):
            label.xyann = label.xyann[0], height - _height(label)
    for label in labels:
        label.set_visible(False)
    figure.canvas.draw()
    # From the bottom up, as the coordinates of matplotlib.
    is_covered = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].min(axis=2) < DARK
    for label in sorted(labels, key=_height):
        label.set_visible(True)
        _place(label, is_covered)


def spread(heights: Sequence[float], gap: float, lowest: float = -np.inf, highest: float = np.inf) -> list[float]:
    """Move sorted heights apart until neighbours are `gap` apart, by the least sum of squared moves.

    None is then below `lowest` or above `highest`: those that would be move, and with them those in their way. If there
    is not enough room, the lowest ones are below.
    """
    # Without the gaps, the new heights must not fall: isotonic regression, by pooling neighbours that do.
    pools: list[tuple[float, int]] = []
    for i, height in enumerate(heights):
        pools.append((height - i * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (low, num_low), (high, num_high) = pools.pop(-2), pools.pop()
            total = num_low + num_high
            pools.append(((low * num_low + high * num_high) / total, total))
    pooled = [mean for mean, size in pools for _ in range(size)]
    raised = [max(mean, lowest) + i * gap for i, mean in enumerate(pooled)]
    return [min(height, highest - (len(raised) - 1 - i) * gap) for i, height in enumerate(raised)]


def _height(label: Annotation) -> float:
    """The height of a label's point in the figure, in points."""
    return label.axes.transData.transform(label.xy)[1] * 72 / label.figure.dpi


def _place(label: Annotation, is_covered: np.ndarray) -> None:
    """Move a label to the best place near its point, and mark this place as covered.

    Args:
        is_covered: bool [figure height, figure width], in pixels.
    """
    distance = label.xyann[0]
    heights = range(-60, 61, 3)
    places = [(distance, height, "left") for height in heights]
    places += [(-distance, height, "right") for height in heights]
    places += [(0, height, "center") for height in heights if abs(height) > distance + LABEL_HEIGHT / 2 - 1]
    _move(label, min(places, key=lambda place: _cost(label, place, is_covered)))
    bottom, top, left, right = _pixels(label)
    is_covered[bottom:top, left:right] = True
    if label.get_horizontalalignment() != "center":
        _connect(label, label.xy)


def _cost(label: Annotation, place: tuple[float, float, str], is_covered: np.ndarray) -> float:
    _move(label, place)
    bottom, top, left, right = _pixels(label)
    if bottom < 0 or left < 0 or top > is_covered.shape[0] or right > is_covered.shape[1]:
        return np.inf
    side = {"left": 0, "center": 4, "right": 8}[place[2]]
    return abs(place[1]) + side + 3 * is_covered[bottom:top, left:right].sum()


def _connect(label: Annotation, end: tuple[float, float]) -> None:
    """Draw a thin line from a label to a point that is not next to it."""
    points_per_pixel = 72 / label.figure.dpi
    place, point = (label.axes.transData.transform(one) * points_per_pixel for one in (label.xy, end))
    x, y = place - point + label.xyann
    if abs(x) > abs(label.xyann[0]) + LABEL_DISTANCE or abs(y) > FAR:
        start = {"xytext": (x - np.sign(x), y), "textcoords": "offset points", "annotation_clip": False}
        line = {"arrowstyle": "-", "color": label.get_color(), "linewidth": 0.7, "shrinkA": 0, "shrinkB": 2}
        label.axes.annotate("", end, **start, arrowprops=line)


def _move(label: Annotation, place: tuple[float, float, str]) -> None:
    label.xyann = place[:2]
    label.set_horizontalalignment(place[2])


def _pixels(label: Annotation) -> tuple[int, int, int, int]:
    """The box of a label: bottom, top, left, right."""
    box = label.get_window_extent().padded(1)
    return int(box.y0), int(np.ceil(box.y1)), int(box.x0), int(np.ceil(box.x1))


if get_ipython() is not None:
    show_sharply(get_ipython())
