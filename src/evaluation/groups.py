"""Which tweets are hard? Scores of the test pairs in groups: by length, by next word, by what training had to offer."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate, estimate
from src.evaluation.leakage import nearest_similarity
from src.evaluation.systems import as_pairs


@dataclass(frozen=True)
class Grouping:
    """Groups of pairs by a number, such as the length of the tweet.

    Attributes:
        title: what is scored, by what.
        metric_id: the metric that is scored in each group.
        bounds: where a new group begins, rising; a group holds its lower bound.
        names: the groups, one more than there are bounds.
    """

    title: str
    metric_id: str
    bounds: tuple[float, ...]
    names: tuple[str, ...]

    def groups(self, values: Sequence[float]) -> np.ndarray:
        """The name of the group of each value, str [values]."""
        return np.array(self.names)[np.digitize(values, self.bounds)]


BY_LENGTH = Grouping(
    "ROUGE-1 by words in the tweet",
    "rouge1",
    (7, 11, 16, 21),
    ("4 to 6", "7 to 10", "11 to 15", "16 to 20", "21 or more"),
)
BY_FREQUENCY = Grouping(
    "next-word accuracy by frequency of the true next word",
    "next_word",
    (0.0001, 0.001, 0.01),
    ("under 0.01%", "0.01 to 0.1%", "0.1 to 1%", "1% or more"),
)
BY_SIMILARITY = Grouping(
    "ROUGE-1 by similarity to the nearest training tweet",
    "rouge1",
    (0.1, 0.2, 0.3, 0.5),
    ("under 0.1", "0.1 to 0.2", "0.2 to 0.3", "0.3 to 0.5", "0.5 or more"),
)


def scores_by_group(
    evaluations: Collection[Evaluation], texts: Sequence[str], training_texts: Sequence[str], seed: int
) -> dict[str, pd.DataFrame]:
    """Score every system on groups of pairs: by length, by frequency of the next word, by similarity to training.

    Args:
        evaluations: of the same pairs, those of `texts`.
        texts: cleaned texts of at least four words.
        training_texts: cleaned.
        seed: seed of the bootstrap.

    Returns:
        a table for each grouping, by its title: one row per group that has a pair, one column per system; each cell is
        an `Estimate`.
    """
    values = {
        BY_LENGTH: [text.count(" ") + 1 for text in texts],
        BY_FREQUENCY: word_shares([pair.target.split(" ")[0] for pair in as_pairs(texts)], training_texts),
        BY_SIMILARITY: nearest_similarity(texts, training_texts),
    }
    return {by.title: group_table(evaluations, by, numbers, seed) for by, numbers in values.items()}


def group_table(evaluations: Collection[Evaluation], by: Grouping, values: Sequence[float], seed: int) -> pd.DataFrame:
    """The table of one grouping, as in `scores_by_group`; `values` has one number per pair."""
    groups = by.groups(values)
    rows: dict[str, dict[str, Estimate]] = {}
    for name in by.names:
        chosen = groups == name
        if chosen.any():
            rows[name] = {one.name: estimate(one.of_pairs(chosen).ratios()[by.metric_id], seed) for one in evaluations}
    return pd.DataFrame.from_dict(rows, orient="index")


def word_shares(words: Sequence[str], training_texts: Sequence[str]) -> np.ndarray:
    """The share of each word in all words of the training texts, float64 [words], from 0 to 1."""
    counts = Counter(word for text in training_texts for word in text.split(" "))
    return np.array([counts[word] for word in words]) / max(1, counts.total())
