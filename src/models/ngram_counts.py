"""Counts of all n-grams in a dataset, as a trie: level by level, from single tokens to the longest n-grams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from src.next_token_dataset import NextTokenDataset


@dataclass(frozen=True)
class NgramLevel:
    """All n-grams of one length, in order of their contexts and then of their last tokens.

    Attributes:
        tokens: int32 [n-grams], the last token.
        occurrences: int64 [n-grams], how often it occurs.
        parents: int32 [n-grams], the index of the n-gram without its last token in the level before.
        suffixes: int32 [n-grams], the index of the n-gram without its first token in the level before; like `parents`
            empty for single tokens.
    """

    tokens: np.ndarray
    occurrences: np.ndarray
    parents: np.ndarray
    suffixes: np.ndarray


def ngram_levels(dataset: NextTokenDataset, vocab_size: int, eos_id: int, order: int) -> list[NgramLevel]:
    """Count n-grams of 1 to `order` tokens in the complete texts, including tokens whose labels are masked.

    Every text starts after an end token, whether the dataset has one there or not. No n-gram continues past an end.

    Raises:
        ValueError: the order is below 1.
    """
    if order < 1:
        raise ValueError(f"order is {order}: an n-gram has at least one token")
    starts = dataset.offsets[:-1][dataset.token_ids[dataset.offsets[:-1]] == eos_id]
    tokens = np.concatenate([[eos_id], np.delete(dataset.token_ids, starts)]).astype(np.int32)
    none = np.zeros(0, dtype=np.int32)
    unigrams = np.arange(vocab_size, dtype=np.int32)
    levels = [NgramLevel(unigrams, np.bincount(tokens[1:], minlength=vocab_size), none, none)]
    # Index of the n-gram that ends with each token; -1 where it would begin before its text.
    places = tokens
    for length in tqdm(range(2, order + 1), "counting n-grams", leave=False):
        contexts = places[:-1] if length == 2 else np.where(tokens[:-1] == eos_id, -1, places[:-1])
        ends = np.flatnonzero(contexts >= 0) + 1
        codes = contexts[ends - 1].astype(np.int64) * vocab_size + tokens[ends]
        codes, examples, places_of_ends, occurrences = np.unique(
            codes, return_index=True, return_inverse=True, return_counts=True
        )
        suffixes = places[ends[examples]]
        parents, last_tokens = (part.astype(np.int32) for part in np.divmod(codes, vocab_size))
        levels.append(NgramLevel(last_tokens, occurrences, parents, suffixes))
        places = np.full(len(tokens), -1, dtype=np.int32)
        places[ends] = places_of_ends
    return levels


def kneser_ney_counts(levels: Sequence[NgramLevel], kept: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """The counts of Kneser-Ney smoothing for every length.

    The longest n-grams count as often as they occur, shorter ones once for every distinct token before them. At the
    start of a text, where nothing comes before, they count as often as they occur, too (Heafield et al., 2013).
    In a pruned model, the counts of a longer n-gram that is not kept are passed to the shorter one (Siivola et al.,
    2007).

    Args:
        kept: bool [n-grams] for every length, which n-grams are kept; None: all.

    Returns:
        int64 [n-grams] for every length.
    """
    counts = [levels[-1].occurrences]
    for i in range(len(levels) - 1, 0, -1):
        suffixes, num_shorter = levels[i].suffixes, len(levels[i - 1].tokens)
        num_before = np.bincount(suffixes, minlength=num_shorter)
        passed = num_before
        if kept is not None:
            # The sums are integers, which float64 holds exactly.
            passed = np.bincount(suffixes, np.where(kept[i], 1, counts[0]), minlength=num_shorter).astype(np.int64)
        counts.insert(0, np.where(num_before > 0, passed, levels[i - 1].occurrences))
    return counts
