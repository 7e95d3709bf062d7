"""The figures of the comparison: what they show, in which order and colours, and that they can be saved."""

import math
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate
from src.report.comparison_figures import (
    plot_by_group,
    plot_coverage,
    plot_differences,
    plot_minutes,
    plot_scores,
    plot_tradeoff,
    plot_typing,
)
from src.report.drawing import GREY, system_colour
from tests.report.drawn import (
    assert_closed_and_drawable,
    assert_no_texts_overlap,
    dots,
    intervals,
    notes,
    rows,
    texts,
    title,
)
from tests.report.made_comparison import latency

ROUGE = Estimate(0.25, 0.2, 0.4, 9)
PERPLEXITY = Estimate(300.0, 250.0, 360.0, 9)
NOT_KNOWN = Estimate(math.nan, math.nan, math.nan, 0)
BLUE, GREEN, VERMILION = map(system_colour, ("LSTM", "LSTM with n-grams", "smollm2-135m"))


# Scores


def test_scores_have_a_panel_per_metric_and_a_dot_with_an_interval_per_system():
    summaries = {
        "constant answer": {"rouge1": Estimate(0.1, 0.05, 0.15, 9)},
        "LSTM": {"rouge1": ROUGE, "perplexity_per_word": PERPLEXITY},
    }
    figure = plot_scores(summaries, ["rouge1", "perplexity_per_word"])
    rouge, perplexity = figure.axes
    assert [title(axes) for axes in figure.axes] == ["ROUGE-1 ↑", "perplexity per word ↓"]
    assert rows(rouge) == ["LSTM", "constant answer"]
    assert dots(rouge) == {0: (0.25, BLUE), 1: (0.1, system_colour("constant answer"))}
    # A system without the metric has no dot.
    assert dots(perplexity) == {0: (300, BLUE)}
    assert intervals(rouge) == [(0.2, 0.4), (0.05, 0.15)]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize(("metric_id", "order"), [("rouge1", ["b", "a", "c"]), ("bits_per_character", ["a", "b", "c"])])
@pytest.mark.parametrize("without", [{}, {"rouge1": NOT_KNOWN, "bits_per_character": NOT_KNOWN}])
def test_the_best_system_is_on_top_and_those_without_the_metric_are_at_the_bottom(metric_id, order, without):
    known = {"a": {metric_id: Estimate(1.0, 0.9, 1.1, 9)}, "b": {metric_id: Estimate(2.0, 1.9, 2.1, 9)}}
    [axes] = plot_scores({"c": without, **known}, [metric_id]).axes
    assert rows(axes) == order


def test_a_metric_that_no_system_has_is_an_empty_panel():
    figure = plot_scores({"LSTM": {"rouge1": ROUGE}}, ["rouge1", "bits_per_character"])
    assert [len(axes.lines) for axes in figure.axes] == [1, 0]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("metric_ids", [["rouge1"], ["rouge1", "rouge2", "rougeL"]])
def test_there_are_as_many_panels_as_metrics(metric_ids):
    figure = plot_scores({"LSTM": dict.fromkeys(metric_ids, Estimate(0.0, 0.0, 0.0, 1))}, metric_ids)
    assert [len(axes.lines) for axes in figure.axes] == [1] * len(metric_ids)
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("num_systems", [1, 6, 10])
def test_the_names_of_systems_have_room(num_systems):
    names = [f"LSTM with n-grams, device {i}" for i in range(num_systems)]
    metric_ids = ["rouge1", "rouge2", "next_word", "bits_per_character"]
    figure = plot_scores({name: dict.fromkeys(metric_ids, ROUGE) for name in names}, metric_ids)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [tick.get_window_extent() for tick in axes.get_yticklabels() if tick.get_visible()]
        assert not [(a, b) for a, b in pairwise(boxes) if a.overlaps(b)]
        assert all(box.x0 >= 0 for box in boxes)
        assert axes.get_window_extent().width > 100
    first, second = (figure.axes[i].title.get_window_extent() for i in (0, 1))
    assert not first.overlaps(second)


# Differences


def difference(a, b, metric, value, low, high):
    return {"a": a, "b": b, "metric": metric, "value": value, "low": low, "high": high, "n": 9}


DIFFERENCES = [
    difference("LSTM", "smollm2-135m", "rouge1", -0.01, -0.02, 0.01),
    difference("LSTM with n-grams", "LSTM", "rouge1", 0.02, 0.01, 0.03),
    difference("LSTM with n-grams", "smollm2-135m", "rouge1", -0.04, -0.05, -0.03),
    difference("LSTM", "smollm2-135m", "perplexity_per_word", -50, -70, -30),
    difference("LSTM with n-grams", "LSTM", "perplexity_per_word", 20, 10, 30),
]


def test_differences_can_be_of_keys_saved():
    [axes] = plot_differences([difference("LSTM", "smollm2-135m", "keys_saved", 0.02, 0.01, 0.03)]).axes
    assert title(axes) == "keys saved ↑" and dots(axes) == {0: (0.02, BLUE)}


def test_differences_are_rows_with_the_largest_advantage_of_the_first_system_on_top():
    figure = plot_differences(DIFFERENCES)
    rouge, perplexity = figure.axes
    assert [title(axes) for axes in figure.axes] == ["ROUGE-1 ↑", "perplexity per word ↓"]
    assert rows(rouge) == ["LSTM with n-grams\n− LSTM", "LSTM\n− smollm2-135m", "LSTM with n-grams\n− smollm2-135m"]
    # In the colour of the better system, grey if the interval includes zero.
    assert dots(rouge) == {0: (0.02, GREEN), 1: (-0.01, GREY), 2: (-0.04, VERMILION)}
    # Lower is better: a negative difference is good for the first system.
    assert dots(perplexity) == {0: (20, BLUE), 1: (-50, BLUE)}
    assert intervals(rouge) == [(-0.02, 0.01), (0.01, 0.03), (-0.05, -0.03)]
    for axes in figure.axes:
        assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() != "o"] == [[0, 0]]
    assert_closed_and_drawable(figure)


def test_right_of_zero_the_first_system_is_better_in_every_metric():
    rouge, perplexity = plot_differences(DIFFERENCES).axes
    assert not rouge.xaxis_inverted() and perplexity.xaxis_inverted()
    assert rouge.get_xlabel() == "right of zero: first is better"
    assert perplexity.get_xlabel() == "right of zero: first is better\n(axis reversed)"
    # The LSTM beats the transformer by 50, so its dot is right of zero on the page.
    assert perplexity.transData.transform((-50, 0))[0] > perplexity.transData.transform((0, 0))[0]


@pytest.mark.parametrize("lower_first", [False, True])
def test_the_order_is_by_the_first_metric_even_where_lower_is_better(lower_first):
    figure = plot_differences(DIFFERENCES[::-1] if lower_first else DIFFERENCES)
    best = "LSTM\n− smollm2-135m" if lower_first else "LSTM with n-grams\n− LSTM"
    assert rows(figure.axes[0])[0] == best


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_difference_that_is_not_known_has_a_row_at_the_bottom_and_no_dot(value):
    unknown = difference("constant answer", "LSTM", "rouge1", value, value, value)
    figure = plot_differences([unknown, *DIFFERENCES])
    [*_, last] = rows(figure.axes[0])
    assert last == "constant answer\n− LSTM"
    assert sorted(dots(figure.axes[0])) == [0, 1, 2]
    assert_closed_and_drawable(figure)


def test_a_difference_without_an_interval_is_grey():
    [axes] = plot_differences([difference("LSTM", "smollm2-135m", "rouge1", 0.1, math.nan, math.nan)]).axes
    assert dots(axes) == {0: (0.1, GREY)}


# Quality against latency and size


def typed(value):
    return {"word": {"3": {"metrics": {"keys_saved": {"value": value, "low": value, "high": value + 0.1, "n": 9}}}}}


def measured(rouge, seconds, megabytes):
    record = {"rouge1": {"value": rouge, "low": rouge - 0.1, "high": rouge + 0.1, "n": 9}}
    return {"metrics": record, "seconds_per_suggestion": seconds, "megabytes": megabytes}


RECORD = {
    "systems": {
        "constant answer": {"metrics": measured(0.1, 0, 0)["metrics"], "seconds_per_suggestion": 1e-5},
        "LSTM": measured(0.2, 0.01, 5),
        "smollm2-135m": measured(0.3, 0.3, 500),
        "LSTM, seed 1": {"metrics": measured(0.2, 0, 0)["metrics"], "megabytes": 5},
        "Kneser-Ney n-gram": {**measured(0.2, 0.01, 50), "metrics": {}},
    },
    "typing": {"systems": {"LSTM": typed(0.5), "Kneser-Ney n-gram": typed(0.4), "word list": typed(0.3)}},
}


def drawn_points(axes):
    """The circles of a panel: name, place, area, colour."""
    circles = [circle for circle in axes.collections if not circle.get_label().startswith("_")]
    return {circle.get_label(): (*circle.get_offsets()[0].tolist(), circle.get_sizes()[0]) for circle in circles}


def test_the_tradeoff_says_that_the_machine_was_busy():
    timed = {**measured(0.2, 0.01, 5), "latency": asdict(latency(0.01, busy_machine=True))}
    figure = plot_tradeoff({**RECORD, "systems": {"LSTM": timed}})
    assert figure.axes[1].get_xlabel() == "milliseconds per suggestion ↓ (logarithmic, busy machine)"
    assert_closed_and_drawable(figure)


def test_the_tradeoff_draws_each_score_against_latency_with_the_size_as_area():
    figure = plot_tradeoff(RECORD)
    keys, rouge, key = figure.axes
    assert title(keys) == "keys saved ↑ (% with three suggestions)" and title(rouge) == "ROUGE-1 ↑"
    assert rouge.get_xlabel() == "milliseconds per suggestion ↓ (logarithmic)"
    assert keys.get_xscale() == rouge.get_xscale() == "log"
    # Without a latency, a size or a score, a system is left out.
    assert {name: place[:2] for name, place in drawn_points(keys).items()} == {
        "LSTM": (10, 50),
        "Kneser-Ney n-gram": (10, 40),
    }
    assert {name: place[:2] for name, place in drawn_points(rouge).items()} == {
        "LSTM": (10, 0.2),
        "smollm2-135m": (300, 0.3),
    }
    areas = {name: place[2] for name, place in drawn_points(rouge).items()}
    assert areas["smollm2-135m"] == pytest.approx(100 * areas["LSTM"])
    assert sorted(intervals(keys)) == [(pytest.approx(40), pytest.approx(50)), (pytest.approx(50), pytest.approx(60))]
    assert notes(key) == ["area of a dot: size", "5 MB", "50 MB", "500 MB"]
    assert [circle.get_sizes()[0] for circle in key.collections][-1] == pytest.approx(areas["smollm2-135m"])
    assert_closed_and_drawable(figure)


def test_the_labels_of_the_tradeoff_have_the_colours_of_the_systems_and_do_not_overlap():
    figure = plot_tradeoff(RECORD)
    for axes in figure.axes[:2]:
        assert {text.get_text(): text.get_color() for text in texts(axes)} == {
            name: system_colour(name) for name in drawn_points(axes)
        }
        assert_no_texts_overlap(axes)


def test_systems_in_one_place_have_labels_that_can_be_read():
    systems = {f"transformer {i}": measured(0.2, 0.01, 5) for i in range(7)}
    record = {"systems": systems, "typing": {"systems": {name: typed(0.5) for name in systems}}}
    for axes in plot_tradeoff(record).axes[:2]:
        assert len(notes(axes)) == 7
        assert_no_texts_overlap(axes)


@pytest.mark.parametrize(("megabytes", "shown"), [(568, "500 MB"), (1200, "1,000 MB"), (0.25, "0.2 MB"), (1, "1 MB")])
def test_the_key_of_areas_shows_a_round_size_near_the_largest(megabytes, shown):
    record = {**RECORD, "systems": {"LSTM": measured(0.2, 0.01, megabytes)}}
    assert notes(plot_tradeoff(record).axes[2])[-1] == shown


# Training time


def test_minutes_draw_a_line_with_intervals_per_system_on_a_logarithmic_axis():
    lstm = pd.DataFrame({"minutes": [1, 10], "value": [400, 300], "low": [390, 290], "high": [410, 310]})
    figure = plot_minutes(
        {"LSTM": lstm, "Kneser-Ney n-gram": pd.DataFrame({"minutes": [0.5], "value": [350]})}, "perplexity per word"
    )
    [axes] = figure.axes
    assert (title(axes), axes.get_xlabel()) == ("perplexity per word ↓", "minutes of training (logarithmic)")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 400], [10, 300]], [[0.5, 350]]]
    assert [line.get_color() for line in axes.lines] == [BLUE, system_colour("Kneser-Ney n-gram")]
    assert intervals(axes) == [(390, 410), (290, 310)]
    assert sorted(notes(axes)) == ["Kneser-Ney n-gram", "LSTM"]
    # The axis starts where the differences can be seen.
    assert axes.get_ylim()[0] > 200
    assert_no_texts_overlap(axes)
    assert_closed_and_drawable(figure)


def test_minutes_from_zero_and_scores_of_many_sizes_can_be_drawn():
    curve = pd.DataFrame({"minutes": [0, 10], "value": [5000.0, 300.0]})
    figure = plot_minutes({"LSTM": curve}, "ROUGE-1", lower_is_better=False)
    [axes] = figure.axes
    assert (title(axes), axes.get_xscale(), axes.get_yscale()) == ("ROUGE-1 ↑", "symlog", "log")
    assert_closed_and_drawable(figure)


# Typing


def typing_of(tweets, shown, saved):
    curve = [
        {"threshold": i / 9, "suggestions_shown": x, "keys_saved": y} for i, (x, y) in enumerate(zip(shown, saved))
    ]
    return {"tweets": tweets, "curves": {"3": curve, "1": curve[1:]}}


TYPING = {"word list": typing_of(9, [80, 40], [0.4, 0.3]), "distilgpt2": typing_of(2, [60], [0.5])}


def test_typing_draws_keys_saved_against_suggestions_shown_with_all_suggestions_at_the_right_end():
    figure = plot_typing({"systems": TYPING}, ["word list", "distilgpt2"], 3)
    [axes] = figure.axes
    curve, point = axes.lines
    assert list(curve.get_xdata()) == [40, 80] and list(curve.get_ydata()) == [30, 40]
    assert list(point.get_xdata()) == [60] and list(point.get_ydata()) == [50]
    # A system that typed fewer tweets than others says so.
    assert sorted(notes(axes)) == ["distilgpt2 (2 tweets)", "word list"]
    assert title(axes) == "keys saved ↑ (% with 3 suggestions before each letter)"
    assert axes.get_ylim()[0] == 0
    assert_no_texts_overlap(axes)
    assert_closed_and_drawable(figure)


def test_typing_draws_only_the_systems_and_the_number_of_suggestions_that_are_asked_for():
    figure = plot_typing({"systems": TYPING}, ["word list"], 1)
    [line] = figure.axes[0].lines
    assert list(line.get_xdata()) == [40]
    assert title(figure.axes[0]) == "keys saved ↑ (% with one suggestion before each letter)"


@pytest.mark.parametrize("saved", [[0.0, 0.0], [1.0, 0.0]])
def test_typing_that_saves_nothing_or_all_can_be_drawn(saved):
    figure = plot_typing({"systems": {"LSTM": typing_of(3, [0, 0], saved)}}, ["LSTM"], 3)
    assert figure.axes[0].get_ylim()[1] > 100 * max(saved)
    assert_closed_and_drawable(figure)


# Coverage


def test_coverage_draws_the_running_share_of_the_most_confident_answers():
    scores = pd.DataFrame({"exact_match": [0.0, 1.0, 1.0, 0.0]})
    evaluation = Evaluation("LSTM", ["x"] * 4, np.array([-4.0, -1.0, -2.0, -3.0]), scores)
    figure = plot_coverage([evaluation])
    [axes] = figure.axes
    [line] = axes.lines
    assert line.get_xdata().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert line.get_ydata().tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert notes(axes) == ["LSTM"]
    assert title(axes) == "exact match ↑ of the most confident answers"
    assert_closed_and_drawable(figure)


# Groups


def test_groups_have_a_panel_per_table_and_dots_with_intervals_per_system():
    table = pd.DataFrame(
        {"LSTM": [ROUGE, Estimate(0.3, 0.25, 0.35, 9)], "smollm2-135m": [Estimate(0.2, 0.1, 0.3, 9), NOT_KNOWN]},
        index=["1 to 5 words", "6 to 10 words"],
    )
    figure = plot_by_group({"ROUGE-1 ↑ by length": table, "next word ↑": table.iloc[:1]})
    by_length, next_word = figure.axes
    assert [title(axes) for axes in figure.axes] == ["ROUGE-1 ↑ by length", "next word ↑"]
    assert [tick.get_text() for tick in by_length.get_xticklabels()] == ["1 to 5 words", "6 to 10 words"]
    lstm, transformer = by_length.lines
    assert [line.get_color() for line in by_length.lines] == [BLUE, VERMILION]
    assert list(lstm.get_ydata()) == [0.25, 0.3]
    assert transformer.get_ydata()[0] == 0.2 and math.isnan(transformer.get_ydata()[1])
    # Each dot is near its group, and the systems are beside each other.
    assert list(np.round(lstm.get_xdata())) == [0, 1] and lstm.get_xdata()[0] < transformer.get_xdata()[0]
    assert (0.2, 0.4) in intervals(by_length)
    # The label of a system is at its last known score.
    ends = {text.get_text(): text.xy for text in texts(by_length)}
    assert ends == {"LSTM": (lstm.get_xdata()[1], 0.3), "smollm2-135m": (transformer.get_xdata()[0], 0.2)}
    assert_no_texts_overlap(by_length)
    assert_no_texts_overlap(next_word)
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("nothing", [None, math.nan, NOT_KNOWN])
def test_a_system_without_a_score_in_any_group_is_left_out(nothing):
    table = pd.DataFrame({"LSTM": [ROUGE, ROUGE], "constant answer": [nothing, nothing]}, index=["a", "b"])
    figure = plot_by_group({"perplexity per word ↓": table})
    assert notes(figure.axes[0]) == ["LSTM"]
    assert_closed_and_drawable(figure)


def test_long_names_of_groups_are_broken_between_words():
    table = pd.DataFrame({"LSTM": [ROUGE]}, index=["more often than ten thousand times in all of the training tweets"])
    [tick] = plot_by_group({"ROUGE-1 ↑": table}).axes[0].get_xticklabels()
    assert tick.get_text().split("\n") == ["more often than ten thousand times in all of the", "training tweets"]
