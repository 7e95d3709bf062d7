"""The bootstrap intervals: their centre, their width, their coverage, and pairing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation import intervals
from src.evaluation.intervals import Estimate, Ratio, difference, estimate


def mean_estimate(scores, seed=0):
    return estimate(Ratio.mean(np.asarray(scores, dtype=float)), seed)


def width(found):
    return found.high - found.low


@given(st.lists(st.integers(0, 10), min_size=1, max_size=40), st.integers(0, 100))
def test_an_interval_contains_its_mean(tenths, seed):
    scores = np.array(tenths) / 10
    found = mean_estimate(scores, seed)
    assert found.value == pytest.approx(scores.mean())
    assert scores.min() - 1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= scores.max() + 1e-9
    assert found.n == len(scores)


def test_an_interval_depends_only_on_its_seed():
    scores = np.random.default_rng(0).random(50)
    assert mean_estimate(scores, seed=1) == mean_estimate(scores, seed=1)
    assert mean_estimate(scores, seed=1) != mean_estimate(scores, seed=2)


@pytest.mark.parametrize("scores", [[0.1] * 30, [0.7]])
def test_constant_scores_have_no_width(scores):
    found = mean_estimate(scores)
    assert found == Estimate(pytest.approx(scores[0]), pytest.approx(scores[0]), pytest.approx(scores[0]), len(scores))


def test_an_interval_of_a_mean_is_as_wide_as_the_normal_approximation():
    scores = np.random.default_rng(0).normal(5, 2, size=400)
    found = mean_estimate(scores)
    assert width(found) == pytest.approx(2 * 1.96 * scores.std() / math.sqrt(400), rel=0.1)
    assert width(mean_estimate(scores[:100])) == pytest.approx(2 * width(found), rel=0.15)


@pytest.mark.slow
def test_an_interval_covers_the_true_mean_in_95_percent_of_data_sets(monkeypatch):
    monkeypatch.setattr(intervals, "NUM_RESAMPLES", 400)
    intervals.resample_weights.cache_clear()
    rng = np.random.default_rng(0)
    found = [mean_estimate(rng.random(60), seed) for seed in range(400)]
    intervals.resample_weights.cache_clear()
    covered = np.mean([one.low <= 0.5 <= one.high for one in found])
    # A share of 0.95 of 400 data sets has a standard error of 0.011.
    assert 0.92 <= covered <= 0.98


def test_undefined_scores_do_not_count():
    found = mean_estimate([1.0, np.nan, 0.0, np.nan, 1.0])
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert 0 <= found.low <= found.value <= found.high <= 1
    nothing = mean_estimate([np.nan, np.nan])
    assert nothing.n == 0 and math.isnan(nothing.value) and math.isnan(nothing.low)


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    ratio = Ratio(np.array([5.0, 3.0, 8.0, 8.0]), np.array([1.0, 3.0, 2.0, 2.0]))
    found = estimate(ratio, seed=0)
    assert found.value == pytest.approx(24 / 8)
    assert 1 <= found.low < found.value < found.high <= 5
    perplexity = estimate(Ratio(np.array([2.0, 4.0]), np.array([2.0, 3.0]), np.exp), seed=0)
    assert perplexity.value == pytest.approx(math.exp(6 / 5))
    assert (perplexity.low, perplexity.high) == pytest.approx((math.exp(1), math.exp(4 / 3)))


def correlated_scores():
    rng = np.random.default_rng(0)
    difficulty = rng.random(200)
    return difficulty + 0.05 + rng.normal(0, 0.02, 200), difficulty + rng.normal(0, 0.02, 200)


def test_a_difference_is_first_minus_second():
    better, worse = map(Ratio.mean, correlated_scores())
    found = difference(better, worse, seed=0)
    assert found.value == pytest.approx(better.numerator.mean() - worse.numerator.mean())
    assert 0 < found.low < found.value < found.high < 0.1
    opposite = difference(worse, better, seed=0)
    assert (opposite.value, opposite.low, opposite.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert difference(better, better, seed=0) == Estimate(0.0, 0.0, 0.0, 200)


def test_pairing_narrows_the_interval_of_correlated_scores():
    better, worse = correlated_scores()
    paired = difference(Ratio.mean(better), Ratio.mean(worse), seed=0)
    shuffled = np.random.default_rng(0).permutation(worse)
    unpaired = difference(Ratio.mean(better), Ratio.mean(shuffled), seed=0)
    assert paired.value == pytest.approx(unpaired.value)
    assert width(paired) < width(unpaired) / 5


def test_a_difference_between_unequal_numbers_of_pairs_is_refused():
    with pytest.raises(ValueError, match="3 and 2 pairs: compare scores of the same pairs"):
        difference(Ratio.mean(np.ones(3)), Ratio.mean(np.ones(2)), seed=0)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(0.12345, 0.1, 0.2, 9), "0.123 (0.100 to 0.200)"),
        (Estimate(-0.5, -0.75, -0.25, 9), "-0.500 (-0.750 to -0.250)"),
        (Estimate(123.4, 99.6, 150.2, 9), "123 (100 to 150)"),
    ],
)
def test_an_estimate_is_printed_with_its_interval(found, text):
    assert str(found) == text
