"""The weight of an n-gram model beside a neural model, computed for each context."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

# A numpy array or a torch tensor.
Array = TypeVar("Array")
# Larger ones would overflow, and no fit comes near.
MAX_COEFFICIENT = 1e6


@dataclass(frozen=True)
class ContextWeight:
    """A weight for each context: sigmoid(intercept + coefficients * inputs).

    The inputs are

    - the logarithm of the neural model's largest probability;
    - the back-offs of the contexts of one token, two tokens, and so on: the share of the probability that each leaves
      to the shorter context, 1 for a context that was never seen;
    - for the same contexts, the logarithm of 1 plus the number of different tokens that followed.

    Attributes:
        coefficients: the intercept, then one for each input.
    """

    coefficients: tuple[float, ...]

    def __post_init__(self):
        if not self.coefficients or len(self.coefficients) % 2 or not all(map(math.isfinite, self.coefficients)):
            raise ValueError(f"{list(self.coefficients)} are no coefficients of a weight")

    @classmethod
    def fixed(cls, weight: float, order: int) -> "ContextWeight":
        """The same weight in every context, above 0 and below 1, for an n-gram model of this order."""
        return cls((math.log(weight / (1 - weight)), *[0.0] * (2 * order - 1)))

    def log_odds(self, log_largest: Array, context: Array) -> Array:
        """Log-odds of the n-gram model's weight.

        Args:
            log_largest: [...], logarithm of the neural model's largest probability.
            context: [..., 2 (order - 1)], back-offs, then logarithms of 1 plus the numbers of tokens.

        Returns:
            [...], of the same kind as the arguments.
        """
        intercept, of_largest, *others = self.coefficients
        log_odds = intercept + of_largest * log_largest
        for i, coefficient in enumerate(others):
            log_odds = log_odds + coefficient * context[..., i]
        return log_odds

    @classmethod
    def from_list(cls, coefficients: list[float]) -> "ContextWeight":
        """The weight with these coefficients.

        Raises:
            ValueError: they are no coefficients of such a weight.
        """
        are_numbers = isinstance(coefficients, list) and all(type(value) in (int, float) for value in coefficients)
        if not are_numbers or max(map(abs, coefficients), default=0) > MAX_COEFFICIENT:
            raise ValueError("these are no coefficients of a weight")
        return cls(tuple(map(float, coefficients)))


def context_inputs(backoffs: np.ndarray, num_followers: np.ndarray) -> np.ndarray:
    """The argument `context` of `log_odds`, float32 [..., 2 (order - 1)], from two arrays [..., order - 1]."""
    return np.concatenate([backoffs, np.log1p(num_followers)], axis=-1, dtype=np.float32)
