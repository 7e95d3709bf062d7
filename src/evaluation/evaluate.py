"""Evaluate every system in the same way, each score with its confidence interval.

All systems answer the same (context, target) pairs, split by `split_x_target_by_words`. An
answer has between one and `MAX_NEW_TOKENS` tokens; the system does not know the target's length.
Every pair counts, and an empty answer scores 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.evaluation.intervals import Estimate, Ratio, Summary, difference, estimate
from src.evaluation.metrics import (
    QUARTER,
    answer_scores,
    bits_per_character,
    distinct_ratio,
    next_word_scores,
    perplexity_per_word,
    score_ratios,
)
from src.evaluation.systems import System, as_pairs


def evaluation_texts(
    texts: Sequence[str], max_texts: int, seed: int, min_words: int = 4, num_skipped: int = 0
) -> list[str]:
    """Draw a random sample of the texts with at least `min_words` words, in random order.

    Args:
        max_texts: number of texts; all that are long enough if there are fewer.
        num_skipped: the first texts of the random order, which are left out because they were scored before. If there
            are not enough texts for these and for `max_texts` others, none is left out.

    Raises:
        ValueError: no text is long enough.
    """
    long_enough = [text for text in texts if text.count(" ") + 1 >= min_words]
    if not long_enough:
        raise ValueError(f"none of {len(texts)} texts has {min_words} words: give longer texts, or fewer min_words")
    order = np.random.default_rng(seed).permutation(len(long_enough))
    start = num_skipped if num_skipped + max_texts <= len(order) else 0
    return [long_enough[i] for i in order[start : start + max_texts]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The answers of one system and their scores, pair by pair.

    Attributes:
        name: the system's name.
        answers: one answer per pair.
        confidence: mean log-probability per token of each answer, float64 [pairs], nats.
        scores: the columns of `answer_scores` and `next_word_scores`, [pairs] rows.
        likelihood: the table of `target_likelihood`; None for a system without probabilities.
    """

    name: str
    answers: list[str]
    confidence: np.ndarray
    scores: pd.DataFrame
    likelihood: pd.DataFrame | None = None

    def most_confident_first(self) -> np.ndarray:
        """Indices of the answers in order of falling confidence, int64 [pairs]."""
        return np.argsort(-self.confidence, kind="stable")

    def of_pairs(self, chosen: np.ndarray) -> "Evaluation":
        """The evaluation on some of the pairs; `chosen` is bool [pairs]."""
        return Evaluation(
            self.name,
            [answer for answer, is_chosen in zip(self.answers, chosen) if is_chosen],
            self.confidence[chosen],
            self.scores[chosen],
            None if self.likelihood is None else self.likelihood[chosen],
        )

    def exact_match_at(self, coverage: float) -> Ratio:
        """Exact match when only the most confident answers are shown.

        Systems have different scales of confidence, so they are compared at equal coverage
        (Chen et al., 2019, "Gmail Smart Compose").

        Args:
            coverage: share of the pairs whose answer is shown, in (0, 1].
        """
        num_shown = max(1, round(coverage * len(self.answers)))
        shown = np.zeros(len(self.answers))
        shown[self.most_confident_first()[:num_shown]] = 1.0
        return Ratio(self.scores["exact_match"].to_numpy() * shown, shown)

    def ratios(self) -> dict[str, Ratio]:
        """Every metric as a ratio of sums over pairs, by metric id."""
        ratios = score_ratios(self.scores)
        ratios |= {f"distinct_{n}": distinct_ratio(self.answers, n) for n in (1, 2)}
        ratios[QUARTER] = self.exact_match_at(0.25)
        if self.likelihood is not None:
            ratios["bits_per_character"] = bits_per_character(self.likelihood)
            ratios["perplexity_per_word"] = perplexity_per_word(self.likelihood)
        return ratios

    def summary(self, seed: int) -> Summary:
        """Every metric with its interval, by metric id. Metrics that no pair is long enough for are left out."""
        return {name: estimate(ratio, seed) for name, ratio in self.ratios().items() if ratio.denominator.any()}


def evaluate(system: System, texts: Sequence[str]) -> Evaluation:
    """Let a system complete the contexts of texts, and score its answers.

    Args:
        texts: cleaned texts of at least two words, such as those of `evaluation_texts`.

    Raises:
        ValueError: there are no texts.
    """
    if len(texts) == 0:
        raise ValueError(f"no texts to evaluate {system.name} on: give at least one")
    pairs = as_pairs(texts)
    contexts, targets = [pair.context for pair in pairs], [pair.target for pair in pairs]
    completions = system.complete(contexts)
    answers = [completion.text for completion in completions]
    scores = answer_scores(answers, targets).join(next_word_scores(system.next_words(contexts), targets))
    confidence = np.array([completion.confidence for completion in completions])
    return Evaluation(system.name, answers, confidence, scores, system.likelihood(texts))


def paired_difference(a: Evaluation, b: Evaluation, metric: str, seed: int) -> Estimate:
    """The score of `a` minus the score of `b` in a metric, with its paired bootstrap interval."""
    return difference(a.ratios()[metric], b.ratios()[metric], seed)
