"""How much an n-gram model counts beside a neural model, given what each knows of a context."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

# A numpy array or a torch tensor.
Array = TypeVar("Array")


@dataclass(frozen=True)
class ContextWeight:
    """A weight for each context: a logistic function of what the two models say of it.

    The inputs are the logarithm of the neural model's largest probability; then, for the context of the last token,
    of the last two tokens, and so on, its back-off (the share of the probability that it leaves to the shorter
    context, 1 for a context that was never seen); then, for the same contexts, the logarithm of 1 plus the number of
    different tokens after it.

    Attributes:
        coefficients: the intercept, then one for each input.
    """

    coefficients: tuple[float, ...]

    def __post_init__(self):
        if len(self.coefficients) % 2 or not all(map(math.isfinite, self.coefficients)):
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
    def from_list(cls, coefficients: list[float], order: int) -> "ContextWeight":
        """The weight with these coefficients, for an n-gram model of this order.

        Raises:
            ValueError: they are no coefficients of such a weight.
        """
        are_numbers = isinstance(coefficients, list) and all(type(value) in (int, float) for value in coefficients)
        if not are_numbers or len(coefficients) != 2 * order:
            raise ValueError("these are no coefficients of a weight")
        return cls(tuple(map(float, coefficients)))


def context_inputs(backoffs: np.ndarray, num_followers: np.ndarray) -> np.ndarray:
    """The argument `context` of `log_odds`, float32 [..., 2 (order - 1)], from two arrays [..., order - 1]."""
    return np.concatenate([backoffs, np.log1p(num_followers)], axis=-1, dtype=np.float32)
