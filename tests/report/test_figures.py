"""Behaviour of the figures: what they show, closed and ready to be saved."""

from io import BytesIO

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate
from src.report.figures import plot_coverage, plot_curves, plot_scores, plot_shares, plot_training, plot_tweet_lengths

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


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def heights(axes):
    """Heights of the bars that have one, by their middle."""
    middles = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axes.patches}
    return {middle: height for middle, height in middles.items() if height}


# Lengths


def test_tweet_lengths_are_counted_in_words():
    texts = ["a b"] * 3 + ["a b c"] * 4000 + ["a"]
    figure = plot_tweet_lengths(texts)
    [axes] = figure.axes
    assert labels(axes) == ("words after cleaning", "tweets", "Length of tweets")
    assert heights(axes) == {1: 1, 2: 3, 3: 4000}
    assert legend(axes) == ["median 3"]
    assert list(axes.lines[0].get_xdata()) == [3, 3]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("texts", [["word"], ["three words here"], ["a b"] * 5])
def test_texts_of_one_length_are_one_bar(texts):
    figure = plot_tweet_lengths(texts)
    assert heights(figure.axes[0]) == {len(texts[0].split(" ")): len(texts)}
    assert_closed_and_drawable(figure)


def test_no_tweet_stands_at_a_length_that_none_has():
    assert 3 not in heights(plot_tweet_lengths(["a b", "a b c d"]).axes[0])


def test_a_tweet_beyond_the_last_bar_is_not_counted_in_it():
    assert heights(plot_tweet_lengths(["a b"] * 4000 + ["a b c"]).axes[0])[2] == 4000


# Shares


def test_shares_are_bars_in_percent():
    figure = plot_shares(pd.Series({"mention": 0.456, "URL": 0.05, "none": 0.0}))
    [axes] = figure.axes
    assert labels(axes) == ("% of raw tweets", "", "What cleaning meets")
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
    assert labels(axes) == ("tweets seen", "nats per target token", "Training of lstm")
    assert legend(axes) == ["training, since the last point", "validation"]
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


def test_scores_have_a_panel_for_each_metric_and_a_bar_with_its_interval_for_each_system():
    summaries = {
        "floor": {"rouge1": Estimate(0.1, 0.1, 0.1, 9)},
        "lstm": {"rouge1": ROUGE, "perplexity_per_word": PERPLEXITY},
    }
    figure = plot_scores(summaries, ["rouge1", "perplexity_per_word"])
    rouge, perplexity = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["rouge1", "perplexity per word"]
    assert [bar.get_height() for bar in rouge.patches] == [0.1, 0.25]
    assert [tick.get_text() for tick in rouge.get_xticklabels()] == ["floor", "lstm"]
    # A system without the metric has no bar.
    assert [bar.get_height() for bar in perplexity.patches] == [300]
    assert [tick.get_text() for tick in perplexity.get_xticklabels()] == ["lstm"]
    [intervals] = rouge.collections
    ends = [tuple(segment[:, 1]) for segment in intervals.get_segments()]
    assert ends == [pytest.approx((0.1, 0.1)), pytest.approx((0.2, 0.4))]
    assert_closed_and_drawable(figure)


def test_a_metric_that_no_system_has_is_an_empty_panel():
    figure = plot_scores({"floor": {"rouge1": ROUGE}}, ["rouge1", "bits_per_character"])
    assert [len(axes.patches) for axes in figure.axes] == [1, 0]
    assert_closed_and_drawable(figure)


def test_one_metric_of_one_system_is_one_panel():
    figure = plot_scores({"lstm": {"rouge1": Estimate(0.0, 0.0, 0.0, 1)}}, ["rouge1"])
    assert [len(axes.patches) for axes in figure.axes] == [1]
    assert_closed_and_drawable(figure)


# Coverage and curves


def test_coverage_draws_the_running_share_of_the_most_confident_answers():
    scores = pd.DataFrame({"exact_match": [0.0, 1.0, 1.0, 0.0]})
    evaluation = Evaluation("LSTM", ["x"] * 4, np.array([-4.0, -1.0, -2.0, -3.0]), scores)
    figure = plot_coverage([evaluation])
    [axes] = figure.axes
    [line] = axes.lines
    assert line.get_xdata().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert line.get_ydata().tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert legend(axes) == ["LSTM"]
    assert_closed_and_drawable(figure)


def test_curves_draw_a_line_per_system_and_a_panel_per_metric():
    table = pd.DataFrame(
        {
            "system": ["LSTM", "LSTM", "transformer"],
            "tweets": [100, 1000, 1000],
            "rouge1": [ROUGE, ROUGE, ROUGE],
            "perplexity": [PERPLEXITY, ROUGE, PERPLEXITY],
        }
    )
    figure = plot_curves(table, "tweets", ["rouge1", "perplexity"])
    assert [axes.get_title() for axes in figure.axes] == ["rouge1", "perplexity"]
    assert all(axes.get_xscale() == "symlog" for axes in figure.axes)
    lines = [container.lines[0] for container in figure.axes[1].containers]
    assert [line.get_ydata().tolist() for line in lines] == [[300.0, 0.25], [300.0]]
    assert legend(figure.axes[0]) == ["LSTM", "transformer"]
    assert_closed_and_drawable(figure)
