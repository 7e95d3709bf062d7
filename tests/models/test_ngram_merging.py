"""Merging n-grams: shares by hand, what each model alone knows, and the limits of either model."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.corpus.tokenization import train_tokenizer
from src.models.ngram_counts import kneser_ney_counts, ngram_levels
from src.models.ngram_merging import SharedLevel, known, merge
from src.models.pruning import pruned_shares, select
from src.next_token_dataset import NextTokenDataset
from tests.budget import examples

# Every letter is a token, so texts of single letters are texts of tokens.
TOKENIZER = train_tokenizer(["a"], vocab_size=75)
VOCAB_SIZE, EOS = len(TOKENIZER), TOKENIZER.eos_token_id
A, B, C, D = TOKENIZER.convert_tokens_to_ids(["a", "b", "c", "d"])
TEXTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=7).map(" ".join), min_size=1, max_size=12)
ORDERS = st.integers(1, 4)


def counted(texts, order):
    return ngram_levels(NextTokenDataset(texts, TOKENIZER, EOS), VOCAB_SIZE, EOS, order)


def model_of(texts, order):
    """The model that was counted from some texts, without pruning."""
    levels = counted(texts, order)
    shares, _ = pruned_shares(levels, kneser_ney_counts(levels))
    return [SharedLevel(level.tokens, level.parents, share) for level, share in zip(levels, shares)]


def by_ngram(levels):
    """The shares of a model by n-gram, a tuple of tokens."""
    names, shares = [(token,) for token in levels[0].tokens.tolist()], {}
    for i, level in enumerate(levels):
        if i:
            names = [(*names[parent], token) for parent, token in zip(level.parents.tolist(), level.tokens.tolist())]
        shares |= dict(zip(names, level.shares.tolist()))
    return shares


def test_the_shares_by_hand():
    unigrams = np.full(VOCAB_SIZE, 1 / VOCAB_SIZE)
    # b and d follow a, and a follows d.
    bigrams = SharedLevel(np.array([B, D, A]), np.array([A, A, D]), np.array([0.2, 0.6, 0.5]))
    first = [SharedLevel(np.arange(VOCAB_SIZE), np.zeros(0, dtype=int), unigrams), bigrams]
    shares = by_ngram(merge(first, counted(["a b", "a b", "a c"], 2), prior=1))
    # The person's texts have three tokens after a, so they count 3 of 4. The fallback discounts are 0.5 of 1, 1 of 2
    # and 1.5 of 3.
    assert shares.pop((A, B)) == pytest.approx(0.2 / 4 + 3 / 4 * (2 - 1) / 3)
    assert shares.pop((A, C)) == pytest.approx(3 / 4 * (1 - 0.5) / 3)
    assert shares.pop((A, D)) == pytest.approx(0.6 / 4)
    # Only the person's texts continue after b and c, and begin.
    assert shares.pop((B, EOS)) == pytest.approx(2 / 3 * (2 - 1) / 2)
    assert shares.pop((C, EOS)) == pytest.approx(1 / 2 * (1 - 0.5) / 1)
    assert shares.pop((EOS, A)) == pytest.approx(3 / 4 * (3 - 1.5) / 3)
    # Only the first model knows d.
    assert shares.pop((D, A)) == 0.5
    # Of the five distinct pairs in the person's texts one ends with b and none with d. All discounts together, 0.5 of
    # a, b and c, and 1 of the end, are shared by all tokens.
    uniform = (3 * 0.5 + 1) / 5 / VOCAB_SIZE
    assert shares[(B,)] == pytest.approx(1 / 6 / VOCAB_SIZE + 5 / 6 * (0.5 / 5 + uniform))
    assert shares[(D,)] == pytest.approx(1 / 6 / VOCAB_SIZE + 5 / 6 * uniform)
    assert len(shares) == VOCAB_SIZE


def test_only_the_persons_contexts_change():
    first, own = model_of(["a b a b", "a b c d", "b c d d", "b a"], 3), counted(["a d"], 3)
    before, after = by_ngram(first), by_ngram(merge(first, own))
    changed = {ngram[:-1] for ngram in after if after[ngram] != before.get(ngram)}
    assert changed == {(), (EOS,), (A,), (D,), (EOS, A), (A, D)}
    # The first model never saw "a d".
    assert (A, D, EOS) in after and (A, D, EOS) not in before


def test_without_own_texts_it_is_the_first_model():
    first = model_of(["a b c", "b c a"], 3)
    own = counted([], 3)
    assert by_ngram(merge(first, own)) == by_ngram(first)


@examples(0.5)
@given(TEXTS, TEXTS, ORDERS, st.floats(0.01, 1000), st.floats(0, 1))
def test_every_context_keeps_a_distribution(first_texts, own_texts, order, prior, share):
    first, own = model_of(first_texts, order), counted(own_texts, order)
    costs = [1.0] * order
    kept = select(own, costs, share * sum(len(level.tokens) for level in own[1:]))
    merged = merge(first, own, kept, prior)
    assert merged[0].shares.sum() == pytest.approx(1)
    for shorter, level in pairwise(merged):
        assert (level.shares > 0).all()
        assert (np.bincount(level.parents, level.shares) < 1 + 1e-9).all()
        codes = level.parents * VOCAB_SIZE + level.tokens
        assert (np.diff(codes) > 0).all() and level.parents.max(initial=0) < len(shorter.tokens)
    own_ngrams = set(by_ngram([SharedLevel(level.tokens, level.parents, flags) for level, flags in zip(own, kept)]))
    assert set(by_ngram(merged)) <= set(by_ngram(first)) | own_ngrams
    assert set(by_ngram(merged)) >= set(by_ngram(first))


@examples(0.3)
@given(TEXTS, TEXTS, ORDERS)
def test_the_limits_are_the_two_models(first_texts, own_texts, order):
    first, own = model_of(first_texts, order), model_of(own_texts, order)
    first_shares, own_shares = by_ngram(first), by_ngram(own)
    own_contexts = {ngram[:-1] for ngram in own_shares}
    levels = counted(own_texts, order)
    # A prior without weight: the person's shares wherever the person wrote, elsewhere the first model's.
    for ngram, share in by_ngram(merge(first, levels, prior=1e-9)).items():
        expected = own_shares if ngram[:-1] in own_contexts else first_shares
        assert share == pytest.approx(expected.get(ngram, 0), abs=1e-6)
    for ngram, share in by_ngram(merge(first, levels, prior=1e9)).items():
        assert share == pytest.approx(first_shares.get(ngram, 0), abs=1e-6)


def test_what_both_models_have():
    own = counted(["a b", "a c"], 3)
    both = known(model_of(["a b", "d"], 3), own)
    names = list(by_ngram([SharedLevel(level.tokens, level.parents, level.tokens) for level in own]))
    found = {ngram for ngram, is_known in zip(names, np.concatenate(both)) if is_known and len(ngram) > 1}
    assert found == {(EOS, A), (A, B), (B, EOS), (EOS, A, B), (A, B, EOS)}
