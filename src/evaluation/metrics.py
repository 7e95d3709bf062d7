"""The registry of metrics, and how each is computed from answers and their targets.

An answer and its target are cleaned texts: lower-case words between single spaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer

from src.evaluation.intervals import Ratio

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
FIRST_WORDS = (2, 3, 4, 5)
QUARTER = "exact_match_at_0.25"
ANSWERS_PER_BLOCK = 100
SCORES = (*ROUGE_TYPES, "exact_match", *(f"exact_match_{n}" for n in FIRST_WORDS))
COUNTS = ("saved_keystrokes", "characters", "answer_words", "target_words")


@dataclass(frozen=True)
class Metric:
    """How tables, figures and sentences present a metric.

    Attributes:
        id: its name in records and summaries.
        title: its name for readers.
        lower_is_better: lower values are better; otherwise higher ones are.
        is_main: conclusions are drawn from it.
    """

    id: str
    title: str
    lower_is_better: bool = False
    is_main: bool = False


METRICS = {
    metric.id: metric
    for metric in (
        Metric("rouge1", "ROUGE-1", is_main=True),
        Metric("rouge2", "ROUGE-2", is_main=True),
        Metric("rougeL", "ROUGE-L"),
        Metric("exact_match", "exact match"),
        Metric(QUARTER, "exact match of the most confident quarter of answers"),
        *(Metric(f"exact_match_{n}", f"exact match of the first {n} words") for n in FIRST_WORDS),
        Metric("next_word", "next-word accuracy", is_main=True),
        Metric("next_word_top3", "next word among the top 3"),
        Metric("keystroke_savings", "keystrokes saved (upper bound)"),
        Metric("length_ratio", "length ratio"),
        Metric("distinct_1", "distinct words"),
        Metric("distinct_2", "distinct word pairs"),
        Metric("perplexity_per_word", "perplexity per word", lower_is_better=True, is_main=True),
        Metric("bits_per_character", "bits per character", lower_is_better=True),
    )
}


def rouge(answer: str, target: str, scorer: RougeScorer) -> dict[str, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 (Lin, 2004), without a stemmer."""
    return {name: score.fmeasure for name, score in scorer.score(target, answer).items()}


def first_words_match(answer: str, target: str, num_words: int) -> float:
    """ExactMatch@N (Chen et al., 2019): 1.0 if both begin with the same N words; NaN if the target has fewer."""
    target_words = target.split(" ")
    if len(target_words) < num_words:
        return np.nan
    return float(answer.split(" ")[:num_words] == target_words[:num_words])


def saved_keystrokes(answer: str, target: str) -> int:
    """Number of keystrokes saved by accepting the answer's correct first words.

    Accepting them takes one keystroke, typing them one per character. This is an upper bound on
    what people save: reading and rejecting a suggestion costs nothing here.
    """
    shared = []
    for answer_word, target_word in zip(answer.split(" "), target.split(" ")):
        if answer_word != target_word:
            break
        shared.append(answer_word)
    return max(len(" ".join(shared)) - 1, 0)


def answer_scores(answers: Sequence[str], targets: Sequence[str]) -> pd.DataFrame:
    """The scores of each answer.

    Returns:
        [answers] rows. Columns in [0, 1], float64: `rouge1`, `rouge2`, `rougeL`, `exact_match`, and
        `exact_match_2` to `exact_match_5` (first words; NaN if the target has fewer). Counts, int64:
        `saved_keystrokes`, `characters` (length of the target), `answer_words`, `target_words`.

    Raises:
        ValueError: the numbers of answers and targets differ.
    """
    if len(answers) != len(targets):
        raise ValueError(f"{len(answers)} answers for {len(targets)} targets: every pair needs one answer")
    scorer = RougeScorer(ROUGE_TYPES)
    rows = [
        {
            **rouge(answer, target, scorer),
            "exact_match": float(answer == target),
            **{f"exact_match_{n}": first_words_match(answer, target, n) for n in FIRST_WORDS},
            "saved_keystrokes": saved_keystrokes(answer, target),
            "characters": len(target),
            "answer_words": len(answer.split()),
            "target_words": len(target.split()),
        }
        for answer, target in zip(answers, targets)
    ]
    table = pd.DataFrame(rows, columns=[*SCORES, *COUNTS])
    return table.astype({**dict.fromkeys(SCORES, np.float64), **dict.fromkeys(COUNTS, np.int64)})


def next_word_scores(next_words: Sequence[Sequence[str]], targets: Sequence[str]) -> pd.DataFrame:
    """Whether the target's first word is the most probable next word, and whether it is among the top three.

    Args:
        next_words: candidates for the next word of every pair, most probable first.

    Returns:
        [targets] rows with columns `next_word` and `next_word_top3`, float64, 0.0 or 1.0.

    Raises:
        ValueError: the numbers of candidate lists and targets differ.
    """
    if len(next_words) != len(targets):
        raise ValueError(f"next words of {len(next_words)} pairs for {len(targets)} targets: every pair needs its own")
    first_words = [target.split(" ")[0] for target in targets]
    return pd.DataFrame(
        {
            "next_word": [float(word in words[:1]) for word, words in zip(first_words, next_words)],
            "next_word_top3": [float(word in words[:3]) for word, words in zip(first_words, next_words)],
        },
        dtype=np.float64,
    )


def distinct_ngrams(answers: Sequence[str], n: int) -> pd.DataFrame:
    """Count distinct n-grams and all n-grams in every block of 100 consecutive answers (Li et al., 2016).

    Their ratio (distinct-n) falls as the number of answers grows, so all blocks have the same size.

    Returns:
        [blocks] rows with columns `distinct` and `ngrams`. An incomplete last block is left out
        unless it is the only one.
    """
    starts = range(0, max(len(answers) - ANSWERS_PER_BLOCK, 0) + 1, ANSWERS_PER_BLOCK)
    rows = []
    for start in starts:
        ngrams = [
            tuple(words[i : i + n])
            for words in map(str.split, answers[start : start + ANSWERS_PER_BLOCK])
            for i in range(len(words) - n + 1)
        ]
        rows.append({"distinct": len(set(ngrams)), "ngrams": len(ngrams)})
    return pd.DataFrame(rows)


def score_ratios(scores: pd.DataFrame) -> dict[str, Ratio]:
    """The metrics that are computed from `answer_scores` and, if its columns are there, `next_word_scores`, by id."""
    columns = {name: column.to_numpy(dtype=np.float64) for name, column in scores.items()}
    return {
        **{metric: Ratio.mean(columns[metric]) for metric in METRICS if metric in columns},
        "keystroke_savings": Ratio(columns["saved_keystrokes"], columns["characters"]),
        "length_ratio": Ratio(columns["answer_words"], columns["target_words"]),
    }


def distinct_ratio(answers: Sequence[str], n: int) -> Ratio:
    """Distinct-n over blocks of answers."""
    counts = distinct_ngrams(answers, n).astype(np.float64)
    return Ratio(counts["distinct"].to_numpy(), counts["ngrams"].to_numpy())


def perplexity_per_word(likelihood: pd.DataFrame) -> Ratio:
    """Perplexity per word of the targets.

    Args:
        likelihood: the table of `src.evaluation.systems.target_likelihood`.
    """
    return Ratio(likelihood["nll"].to_numpy(), likelihood["words"].to_numpy(), np.exp)


def bits_per_character(likelihood: pd.DataFrame) -> Ratio:
    """Bits per character of the targets, which compare models whose tokenizers differ.

    Args:
        likelihood: the table of `src.evaluation.systems.target_likelihood`.
    """
    return Ratio(likelihood["nll"].to_numpy() / np.log(2), likelihood["characters"].to_numpy())
