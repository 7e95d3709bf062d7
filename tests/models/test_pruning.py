"""Pruning: what an n-gram is worth by hand, which are kept, and whose counts go where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.corpus.tokenization import train_tokenizer
from src.models.kneser_ney import KneserNeyLM, modified_discounts
from src.models.ngram_counts import kneser_ney_counts, ngram_levels
from src.models.pruning import is_among_best, pruned_shares, pruning_losses, select
from src.next_token_dataset import NextTokenDataset
from tests.budget import examples

# Every letter is a token, so texts of single letters are texts of tokens.
TOKENIZER = train_tokenizer(["a"], vocab_size=75)
VOCAB_SIZE, PAD, EOS = len(TOKENIZER), TOKENIZER.pad_token_id, TOKENIZER.eos_token_id
TEXTS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=7).map(" ".join), min_size=1, max_size=12)


def counted(texts, order):
    return ngram_levels(NextTokenDataset(texts, TOKENIZER, EOS), VOCAB_SIZE, EOS, order)


def ngrams_of(levels):
    """The n-grams of every length as strings of letters; an end is a dot."""
    letters = ["." if token == EOS else TOKENIZER.convert_ids_to_tokens(token) for token in range(VOCAB_SIZE)]
    ngrams = [letters]
    for level in levels[1:]:
        parents, tokens = level.parents.tolist(), level.tokens.tolist()
        ngrams.append([ngrams[-1][parent] + letters[token] for parent, token in zip(parents, tokens)])
    return ngrams


def by_ngram(levels, values):
    return {ngram: value for names, level in zip(ngrams_of(levels), values) for ngram, value in zip(names, level)}


@examples(0.3)
@given(TEXTS, st.integers(1, 4))
def test_the_trie_holds_every_ngram_of_the_texts(texts, order):
    levels = counted(texts, order)
    occurrences = by_ngram(levels, [level.occurrences.tolist() for level in levels])
    expected = {}
    for text in texts:
        tokens = f".{text.replace(' ', '')}."
        for length in range(2, order + 1):
            for i in range(len(tokens) - length + 1):
                ngram = tokens[i : i + length]
                expected[ngram] = expected.get(ngram, 0) + 1
    assert {ngram: count for ngram, count in occurrences.items() if ngram in expected} == expected
    names = ngrams_of(levels)
    for shorter, longer, level in zip(names, names[1:], levels[1:]):
        assert [shorter[i] for i in level.suffixes] == [ngram[1:] for ngram in longer]
        assert [shorter[i] for i in level.parents] == [ngram[:-1] for ngram in longer]


def test_counts_of_what_is_not_kept_go_to_shorter_ngrams():
    # "ab" follows the beginning twice, c once and d once; "bc" follows "a" three times and d once.
    levels = counted(["a b c", "a b", "c a b c", "d a b c", "d b c"], order=3)
    names = ngrams_of(levels)
    counts = by_ngram(levels, kneser_ney_counts(levels))
    assert (counts["abc"], counts["ab"], counts["bc"], counts["b"]) == (3, 3, 2, 2)
    kept = [np.ones(len(level.tokens), dtype=bool) for level in levels]
    kept[2][names[2].index("abc")] = False
    counts = by_ngram(levels, kneser_ney_counts(levels, kept))
    # "bc" gets the three counts of "abc" instead of one, and still one of "dbc".
    assert (counts["abc"], counts["ab"], counts["bc"], counts["b"]) == (3, 3, 4, 2)
    kept[1][names[1].index("bc")] = False
    counts = by_ngram(levels, kneser_ney_counts(levels, kept))
    # c follows b, which is not kept and counts 4, and begins a text, which counts 1.
    assert counts["c"] == 5


def test_the_loss_of_an_ngram_by_hand():
    levels = counted(["a b", "a b", "a c", "b"], order=2)
    counts, losses = kneser_ney_counts(levels), by_ngram(levels, pruning_losses(levels))
    # Three n-grams begin with a: "ab" twice and "ac" once. The fallback's discounts are 1 of 2 and 0.5 of 1.
    assert modified_discounts(counts[1]).tolist() == [0, 0.5, 1, 1.5]
    share, backoff = (2 - 1) / 3, (1 + 0.5) / 3
    # Of the distinct two tokens, ".a", ".b", "ab", "ac", "b." and "c.", two end with b.
    discounts = modified_discounts(counts[0])
    assert counts[0].sum() == 6 and discounts.tolist() == [0, 0.5, 1, 1.5]
    # Discounts of 0.5 for a and c, 1 for b and for the end, are shared by all tokens.
    shorter = (2 - 1) / 6 + (0.5 + 0.5 + 1 + 1) / 6 / VOCAB_SIZE
    p = share + backoff * shorter
    loss = p * np.log(p / ((backoff + share) * shorter)) - (1 - shorter) * backoff * np.log((backoff + share) / backoff)
    assert losses["ab"] == pytest.approx(3 * loss, rel=1e-5)


def test_an_ngram_that_tells_more_is_worth_more():
    # After x always comes y, which is rare elsewhere; after a come b and c as everywhere.
    texts = ["x y a b", "x y a c", "a b a c", "b a c a", "x y b a", "c a b a"] * 5
    losses = by_ngram(counted(texts, 2), pruning_losses(counted(texts, 2)))
    assert losses["xy"] > losses["ab"]


def test_without_pruning_the_shares_are_those_of_the_model():
    texts = ["a b c", "a b", "b c a b", "c c a", "a"] * 3
    levels = counted(texts, 3)
    everything = [np.ones(len(level.tokens), dtype=bool) for level in levels]
    model = KneserNeyLM.from_dataset(NextTokenDataset(texts, TOKENIZER, EOS), VOCAB_SIZE, PAD, EOS, 3)
    for kept in (None, everything):
        shares, _ = pruned_shares(levels, kneser_ney_counts(levels, kept), kept)
        longer = np.concatenate(shares[1:])
        np.testing.assert_allclose(longer, model.shares[VOCAB_SIZE:].numpy(), rtol=1e-5)


@examples(0.6)
@given(TEXTS, st.integers(1, 4), st.floats(0, 1))
def test_what_is_kept_fits_and_every_context_is_kept(texts, order, share):
    levels = counted(texts, order)
    costs = [4.0] * (order - 1) + [3.0]
    budget = share * sum(cost * len(level.tokens) for cost, level in zip(costs[1:], levels[1:]))
    kept = select(levels, costs, budget)
    assert kept[0].all()
    assert sum(cost * level.sum() for cost, level in zip(costs[1:], kept[1:])) <= budget
    for shorter, longer, level in zip(kept, kept[1:], levels[1:]):
        assert shorter[level.parents[longer]].all()
    shares, backoffs = pruned_shares(levels, kneser_ney_counts(levels, kept), kept)
    for level, level_shares, left in zip(kept[1:], shares[1:], backoffs):
        assert (level_shares[level] > 0).all() and (level_shares[~level] == 0).all() and (left > -1e-9).all()
    # With room for all, all are kept.
    assert all(level.all() for level in select(levels, costs, np.inf))


def test_more_bytes_keep_what_fewer_keep():
    levels = counted(["a b c a", "b c a", "c c", "a b a b", "c a"] * 4, 3)
    previous = select(levels, [4, 4, 3], 0)
    assert not any(level.any() for level in previous[1:])
    for budget in (20, 40, 60, 80):
        kept = select(levels, [4, 4, 3], budget)
        assert all((more | ~fewer).all() for fewer, more in zip(previous, kept))
        previous = kept


@examples(0.6)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=30), st.integers(1, 5))
def test_the_best_of_every_context(pairs, number):
    parents, values = np.array(sorted(pairs)).T
    is_best = is_among_best(values.astype(np.float32), parents, number)
    for parent in set(parents):
        chosen, others = (values[(parents == parent) & flags] for flags in (is_best, ~is_best))
        assert len(chosen) == min(number, len(chosen) + len(others))
        assert not len(others) or chosen.min() >= others.max()
