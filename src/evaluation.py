"""The one evaluation of every system: the same pairs, the same rules, every score with its interval.

All systems answer the same (context, target) pairs, cut where `split_x_target_by_words`
cuts, with at least one and at most `MAX_NEW_TOKENS` tokens, never knowing how long the
target is; every pair counts, an empty answer scores 0.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion import Completion, best_answers, complete
from src.data_utils import split_x_target_by_words
from src.decoding import GREEDY, Decoding
from src.intervals import Estimate, Ratio, difference, estimate
from src.loss import dataset_nll
from src.metrics import FIRST_WORDS, ROUGE_TYPES, answer_scores, distinct_ngrams, next_word_scores
from src.next_token_dataset import NextTokenDataset

# Enough to finish the longest word that a next word is compared with.
NEXT_WORD_TOKENS = 8
NUM_NEXT_WORDS = 3
# To choose from, on validation texts, for every model alike.
DECODINGS = (
    GREEDY,
    Decoding("beam", num_beams=4),
    Decoding("nucleus", num_samples=1, temperature=1.0, top_p=0.9),
    Decoding("mbr", num_samples=16, temperature=0.6),
    Decoding("mbr", num_samples=32, temperature=0.6),
    Decoding("mbr", num_samples=16, temperature=0.8),
    Decoding("mbr", num_samples=16, temperature=0.6, utility="rouge1+rouge2"),
)


@dataclass(frozen=True)
class Pair:
    context: str
    target: str


class System(Protocol):
    """What can be evaluated: a language model with its decoding, or an answer that needs no model.

    `complete` gives the one best completion of each prefix, `next_words` the most probable next
    words of each, best first, and `likelihood` the table of `target_likelihood`, if there is one.
    """

    name: str

    def complete(self, prefixes: Sequence[str]) -> list[Completion]: ...

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]: ...

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame | None: ...


@dataclass(frozen=True, eq=False)
class ModelSystem:
    """A language model that answers with one decoding.

    Its next words are its most probable ones, whatever the decoding of the answers.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    decoding: Decoding = GREEDY

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [suggestions[0] for suggestions in complete(self.model, self.tokenizer, prefixes, 1, self.decoding)]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        suggestions = complete(self.model, self.tokenizer, prefixes, NUM_NEXT_WORDS, max_new_tokens=NEXT_WORD_TOKENS)
        return [[suggestion.text.split(" ")[0] for suggestion in row] for row in suggestions]

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        return target_likelihood(self.model, self.tokenizer, texts)


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
    return likelihood_table(texts, nll)


def likelihood_table(texts: Sequence[str], nll: np.ndarray) -> pd.DataFrame:
    """The table of `target_likelihood` from the nats of every text's target and its end, float64 [texts]."""
    targets = pd.Series([pair.target for pair in as_pairs(texts)], dtype=object)
    return pd.DataFrame({"nll": nll, "words": targets.str.count(" ") + 2, "characters": targets.str.len() + 1})


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


def decoding_evaluations(
    system: ModelSystem, decodings: Sequence[Decoding], texts: Sequence[str], seed: int
) -> pd.DataFrame:
    """What each decoding makes of a model, in quality and in time, to choose from on validation texts.

    Returns:
        one row per decoding, in the order given: column `decoding`, the scores of its answers as
        `Estimate`s, and `seconds` for one prefix in a batch.
    """
    pairs = as_pairs(texts)
    rows = []
    for decoding in tqdm(decodings, "decoding", leave=False):
        started = time.perf_counter()
        answers = best_answers(system.model, system.tokenizer, [pair.context for pair in pairs], decoding)
        seconds = time.perf_counter() - started
        scores = answer_scores(answers, [pair.target for pair in pairs])
        estimates = {
            name: estimate(Ratio.mean(scores[name].to_numpy()), seed) for name in ("rouge1", "rouge2", "exact_match")
        }
        rows.append({"decoding": decoding, **estimates, "seconds": seconds / len(pairs)})
    return pd.DataFrame(rows)


def choose_decoding(table: pd.DataFrame, max_seconds: float) -> Decoding:
    """Of `decoding_evaluations`, the best within a time for one prefix, or the fastest if none is.

    The best has the highest mean of ROUGE-1 and ROUGE-2: right words, and right words in order.
    """
    affordable = table[table["seconds"] <= max_seconds]
    if affordable.empty:
        return table.loc[table["seconds"].idxmin(), "decoding"]
    rouge = affordable[["rouge1", "rouge2"]].map(lambda score: score.value).mean(axis=1)
    return affordable.loc[rouge.idxmax(), "decoding"]


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
