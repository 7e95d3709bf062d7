"""Adapt an n-gram model to a person: merge what a first model knows with counts of the person's own texts.

MAP adaptation with the first model as the prior (Bacchiani et al., 2006). After each context h, the shares of both are
mixed; c(h) tokens follow h in the person's texts, as Kneser-Ney smoothing counts them:

    share(w | h) = (1 - a(h)) * first share(w | h) + a(h) * own share(w | h),   a(h) = c(h) / (c(h) + prior)

A context that the person never used keeps the first model's shares. A context that the first model does not know gets
the person's shares times a(h). The shares after a context add up to less than 1; the rest of the probability is that of
the next shorter context, whose shares are mixed in the same way. The first model needs no counts: its shares are
enough, and `prior` says how many tokens they count as.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from src.models.ngram_counts import NgramLevel, kneser_ney_counts
from src.models.pruning import pruned_shares

# What to choose from: how many tokens after a context the first model counts as. The first is best where the person
# writes otherwise than the first model's texts, the last where both write alike.
PRIORS = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class SharedLevel:
    """All n-grams of one length, in order of their contexts and then of their last tokens.

    Attributes:
        tokens: integers [n-grams], the last token.
        parents: integers [n-grams], the index of the context in the level before; empty for single tokens.
        shares: float64 [n-grams], discounted probability of the last token after the context; for single tokens their
            probability.
    """

    tokens: np.ndarray
    parents: np.ndarray
    shares: np.ndarray


def merge(
    first: Sequence[SharedLevel],
    own: Sequence[NgramLevel],
    kept: Sequence[np.ndarray] | None = None,
    prior: float = PRIORS[0],
) -> list[SharedLevel]:
    """The n-grams of both models, with their shares.

    Args:
        first: the first model, level by level from single tokens.
        own: counts of the person's texts over the same vocabulary, as many levels.
        kept: bool [n-grams] for every length, which of the person's n-grams are used, none without its context; None:
            all. Counts of the others go to shorter ones, as in `src.models.pruning`.
        prior: number of tokens after a context that the first model counts as, above 0.
    """
    kept = [np.ones(len(level.tokens), dtype=bool) for level in own] if kept is None else kept
    counts = kneser_ney_counts(own, kept)
    num_tokens = counts[0].sum()
    own_shares, _ = pruned_shares(own, counts, kept)
    weight, vocab_size = num_tokens / (num_tokens + prior), len(own[0].tokens)
    merged = [replace(first[0], shares=(1 - weight) * first[0].shares + weight * own_shares[0])]
    for i, (contexts, ngrams) in enumerate(pairwise(align(first, own, kept)), start=1):
        followers = np.bincount(own[i].parents, counts[i], minlength=len(own[i - 1].tokens))
        weights = np.zeros(len(contexts.codes))
        weights[contexts.own[kept[i - 1]]] = (followers / (followers + prior))[kept[i - 1]]
        parents, tokens = np.divmod(ngrams.codes, vocab_size)
        shares, places = np.zeros(len(tokens)), ngrams.own[kept[i]]
        shares[ngrams.first] = (1 - weights[parents[ngrams.first]]) * first[i].shares
        shares[places] += weights[parents[places]] * own_shares[i][kept[i]]
        merged.append(SharedLevel(tokens, parents, shares))
    return merged


def known(first: Sequence[SharedLevel], own: Sequence[NgramLevel]) -> list[np.ndarray]:
    """Which of the person's n-grams the first model has too, bool [n-grams] for every length."""
    everything = [np.ones(len(level.tokens), dtype=bool) for level in own]
    return [np.isin(level.own, level.first) for level in align(first, own, everything)]


@dataclass(frozen=True)
class Alignment:
    """The n-grams of two models of one length, in one order.

    Attributes:
        codes: int64 [n-grams of both], ascending: the index of the context times the vocabulary's size, plus the token.
        first: int64 [n-grams of the first model], the place of each in `codes`.
        own: int64 [n-grams of the person], the place of each that is kept.
    """

    codes: np.ndarray
    first: np.ndarray
    own: np.ndarray


def align(first: Sequence[SharedLevel], own: Sequence[NgramLevel], kept: Sequence[np.ndarray]) -> list[Alignment]:
    """Bring the n-grams of both models into one order, for every length; the arguments are those of `merge`."""
    vocab_size = len(own[0].tokens)
    levels = [Alignment(*[np.arange(vocab_size)] * 3)]
    for first_level, own_level, is_kept in zip(first[1:], own[1:], kept[1:]):
        first_codes = levels[-1].first[first_level.parents] * vocab_size + first_level.tokens
        own_codes = levels[-1].own[own_level.parents] * vocab_size + own_level.tokens
        codes = np.union1d(first_codes, own_codes[is_kept])
        levels.append(Alignment(codes, codes.searchsorted(first_codes), codes.searchsorted(own_codes)))
    return levels
