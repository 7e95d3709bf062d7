"""The figures about the data and about one model: what they show, and that they are closed and can be saved."""

import numpy as np
import pandas as pd
import pytest

from src.evaluation.intervals import Estimate
from src.report.drawing import BLUE, VERMILION
from src.report.figures import (
    plot_curves,
    plot_next_word,
    plot_reliability,
    plot_shares,
    plot_training,
    plot_tweet_lengths,
)
from tests.report.drawn import assert_closed_and_drawable, assert_no_texts_overlap, notes, rows, texts, title

HISTORY = [
    {"tweets_seen": 64, "train_loss": 5.0, "val_loss": 4.5},
    {"tweets_seen": 128, "train_loss": 4.0, "val_loss": 4.2},
]
ROUGE = Estimate(0.25, 0.2, 0.4, 9)
PERPLEXITY = Estimate(300.0, 250.0, 360.0, 9)


def heights(axes):
    """The heights of the bars, by their centres; bars of no height are left out."""
    centres = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axes.patches}
    return {centre: height for centre, height in centres.items() if height}


# Lengths


def test_tweet_lengths_are_counted_in_words():
    figure = plot_tweet_lengths(["a b"] * 3 + ["a b c"] * 4000 + ["a"])
    [axes] = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("words after cleaning", "tweets")
    assert heights(axes) == {1: 1, 2: 3, 3: 4000}
    assert notes(axes) == ["median 3"]
    assert list(axes.lines[0].get_xdata()) == [3, 3]
    # The note is above the highest bar.
    assert axes.get_ylim()[1] > 4000
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("tweets", [["word"], ["three words here"], ["a b"] * 5])
def test_tweets_of_one_length_are_one_bar(tweets):
    figure = plot_tweet_lengths(tweets)
    assert heights(figure.axes[0]) == {len(tweets[0].split(" ")): len(tweets)}
    assert_closed_and_drawable(figure)


def test_a_length_without_tweets_has_no_bar():
    assert 3 not in heights(plot_tweet_lengths(["a b", "a b c d"]).axes[0])


def test_tweets_longer_than_the_last_bar_are_not_counted_in_it():
    assert heights(plot_tweet_lengths(["a b"] * 4000 + ["a b c"]).axes[0])[2] == 4000


# Shares


def test_shares_are_bars_in_percent():
    figure = plot_shares(pd.Series({"mention": 0.456, "URL": 0.05, "none": 0.0}))
    [axes] = figure.axes
    assert (axes.get_xlabel(), title(axes)) == ("% of raw tweets", "What raw tweets contain")
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([45.6, 5, 0])
    assert notes(axes) == ["45.6%", "5.0%", "0.0%"]
    assert rows(axes) == ["mention", "URL", "none"]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_extreme_shares_fit(share):
    figure = plot_shares(pd.Series({"mention": share, "URL": share}))
    left, right = figure.axes[0].get_xlim()
    assert left == 0 and right > 100 * share
    assert_closed_and_drawable(figure)


# Training


def test_training_and_validation_loss_have_panels_of_their_own():
    figure = plot_training(HISTORY, "the LSTM")
    training, validation = figure.axes
    assert [title(axes) for axes in figure.axes] == ["Training loss of the LSTM ↓", "Validation loss of the LSTM ↓"]
    assert training.get_ylabel() == "nats per token:\nall tokens"
    assert validation.get_ylabel() == "nats per token:\ntarget tokens,\nfull softmax"
    assert validation.get_xlabel() == "tweets seen"
    assert training.get_shared_x_axes().joined(training, validation)
    assert list(training.lines[0].get_xdata()) == list(validation.lines[0].get_xdata()) == [64, 128]
    assert list(training.lines[0].get_ydata()) == [5, 4]
    assert list(validation.lines[0].get_ydata()) == [4.5, 4.2]
    assert notes(training) == [] and notes(validation) == ["best: 4.20"]
    assert {line.get_color() for axes in figure.axes for line in axes.lines} == {BLUE}
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize(
    ("share", "sampled", "covered"),
    [
        (1.0, 2000, ["all tokens,", "sampled softmax"]),
        (1.0, 0, ["all tokens,", "full softmax"]),
        (0.5, 2000, ["all tokens,", "sampled softmax", "before the line"]),
        (0.0, 2000, ["target tokens,", "full softmax"]),
    ],
)
def test_the_label_says_what_the_training_loss_covers(share, sampled, covered):
    training = plot_training(HISTORY, "smollm2-135m", share, sampled).axes[0]
    assert training.get_ylabel().split("\n") == ["nats per token:", *covered]
    assert training.lines[0].get_color() == VERMILION


def losses_drawn(training):
    return [[y for y in line.get_ydata() if not np.isnan(y)] for line in training.lines if line.get_marker() == "o"]


def test_the_training_line_breaks_where_the_loss_changes():
    history = [{"tweets_seen": 100 * i, "train_loss": float(i), "val_loss": 1.0} for i in range(1, 5)]
    figure = plot_training(history, "the LSTM", all_tokens_share=0.75)
    training, validation = figure.axes
    assert losses_drawn(training) == [[1, 2, 3], [4]]
    assert notes(training) == ["all tokens", "targets only"]
    for axes in figure.axes:
        [mark] = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert list(mark.get_xdata()) == [300, 300]
    assert losses_drawn(validation) == [[1, 1, 1, 1]]
    assert_no_texts_overlap(training)
    assert_closed_and_drawable(figure)


def test_a_point_that_mixes_both_losses_is_left_out():
    history = [{"tweets_seen": 100 * i, "train_loss": float(i), "val_loss": 1.0} for i in range(1, 5)]
    assert losses_drawn(plot_training(history, "the LSTM", all_tokens_share=0.6).axes[0]) == [[1, 2], [4]]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_loss_that_never_changes_has_no_mark(share):
    training, validation = plot_training(HISTORY, "the LSTM", share).axes
    assert sorted(losses_drawn(training)) == [[], [5, 4]]
    assert not [line for axes in (training, validation) for line in axes.lines if line.get_linestyle() == "--"]


@pytest.mark.parametrize("later", [[], HISTORY])
def test_a_point_without_a_training_loss_is_left_out(later):
    figure = plot_training([{"tweets_seen": 0, "train_loss": None, "val_loss": 6.0}, *later], "the LSTM")
    training, validation = figure.axes
    assert losses_drawn(training)[0] == [entry["train_loss"] for entry in later]
    assert validation.lines[0].get_ydata()[0] == 6.0
    assert_closed_and_drawable(figure)


# The next word


NEXT_WORDS = pd.DataFrame(
    {"the": [0.3, 0.001], "bed": [0.0, 0.9], "never": [0.2, np.nan]}, index=pd.Index(["going", "to"])
)


def test_the_next_word_is_a_row_for_each_word_read_with_the_probability_of_each_candidate():
    figure = plot_next_word(NEXT_WORDS)
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["going", "… to"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["the", "bed", "never"]
    cells = {text.get_position(): text for text in texts(axes)}
    assert {place: text.get_text() for place, text in cells.items()} == {
        (0, 0): "30%",
        (1, 0): "0%",
        (2, 0): "20%",
        (0, 1): "<1%",
        (1, 1): "90%",
    }
    assert sorted(place for place, text in cells.items() if text.get_weight() == "bold") == [(0, 0), (1, 1)]
    # White on dark cells, black on light ones.
    assert cells[1, 1].get_color() == "white" and cells[0, 1].get_color() != "white"
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_sentence_may_repeat_a_word_and_all_probabilities_may_be_equal(value):
    figure = plot_next_word(pd.DataFrame({"a": [value] * 3, "extraordinarily": [value] * 3}, index=["so", "so", "so"]))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["so", "… so", "… so"]
    assert_closed_and_drawable(figure)


@pytest.mark.parametrize(("num_candidates", "rotation"), [(3, 0), (8, 35)])
def test_many_long_candidates_are_written_at_an_angle(num_candidates, rotation):
    table = pd.DataFrame([[0.1] * num_candidates], index=["so"], columns=["tomorrow"] * num_candidates)
    ticks = plot_next_word(table).axes[0].get_xticklabels()
    assert {tick.get_rotation() for tick in ticks} == {rotation}


# Reliability and curves


def test_reliability_draws_the_share_right_against_the_probability():
    table = pd.DataFrame({"shown": [90, 10], "mean_probability": [0.1, 0.8], "share_right": [0.2, 0.6]})
    figure = plot_reliability({"before": table, "after": table.tail(1)})
    shares, counts = figure.axes
    lines = {line.get_label(): line for line in shares.lines}
    assert lines["before"].get_xydata().tolist() == [[0.1, 0.2], [0.8, 0.6]]
    assert lines["after"].get_xydata().tolist() == [[0.8, 0.6]]
    assert lines["perfect"].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert sorted(notes(shares)) == ["after", "before", "perfect"] and notes(counts) == []
    assert shares.get_xlim() == shares.get_ylim() == (0, 1)
    assert [list(line.get_ydata()) for line in counts.lines] == [[90, 10], [10]]
    assert lines["before"].get_color() == counts.lines[0].get_color() != lines["after"].get_color()
    assert_no_texts_overlap(shares)
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
    assert [title(axes) for axes in figure.axes] == ["ROUGE-1 ↑", "perplexity per word ↓"]
    assert [(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes] == [("log", "linear"), ("log", "log")]
    assert [list(line.get_ydata()) for line in figure.axes[1].lines] == [[300.0, 0.25], [300.0]]
    assert sorted(notes(figure.axes[0])) == ["LSTM", "transformer"]
    assert_closed_and_drawable(figure)


def test_a_curve_from_zero_has_a_place_for_zero():
    table = pd.DataFrame({"system": ["LSTM"] * 2, "tweets": [0, 1000], "rouge1": [ROUGE, ROUGE]})
    [axes] = plot_curves(table, "tweets", ["rouge1"]).axes
    assert axes.get_xscale() == "symlog"
