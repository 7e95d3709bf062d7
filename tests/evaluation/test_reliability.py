"""Reliability of probabilities, and the calibration that is fitted on validation tweets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.reliability import expected_calibration_error, reliability_table
from src.evaluation.selection import MIN_SUGGESTIONS, PRIOR_PRECISION, choose_calibration, fit_calibration
from src.evaluation.typing import record_suggestions
from src.evaluation.word_list import WordList
from src.text.calibration import IDENTITY, Calibration
from src.text.prefixes import Completion


def made_up_suggestions(num, calibration, seed=0):
    """Probabilities, and outcomes of which the calibration gives the true probabilities."""
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.5, 1.5, num)
    return probabilities, rng.random(num) < calibration.apply(probabilities)


# Reliability


def test_reliability_by_hand():
    probabilities = np.array([0.0, 0.05, 0.1, 0.95, 1.0, 0.97])
    is_right = np.array([False, True, True, True, True, False])
    table = reliability_table(probabilities, is_right)
    assert table["shown"].tolist() == [2, 1, 3]
    assert table["mean_probability"].tolist() == pytest.approx([0.025, 0.1, 2.92 / 3])
    assert table["share_right"].tolist() == pytest.approx([0.5, 1.0, 2 / 3])
    expected = (2 * 0.475 + 1 * 0.9 + 3 * (0.92 / 3)) / 6
    assert expected_calibration_error(probabilities, is_right) == pytest.approx(expected)


def test_one_bin_compares_the_means():
    probabilities, is_right = np.array([0.2, 0.6, 1.0]), np.array([True, True, False])
    assert reliability_table(probabilities, is_right, num_bins=1)["shown"].tolist() == [3]
    assert expected_calibration_error(probabilities, is_right, num_bins=1) == pytest.approx(2 / 3 - 0.6)


@pytest.mark.parametrize(("probability", "is_right", "error"), [(1.0, True, 0), (0.0, False, 0), (1.0, False, 1)])
def test_the_error_is_from_zero_to_one(probability, is_right, error):
    assert expected_calibration_error(np.full(5, probability), np.full(5, is_right)) == error


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_every_suggestion_is_in_one_bin(suggestions, num_bins):
    probabilities, is_right = map(np.array, zip(*suggestions))
    table = reliability_table(probabilities, is_right, num_bins)
    assert table["shown"].sum() == len(suggestions) and len(table) <= num_bins
    assert (table["mean_probability"] * table["shown"]).sum() == pytest.approx(probabilities.sum())
    assert (table["share_right"] * table["shown"]).sum() == pytest.approx(is_right.sum())
    assert 0 <= expected_calibration_error(probabilities, is_right, num_bins) <= 1


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(ValueError, match="a probability is not from 0 to 1"):
        reliability_table(np.array([0.5, value]), np.array([True, False]))


def test_no_suggestions_are_refused():
    with pytest.raises(ValueError, match="there are no suggestions"):
        expected_calibration_error(np.array([]), np.array([], dtype=bool))


# The fit


@pytest.mark.parametrize("true", [IDENTITY, Calibration(0.5, -0.8), Calibration(2.0, 1.0), Calibration(0.2, 0.0)])
def test_slope_and_intercept_are_recovered(true):
    found = fit_calibration(*made_up_suggestions(100_000, true))
    assert (found.slope, found.intercept) == pytest.approx((true.slope, true.intercept), abs=0.05)


def test_an_overconfident_model_is_calibrated():
    true = Calibration(0.5, -0.8)
    calibration = fit_calibration(*made_up_suggestions(5_000, true))
    probabilities, is_right = made_up_suggestions(5_000, true, seed=1)
    before = expected_calibration_error(probabilities, is_right)
    after = expected_calibration_error(calibration.apply(probabilities), is_right)
    assert before > 0.08 and after < before / 4
    assert calibration.apply(0.9) < 0.7


def test_the_fit_has_the_share_that_is_right_as_its_mean():
    probabilities, is_right = made_up_suggestions(10_000, Calibration(0.4, 0.3))
    calibrated = fit_calibration(probabilities, is_right).apply(probabilities)
    assert calibrated.mean() == pytest.approx(is_right.mean(), abs=1e-3)


def test_suggestions_that_say_too_little_leave_probabilities_as_they_are():
    probabilities, is_right = made_up_suggestions(500, Calibration(0.5, 0))
    assert fit_calibration(probabilities, is_right) != IDENTITY
    assert fit_calibration(probabilities, np.ones(500, dtype=bool)) == IDENTITY
    assert fit_calibration(probabilities, np.zeros(500, dtype=bool)) == IDENTITY
    few = MIN_SUGGESTIONS - 1
    assert fit_calibration(probabilities[:few], is_right[:few]) == IDENTITY
    assert fit_calibration(probabilities[:MIN_SUGGESTIONS], is_right[:MIN_SUGGESTIONS]) != IDENTITY
    assert fit_calibration(np.array([]), np.array([], dtype=bool)) == IDENTITY


def test_suggestions_that_are_right_less_often_the_surer_they_are_change_nothing():
    probabilities, is_wrong = made_up_suggestions(1_000, IDENTITY)
    assert fit_calibration(probabilities, ~is_wrong) == IDENTITY


def test_probabilities_that_separate_right_from_wrong_have_a_finite_fit():
    probabilities = np.array([0.0, 0.3, 0.7, 1.0]).repeat(100)
    calibration = fit_calibration(probabilities, probabilities > 0.5)
    low, *_, high = calibration.apply(probabilities)
    assert low < 0.01 and high > 0.99 and calibration.apply(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_model_that_is_always_equally_sure_learns_how_often_it_is_right(probability):
    is_right = np.arange(1_000) % 10 < 6
    calibration = fit_calibration(np.full(1_000, probability), is_right)
    if calibration != IDENTITY:
        assert calibration.apply(probability) == pytest.approx(0.6, abs=0.01)


@given(st.integers(0, 2**32 - 1), st.floats(-8, 8), st.floats(0.01, 8))
def test_the_fit_ends_whatever_the_suggestions_are(seed, intercept, slope):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(200) ** rng.integers(1, 20)
    is_right = rng.random(200) < Calibration(slope, intercept).apply(probabilities)
    calibration = fit_calibration(probabilities, is_right)
    assert calibration.slope > 0


def test_a_precise_prior_keeps_a_fit_to_few_suggestions_near_the_identity():
    probabilities, is_right = made_up_suggestions(200, Calibration(0.5, -0.8))
    weak, strong, stronger = (fit_calibration(probabilities, is_right, precision) for precision in (1, 100, 1e6))
    assert weak.slope < strong.slope < stronger.slope < 1
    assert weak.intercept < strong.intercept < stronger.intercept < 0
    assert (stronger.slope, stronger.intercept) == pytest.approx((1, 0), abs=1e-3)


def test_suggestions_without_probabilities_are_refused():
    with pytest.raises(ValueError, match="these suggestions have no probabilities"):
        fit_calibration(np.full(100, np.nan), np.ones(100, dtype=bool))


# The choice on validation texts


class Boastful:
    """A word list that is four times as sure as it should be."""

    completes_first_words = True

    def __init__(self, texts):
        self.words = WordList(texts)

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        return [
            [Completion(one.text, 0.0, self.boast(one.next_word_probability)) for one in found]
            for found in self.words.complete(prefixes, n, half_typed, max_new_tokens)
        ]

    @staticmethod
    def boast(probability):
        return 4 * probability / (1 + 3 * probability)


def test_a_boastful_completer_is_put_right_on_texts_that_were_not_used(made_up_tweets):
    completer = Boastful(made_up_tweets)
    texts = made_up_tweets[:120]
    calibration, check = choose_calibration(completer, texts)
    assert check.texts == texts[1::2]
    fitted = record_suggestions(completer, texts[::2])
    assert calibration == fit_calibration(fitted.shown_probabilities(3), fitted.shown_right(3), PRIOR_PRECISION)
    probabilities, is_right = check.shown_probabilities(3), check.shown_right(3)
    before = expected_calibration_error(probabilities, is_right)
    assert expected_calibration_error(calibration.apply(probabilities), is_right) < before / 2


def test_what_was_shown_is_right_if_its_first_word_is(made_up_tweets):
    record = record_suggestions(WordList(made_up_tweets), made_up_tweets[:5])
    for n in (1, 3):
        shown = record.right_words[:, :n] >= 0
        assert record.shown_right(n).tolist() == (record.right_words[:, :n][shown] >= 1).tolist()
        assert len(record.shown_right(n)) == len(record.shown_probabilities(n))
