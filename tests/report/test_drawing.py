"""What all figures have in common: colours, background, log axes, labels that cover nothing, pictures in notebooks."""

import io
from base64 import b64decode
from io import BytesIO

import matplotlib.style
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib_inline.config import InlineBackend
from PIL import Image
from traitlets.config import Config

from src.evaluation.metrics import METRICS
from src.report.drawing import (
    BLACK,
    BLUE,
    VERMILION,
    label_line_ends,
    label_point,
    new_figure,
    separate_labels,
    show_sharply,
    spread,
    styled,
    system_colour,
    title_with_direction,
    use_log_axis,
)
from tests.report.drawn import assert_no_texts_overlap, notes, texts


@styled
def lines_that_end_at(*ends):
    """A figure with a line for each end, labelled by its number."""
    figure = new_figure(3)
    axes = figure.subplots()
    for i, (x, y) in enumerate(ends):
        axes.plot((0, x), (0, y), label=f"line {i}", color=BLUE)
    label_line_ends(figure)
    return figure


def tick_labels(axis):
    axis.figure.canvas.draw()
    low, high = sorted(axis.get_view_interval())
    return [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


# Colours and titles


def test_systems_of_one_comparison_have_different_colours():
    systems = ["LSTM", "LSTM with n-grams", "Kneser-Ney n-gram", "constant answer", "distilgpt2", "distilgpt2 before"]
    systems.append("word list")
    assert len(set(map(system_colour, systems))) == len(systems)
    assert system_colour("LSTM with n-grams, device") not in map(system_colour, systems)
    assert system_colour("LSTM, seed 1") == system_colour("LSTM, ONNX int8") != system_colour("LSTM")
    assert system_colour("smollm2-135m after") == system_colour("distilgpt2") != system_colour("distilgpt2, int8")


def test_an_arrow_says_which_values_are_better():
    assert title_with_direction(METRICS["rouge1"]) == "ROUGE-1 ↑"
    assert title_with_direction(METRICS["perplexity_per_word"]) == "perplexity per word ↓"


def test_a_style_for_dark_pages_changes_nothing():
    with matplotlib.style.context("dark_background"):
        axes = lines_that_end_at((1, 1)).axes[0]
    assert axes.figure.get_facecolor() == axes.get_facecolor() == (1, 1, 1, 1)
    for tick in [*axes.xaxis.get_major_ticks(), *axes.yaxis.get_major_ticks()]:
        assert tick.label1.get_color() == BLACK
    assert axes.title.get_color() == axes.xaxis.label.get_color() == BLACK


# Axes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.004, 0.3], ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2"]),
        ([800, 2_500_000], ["1,000", "10,000", "100,000", "1,000,000"]),
        ([0, 1, 20], ["0", "1", "2", "5", "10", "20"]),
    ],
)
def test_logarithmic_axes_have_plain_labels(values, expected):
    axes = new_figure(2).subplots()
    axes.plot(values, values)
    use_log_axis(axes, "x", values)
    assert tick_labels(axes.xaxis) == expected
    assert axes.get_yscale() == "linear"
    use_log_axis(axes, "y", values)
    assert axes.get_yscale() == ("log" if 0 not in values else "symlog")


# Labels


def test_labels_stand_at_the_ends_of_their_lines_in_their_colours():
    figure = lines_that_end_at((1, 1), (1, 5))
    [axes] = figure.axes
    assert [(text.get_text(), text.xy, text.get_color()) for text in texts(axes)] == [
        ("line 0", (1, 1), BLUE),
        ("line 1", (1, 5), BLUE),
    ]
    for text in texts(axes):
        end = axes.transData.transform(text.xy)
        box = text.get_window_extent()
        assert box.x0 > end[0] and box.y0 < end[1] < box.y1


@pytest.mark.parametrize("heights", [[1, 1.0001], [1] * 6, [0, 0, 3, 3.01, 3.02], [2, 1.99, 2.01, 1]])
def test_labels_of_lines_that_end_close_together_do_not_overlap_and_keep_the_order_of_the_lines(heights):
    [axes] = lines_that_end_at(*((1, height) for height in heights)).axes
    assert_no_texts_overlap(axes)
    by_line = sorted(zip(heights, texts(axes)), key=lambda pair: pair[0])
    placed = [text.get_window_extent().y0 for _, text in by_line]
    assert placed == sorted(placed)


def test_a_label_in_the_middle_of_a_panel_covers_no_line():
    figure = lines_that_end_at((1, 1), (0.5, 0.5))
    [axes] = figure.axes
    box = texts(axes)[1].get_window_extent()
    line = axes.transData.transform(np.linspace((0, 0), (1, 1), 1000))
    assert not [point for point in line if box.contains(*point)]


def test_lines_without_a_label_or_a_point_get_none():
    figure = new_figure(2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    axes.plot([0, 1], [np.nan, np.nan], label="nothing")
    axes.plot([0, 1, 2], [0, 1, np.nan], label="line")
    label_line_ends(figure)
    assert notes(axes) == ["line"]
    assert texts(axes)[0].xy == (1, 1)


def test_labels_of_dots_move_away_from_each_other_and_a_line_connects_those_that_moved_far():
    figure = new_figure(3)
    axes = figure.subplots()
    axes.plot([0.1, 0.5, 0.5, 0.5, 0.5, 0.9], [0.1, 0.5, 0.5, 0.5, 0.5, 0.9], "o", color=VERMILION)
    group = [label_point(axes, f"dot number {i}", (0.5, 0.5), VERMILION) for i in range(7)]
    separate_labels(figure, group)
    assert_no_texts_overlap(axes)
    assert [text.arrow_patch for text in axes.texts if not text.get_text()]


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([], []),
        ([0, 20], [0, 20]),
        ([10, 10], [5, 15]),
        ([0, 0, 0], [-10, 0, 10]),
        ([0, 4, 100], [-3, 7, 100]),
        ([0, 10, 10], [-10 / 3, 10 - 10 / 3, 20 - 10 / 3]),
    ],
)
def test_spreading_moves_neighbours_apart_by_as_little_as_possible(heights, expected):
    assert spread(heights, 10) == pytest.approx(expected)


def test_spreading_ends_below_a_limit():
    assert spread([0, 100, 100, 108], 10, highest=108) == [0, 88, 98, 108]
    assert spread([0, 10], 10, highest=50) == [0, 10]


def test_heights_stay_above_the_lowest_one_if_there_is_room():
    assert spread([0, 1, 40], 10, lowest=5) == [5, 15, 40]
    assert spread([0, 1], 10, lowest=5, highest=50) == [5, 15]
    assert spread([0, 1, 2], 10, lowest=5, highest=20) == [0, 10, 20]


def test_many_labels_at_the_top_of_a_panel_leave_its_title_free():
    [axes] = lines_that_end_at(*((1, 1) for _ in range(6))).axes
    assert all(text.get_window_extent().y1 <= axes.bbox.y1 + 1 for text in texts(axes))


# Notebooks


@pytest.fixture
def shell():
    InlineBackend.clear_instance()
    yield InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    InlineBackend.clear_instance()


def test_a_notebook_shows_a_figure_at_600_pixels_drawn_with_1200(shell):
    show_sharply(shell)
    data, metadata = shell.display_formatter.format(lines_that_end_at((1, 1)))
    with Image.open(BytesIO(b64decode(data["image/png"]))) as picture:
        assert picture.size == (1200, 600)
        assert picture.convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)
    assert metadata["image/png"] == {"width": 600, "height": 300}


def test_the_numbers_of_an_axis_are_the_same_at_the_resolution_of_a_notebook():
    figure = lines_that_end_at((1, 0.0663), (1, 0.1784), (1, 0.0823))
    [axes] = figure.axes
    before = [label.get_text() for label in axes.get_yticklabels()]
    figure.savefig(io.BytesIO(), dpi=200)
    assert [label.get_text() for label in axes.get_yticklabels()] == before
