"""Paired tests between systems, and the verdicts that follow from them: better, worse, equivalent or undecided.

The bootstrap draws the pairs again, with replacement (Efron, 1979), the same pairs for all systems. For claims about
methods, which may have several runs, it also draws the runs again. A verdict needs only the stored numbers of a test,
so every verdict can be recomputed from a record: `python -m src.report.verdicts PATH`.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from statistics import NormalDist
from typing import Literal

import numpy as np

from src.evaluation.intervals import Ratio
from src.evaluation.metrics import METRICS, QUARTER, Metric
from src.evaluation.typing import TYPING_METRICS

NUM_RESAMPLES = 10_000
ALPHA = 0.05
POWER = 0.8
# Share of b's score: a smaller difference is of no practical importance.
MARGIN = 0.05
# The bootstrap of fewer texts is too sure of itself: one text alone has an interval without width.
MIN_TEXTS = 20
KNOWN_METRICS = {**METRICS, **TYPING_METRICS}
# Claims are made about these metrics only. The secondary endpoints of two systems are one family of Holm's correction.
PRIMARY = "keys_saved"
SECONDARY = ("perplexity_per_word", "next_word", "exact_match_2", "rouge1", "rouge2", QUARTER)
ENDPOINTS = (PRIMARY, *SECONDARY)
# 16 MB of draws and counts at a time
DRAWS_PER_BLOCK = 2**20
# Equal scores may differ by rounding, which must not count as a difference.
ROUNDING = 1e-12

Kind = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class PairedTest:
    """The score of a minus the score of b on the same pairs.

    An undefined number is NaN. JSON files hold null for it.

    Attributes:
        value: the difference. A method with several runs has the mean of their scores.
        low, high: its 95% percentile interval.
        low_90, high_90: its 90% percentile interval, for the test of equivalence.
        p_value: two-sided bootstrap p-value of no difference. It is below 0.05 exactly if the 95% interval excludes 0.
        standard_error: standard deviation of the difference over the resamples.
        n: number of pairs that count for a or b.
        baseline: the score of b.
        lower_is_better: lower values of the metric are better.
        runs_a, runs_b: number of runs.
    """

    value: float
    low: float
    high: float
    low_90: float
    high_90: float
    p_value: float
    standard_error: float
    n: int
    baseline: float
    lower_is_better: bool
    runs_a: int = 1
    runs_b: int = 1

    @classmethod
    def from_record(cls, record: Mapping) -> "PairedTest":
        """A test out of a JSON file. Other keys of the record, such as the names of the systems, are ignored."""
        numbers = {field.name: record[field.name] for field in fields(cls)}
        return cls(**{name: math.nan if number is None else number for name, number in numbers.items()})

    @property
    def smallest_difference(self) -> float:
        """The difference that so many pairs show with 80% power at the level of 5%.

        It is also called the minimum detectable effect (Bloom, 1995) and follows from the standard error.
        """
        normal = NormalDist()
        return (normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)) * self.standard_error

    def within(self, margin: float) -> bool:
        """Whether a and b are equivalent: the 90% interval lies inside plus or minus `margin` times the score of b.

        These are two one-sided tests at the level of 5% (Schuirmann, 1987). The score of b counts as exact.
        """
        limit = margin * abs(self.baseline)
        return -limit < self.low_90 and self.high_90 < limit


def paired_test(a: Ratio, b: Ratio, lower_is_better: bool, seed: int) -> PairedTest:
    """Compare two systems on the same pairs, for a claim about these systems as they are.

    Raises:
        ValueError: there are no pairs, or the two scores have different numbers of pairs.
    """
    return hierarchical_test([a], [b], lower_is_better, seed)


def hierarchical_test(a: Sequence[Ratio], b: Sequence[Ratio], lower_is_better: bool, seed: int) -> PairedTest:
    """Compare two methods that have one or several runs, all on the same pairs, for a claim about the methods.

    Every resample draws runs of each method, then pairs (hierarchical bootstrap, Saravanan et al., 2020). All runs
    share the drawn pairs, because all were tested on the same ones (Owen, 2007, "The pigeonhole bootstrap"). With one
    run each, only the pairs are drawn.

    Of k runs it draws k - 1, because k draws would understate the variance between three runs by a third (McCarthy and
    Snowden, 1985). Where runs differ much more than the noise of the pairs explains, an interval over two or three runs
    is still too narrow; where they hardly differ, it is too wide.

    Args:
        a, b: the scores of each run.

    Raises:
        ValueError: a method has no run, there are no pairs, or the numbers of pairs differ.
    """
    resampled = _resample({"a": a, "b": b}, seed)
    return _compare(resampled["a"], resampled["b"], lower_is_better, seed)


def paired_tests(methods: Mapping[str, Sequence[Mapping[str, Ratio]]], seed: int) -> list[dict]:
    """Compare every two methods in every known metric that both have, each with the same draws of pairs.

    Args:
        methods: the runs of every method, by its name; each run has its scores by metric id.

    Returns:
        dicts that JSON can hold: names `a` and `b`, the id of the `metric`, and the fields of a `PairedTest`.

    Raises:
        ValueError: see `hierarchical_test`.
    """
    scores = {
        (metric, name): [run[metric] for run in runs]
        for metric in KNOWN_METRICS
        for name, runs in methods.items()
        if all(metric in run for run in runs)
    }
    resampled = _resample(scores, seed)
    return [
        {"a": a, "b": b, "metric": metric.id, **asdict(_compare(*both, metric.lower_is_better, seed))}
        for metric in KNOWN_METRICS.values()
        for a, b in combinations(methods, 2)
        if None not in (both := [resampled.get((metric.id, name)) for name in (a, b)])
    ]


@dataclass(frozen=True, eq=False)
class _Resampled:
    """The scores of a method's runs.

    Attributes:
        value: mean score of the runs over all pairs.
        scores: float64 [NUM_RESAMPLES, runs].
        counts: bool [pairs], the pairs that have a score.
    """

    value: float
    scores: np.ndarray
    counts: np.ndarray

    def means(self, seed: Sequence[int]) -> np.ndarray:
        """The mean score of runs that are drawn for each resample, float64 [NUM_RESAMPLES]."""
        num_runs = self.scores.shape[1]
        num_drawn = max(num_runs - 1, 1)
        drawn = np.random.default_rng(seed).multinomial(num_drawn, [1 / num_runs] * num_runs, size=NUM_RESAMPLES)
        return (self.scores * drawn).sum(axis=1) / num_drawn


def _resample(scores: Mapping, seed: int) -> dict:
    """Draw pairs for the runs of every key; the runs of all keys with equal numbers of pairs share the draws."""
    groups = defaultdict(list)
    for key, runs in scores.items():
        sizes = {len(run.denominator) for run in runs}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(f"{key}: runs of {sorted(sizes)} pairs: give at least one run, all of the same pairs")
        groups[sizes.pop()].append(key)
    resampled = {}
    for keys in groups.values():
        drawn = iter(_resampled_scores([run for key in keys for run in scores[key]], seed).T)
        for key in keys:
            value = float(np.mean([run.value for run in scores[key]]))
            counts = np.any([run.denominator > 0 for run in scores[key]], axis=0)
            resampled[key] = _Resampled(value, np.stack([next(drawn) for _ in scores[key]], axis=1), counts)
    return resampled


def _resampled_scores(ratios: Sequence[Ratio], seed: int) -> np.ndarray:
    """The scores on each draw of the pairs, float64 [NUM_RESAMPLES, ratios]."""
    sums = np.stack([column for ratio in ratios for column in (ratio.numerator, ratio.denominator)], axis=1)
    resampled = np.concatenate([weights @ sums for weights in _weight_blocks(len(sums), seed)])
    # A resample may contain no pair with a denominator, and a perplexity may be infinite.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        quotients = resampled[:, 0::2] / resampled[:, 1::2]
        return np.stack([ratio.transform(quotients[:, i]) for i, ratio in enumerate(ratios)], axis=1)


def _weight_blocks(num_pairs: int, seed: int) -> Iterator[np.ndarray]:
    """How often each resample draws each pair, some resamples at a time, float64 [resamples, num_pairs]."""
    rng = np.random.default_rng(seed)
    block = max(1, DRAWS_PER_BLOCK // num_pairs)
    for start in range(0, NUM_RESAMPLES, block):
        size = min(block, NUM_RESAMPLES - start)
        drawn = rng.integers(num_pairs, size=(size, num_pairs)) + num_pairs * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size)
        yield counts.reshape(drawn.shape).astype(np.float64)


def _compare(a: _Resampled, b: _Resampled, lower_is_better: bool, seed: int) -> PairedTest:
    if len(a.counts) != len(b.counts):
        raise ValueError(f"{len(a.counts)} and {len(b.counts)} pairs: compare scores of the same pairs")
    # [seed, 0] would repeat the draws of pairs, because numpy pads seeds with zeros.
    draws = _differences(a.means([seed, 1]), b.means([seed, 2]))
    [value] = _differences(np.array([a.value]), np.array([b.value])).tolist()
    if math.isnan(value):
        draws = np.full(NUM_RESAMPLES, np.nan)
    return PairedTest(
        value,
        *_interval(draws, 0.95),
        *_interval(draws, 0.90),
        _p_value(draws),
        _standard_error(draws),
        int((a.counts | b.counts).sum()),
        b.value if math.isfinite(b.value) else math.nan,
        lower_is_better,
        a.scores.shape[1],
        b.scores.shape[1],
    )


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, without rounding errors of equal numbers; NaN where it is not finite."""
    with np.errstate(invalid="ignore"):
        found = a - b
    equal = np.isclose(a, b, rtol=ROUNDING, atol=0)
    return np.where(np.isfinite(found), np.where(equal, 0.0, found), np.nan)


def _interval(draws: np.ndarray, level: float) -> tuple[float, float]:
    """The percentile interval between two of the draws.

    An undefined draw counts as very low and very high, so it can only widen the interval, and many make it undefined.
    """
    rank = math.floor((1 - level) / 2 * (len(draws) + 1))
    low = np.sort(np.where(np.isnan(draws), -np.inf, draws))[rank - 1]
    high = np.sort(np.where(np.isnan(draws), np.inf, draws))[-rank]
    return (float(low), float(high)) if np.isfinite([low, high]).all() else (math.nan, math.nan)


def _p_value(draws: np.ndarray) -> float:
    """The smallest level at which a two-sided percentile interval excludes 0 (Davison and Hinkley, 1997, chapter 4).

    Undefined draws count on both sides.
    """
    undefined = np.isnan(draws)
    if undefined.all():
        return math.nan
    fewest = min(((draws <= 0) | undefined).sum(), ((draws >= 0) | undefined).sum())
    return min(1.0, 2 * (int(fewest) + 1) / (len(draws) + 1))


def _standard_error(draws: np.ndarray) -> float:
    defined = draws[~np.isnan(draws)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else math.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family so that it has a false positive with at most the chosen probability (Holm, 1979).

    An undefined p-value stays NaN and counts as a member of the family.
    """
    adjusted, largest = [math.nan] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda i: (math.isnan(p_values[i]), p_values[i]))
    for rank, i in enumerate(order):
        if not math.isnan(p_values[i]):
            largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
            adjusted[i] = largest
    return adjusted


@dataclass(frozen=True)
class Verdict:
    """What a test says about a and b.

    Attributes:
        a, b: names of the systems or methods.
        metric: the endpoint.
        kind: "better" and "worse" are said of a. "equivalent": neither, and the difference is within the margin.
        adjusted_p: the p-value after Holm's correction; of the primary endpoint, without correction.
        margin: the margin of equivalence, as a share of the score of b.
        test: the numbers.
    """

    a: str
    b: str
    metric: Metric
    kind: Kind
    adjusted_p: float
    margin: float
    test: PairedTest


def verdicts(records: Iterable[Mapping], margin: float = MARGIN) -> list[Verdict]:
    """Draw the verdicts from stored tests, in their order. Metrics that are no endpoint get none.

    The tests of two systems in the secondary endpoints are one family of Holm's correction. Tests over other numbers of
    runs are a family of their own.

    Args:
        records: dicts as `paired_tests` returns them, or as JSON files hold them.
    """
    records = [record for record in records if record["metric"] in ENDPOINTS]
    tests = [PairedTest.from_record(record) for record in records]
    adjusted = [test.p_value for test in tests]
    families = defaultdict(list)
    for i, (record, test) in enumerate(zip(records, tests)):
        if record["metric"] != PRIMARY:
            families[frozenset([(record["a"], test.runs_a), (record["b"], test.runs_b)])].append(i)
    for members in families.values():
        for i, p_value in zip(members, holm([tests[i].p_value for i in members])):
            adjusted[i] = p_value
    return [
        Verdict(
            record["a"],
            record["b"],
            KNOWN_METRICS[record["metric"]],
            _kind(test, p_value, margin),
            p_value,
            margin,
            test,
        )
        for record, test, p_value in zip(records, tests, adjusted)
    ]


def _kind(test: PairedTest, adjusted_p: float, margin: float) -> Kind:
    if test.n < MIN_TEXTS:
        return "undecided"
    # Comparisons with NaN are false, so an undefined test is undecided.
    if adjusted_p < ALPHA and (test.low > 0 or test.high < 0):
        return "better" if (test.low > 0) != test.lower_is_better else "worse"
    return "equivalent" if test.within(margin) else "undecided"
