"""Make an n-gram model small: keep the n-grams that matter most and round their probabilities to 8 bits.

An n-gram is removed when little is lost without it (entropy pruning, Stolcke 1998, for interpolated models): h is its
context, w its last token, s its share, b the context's back-off, q the probability of w after the context without its
first token, and p = s + b q. Without it, b grows by s, and each time h occurs

    p log(p / ((b + s) q)) - (1 - q) b log((b + s) / b)

nats are lost. The n-grams with the highest loss per byte are kept, those of all lengths together. The counts of the
others go to shorter n-grams (Siivola et al., 2007), and discounts shrink with the share of n-grams that are kept: what
is removed already leaves probability to shorter contexts. The file is described in `src/deploy/ngram_file.py`.
"""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from src.models.kneser_ney import modified_discounts
from src.models.ngram_counts import NgramLevel, kneser_ney_counts

# Continuations that are kept of a context of two or more tokens.
MAX_CHILDREN = 255


def select(levels: Sequence[NgramLevel], costs: Sequence[float | np.ndarray], budget: float) -> list[np.ndarray]:
    """Choose the n-grams to keep: all single tokens, and no n-gram without its context.

    Args:
        costs: bytes that an n-gram takes, above 0, for every length: one number, or one for each n-gram. Single tokens
            take none of the budget.
        budget: bytes for all n-grams of two or more tokens.

    Returns:
        bool [n-grams] for every length.
    """
    kept = [np.ones(len(level.tokens), dtype=bool) for level in levels]
    if len(levels) == 1:
        return kept
    values = [loss / np.asarray(cost, np.float32) for loss, cost in zip(pruning_losses(levels), costs)]
    for level, children, shorter in zip(levels[:1:-1], values[::-1], values[-2::-1]):
        # A context is worth what its best child is worth.
        np.maximum.at(shorter, level.parents, children)
    for i in range(2, len(levels)):
        kept[i] = kept[i - 1][levels[i].parents] & is_among_best(values[i], levels[i].parents, MAX_CHILDREN)
    drop_all_but_best(kept[1:], values[1:], costs[1:], budget)
    return kept


def drop_all_but_best(
    kept: Sequence[np.ndarray], values: Sequence[np.ndarray], costs: Sequence[float | np.ndarray], budget: float
) -> None:
    """Of the n-grams in `kept`, bool [n-grams] for every length, keep as many of the best as fit into the budget."""
    candidates = [np.flatnonzero(level) for level in kept]
    # Stable, so a context comes before children of the same value.
    order = np.argsort(-np.concatenate([level[i] for level, i in zip(values, candidates)]), kind="stable")
    sizes = np.concatenate([np.broadcast_to(cost, len(level))[i] for cost, level, i in zip(costs, kept, candidates)])
    dropped = order[np.searchsorted(sizes[order].cumsum(), budget, side="right") :]
    bounds = np.cumsum([0, *(len(level) for level in candidates)])
    for level, indices, start, end in zip(kept, candidates, bounds, bounds[1:]):
        level[indices[dropped[(dropped >= start) & (dropped < end)] - start]] = False


def pruning_losses(levels: Sequence[NgramLevel]) -> list[np.ndarray]:
    """What is lost without each n-gram, float32 [n-grams] for every length, in nats over all texts; 0 for tokens."""
    shares, backoffs = pruned_shares(levels, kneser_ney_counts(levels))
    losses, probabilities = [np.zeros(len(levels[0].tokens), dtype=np.float32)], shares[0]
    for i in tqdm(range(1, len(levels)), "pruning n-grams", leave=False):
        parents = levels[i].parents
        share, backoff = shares[i], backoffs[i - 1][parents]
        shorter = probabilities[levels[i].suffixes]
        probabilities = share + backoff * shorter
        followed = np.bincount(parents, levels[i].occurrences, minlength=len(levels[i - 1].tokens))[parents]
        gain = probabilities * np.log(probabilities / ((backoff + share) * shorter))
        loss = followed * (gain - (1 - shorter) * backoff * np.log1p(share / backoff))
        losses.append(loss.astype(np.float32))
    return losses


def is_among_best(values: np.ndarray, parents: np.ndarray, number: int) -> np.ndarray:
    """Which n-grams are among the `number` of the highest value of their context, bool [n-grams]."""
    is_best = np.ones(len(values), dtype=bool)
    crowded = np.flatnonzero((np.bincount(parents) > number)[parents])
    order = crowded[np.lexsort((-values[crowded], parents[crowded]))]
    _, first, sizes = np.unique(parents[order], return_index=True, return_counts=True)
    is_best[order[np.arange(len(order)) - first.repeat(sizes) >= number]] = False
    return is_best


def pruned_shares(
    levels: Sequence[NgramLevel], counts: Sequence[np.ndarray], kept: Sequence[np.ndarray] | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Shares of the n-grams that are kept, and back-offs of their contexts.

    Args:
        counts: from `kneser_ney_counts`, with the same `kept`; None keeps all.

    Returns:
        shares, float64 [n-grams] for every length, 0 if not kept; those of single tokens are their probabilities.
        Back-offs, float64 [n-grams] for every length but the last.
    """
    vocab_size, total = len(levels[0].tokens), max(counts[0].sum(), 1)
    unigrams = counts[0] - modified_discounts(counts[0])[np.minimum(counts[0], 3)]
    unigrams = (unigrams + (counts[0].sum() - unigrams.sum()) / vocab_size) / total
    shares, backoffs = [unigrams], []
    for i in range(1, len(levels)):
        parents, num_contexts = levels[i].parents, len(levels[i - 1].tokens)
        totals = np.bincount(parents, counts[i], minlength=num_contexts)
        discounts = modified_discounts(counts[i])
        if kept is not None:
            discounts = discounts * (kept[i].mean() if kept[i].size else 1)
        share = (counts[i] - discounts[np.minimum(counts[i], 3)]) / totals[parents]
        shares.append(share if kept is None else np.where(kept[i], share, 0.0))
        backoffs.append(1 - np.bincount(parents, shares[i], minlength=num_contexts))
    return shares, backoffs
