"""95% bootstrap intervals of single scores and of paired differences.

The bootstrap draws the pairs again, with replacement, and recomputes the score on each draw; the
interval is the middle 95% of these scores (Efron, 1979, "Bootstrap methods").
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A score with its 95% bootstrap interval over `n` pairs."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def from_record(cls, record: dict) -> "Estimate":
        """An estimate out of a JSON file, where null stands for NaN."""
        return cls(**{name: math.nan if number is None else number for name, number in record.items()})

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "undefined"
        digits = 3 if abs(self.high) < 10 else 0
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


UNDEFINED = Estimate(math.nan, math.nan, math.nan, 0)
# By metric id.
Summary = dict[str, Estimate]


@dataclass(frozen=True)
class Ratio:
    """A score computed from the quotient of two sums over pairs, such as a mean, a rate or a perplexity.

    Attributes:
        numerator, denominator: float64 [pairs].
        transform: maps the quotient to the score.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray

    @classmethod
    def mean(cls, scores: np.ndarray) -> "Ratio":
        """The mean of the scores that are not NaN."""
        counted = ~np.isnan(scores)
        return cls(np.where(counted, scores, 0.0), counted.astype(np.float64))

    @property
    def value(self) -> float:
        """The score over all pairs; NaN if the denominator is zero."""
        return float(self.of(np.ones(len(self.denominator))))

    def first(self, num_pairs: int) -> "Ratio":
        """The score over the first pairs."""
        return Ratio(self.numerator[:num_pairs], self.denominator[:num_pairs], self.transform)

    def of(self, weights: np.ndarray) -> np.ndarray:
        """The score if every pair counts as often as its weight; weights [..., pairs] give scores [...]."""
        # A resample may contain no pair with a denominator, and a perplexity may be infinite.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.transform((weights @ self.numerator) / (weights @ self.denominator))


@lru_cache(maxsize=4)
def resample_weights(num_pairs: int, seed: int) -> np.ndarray:
    """The number of times that each resample draws each pair, float64 [NUM_RESAMPLES, num_pairs].

    The same seed and number of pairs give the same draws, so two systems can be compared on equal resamples.
    """
    rng = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(rng.integers(num_pairs, size=num_pairs), minlength=num_pairs) for _ in range(NUM_RESAMPLES)]
    ).astype(np.float64)


def estimate(ratio: Ratio, seed: int) -> Estimate:
    """A score with its percentile bootstrap interval over pairs."""
    return _estimate(ratio.of, ratio.denominator, seed)


def difference(a: Ratio, b: Ratio, seed: int) -> Estimate:
    """The score of `a` minus the score of `b` on the same pairs, with its paired bootstrap interval.

    Raises:
        ValueError: the two scores have different numbers of pairs.
    """
    if len(a.numerator) != len(b.numerator):
        raise ValueError(f"{len(a.numerator)} and {len(b.numerator)} pairs: compare scores of the same pairs")
    return _estimate(lambda weights: a.of(weights) - b.of(weights), a.denominator, seed)


def quantile_estimate(values: Sequence[float], q: float, seed: int) -> Estimate:
    """A quantile of values, such as their median, with its percentile bootstrap interval.

    Args:
        values: at least one number.
        q: which quantile, from 0 to 1.
        seed: seed of the bootstrap.
    """
    values = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.quantile(np.quantile(values[draws], q, axis=1), [0.025, 0.975])
    return Estimate(float(np.quantile(values, q)), float(low), float(high), len(values))


def _estimate(score: Callable[[np.ndarray], np.ndarray], denominator: np.ndarray, seed: int) -> Estimate:
    num_pairs = len(denominator)
    resampled = score(resample_weights(num_pairs, seed))
    low, high = np.nanquantile(resampled, [0.025, 0.975]) if not np.isnan(resampled).all() else (np.nan, np.nan)
    return Estimate(float(score(np.ones(num_pairs))), float(low), float(high), int((denominator > 0).sum()))


def as_record(summary: Summary) -> dict[str, dict]:
    """Convert a summary to dicts that JSON can hold."""
    return {name: asdict(estimate) for name, estimate in summary.items()}
