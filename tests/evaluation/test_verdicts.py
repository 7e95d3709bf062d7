"""Paired tests and verdicts: intervals, p-values, power, equivalence, correction, several runs, undefined scores."""

import json
import math
import tracemalloc
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation import verdicts as module
from src.evaluation.intervals import Ratio, difference
from src.evaluation.verdicts import (
    NUM_RESAMPLES,
    PRIMARY,
    SECONDARY,
    PairedTest,
    hierarchical_test,
    holm,
    paired_test,
    paired_tests,
    verdicts,
)
from src.files import json_text

TEST = PairedTest(0.02, 0.01, 0.03, 0.012, 0.028, 0.001, 0.005, 1000, 0.5, lower_is_better=False)
NO_DIFFERENCE = replace(TEST, value=0.0, low=-0.01, high=0.01, low_90=-0.008, high_90=0.008, p_value=0.9)


def mean_test(a, b, seed=0):
    return paired_test(Ratio.mean(np.asarray(a, float)), Ratio.mean(np.asarray(b, float)), False, seed)


def perplexities(nll):
    return Ratio(np.asarray(nll, float), np.ones(len(nll)), np.exp)


def correlated_scores(shift=0.02, num_pairs=300, noise=0.1):
    rng = np.random.default_rng(0)
    difficulty = rng.random(num_pairs)
    return difficulty + shift + rng.normal(0, noise, num_pairs), difficulty


def stored(test, metric, a="a", b="b"):
    """A test as a JSON file holds it."""
    return json.loads(json_text({"a": a, "b": b, "metric": metric, **asdict(test)}))


def kind(test, metric=PRIMARY, **settings):
    [verdict] = verdicts([stored(test, metric)], **settings)
    return verdict.kind


scores = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


@settings(max_examples=50)
@given(scores, st.integers(0, 100))
def test_p_value_and_interval_agree_about_zero(pairs, seed):
    a, b = np.array(pairs).T / 4
    test = mean_test(a, b, seed)
    assert (test.p_value < 0.05) == (test.low > 0 or test.high < 0)
    assert (test.p_value < 0.1) == (test.low_90 > 0 or test.high_90 < 0)
    assert test.low <= test.low_90 <= test.high_90 <= test.high
    assert test.low - 1e-9 <= test.value <= test.high + 1e-9
    assert 0 < test.p_value <= 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("num_undefined", [0, 100])
@pytest.mark.parametrize(("num_opposite", "level"), [(249, 0.95), (250, 0.95), (499, 0.90), (500, 0.90)])
def test_p_value_and_interval_agree_at_the_border(num_opposite, level, num_undefined, sign):
    draws = np.ones(NUM_RESAMPLES)
    draws[:num_opposite] = -1.0
    draws[:num_undefined] = np.nan
    low, high = module._interval(sign * draws, level)
    excludes_zero = low > 0 or high < 0
    assert excludes_zero == (num_opposite % 250 == 249)
    assert (module._p_value(sign * draws) < 1 - level - 1e-9) == excludes_zero


@settings(max_examples=20)
@given(scores)
def test_swapping_a_and_b_turns_the_sign_and_nothing_else(pairs):
    a, b = np.array(pairs).T / 4
    test, swapped = mean_test(a, b), mean_test(b, a)
    assert swapped.p_value == pytest.approx(test.p_value)
    found = [swapped.value, swapped.low, swapped.high, swapped.low_90, swapped.high_90, swapped.standard_error]
    expected = [-test.value, -test.high, -test.low, -test.high_90, -test.low_90, test.standard_error]
    assert found == pytest.approx(expected, abs=1e-12)


def test_numbers_agree_with_the_normal_approximation():
    a, b = correlated_scores()
    test = mean_test(a, b)
    error = (a - b).std() / math.sqrt(len(a))
    assert test.value == pytest.approx((a - b).mean())
    assert test.standard_error == pytest.approx(error, rel=0.03)
    assert (test.low, test.high) == pytest.approx((test.value - 1.96 * error, test.value + 1.96 * error), abs=error / 8)
    assert test.high_90 - test.low_90 == pytest.approx(2 * 1.645 * error, rel=0.05)
    assert test.smallest_difference == pytest.approx(2.80 * test.standard_error, rel=1e-3)
    assert (test.n, test.baseline) == (300, pytest.approx(b.mean()))


def test_a_clear_difference_has_the_smallest_p_value_that_the_resamples_allow():
    assert mean_test([1.0] * 50, [0.0] * 50).p_value == pytest.approx(2 / (NUM_RESAMPLES + 1))


@pytest.mark.parametrize("num_columns", [1, 7])
def test_equal_scores_do_not_differ_by_rounding(num_columns):
    equal = Ratio.mean(np.random.default_rng(0).random(97))
    ratios = [equal] * num_columns
    test = hierarchical_test(ratios, [*ratios, equal], False, seed=0)
    assert (test.value, test.low, test.high, test.p_value, test.standard_error) == (0, 0, 0, 1, 0)
    assert kind(test) == "equivalent"


@pytest.mark.slow
def test_an_interval_covers_the_true_difference_in_95_percent_of_data_sets():
    rng = np.random.default_rng(0)
    tests = [mean_test(rng.random(60) + 0.1, rng.random(60), seed) for seed in range(400)]
    # A share of 0.95 of 400 data sets has a standard error of 0.011; the seeds are fixed.
    assert 0.92 <= np.mean([test.low <= 0.1 <= test.high for test in tests]) <= 0.98
    assert 0.86 <= np.mean([test.low_90 <= 0.1 <= test.high_90 for test in tests]) <= 0.94


@pytest.mark.slow
def test_the_smallest_difference_is_found_in_80_percent_of_data_sets():
    rng = np.random.default_rng(0)
    smallest = 2.80 * math.sqrt(2 / 100)
    tests = [mean_test(rng.normal(smallest, 1, 100), rng.normal(0, 1, 100), seed) for seed in range(300)]
    assert np.mean([test.smallest_difference for test in tests]) == pytest.approx(smallest, rel=0.03)
    # A share of 0.8 of 300 data sets has a standard error of 0.023.
    assert 0.71 <= np.mean([test.p_value < 0.05 for test in tests]) <= 0.89


def test_perplexities_are_compared_as_perplexities():
    nll_a, nll_b = np.array(correlated_scores(shift=-0.1, noise=0.02)) + 4
    test = paired_test(perplexities(nll_a), perplexities(nll_b), True, seed=0)
    assert test.baseline == pytest.approx(math.exp(nll_b.mean()))
    assert test.value == pytest.approx(math.exp(nll_a.mean()) - math.exp(nll_b.mean()))
    assert test.low < test.value < test.high < 0
    assert kind(test, "perplexity_per_word") == "better"


def test_ratios_weigh_pairs_by_their_denominators():
    a, b = Ratio(np.array([9.0, 1.0]), np.array([9.0, 2.0])), Ratio(np.array([0.0, 2.0]), np.array([9.0, 2.0]))
    test = paired_test(a, b, False, seed=0)
    assert test.value == pytest.approx(10 / 11 - 2 / 11)
    assert (test.low, test.high) == pytest.approx((1 / 2 - 1, 1 - 0))


def test_pairs_count_if_they_have_a_score_of_a_or_b():
    a, b = Ratio.mean(np.array([1.0, np.nan, np.nan])), Ratio.mean(np.array([np.nan, 0.0, np.nan]))
    assert paired_test(a, b, False, seed=0).n == 2


def test_unequal_or_missing_pairs_are_refused():
    with pytest.raises(ValueError, match="3 and 2 pairs: compare scores of the same pairs"):
        mean_test([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="give at least one run, all of the same pairs"):
        hierarchical_test([Ratio.mean(np.ones(3)), Ratio.mean(np.ones(2))], [Ratio.mean(np.ones(3))], False, 0)
    with pytest.raises(ValueError, match="give at least one run"):
        hierarchical_test([], [Ratio.mean(np.ones(3))], False, 0)
    with pytest.raises(ValueError):
        mean_test([], [])


# Undefined scores


def is_undefined(test):
    numbers = (test.value, test.low, test.high, test.low_90, test.high_90, test.p_value, test.standard_error)
    return all(map(math.isnan, numbers))


@pytest.mark.filterwarnings("error")
def test_an_undefined_score_is_undecided():
    nothing, something = Ratio.mean(np.full(5, np.nan)), Ratio.mean(np.ones(5))
    for a, b in [(nothing, something), (something, nothing), (nothing, nothing)]:
        for lower_is_better in (True, False):
            test = paired_test(a, b, lower_is_better, seed=0)
            assert is_undefined(test)
            assert kind(test) == "undecided"
    one_run_undefined = hierarchical_test([nothing, something], [something], False, seed=0)
    assert is_undefined(one_run_undefined) and kind(one_run_undefined) == "undecided"


@pytest.mark.filterwarnings("error")
def test_an_infinite_perplexity_is_undecided():
    finite, infinite = perplexities([4.0, 5.0]), perplexities([2000.0, 2000.0])
    for a, b in [(finite, infinite), (infinite, finite)]:
        test = paired_test(a, b, True, seed=0)
        assert is_undefined(test)
        assert kind(test, "perplexity_per_word") == "undecided"


@pytest.mark.filterwarnings("error")
def test_undefined_resamples_count_against_every_claim():
    # About (1 - 2/30) ** 30 = 13% of the resamples draw neither of the two pairs that have a score.
    rare = np.full(30, np.nan)
    rare[:2] = 1.0
    test = mean_test(rare, np.zeros(30))
    assert test.value == 1
    assert math.isnan(test.low) and math.isnan(test.low_90)
    assert test.p_value == pytest.approx(2 * (28 / 30) ** 30, abs=0.03)
    assert kind(test) == "undecided"
    # 0.1% of the resamples are undefined, so the interval is not.
    rare[:6] = 1.0
    test = mean_test(rare, np.zeros(30))
    assert (test.low, test.high) == (1, 1)
    assert 0.0005 < test.p_value < 0.01


@given(st.sampled_from(["value", "low", "high", "low_90", "high_90", "p_value", "baseline"]), st.booleans())
def test_a_stored_null_never_makes_a_verdict_more_favourable(name, lower_is_better):
    for test in (TEST, NO_DIFFERENCE):
        test = replace(test, lower_is_better=lower_is_better)
        assert kind(replace(test, **{name: math.nan})) in (kind(test), "undecided")


def test_a_test_of_few_texts_is_undecided():
    # All three are better, so the interval excludes 0.
    few = mean_test([1.0, 0.9, 0.8], [0.0, 0.1, 0.0])
    assert few.low > 0 and few.p_value < 0.05
    assert kind(few) == "undecided"
    assert [kind(replace(TEST, n=n)) for n in (19, 20)] == ["undecided", "better"]
    assert [kind(replace(NO_DIFFERENCE, n=n)) for n in (19, 20)] == ["undecided", "equivalent"]


# Several runs


def test_one_run_of_each_method_is_the_plain_paired_bootstrap():
    a, b = map(Ratio.mean, correlated_scores())
    hierarchical, plain = hierarchical_test([a], [b], False, seed=0), difference(a, b, seed=1)
    assert hierarchical == paired_test(a, b, False, seed=0)
    assert (hierarchical.value, hierarchical.n) == (plain.value, plain.n)
    # The plain interval has 1,000 resamples: its ends have a standard error of about a tenth of the difference's.
    tolerance = 0.35 * hierarchical.standard_error
    assert (hierarchical.low, hierarchical.high) == pytest.approx((plain.low, plain.high), abs=tolerance)


def runs(offsets, scores):
    return [Ratio.mean(scores + offset) for offset in offsets]


def test_runs_that_are_equal_change_nothing():
    a, b = map(Ratio.mean, correlated_scores())
    one, several = paired_test(a, b, False, seed=0), hierarchical_test([a] * 3, [b] * 2, False, seed=0)
    assert asdict(several) == pytest.approx({**asdict(one), "runs_a": 3, "runs_b": 2})


def test_runs_that_differ_make_a_claim_about_methods_harder():
    a, b = correlated_scores()
    offsets = np.array([-0.1, 0.0, 0.1])
    plain, test = mean_test(a, b), hierarchical_test(runs(offsets, a), runs([0.0], b), False, seed=0)
    assert (test.runs_a, test.runs_b) == (3, 1)
    assert test.value == pytest.approx(plain.value)
    assert (kind(plain), kind(test)) == ("better", "undecided")
    # The variance of a mean of three runs, estimated from them, adds to the variance over pairs.
    expected = plain.standard_error**2 + offsets.var(ddof=1) / 3
    assert test.standard_error**2 == pytest.approx(expected, rel=0.05)


def test_runs_of_the_two_methods_are_drawn_independently():
    a, _ = correlated_scores()
    offsets = np.array([-0.1, 0.1])
    test = hierarchical_test(runs(offsets, a), runs(offsets, a), False, seed=0)
    assert test.value == 0
    assert test.standard_error**2 == pytest.approx(2 * offsets.var(ddof=1) / 2, rel=0.05)


@pytest.mark.slow
def test_the_standard_error_over_three_runs_is_right_on_average():
    rng = np.random.default_rng(0)
    squares = [
        hierarchical_test(
            runs(rng.normal(0, 0.1, 3), rng.normal(0, 0.3, 50)), runs([0.0], np.zeros(50)), False, seed
        ).standard_error
        ** 2
        for seed in range(200)
    ]
    # The variance between three runs, from 200 data sets, has a relative standard error of 7%.
    assert np.mean(squares) == pytest.approx(0.1**2 / 3 + 0.3**2 / 50, rel=0.2)


# Many tests at once


def made_methods():
    a, b = correlated_scores()
    rng = np.random.default_rng(1)
    return {
        "A": [{"rouge1": Ratio.mean(a), "keys_saved": Ratio.mean(a[:50]), "perplexity_per_word": perplexities(4 - a)}],
        "B": [{"rouge1": Ratio.mean(b), "keys_saved": Ratio.mean(b[:50]), "perplexity_per_word": perplexities(4 - b)}],
        "C": [{"rouge1": Ratio.mean(b + rng.normal(0, 0.1, len(b)))} for _ in range(2)],
    }


def test_many_tests_share_their_draws_and_equal_single_tests():
    methods = made_methods()
    records = paired_tests(methods, seed=3)
    assert [(record["metric"], record["a"], record["b"]) for record in records] == [
        ("rouge1", "A", "B"),
        ("rouge1", "A", "C"),
        ("rouge1", "B", "C"),
        ("perplexity_per_word", "A", "B"),
        ("keys_saved", "A", "B"),
    ]
    for record in records:
        a, b = ([run[record["metric"]] for run in methods[record[side]]] for side in ("a", "b"))
        single = hierarchical_test(a, b, record["metric"] == "perplexity_per_word", seed=3)
        assert asdict(PairedTest.from_record(record)) == pytest.approx(asdict(single))


def test_the_draws_come_in_blocks(monkeypatch):
    a, b = correlated_scores(num_pairs=20)
    complete = mean_test(a, b)
    monkeypatch.setattr(module, "DRAWS_PER_BLOCK", 900)
    assert asdict(mean_test(a, b)) == pytest.approx(asdict(complete))


@pytest.mark.slow
def test_ten_thousand_pairs_need_little_memory():
    a, b = correlated_scores(num_pairs=10_000)
    tracemalloc.start()
    test = mean_test(a, b)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    assert test.n == 10_000


# Verdicts


def test_holm_on_a_worked_example():
    # By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and then 0.04 may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_an_undefined_p_value_is_a_member_of_the_family():
    adjusted = holm([0.01, math.nan, 0.04])
    assert math.isnan(adjusted[1])
    assert [adjusted[0], adjusted[2]] == pytest.approx([0.03, 0.08])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(p_values, random):
    adjusted = holm(p_values)
    assert all(p <= q <= min(1, len(p_values) * p) for p, q in zip(p_values, adjusted))
    assert sorted(adjusted) == [q for _, q in sorted(zip(p_values, adjusted))]
    order = random.sample(range(len(p_values)), len(p_values))
    assert holm([p_values[i] for i in order]) == [adjusted[i] for i in order]


@pytest.mark.parametrize(
    ("lower_is_better", "sign", "expected"),
    [(False, 1, "better"), (False, -1, "worse"), (True, 1, "worse"), (True, -1, "better")],
)
def test_the_better_side_depends_on_the_metric(lower_is_better, sign, expected):
    a, b = correlated_scores()
    test = paired_test(Ratio.mean(sign * a), Ratio.mean(sign * b), lower_is_better, seed=0)
    assert kind(test) == expected


def test_equivalence_needs_a_narrow_interval():
    a, b = correlated_scores(shift=0.0, num_pairs=4000)
    assert kind(mean_test(a, b)) == "equivalent"
    assert kind(mean_test(a[:40], b[:40])) == "undecided"
    assert kind(NO_DIFFERENCE) == "equivalent"
    # 5% of 0.5 is 0.025; both ends of the 90% interval must lie inside.
    assert kind(replace(NO_DIFFERENCE, low_90=-0.025)) == kind(replace(NO_DIFFERENCE, high_90=0.03)) == "undecided"
    assert kind(NO_DIFFERENCE, margin=0.01) == "undecided"
    assert kind(replace(NO_DIFFERENCE, baseline=0.1)) == "undecided"
    assert kind(replace(NO_DIFFERENCE, baseline=0.0)) == "undecided"


def test_secondary_endpoints_are_corrected_and_the_primary_is_not():
    test = replace(TEST, p_value=0.02)
    found = verdicts([stored(test, metric) for metric in (PRIMARY, *SECONDARY)])
    assert [verdict.metric.id for verdict in found] == [PRIMARY, *SECONDARY]
    assert [verdict.adjusted_p for verdict in found] == pytest.approx([0.02, *[0.12] * 6])
    assert [verdict.kind for verdict in found] == ["better", *["undecided"] * 6]


def test_each_two_systems_are_a_family_whichever_comes_first():
    test = replace(TEST, p_value=0.02)
    records = [stored(test, "rouge1"), stored(test, "rouge2", a="b", b="a"), stored(test, "rouge1", b="c")]
    records.append(stored(replace(test, runs_a=3), "next_word"))
    assert [verdict.adjusted_p for verdict in verdicts(records)] == pytest.approx([0.04, 0.04, 0.02, 0.02])


def test_metrics_that_are_no_endpoint_get_no_verdict_and_do_not_count():
    records = [stored(TEST, "length_ratio"), stored(TEST, "rouge1"), stored(TEST, "distinct_1")]
    [verdict] = verdicts(records)
    assert (verdict.metric.id, verdict.adjusted_p) == ("rouge1", TEST.p_value)


def test_every_endpoint_is_a_known_metric():
    assert {PRIMARY, *SECONDARY} <= set(module.KNOWN_METRICS)


@pytest.mark.parametrize("scores", [correlated_scores(num_pairs=20), ([np.nan, np.nan], [1.0, 1.0])])
def test_a_test_survives_json(scores):
    test = mean_test(*scores)
    assert repr(PairedTest.from_record(stored(test, "rouge1"))) == repr(test)
