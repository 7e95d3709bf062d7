"""Every metric of one complete answer, worked by hand and computed by the functions that score all answers."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from src.evaluation.metrics import METRICS, answer_scores, bits_per_character, next_word_scores, perplexity_per_word
from src.evaluation.systems import as_pairs, likelihood_table


def worked_answer_table(text: str, answer: str, probabilities: Sequence[float]) -> pd.DataFrame:
    """Show how one answer is scored.

    Args:
        text: a cleaned text; its last quarter is the true ending.
        answer: a cleaned answer of one or more words.
        probabilities: what a model gives to each word of the true ending and to the end of the text, in (0, 1].

    Returns:
        one row per metric: `how it is computed here`, and its `value` as text.

    Raises:
        ValueError: the text has no ending, the answer has no word, or there are too few or too many probabilities, or
            one is not in (0, 1].
    """
    [pair] = as_pairs([text])
    words, true_words = answer.split(), pair.target.split()
    if not words or not true_words:
        raise ValueError(f"the answer is {answer!r}, the true ending {pair.target!r}: each needs one word or more")
    if len(probabilities) != len(true_words) + 1:
        raise ValueError(
            f"{len(probabilities)} probabilities: give one for each of {len(true_words)} words and the end"
        )
    if not all(0 < probability <= 1 for probability in probabilities):
        raise ValueError(f"the probabilities are {list(probabilities)}: each must be above 0 and at most 1")
    scores = answer_scores([answer], [pair.target]).iloc[0]
    next_word = next_word_scores([words[:1]], [pair.target])["next_word"].iloc[0]
    likelihood = likelihood_table([text], -np.log([np.prod(probabilities)]))
    probability, bits = np.prod(probabilities), -np.log2(np.prod(probabilities))
    product = f"{' × '.join(f'{p:g}' for p in probabilities)} = {probability:.3g}"
    rows = {
        "rouge1": (_overlap(words, true_words, "words"), scores["rouge1"]),
        "rouge2": (_overlap(list(pairwise(words)), list(pairwise(true_words)), "word pairs"), scores["rouge2"]),
        "exact_match": (
            f"“{answer}” is {'' if scores['exact_match'] else 'not '}“{pair.target}”",
            scores["exact_match"],
        ),
        "next_word": (f"the true next word is {true_words[0]}, the answer begins with {words[0]}", next_word),
        "perplexity_per_word": (
            f"the model gives the true ending the probability {product}; "
            f"1 / {probability:.3g}, to the power of 1 / {len(probabilities)} ({len(true_words)} words and the end)",
            perplexity_per_word(likelihood).value,
        ),
        "bits_per_character": (
            f"−log2 of {probability:.3g} is {bits:.2f} bits, divided by {len(pair.target) + 1} characters with the end",
            bits_per_character(likelihood).value,
        ),
    }
    return pd.DataFrame(
        [(METRICS[metric].title, how, f"{value:.3f}") for metric, (how, value) in rows.items()],
        columns=["metric", "how it is computed here", "value"],
    ).set_index("metric")


def _overlap(items: Sequence, true_items: Sequence, what: str) -> str:
    num_shared = (Counter(items) & Counter(true_items)).total()
    return f"shared {what}: {num_shared}; 2 × {num_shared} / ({len(items)} + {len(true_items)})"
