"""The n-gram model: textbook probabilities, the same in every batch, and the same interface as other models."""

import random
import string
from collections import Counter
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.completion.completer import complete
from src.corpus.tokenization import encode, train_tokenizer
from src.data_utils import split_x_target_by_words
from src.evaluation.selection import choose_order
from src.evaluation.systems import target_likelihood
from src.models.kneser_ney import FALLBACK_DISCOUNTS, KneserNeyLM, modified_discounts
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset
from src.training.loss import dataset_nll
from tests.budget import examples

# Every letter and digit is a token, so texts of single letters are texts of tokens.
TOKENIZER = train_tokenizer(["a"], vocab_size=75)
VOCAB_SIZE, PAD, EOS = len(TOKENIZER), TOKENIZER.pad_token_id, TOKENIZER.eos_token_id
LETTERS = "abcdef"
START = "start"
ORDERS = [1, 2, 3, 4]


def fit(texts, order, tokenizer=TOKENIZER):
    dataset = NextTokenDataset(texts, tokenizer, EOS)
    return KneserNeyLM.from_dataset(dataset, len(tokenizer), PAD, EOS, order)


def random_texts(num_texts, seed=0):
    """Some letters are frequent, some rare, and the next letter of the alphabet mostly follows."""
    rng = random.Random(seed)
    texts = []
    for _ in range(num_texts):
        letters = rng.choices(range(6), weights=[12, 8, 4, 2, 1, 1], k=1)
        while rng.random() < 0.85:
            follower = (letters[-1] + 1) % 6
            letters.append(follower if rng.random() < 0.7 else rng.choices(range(6), [12, 8, 4, 2, 1, 1])[0])
        texts.append(" ".join(LETTERS[letter] for letter in letters))
    return texts


def test_a_beginning_token_in_the_dataset_changes_nothing():
    texts = random_texts(40)
    with_bos = NextTokenDataset(texts, TOKENIZER, EOS, bos_id=EOS)
    plain, begun = fit(texts, 4), KneserNeyLM.from_dataset(with_bos, VOCAB_SIZE, PAD, EOS, 4)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), begun.state_dict().values()))
    ids = torch.tensor([encode(TOKENIZER, ["a b c d e"])[0]])
    after_bos = begun(torch.cat([torch.full((1, 1), EOS), ids], dim=1)).logits
    assert torch.allclose(after_bos[:, 1:], plain(ids).logits, atol=1e-6)
    first = begun(torch.tensor([[EOS]])).logits[0, 0].exp()
    counts = Counter(text[0] for text in texts)
    most_frequent = max(counts, key=counts.get)
    assert int(first.argmax()) == TOKENIZER.convert_tokens_to_ids(most_frequent)


def second_order_texts(num_texts, seed=0):
    """The next letter depends on the last two letters together, not on either of them alone."""
    rng = random.Random(seed)
    texts = []
    for _ in range(num_texts):
        letters = rng.choices(range(4), k=2)
        while len(letters) < 12:
            letters.append((letters[-1] + letters[-2]) % 4 if rng.random() < 0.9 else rng.randrange(4))
        texts.append(" ".join(LETTERS[letter] for letter in letters))
    return texts


def zipf_texts(num_texts):
    """Independent letters and digits, a few of them frequent and many rare."""
    rng, characters = random.Random(0), string.ascii_lowercase + string.digits
    weights = [1 / rank**1.2 for rank in range(1, len(characters) + 1)]
    return [" ".join(rng.choices(characters, weights, k=rng.randrange(1, 9))) for _ in range(num_texts)]


def ids_of(text, tokenizer=TOKENIZER):
    return torch.tensor(encode(tokenizer, [text]))


@torch.no_grad()
def next_log_probabilities(model, text):
    return model(ids_of(text)).logits[0, -1]


def held_out_nll(model, texts):
    nll, num_targets = dataset_nll(model, NextTokenDataset(texts, TOKENIZER, EOS, context_unit="none"), 64, PAD)
    return nll.sum() / num_targets.sum()


def words_of(letters):
    return st.lists(st.sampled_from(letters), min_size=1, max_size=7).map(" ".join)


# Probabilities


def textbook_counts(texts, order):
    """Raw counts of the longest n-grams and of those that begin a text, continuation counts of all others."""
    raw = {length: Counter() for length in range(1, order + 1)}
    for text in texts:
        tokens = [START, *encode(TOKENIZER, [text])[0], EOS]
        for length in raw:
            ngrams = [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]
            raw[length].update(ngram for ngram in ngrams if ngram != (START,))
    counts = {order: raw[order]}
    for length in range(1, order):
        before = Counter(ngram[1:] for ngram in raw[length + 1])
        counts[length] = {ngram: count if ngram[0] == START else before[ngram] for ngram, count in raw[length].items()}
    return counts


def textbook_discounts(counts):
    n = Counter(counts.values())
    if not all(n[i] for i in (1, 2, 3, 4)):
        return [0.5, 1.0, 1.5]
    y = n[1] / (n[1] + 2 * n[2])
    discounts = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
    return discounts if min(discounts) > 0 else [0.5, 1.0, 1.5]


def textbook_distribution(counts, context):
    """p(w | context) for every w, by the recursive definition of interpolated modified Kneser-Ney."""
    shorter = textbook_distribution(counts, context[1:]) if context else [1 / VOCAB_SIZE] * VOCAB_SIZE
    level = counts[len(context) + 1]
    followers = {ngram[-1]: count for ngram, count in level.items() if ngram[:-1] == context}
    if not followers:
        return shorter
    discounts = textbook_discounts(level)
    taken_off = {token: discounts[min(count, 3) - 1] for token, count in followers.items()}
    total = sum(followers.values())
    backoff = sum(taken_off.values()) / total
    return [
        max(followers.get(token, 0) - taken_off.get(token, 0), 0) / total + backoff * shorter[token]
        for token in range(VOCAB_SIZE)
    ]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("num_texts", [1, 5, 150, 400])
def test_probabilities_equal_those_of_the_textbook(order, num_texts):
    texts = zipf_texts(num_texts)
    model, counts = fit(texts, order), textbook_counts(texts, order)
    # At least one corpus is large enough to estimate discounts.
    assert num_texts != 150 or any(textbook_discounts(level) != [0.5, 1.0, 1.5] for level in counts.values())
    for context in ["a", "b", "b a", "a b c", "c b a d", "9", "a 9", "9 a b", "a b 9 8 c", *texts[:3]]:
        tokens = (START, *encode(TOKENIZER, [context])[0])
        expected = textbook_distribution(counts, tokens[max(0, len(tokens) - order + 1) :])
        found = next_log_probabilities(model, context).exp()
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-7, rtol=1e-4)


def test_discounts_by_hand():
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4] + [0, 0, 9, 50])
    # Y is 8 / (8 + 2 * 4) = 1/2.
    assert modified_discounts(counts).tolist() == [0.0, 0.5, 1.25, 2.0]


@pytest.mark.parametrize("counts", [[], [1, 1, 2, 3], [2, 3, 4], [1] * 10 + [2] + [3] * 9 + [4]])
def test_discounts_of_too_few_ngrams_are_the_fallback(counts):
    assert modified_discounts(np.array(counts, dtype=np.int64)).tolist() == FALLBACK_DISCOUNTS.tolist()


@examples(0.6)
@given(st.lists(words_of("abc"), min_size=1, max_size=8), words_of("abcz9"), st.integers(1, 5))
def test_probabilities_sum_to_one_and_nothing_is_impossible(texts, context, order):
    log_probabilities = next_log_probabilities(fit(texts, order), context)
    assert log_probabilities.shape == (VOCAB_SIZE,)
    assert float(log_probabilities.double().exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert torch.isfinite(log_probabilities).all()


@examples(0.3)
@given(
    st.lists(words_of("abc"), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    words_of("abcz9"),
    st.integers(1, 4),
)
def test_ngrams_do_not_cross_texts(texts, rng, context, order):
    shuffled = rng.sample(texts, len(texts))
    torch.testing.assert_close(
        next_log_probabilities(fit(shuffled, order), context), next_log_probabilities(fit(texts, order), context)
    )


def test_ngrams_are_counted_within_texts():
    # With start and end, these are two texts of four tokens each.
    assert fit(["a b", "c d"], 5).config.num_ngrams == [VOCAB_SIZE, 6, 4, 2, 0]
    assert fit(["a b", "a b"], 3).config.num_ngrams == [VOCAB_SIZE, 3, 2]


def test_a_short_prefix_is_the_beginning_of_a_tweet():
    # At the beginning of a tweet c follows "a"; later d does.
    model = fit(["a c"] * 5 + ["b a d"] * 5, order=3)
    c, d = encode(TOKENIZER, ["c d"])[0]
    at_start, later = next_log_probabilities(model, "a"), next_log_probabilities(model, "b a")
    assert at_start[c] > log(0.5) > at_start[d]
    assert later[d] > log(0.5) > later[c]


@pytest.mark.parametrize("order", [2, 3, 5])
def test_a_training_text_is_more_probable_than_its_reversal(tokenizer, cleaned_texts, order):
    model = fit(cleaned_texts, order, tokenizer)
    reversals = [" ".join(reversed(text.split(" "))) for text in cleaned_texts]
    nll, reversed_nll = (
        dataset_nll(model, NextTokenDataset(texts, tokenizer, EOS, context_unit="none"), 16, PAD)[0]
        for texts in (cleaned_texts, reversals)
    )
    assert (nll < reversed_nll).all()


@pytest.mark.parametrize("order", [2, 3, 4])
def test_more_texts_predict_new_ones_better(order):
    new = random_texts(100, seed=1)
    nll = [held_out_nll(fit(random_texts(num_texts), order), new) for num_texts in (3, 30, 300, 3000)]
    assert nll == sorted(nll, reverse=True)
    assert nll[0] > nll[-1] + 0.5


@pytest.mark.parametrize("order", [0, -1])
def test_an_order_below_one_is_refused(order):
    with pytest.raises(ValueError, match=f"order is {order}: an n-gram has at least one token"):
        fit(["a b"], order)


# Batches


@torch.no_grad()
@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad_id", [PAD, EOS, 40])
def test_padded_rows_predict_what_they_predict_alone(order, side, pad_id):
    model = fit(random_texts(50), order)
    rows = [ids_of(text)[0] for text in ["a b c d", "b", "a b", "f a b c a b"]]
    ids, mask = torch.full((4, 6), pad_id), torch.zeros(4, 6, dtype=torch.int64)
    for i, row in enumerate(rows):
        real = slice(6 - len(row), 6) if side == "left" else slice(0, len(row))
        ids[i, real], mask[i, real] = row, 1
    logits = model(ids, attention_mask=mask).logits
    for i, row in enumerate(rows):
        torch.testing.assert_close(logits[i][mask[i].bool()], model(row[None]).logits[0])


@torch.no_grad()
@pytest.mark.parametrize("order", [1, 3, 5])
def test_the_complete_sequence_gives_the_logits_of_its_prefixes(order):
    model = fit(random_texts(50), order)
    ids = ids_of("a b c f a b z a")
    complete_logits = model(ids).logits
    assert complete_logits.shape == (1, ids.shape[1], VOCAB_SIZE)
    stepwise = [model(ids[:, : i + 1]).logits[:, -1] for i in range(ids.shape[1])]
    torch.testing.assert_close(torch.stack(stepwise, dim=1), complete_logits)
    torch.testing.assert_close(model(ids, logits_to_keep=2).logits, complete_logits[:, -2:])


@torch.no_grad()
@pytest.mark.parametrize("order", [1, 2, 4])
def test_target_log_probabilities_are_those_of_the_logits_row_by_row(order):
    model = fit(random_texts(50), order)
    input_ids = torch.cat([ids_of(text) for text in ["a b c d e", "f a b z c", "e e a b c"]])
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    targets = [(0, 1), (0, 4), (2, 0), (2, 1), (2, 3)]
    for row, position in targets:
        labels[row, position] = 5 * row + position
    found = model.target_log_probabilities(input_ids, labels)
    logits = model(input_ids).logits
    expected = torch.stack([logits[row, position, labels[row, position]] for row, position in targets])
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32
    assert model.target_log_probabilities(input_ids, torch.full_like(labels, IGNORE_INDEX)).shape == (0,)


def test_a_saved_model_reloads(tmp_path):
    model = fit(random_texts(50), 3)
    model.save_pretrained(tmp_path)
    reloaded = KneserNeyLM.from_pretrained(tmp_path)
    assert torch.equal(next_log_probabilities(reloaded, "a b"), next_log_probabilities(model, "a b"))
    assert reloaded.config.num_ngrams == model.config.num_ngrams


# The interface of the other models


@torch.no_grad()
@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_generation_repeats_the_most_probable_next_token(order, use_cache):
    model = fit(second_order_texts(50), order)
    for text in ["a", "b c", "d a b c", "z a"]:
        ids = prefix = ids_of(text)
        while ids.shape[1] < prefix.shape[1] + 8 and (ids is prefix or ids[0, -1] != EOS):
            ids = torch.cat([ids, model(ids).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
        generated = model.generate(prefix, max_new_tokens=8, do_sample=False, use_cache=use_cache)
        assert generated.tolist() == ids.tolist()


def test_samples_have_the_frequencies_of_their_probabilities():
    model = fit(["a b", "a b", "a c", "a d"], order=2)
    torch.manual_seed(0)
    samples = model.generate(ids_of("a").repeat(4000, 1), max_new_tokens=1, do_sample=True, top_k=0)[:, 1]
    shares = samples.bincount(minlength=VOCAB_SIZE) / len(samples)
    torch.testing.assert_close(shares, next_log_probabilities(model, "a").exp(), atol=0.03, rtol=0)


@pytest.mark.parametrize("order", [1, 3, 5])
@pytest.mark.parametrize("n", [1, 3])
def test_completions_are_words_and_the_same_in_a_batch(tokenizer, cleaned_texts, order, n):
    model = fit(cleaned_texts, order, tokenizer)
    # Most are prefixes of training texts, so the model knows them at the start of a text.
    prefixes = ["i am", "zebra", *(split_x_target_by_words(text)[0] for text in cleaned_texts[:8])]
    together = complete(model, tokenizer, prefixes, n=n)
    for prefix, suggestions in zip(prefixes, together):
        (alone,) = complete(model, tokenizer, [prefix], n=n)
        assert [suggestion.text for suggestion in alone] == [suggestion.text for suggestion in suggestions]
        confidences = [suggestion.confidence for suggestion in suggestions]
        assert [suggestion.confidence for suggestion in alone] == pytest.approx(confidences, abs=1e-4)
        assert len({suggestion.text for suggestion in suggestions}) == n
        assert all(suggestion.text and suggestion.confidence < 0 for suggestion in suggestions)


def test_a_tweet_of_the_training_texts_is_completed_with_its_own_ending(tokenizer, cleaned_texts):
    model = fit(["good morning to all of you"] * 20 + cleaned_texts, 4, tokenizer)
    ((suggestion,),) = complete(model, tokenizer, ["good morning to"])
    assert suggestion.text == "all of you"


@torch.no_grad()
@pytest.mark.parametrize("order", [1, 3])
def test_target_likelihood_is_the_sum_of_log_probabilities(tokenizer, cleaned_texts, order):
    model = fit(cleaned_texts[:40], order, tokenizer)
    texts = cleaned_texts[40:]
    likelihood = target_likelihood(model, tokenizer, texts, batch_size=7)
    for text, nll in zip(texts, likelihood["nll"]):
        ids = [*encode(tokenizer, [text])[0], EOS]
        num_context = ids_of(split_x_target_by_words(text)[0], tokenizer).shape[1]
        logits = model(torch.tensor([ids])).logits[0]
        log_probabilities = [float(logits[i - 1, ids[i]]) for i in range(num_context, len(ids))]
        assert nll == pytest.approx(-sum(log_probabilities), abs=1e-3)


# Choice of the order


@pytest.mark.parametrize(("make_texts", "best"), [(random_texts, 2), (second_order_texts, 3)])
def test_the_order_with_the_lowest_validation_nll_is_chosen(make_texts, best):
    train, val = NextTokenDataset(make_texts(300), TOKENIZER, EOS), NextTokenDataset(make_texts(60, 1), TOKENIZER, EOS)
    model, table = choose_order(train, val, VOCAB_SIZE, PAD, EOS, orders=(1, 2, 3, 4))
    assert table["order"].tolist() == [1, 2, 3, 4]
    assert table["ngrams"].is_monotonic_increasing
    assert len(model.config.num_ngrams) == best == table["order"][table["val_nll"].idxmin()]
    for order, val_nll in zip(table["order"], table["val_nll"]):
        nll, num_targets = dataset_nll(fit(make_texts(300), order), val, 16, PAD)
        assert val_nll == pytest.approx(nll.sum() / num_targets.sum(), abs=1e-6)
