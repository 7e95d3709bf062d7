"""Every score of the project, each with its 95% confidence interval and its sample size.

All systems answer the same (context, target) pairs, cut where `split_x_target_by_words`
cuts; every pair counts, an empty answer scores 0.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.data_utils import split_x_target_by_words
from src.loss import dataset_nll
from src.next_token_dataset import NextTokenDataset

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Pair:
    context: str
    target: str


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


def as_pairs(texts: Sequence[str]) -> list[Pair]:
    return [Pair(*split_x_target_by_words(text)) for text in texts]


def completion_scores(answers: Sequence[str], pairs: Sequence[Pair]) -> pd.DataFrame:
    """Scores of every answer: ROUGE F1 (Lin, 2004; no stemmer), exact match, next word right.

    Returns:
        [pairs] rows with columns rouge1, rouge2, rougeL, exact_match, next_word, in [0, 1].
    """
    if len(answers) != len(pairs):
        raise ValueError(f"{len(answers)} answers for {len(pairs)} pairs: every pair needs one answer")
    scorer = RougeScorer(ROUGE_TYPES)
    rows = []
    for answer, pair in zip(answers, pairs):
        rouge = scorer.score(pair.target, answer)
        rows.append(
            {
                **{name: rouge[name].fmeasure for name in ROUGE_TYPES},
                "exact_match": float(answer == pair.target),
                "next_word": float(answer.split(" ")[0] == pair.target.split(" ")[0]),
            }
        )
    return pd.DataFrame(rows)


def target_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 64,
) -> pd.DataFrame:
    """Likelihood of every text's target and its end, comparable between tokenizers.

    Returns:
        [texts] rows with columns `nll` (nats, target and end), `words` (of the target; the
        end counts as one) and `characters` (likewise), the units that the nats are spread over.
    """
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words")
    nll, _ = dataset_nll(model, dataset, batch_size, tokenizer.pad_token_id)
    targets = pd.Series([pair.target for pair in as_pairs(texts)], dtype=object)
    return pd.DataFrame({"nll": nll, "words": targets.str.count(" ") + 2, "characters": targets.str.len() + 1})


def bootstrap(statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int) -> Estimate:
    """Percentile bootstrap over pairs (Efron, 1979).

    Args:
        statistic: from the row numbers of a resample, int64 [n], to a value.
        seed: the same seed and n draw the same pairs, so intervals of differences are paired.
    """
    rng = np.random.default_rng(seed)
    values = np.array([statistic(rng.integers(n, size=n)) for _ in range(NUM_RESAMPLES)])
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(statistic(np.arange(n))), float(low), float(high), n)


def bootstrap_mean(scores: pd.Series, seed: int) -> Estimate:
    values = scores.to_numpy()
    return bootstrap(lambda rows: values[rows].mean(), len(values), seed)


@dataclass(frozen=True)
class Evaluation:
    """What one system answered to the pairs and how it scored, pair by pair.

    Attributes:
        name: of the system.
        answers: one for each pair.
        scores: of `completion_scores`.
        likelihood: of `target_likelihood`; None for a system without probabilities.
    """

    name: str
    answers: list[str]
    scores: pd.DataFrame
    likelihood: pd.DataFrame | None = None

    def summary(self, seed: int) -> dict[str, Estimate]:
        """Every metric with its interval."""
        n = len(self.scores)
        means = {name: bootstrap_mean(column, seed) for name, column in self.scores.items()}
        if self.likelihood is None:
            return means
        nll, words, characters = (self.likelihood[name].to_numpy() for name in ("nll", "words", "characters"))
        return {
            **means,
            "perplexity_per_word": bootstrap(lambda rows: np.exp(nll[rows].sum() / words[rows].sum()), n, seed),
            "bits_per_character": bootstrap(lambda rows: nll[rows].sum() / np.log(2) / characters[rows].sum(), n, seed),
        }


def evaluate(
    name: str,
    answer: Callable[[list[str]], list[str]],
    texts: Sequence[str],
    model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Evaluation:
    """Let a system answer the contexts of texts and score it.

    Args:
        answer: from contexts to one answer each.
        texts: of `evaluation_texts`.
        model, tokenizer: to score the likelihood of the targets too.
    """
    pairs = as_pairs(texts)
    answers = answer([pair.context for pair in pairs])
    likelihood = None if model is None else target_likelihood(model, tokenizer, texts)
    return Evaluation(name, answers, completion_scores(answers, pairs), likelihood)


def paired_difference(a: Evaluation, b: Evaluation, metric: str, seed: int) -> Estimate:
    """Mean difference a - b of a metric on the same pairs, with its paired bootstrap interval."""
    return bootstrap_mean(a.scores[metric] - b.scores[metric], seed)


def suggestion_seconds(
    answers: dict[str, Callable[[list[str]], list[str]]], prefixes: Sequence[str]
) -> dict[str, float]:
    """Median seconds of one suggestion for one prefix, the systems taking turns on every prefix.

    The first prefix warms up and is not counted.

    Raises:
        ValueError: there are fewer than two prefixes.
    """
    if len(prefixes) < 2:
        raise ValueError(f"{len(prefixes)} prefix to time on: give at least two, the first one only warms up")
    seconds: dict[str, list[float]] = {name: [] for name in answers}
    for prefix in tqdm(prefixes, "timing", leave=False, mininterval=1):
        for name, answer in answers.items():
            started = time.perf_counter()
            answer([prefix])
            seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def summary_table(evaluations: Sequence[Evaluation], seed: int) -> pd.DataFrame:
    """One row per system, one column per metric, each with its interval."""
    summaries = {evaluation.name: evaluation.summary(seed) for evaluation in evaluations}
    return pd.DataFrame.from_dict(summaries, orient="index").map(lambda value: "" if value is np.nan else str(value))


def as_record(summary: dict[str, Estimate]) -> dict[str, dict]:
    """A summary as JSON-able dicts."""
    return {name: asdict(estimate) for name, estimate in summary.items()}
