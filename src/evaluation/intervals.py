"""95% bootstrap intervals, of single scores and of paired differences."""

from collections.abc import Callable
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

    def __str__(self) -> str:
        digits = 3 if abs(self.high) < 10 else 0
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


Summary = dict[str, Estimate]


@dataclass(frozen=True)
class Ratio:
    """A score that is a sum over pairs divided by another one: a mean, a rate, a perplexity.

    Attributes:
        numerator, denominator: float64 [pairs].
        transform: from the quotient to the score.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    transform: Callable[[np.ndarray], np.ndarray] = np.asarray

    @classmethod
    def mean(cls, scores: np.ndarray) -> "Ratio":
        """The mean of the scores that are not NaN."""
        counted = ~np.isnan(scores)
        return cls(np.where(counted, scores, 0.0), counted.astype(np.float64))

    def of(self, weights: np.ndarray) -> np.ndarray:
        """The score where every pair counts as often as its weight, [..., pairs] to [...]."""
        # A resample may hold none of the pairs that count.
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.transform((weights @ self.numerator) / (weights @ self.denominator))


@lru_cache(maxsize=4)
def resample_weights(num_pairs: int, seed: int) -> np.ndarray:
    """How often each pair is drawn in every resample, float64 [NUM_RESAMPLES, num_pairs].

    The same seed and number draw the same pairs, so intervals of differences are paired.
    """
    rng = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(rng.integers(num_pairs, size=num_pairs), minlength=num_pairs) for _ in range(NUM_RESAMPLES)]
    ).astype(np.float64)


def estimate(ratio: Ratio, seed: int) -> Estimate:
    """A score with its percentile bootstrap interval over pairs (Efron, 1979)."""
    return _estimate(ratio.of, ratio.denominator, seed)


def difference(a: Ratio, b: Ratio, seed: int) -> Estimate:
    """The score of `a` less that of `b` on the same pairs, with its paired bootstrap interval.

    Raises:
        ValueError: the two are not over the same number of pairs.
    """
    if len(a.numerator) != len(b.numerator):
        raise ValueError(f"{len(a.numerator)} and {len(b.numerator)} pairs: a difference is paired on the same pairs")
    return _estimate(lambda weights: a.of(weights) - b.of(weights), a.denominator, seed)


def _estimate(score: Callable[[np.ndarray], np.ndarray], denominator: np.ndarray, seed: int) -> Estimate:
    num_pairs = len(denominator)
    resampled = score(resample_weights(num_pairs, seed))
    low, high = np.nanquantile(resampled, [0.025, 0.975]) if not np.isnan(resampled).all() else (np.nan, np.nan)
    return Estimate(float(score(np.ones(num_pairs))), float(low), float(high), int((denominator > 0).sum()))


def as_record(summary: Summary) -> dict[str, dict]:
    """A summary as JSON-able dicts."""
    return {name: asdict(estimate) for name, estimate in summary.items()}
