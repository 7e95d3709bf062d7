"""The figures: what they show, and that they are closed and can be saved."""

from io import BytesIO

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate
from src.report.figures import (
    plot_coverage,
    plot_curves,
    plot_reliability,
    plot_scores,
    plot_shares,
    plot_training,
    plot_tweet_lengths,
    plot_typing,
    system_colour,
)

matplotlib.use("Agg")

HISTORY = [
    {"tweets_seen": 64, "train_loss": 5.0, "val_loss": 4.5},
    {"tweets_seen": 128, "train_loss": 4.0, "val_loss": 4.2},
]
ROUGE = Estimate(0.25, 0.2, 0.4, 9)
PERPLEXITY = Estimate(300.0, 250.0, 360.0, 9)


@pytest.fixture(autouse=True)
def no_figures_of_others():
    plt.close("all")


def assert_closed_and_drawable(figure):
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    png = BytesIO()
    figure.savefig(png)
    assert png.getvalue().startswith(b"\x89PNG")


def labels(axes):
    return axes.get_xlabel(), axes.get_ylabel(), axes.get_title()


def notes(axes):
    """The texts in a panel, such as the labels of its lines."""
    return [text.get_text() for text in axes.texts]


def heights(axes):
    """The heights of the bars, by their centres; bars of no height are left out."""
    centres = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axes.patches}
    return {centre: height for centre, height in centres.items() if height}


# Lengths


def test_tweet_lengths_are_counted_in_words():
    texts = ["a b"] * 3 + ["a b c"] * 4000 + ["a"]
    figure = plot_tweet_lengths(texts)
    [axes] = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("words after cleaning", "tweets")
    assert heights(axes) == {1: 1, 2: 3, 3: 4000}
    assert notes(axes) == ["median 3"]
    assert list(axes.lines[0].get_xdata()) == [3, 3]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("texts", [["word"], ["three words here"], ["a b"] * 5])
def test_texts_of_one_length_are_one_bar(texts):
    figure = plot_tweet_lengths(texts)
    assert heights(figure.axes[0]) == {len(texts[0].split(" ")): len(texts)}
    assert_closed_and_drawable(figure)


def test_a_length_without_tweets_has_no_bar():
    assert 3 not in heights(plot_tweet_lengths(["a b", "a b c d"]).axes[0])


def test_tweets_longer_than_the_last_bar_are_not_counted_in_it():
    assert heights(plot_tweet_lengths(["a b"] * 4000 + ["a b c"]).axes[0])[2] == 4000


# Shares


def test_shares_are_bars_in_percent():
    figure = plot_shares(pd.Series({"mention": 0.456, "URL": 0.05, "none": 0.0}))
    [axes] = figure.axes
    assert labels(axes) == ("% of raw tweets", "", "What raw tweets contain")
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([45.6, 5, 0])
    assert [text.get_text() for text in axes.texts] == ["45.6%", "5.0%", "0.0%"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["mention", "URL", "none"]
    # The first share is on top.
    assert axes.yaxis_inverted()
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_extreme_shares_fit(share):
    figure = plot_shares(pd.Series({"mention": share, "URL": share}))
    left, right = figure.axes[0].get_xlim()
    assert left == 0 and right > 100 * share
    assert_closed_and_drawable(figure)


# Training


def test_training_shows_both_losses():
    figure = plot_training(HISTORY, "lstm")
    [axes] = figure.axes
    assert labels(axes) == ("tweets seen", "loss in nats per target token", "Training of lstm")
    assert sorted(notes(axes)) == ["training", "validation"]
    assert [list(line.get_xdata()) for line in axes.lines] == [[64, 128]] * 2
    assert [list(line.get_ydata()) for line in axes.lines] == [[5.0, 4.0], [4.5, 4.2]]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("later", [[], HISTORY])
def test_a_point_without_a_training_loss_is_left_out(later):
    figure = plot_training([{"tweets_seen": 0, "train_loss": None, "val_loss": 6.0}, *later], "lstm")
    training, validation = figure.axes[0].lines
    assert pd.isna(training.get_ydata()[0]) and validation.get_ydata()[0] == 6.0
    assert_closed_and_drawable(figure)


# Scores


def dots(axes):
    """The scores in a panel, by the system on whose row they are."""
    systems = [tick.get_text() for tick in axes.figure.axes[0].get_yticklabels()]
    return {systems[int(line.get_ydata()[0])]: line.get_xdata()[0] for line in axes.lines}


def test_scores_have_a_panel_per_metric_and_a_dot_with_an_interval_per_system():
    summaries = {
        "constant answer": {"rouge1": Estimate(0.1, 0.1, 0.1, 9)},
        "LSTM": {"rouge1": ROUGE, "perplexity_per_word": PERPLEXITY},
    }
    figure = plot_scores(summaries, ["rouge1", "perplexity_per_word"])
    rouge, perplexity = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["ROUGE-1 ↑", "perplexity per word ↓"]
    assert dots(rouge) == {"LSTM": 0.25, "constant answer": 0.1}
    # A system without the metric has no dot.
    assert dots(perplexity) == {"LSTM": 300}
    intervals = [segment[:, 0].tolist() for lines in rouge.collections for segment in lines.get_segments()]
    assert intervals == [[0.2, 0.4], [0.1, 0.1]]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize(("metric_id", "order"), [("rouge1", ["b", "a", "c"]), ("bits_per_character", ["a", "b", "c"])])
def test_the_best_system_is_on_top_and_those_without_the_metric_are_at_the_bottom(metric_id, order):
    summaries = {"c": {}, "a": {metric_id: Estimate(1.0, 0.9, 1.1, 9)}, "b": {metric_id: Estimate(2.0, 1.9, 2.1, 9)}}
    [axes] = plot_scores(summaries, [metric_id]).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == order
    assert axes.yaxis_inverted()


def test_a_metric_that_no_system_has_is_an_empty_panel():
    figure = plot_scores({"LSTM": {"rouge1": ROUGE}}, ["rouge1", "bits_per_character"])
    assert [len(axes.lines) for axes in figure.axes] == [1, 0]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("metric_ids", [["rouge1"], ["rouge1", "rouge2", "rougeL"]])
def test_there_are_as_many_panels_as_metrics(metric_ids):
    figure = plot_scores({"LSTM": dict.fromkeys(metric_ids, Estimate(0.0, 0.0, 0.0, 1))}, metric_ids)
    assert [len(axes.lines) for axes in figure.axes] == [1] * len(metric_ids)
    assert_closed_and_drawable(figure)


def test_systems_of_one_comparison_have_different_colours():
    systems = ["LSTM", "LSTM with n-grams", "Kneser-Ney n-gram", "constant answer", "distilgpt2", "distilgpt2 before"]
    systems.append("word list")
    assert len(set(map(system_colour, systems))) == len(systems)
    assert system_colour("LSTM with n-grams, device") not in map(system_colour, systems)
    assert system_colour("LSTM, seed 1") == system_colour("LSTM, ONNX int8") != system_colour("LSTM")
    assert system_colour("smollm2-135m after") == system_colour("distilgpt2") != system_colour("distilgpt2, int8")


# Coverage and curves


def test_coverage_draws_the_running_share_of_the_most_confident_answers():
    scores = pd.DataFrame({"exact_match": [0.0, 1.0, 1.0, 0.0]})
    evaluation = Evaluation("LSTM", ["x"] * 4, np.array([-4.0, -1.0, -2.0, -3.0]), scores)
    figure = plot_coverage([evaluation])
    [axes] = figure.axes
    [line] = axes.lines
    assert line.get_xdata().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert line.get_ydata().tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert notes(axes) == ["LSTM"]
    assert_closed_and_drawable(figure)


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
    assert axes.get_title(loc="left") == "Keys saved by 3 suggestions before each letter"
    assert axes.get_ylim()[0] == 0
    assert_closed_and_drawable(figure)


def test_typing_draws_only_the_systems_and_the_number_of_suggestions_that_are_asked_for():
    figure = plot_typing({"systems": TYPING}, ["word list"], 1)
    [line] = figure.axes[0].lines
    assert list(line.get_xdata()) == [40]
    assert figure.axes[0].get_title(loc="left") == "Keys saved by one suggestion before each letter"


@pytest.mark.parametrize("saved", [[0.0, 0.0], [1.0, 0.0]])
def test_typing_that_saves_nothing_or_all_can_be_drawn(saved):
    figure = plot_typing({"systems": {"LSTM": typing_of(3, [0, 0], saved)}}, ["LSTM"], 3)
    assert figure.axes[0].get_ylim()[1] > 100 * max(saved)
    assert_closed_and_drawable(figure)


def test_reliability_draws_the_share_right_against_the_probability():
    table = pd.DataFrame({"shown": [90, 10], "mean_probability": [0.1, 0.8], "share_right": [0.2, 0.6]})
    figure = plot_reliability({"before": table, "after": table.tail(1)})
    shares, counts = figure.axes
    before, after, perfect = shares.lines
    assert list(before.get_xdata()) == [0.1, 0.8] and list(before.get_ydata()) == [0.2, 0.6]
    assert list(after.get_xdata()) == [0.8] and list(after.get_ydata()) == [0.6]
    assert list(perfect.get_xdata()) == list(perfect.get_ydata()) == [0, 1]
    assert sorted(notes(shares)) == ["after", "before", "perfect"]
    assert shares.get_xlim() == shares.get_ylim() == (0, 1)
    assert list(counts.lines[0].get_ydata()) == [90, 10]
    assert before.get_color() == counts.lines[0].get_color() != after.get_color()
    assert_closed_and_drawable(figure)


def test_curves_draw_a_line_per_system_and_a_panel_per_metric():
    table = pd.DataFrame(
        {
            "system": ["LSTM", "LSTM", "transformer"],
            "tweets": [100, 1000, 1000],
            "rouge1": [ROUGE, ROUGE, ROUGE],
            "perplexity_per_word": [PERPLEXITY, ROUGE, PERPLEXITY],
        }
    )
    figure = plot_curves(table, "tweets", ["rouge1", "perplexity_per_word"])
    assert [axes.get_title() for axes in figure.axes] == ["ROUGE-1 ↑", "perplexity per word ↓"]
    assert all(axes.get_xscale() == "symlog" for axes in figure.axes)
    assert [list(line.get_ydata()) for line in figure.axes[1].lines] == [[300.0, 0.25], [300.0]]
    assert sorted(notes(figure.axes[0])) == ["LSTM", "transformer"]
    assert_closed_and_drawable(figure)


def test_labels_of_lines_that_end_close_together_do_not_overlap():
    history = [
        {"tweets_seen": 64, "train_loss": 4.0, "val_loss": 4.0001},
        {"tweets_seen": 1, "train_loss": 5.0, "val_loss": 5.0},
    ]
    figure = plot_training(history, "lstm")
    renderer = FigureCanvasAgg(figure).get_renderer()
    first, second = (text.get_window_extent(renderer) for text in figure.axes[0].texts)
    assert not first.overlaps(second)
