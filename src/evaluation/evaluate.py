"""The one evaluation of every system: the same pairs, the same rules, every score with its interval.

All systems answer the same (context, target) pairs, cut where `split_x_target_by_words`
cuts, with at least one and at most `MAX_NEW_TOKENS` tokens, never knowing how long the
target is; every pair counts, an empty answer scores 0.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.evaluation.intervals import Estimate, Ratio, difference, estimate
from src.evaluation.metrics import FIRST_WORDS, ROUGE_TYPES, answer_scores, distinct_ngrams, next_word_scores
from src.evaluation.systems import System, as_pairs


def evaluation_texts(texts: Sequence[str], max_texts: int, seed: int, min_words: int = 4) -> list[str]:
    """A random sample of the texts that have at least `min_words` words, in random order.

    Raises:
        ValueError: no text is long enough.
    """
    long_enough = [text for text in texts if text.count(" ") + 1 >= min_words]
    if not long_enough:
        raise ValueError(f"none of {len(texts)} texts has {min_words} words: there is nothing to evaluate on")
    order = np.random.default_rng(seed).permutation(len(long_enough))[:max_texts]
    return [long_enough[i] for i in order]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one system answered to the pairs and how it scored, pair by pair.

    Attributes:
        name: of the system.
        answers: one for each pair.
        confidence: of every answer, float64 [pairs], nats per token.
        scores: of `answer_scores` and `next_word_scores`.
        likelihood: of `target_likelihood`; None for a system without probabilities.
    """

    name: str
    answers: list[str]
    confidence: np.ndarray
    scores: pd.DataFrame
    likelihood: pd.DataFrame | None = None

    def ratios(self) -> dict[str, Ratio]:
        """Every metric as a sum over pairs by another one."""
        scores = {name: column.to_numpy(dtype=np.float64) for name, column in self.scores.items()}
        means = [*ROUGE_TYPES, "exact_match", *(f"exact_match_{n}" for n in FIRST_WORDS), "next_word", "next_word_top3"]
        ratios = {name: Ratio.mean(scores[name]) for name in means}
        ratios["keystroke_savings"] = Ratio(scores["saved_keystrokes"], scores["characters"])
        ratios["length_ratio"] = Ratio(scores["answer_words"], scores["target_words"])
        for n in (1, 2):
            blocks = distinct_ngrams(self.answers, n).to_numpy(dtype=np.float64)
            ratios[f"distinct_{n}"] = Ratio(blocks[:, 0], blocks[:, 1])
        if self.likelihood is not None:
            nll, words, characters = (self.likelihood[name].to_numpy() for name in ("nll", "words", "characters"))
            ratios["bits_per_character"] = Ratio(nll / np.log(2), characters)
            ratios["perplexity_per_word"] = Ratio(nll, words, np.exp)
        return ratios

    def summary(self, seed: int) -> dict[str, Estimate]:
        """Every metric with its interval; without those that no pair is long enough for."""
        return {name: estimate(ratio, seed) for name, ratio in self.ratios().items() if ratio.denominator.any()}


def evaluate(system: System, texts: Sequence[str]) -> Evaluation:
    """Let a system answer the contexts of texts, of `evaluation_texts`, and score it."""
    pairs = as_pairs(texts)
    contexts, targets = [pair.context for pair in pairs], [pair.target for pair in pairs]
    completions = system.complete(contexts)
    answers = [completion.text for completion in completions]
    scores = answer_scores(answers, targets).join(next_word_scores(system.next_words(contexts), targets))
    confidence = np.array([completion.confidence for completion in completions])
    return Evaluation(system.name, answers, confidence, scores, system.likelihood(texts))


def paired_difference(a: Evaluation, b: Evaluation, metric: str, seed: int) -> Estimate:
    """The score of `a` less that of `b` in a metric, with its paired bootstrap interval."""
    return difference(a.ratios()[metric], b.ratios()[metric], seed)


def exact_match_at_coverage(evaluation: Evaluation, coverage: float, seed: int) -> Estimate:
    """Exact match of the answers that are shown when only the most confident ones are.

    Comparing systems at equal coverage is fair where each has its own scale of confidence
    (Chen et al., 2019, "Gmail Smart Compose").

    Args:
        coverage: share of the pairs for which the answer is shown, in (0, 1].
    """
    num_shown = max(1, round(coverage * len(evaluation.answers)))
    shown = np.zeros(len(evaluation.answers))
    shown[np.argsort(-evaluation.confidence, kind="stable")[:num_shown]] = 1.0
    return estimate(Ratio(evaluation.scores["exact_match"].to_numpy() * shown, shown), seed)


def suggestion_seconds(systems: Sequence[System], prefixes: Sequence[str]) -> dict[str, float]:
    """Median seconds of one suggestion for one prefix, the systems taking turns on every prefix.

    The first prefix warms up and is not counted.

    Raises:
        ValueError: there are fewer than two prefixes.
    """
    if len(prefixes) < 2:
        raise ValueError(f"{len(prefixes)} prefix to time on: give at least two, the first one only warms up")
    seconds: dict[str, list[float]] = {system.name: [] for system in systems}
    for prefix in tqdm(prefixes, "timing", leave=False, mininterval=1):
        for system in systems:
            started = time.perf_counter()
            system.complete([prefix])
            seconds[system.name].append(time.perf_counter() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}
