"""Calibrated probabilities, and the file of a run folder that says how they are calibrated."""

import json
import math
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.files import write_json
from src.text.calibration import (
    CALIBRATION_FILE,
    IDENTITY,
    Calibration,
    CalibrationError,
    load_calibration,
    logit,
    sigmoid,
)

slopes = st.floats(min_value=0, max_value=1.7e308, exclude_min=True)
intercepts = st.floats(allow_nan=False, allow_infinity=False)
probabilities = st.floats(0, 1)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Probabilities


def test_platt_scaling_by_hand():
    # The odds of 0.8 are 4; 4 ** 0.5 * e ** 0.25 are the new ones.
    odds = 2 * math.exp(0.25)
    assert Calibration(0.5, 0.25).apply(0.8) == pytest.approx(odds / (1 + odds))
    assert Calibration(1.0, -math.log(4)).apply(np.array([[0.8, 0.5]])) == pytest.approx(np.array([[0.5, 0.2]]))


@given(probabilities)
def test_the_identity_changes_nothing(probability):
    assert IDENTITY == Calibration() == Calibration(1, 0)
    assert IDENTITY.apply(probability) == pytest.approx(probability, abs=1.1e-6)


@given(slopes, intercepts, st.lists(probabilities, min_size=2))
def test_calibrated_probabilities_keep_their_order(slope, intercept, values):
    calibrated = Calibration(slope, intercept).apply(np.sort(values))
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert (np.diff(calibrated) >= -1e-12).all()


@given(st.floats(-13, 13))
def test_logit_and_sigmoid_undo_each_other(log_odds):
    assert logit(sigmoid(log_odds)) == pytest.approx(log_odds, abs=1e-6)


def test_certain_suggestions_are_calibrated_too():
    low, high = Calibration(0.5, 0).apply([0.0, 1.0])
    assert (low, high) == pytest.approx((0.001, 0.999), abs=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "1", None, True, [1]])
def test_only_finite_numbers_calibrate(value):
    with pytest.raises(ValueError, match="the slope must be a finite number"):
        Calibration(slope=value)
    with pytest.raises(ValueError, match="the intercept must be a finite number"):
        Calibration(intercept=value)


@pytest.mark.parametrize("slope", [0, -0.0, -1, -1e-300])
def test_the_slope_must_be_above_zero(slope):
    with pytest.raises(ValueError, match="the slope must be above 0"):
        Calibration(slope=slope)


# The file


@given(slopes, intercepts)
def test_a_saved_calibration_is_loaded(tmp_path_factory, slope, intercept):
    run_dir = tmp_path_factory.getbasetemp()
    write_json(run_dir / CALIBRATION_FILE, asdict(Calibration(slope, intercept)))
    assert load_calibration(run_dir) == load_calibration(str(run_dir)) == Calibration(slope, intercept)


def test_a_run_without_the_file_is_not_calibrated(tmp_path):
    assert load_calibration(tmp_path) == IDENTITY


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"is not JSON \(line 1\)"),
        (b'{"slope": 1,\n"intercept"', r"is not JSON \(line 2\)"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b"[" * 100_000, "can't be read"),
        (b'{"slope": 1' + b"0" * 5_000 + b', "intercept": 0}', "can't be read"),
        (b"[1, 0]", "does not hold a slope and an intercept"),
        (b"null", "does not hold a slope and an intercept"),
        (b"{}", "does not hold a slope and an intercept"),
        (b'{"slope": 1}', "does not hold a slope and an intercept"),
        (b'{"slope": 1, "intercept": 0, "more": 0}', "does not hold a slope and an intercept"),
        (b'{"slope": 0, "intercept": 0}', r"does not hold a calibration \(the slope must be above 0\)"),
        (b'{"slope": -2, "intercept": 0}', r"does not hold a calibration \(the slope must be above 0\)"),
        (b'{"slope": NaN, "intercept": 0}', r"does not hold a calibration \(the slope must be a finite number\)"),
        (b'{"slope": 1e999, "intercept": 0}', r"does not hold a calibration \(the slope must be a finite number\)"),
        (b'{"slope": "1", "intercept": 0}', r"does not hold a calibration \(the slope must be a finite number\)"),
        (b'{"slope": 1, "intercept": null}', r"does not hold a calibration \(the intercept must be a finite number\)"),
        (b'{"slope": 1, "intercept": true}', r"does not hold a calibration \(the intercept must be a finite number\)"),
        (b'{"slope": 1, "intercept": -Infinity}', r"does not hold a calibration \(the intercept must be a finite"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, content, reason):
    (tmp_path / CALIBRATION_FILE).write_bytes(content)
    with pytest.raises(
        CalibrationError, match=rf"calibration\.json {reason}.*: restore the file, or delete it"
    ) as caught:
        load_calibration(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / CALIBRATION_FILE).mkdir()
    with pytest.raises(CalibrationError, match=r"calibration\.json can't be read"):
        load_calibration(tmp_path)


def test_the_file_is_plain_json(tmp_path):
    write_json(tmp_path / CALIBRATION_FILE, asdict(Calibration(0.75, -0.5)))
    assert json.loads((tmp_path / CALIBRATION_FILE).read_text()) == {"slope": 0.75, "intercept": -0.5}
