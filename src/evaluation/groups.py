"""Which tweets are hard? Scores of the test pairs by length, by next word, by similarity to the training tweets."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import pandas as pd

from src.evaluation.endpoints import answer_endpoints, typed_word_by_word
from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate, Ratio, as_record, difference, estimate
from src.evaluation.leakage import nearest_similarity
from src.evaluation.metrics import METRICS
from src.evaluation.systems import as_pairs
from src.evaluation.typing import SuggestionRecord, typing_ratios
from src.evaluation.verdicts import ENDPOINTS, PRIMARY


@dataclass(frozen=True)
class Grouping:
    """Groups of pairs by a number, such as the length of the tweet.

    Attributes:
        by: the number.
        metric_id: the metric that the figure shows for each group.
        bounds: where a new group begins, rising; a group holds its lower bound.
        names: the groups, one more than there are bounds.
    """

    by: str
    metric_id: str
    bounds: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{METRICS[self.metric_id].title} by {self.by}"

    def groups(self, values: Sequence[float]) -> np.ndarray:
        """The name of the group of each value, str [values]."""
        return np.array(self.names)[np.digitize(values, self.bounds)]


BY_LENGTH = Grouping(
    "words in the tweet",
    "rouge1",
    (7, 11, 16, 21),
    ("4 to 6", "7 to 10", "11 to 15", "16 to 20", "21 or more"),
)
BY_FREQUENCY = Grouping(
    "frequency of the true next word",
    "next_word",
    (0.0001, 0.001, 0.01),
    ("under 0.01%", "0.01 to 0.1%", "0.1 to 1%", "1% or more"),
)
BY_SIMILARITY = Grouping(
    "similarity to the nearest training tweet",
    "rouge1",
    (0.1, 0.2, 0.3, 0.5),
    ("under 0.1", "0.1 to 0.2", "0.2 to 0.3", "0.3 to 0.5", "0.5 or more"),
)
# No headline is given that holds in one group of these only.
STRATA = (BY_LENGTH, BY_SIMILARITY)
# The group of each text, str [texts], by grouping.
Groups = Mapping[Grouping, np.ndarray]


def group_texts(texts: Sequence[str], training_texts: Sequence[str]) -> Groups:
    """Put each text into groups: by length, by frequency of the next word, by similarity to the training texts.

    Args:
        texts: cleaned texts of at least four words.
        training_texts: cleaned.
    """
    values = {
        BY_LENGTH: [text.count(" ") + 1 for text in texts],
        BY_FREQUENCY: word_shares([pair.target.split(" ")[0] for pair in as_pairs(texts)], training_texts),
        BY_SIMILARITY: nearest_similarity(texts, training_texts),
    }
    return {by: by.groups(numbers) for by, numbers in values.items()}


def scores_by_group(evaluations: Collection[Evaluation], groups: Groups, seed: int) -> dict[str, pd.DataFrame]:
    """Score every system on groups of pairs, each grouping in its own metric.

    Args:
        evaluations: of the same pairs.
        groups: the groups of these pairs, from `group_texts`.
        seed: seed of the bootstrap.

    Returns:
        a table for each grouping, by its title: one row per group that has a pair, one column per system; each cell is
        an `Estimate`.
    """
    return {by.title: group_table(evaluations, by, names, seed) for by, names in groups.items()}


def group_table(evaluations: Collection[Evaluation], by: Grouping, groups: np.ndarray, seed: int) -> pd.DataFrame:
    """The table of one grouping, as in `scores_by_group`; `groups` has one name per pair."""
    rows: dict[str, dict[str, Estimate]] = {}
    for name in by.names:
        chosen = groups == name
        if chosen.any():
            rows[name] = {one.name: estimate(one.of_pairs(chosen).ratios()[by.metric_id], seed) for one in evaluations}
    return pd.DataFrame.from_dict(rows, orient="index")


def strata_record(
    evaluations: Collection[Evaluation],
    suggestions: Mapping[str, SuggestionRecord],
    groups: Groups,
    pairs: Collection[tuple[str, str]],
    seed: int,
) -> dict[str, dict[str, dict]]:
    """Every endpoint in each group of `STRATA`, and the differences of some pairs of systems there.

    The most confident quarter of the answers is that of the group.

    Args:
        evaluations: of the same pairs.
        suggestions: what systems suggested while the first texts of these pairs were typed, by name.
        groups: the groups of the pairs, from `group_texts`.
        pairs: names of two systems.
        seed: seed of the bootstrap.

    Returns:
        dicts that JSON can hold, by what is grouped and by group: `scores`, an estimate by system and metric id, and
        `differences`, a list of `a`, `b`, `metric`, `value` (score of a minus score of b), its 95% interval `low` and
        `high`, and the number `n` of texts that count for a.
    """
    typed = typed_word_by_word(suggestions)
    record: dict[str, dict[str, dict]] = {}
    for by in STRATA:
        record[by.by] = {}
        for name in by.names:
            chosen = groups[by] == name
            if chosen.any():
                ratios = {one.name: answer_endpoints(one.of_pairs(chosen)) for one in evaluations}
                for system, table in typed.items():
                    keys_saved = typing_ratios(table[chosen[: len(table)]])[PRIMARY]
                    ratios[system] = {PRIMARY: keys_saved, **ratios.get(system, {})}
                record[by.by][name] = _stratum(ratios, pairs, seed)
    return record


def _stratum(ratios: Mapping[str, Mapping[str, Ratio]], pairs: Iterable[tuple[str, str]], seed: int) -> dict:
    """The scores and differences of one group; those of no pair are left out."""
    ratios = {
        system: {metric: ratio for metric, ratio in by_metric.items() if ratio.denominator.any()}
        for system, by_metric in ratios.items()
    }
    scores = {
        system: as_record({metric: estimate(ratio, seed) for metric, ratio in by_metric.items()})
        for system, by_metric in ratios.items()
    }
    differences = []
    for (a, b), metric in product(pairs, ENDPOINTS):
        both = [ratios[system][metric] for system in (a, b) if metric in ratios.get(system, {})]
        if len(both) == 2:
            # Slow systems type fewer texts.
            size = min(len(ratio.denominator) for ratio in both)
            found = difference(*(ratio.first(size) for ratio in both), seed)
            differences.append({"a": a, "b": b, "metric": metric, **asdict(found)})
    return {"scores": scores, "differences": differences}


def word_shares(words: Sequence[str], training_texts: Sequence[str]) -> np.ndarray:
    """The share of each word in all words of the training texts, float64 [words], from 0 to 1."""
    counts = Counter(word for text in training_texts for word in text.split(" "))
    return np.array([counts[word] for word in words]) / max(1, counts.total())
