"""Completions: whole new words, scored right, whatever the batch, the model and its tokenizer."""

import random

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from src.completion import complete, word_starts
from src.data_utils import clean_string
from src.lstm_model import LSTMLM, LSTMConfig

PREFIXES = ["the weather today is so", "good morning", "i am", "we never want to go to the beach", "finally"]
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def bpe_tokenizer(cleaned_texts):
    """As GPT-2's: bytes, a space belongs to the word behind it, one special token that is also the pad."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(cleaned_texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END, padding_side="left")


def make_lstm(tokenizer, seed=0, eos_bias=0.0):
    """A model whose weights are large enough that predictions differ clearly from token to token."""
    torch.manual_seed(seed)
    config = LSTMConfig(
        vocab_size=len(tokenizer),
        embedding_dim=16,
        hidden_dim=24,
        num_layers=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LSTMLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        model.lm_head.bias[tokenizer.eos_token_id] += eos_bias
    return model


def make_gpt2(tokenizer, seed=0, eos_bias=0.0):
    torch.manual_seed(seed)
    eos_id = tokenizer.eos_token_id
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.4, bos_token_id=eos_id, eos_token_id=eos_id)).eval()
    with torch.no_grad():
        # The output layer has no bias: one of its inputs is made constant and read by the end alone.
        model.transformer.wte.weight[:, 0] = 0.0
        model.transformer.wte.weight[eos_id, 0] = eos_bias
        model.transformer.ln_f.weight[0], model.transformer.ln_f.bias[0] = 0.0, 1.0
    return model


KINDS = ["lstm", "gpt2"]


@pytest.fixture
def make(tokenizer, bpe_tokenizer):
    """`make(kind, seed, eos_bias)` gives a model and its tokenizer."""

    def make(kind, seed=0, eos_bias=0.0):
        if kind == "lstm":
            return make_lstm(tokenizer, seed, eos_bias), tokenizer
        return make_gpt2(bpe_tokenizer, seed, eos_bias), bpe_tokenizer

    return make


@torch.no_grad()
def token_log_probabilities(model, tokenizer, prefix_ids, new_ids):
    """Of every new token, from one forward over the whole; the first among the beginnings of words."""
    logits = model(torch.tensor([prefix_ids + new_ids])).logits[0, len(prefix_ids) - 1 : -1].clone()
    logits[0, ~begins_word(tokenizer)] = -torch.inf
    return logits.log_softmax(dim=-1)[range(len(new_ids)), new_ids]


def begins_word(tokenizer):
    """The mask written a second time."""
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    if tokenizer.eos_token == END:
        wanted = [piece == "Ġ" or (piece[0] == "Ġ" and piece[1].isascii() and piece[1].isalnum()) for piece in pieces]
    else:
        wanted = [piece[0].isalnum() for piece in pieces]
    return torch.tensor(wanted)


@torch.no_grad()
def greedy_by_hand(model, tokenizer, prefix_ids, max_new_tokens):
    """New ids, up to and with the end."""
    new = []
    while len(new) < max_new_tokens and (not new or new[-1] != tokenizer.eos_token_id):
        logits = model(torch.tensor([prefix_ids + new])).logits[0, -1].clone()
        if not new:
            logits[~begins_word(tokenizer)] = -torch.inf
        new.append(int(logits.argmax()))
    return new


def generated_ids(model, monkeypatch):
    """A list that gets (prefix ids, new ids up to and with the end) of every row that `model` generates."""
    generate, rows = model.generate, []

    def spy(**kwargs):
        output = generate(**kwargs)
        num_beams, eos_id = kwargs["num_beams"], kwargs["eos_token_id"]
        for i, row in enumerate(output.sequences):
            prefix, real = kwargs["input_ids"][i // num_beams], kwargs["attention_mask"][i // num_beams].bool()
            new = row[len(prefix) :].tolist()
            rows.append((prefix[real].tolist(), new[: new.index(eos_id) + 1] if eos_id in new else new))
        return output

    monkeypatch.setattr(model, "generate", spy)
    return rows


def texts(completions):
    return [[suggestion.text for suggestion in suggestions] for suggestions in completions]


def confidences(completions):
    return [suggestion.confidence for suggestions in completions for suggestion in suggestions]


# Words


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eos_bias", [0.0, 4.0])
def test_one_suggestion_is_the_greedy_one_with_its_mean_log_probability(make, kind, seed, eos_bias):
    model, tokenizer = make(kind, seed, eos_bias)
    for prefix, (suggestion,) in zip(PREFIXES, complete(model, tokenizer, PREFIXES, max_new_tokens=8)):
        prefix_ids = tokenizer(prefix, add_special_tokens=False)["input_ids"]
        new = greedy_by_hand(model, tokenizer, prefix_ids, 8)
        expected = token_log_probabilities(model, tokenizer, prefix_ids, new).mean()
        assert suggestion.text == clean_string(tokenizer.decode(new, skip_special_tokens=True))
        assert suggestion.confidence == pytest.approx(float(expected), abs=1e-4)
        assert suggestion.confidence <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_lets_only_beginnings_of_words_through(make, kind):
    _, tokenizer = make(kind)
    mask = word_starts(tokenizer, len(tokenizer) + 5).first
    assert torch.equal(mask[:-5], begins_word(tokenizer))
    assert not mask[-5:].any()
    assert 0 < mask.sum() < len(tokenizer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 4])
def test_the_first_new_token_begins_a_word(make, kind, n, monkeypatch):
    model, tokenizer = make(kind)
    rows = generated_ids(model, monkeypatch)
    complete(model, tokenizer, PREFIXES, n=n, max_new_tokens=4)
    assert len(rows) == n * len(PREFIXES)
    first_pieces = tokenizer.convert_ids_to_tokens([new[0] for _, new in rows])
    assert all(piece[0] == "Ġ" if kind == "gpt2" else piece[0].isalnum() for piece in first_pieces)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 4])
def test_there_is_a_token_though_the_end_is_most_probable(make, kind, n, monkeypatch):
    model, tokenizer = make(kind, eos_bias=100.0)
    rows = generated_ids(model, monkeypatch)
    completions = complete(model, tokenizer, PREFIXES, n=n)
    assert all(len(new) == 2 and new[0] != tokenizer.eos_token_id == new[1] for _, new in rows)
    assert [len(suggestions) for suggestions in completions] == [n] * len(PREFIXES)
    assert all(len(set(suggestions)) == n for suggestions in texts(completions))
    assert max(confidences(completions)) <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_suggestion_has_a_word(make, kind):
    model, tokenizer = make(kind, eos_bias=100.0)
    num_beginnings = int(begins_word(tokenizer).sum())
    (suggestions,) = texts(complete(model, tokenizer, ["good morning"], n=num_beginnings, max_new_tokens=3))
    assert "" not in suggestions


@pytest.mark.parametrize("max_new_tokens", [1, 3])
def test_max_new_tokens_is_kept(make, max_new_tokens, monkeypatch):
    model, tokenizer = make("lstm", eos_bias=-100.0)
    rows = generated_ids(model, monkeypatch)
    complete(model, tokenizer, PREFIXES, max_new_tokens=max_new_tokens)
    assert [len(new) for _, new in rows] == [max_new_tokens] * len(PREFIXES)


# Batches


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_batches_give_what_prefixes_give_alone_in_their_order(make, kind, n, batch_size):
    model, tokenizer = make(kind)
    prefixes = PREFIXES + PREFIXES[:2]
    random.Random(0).shuffle(prefixes)
    together = complete(model, tokenizer, prefixes, n=n, max_new_tokens=8, batch_size=batch_size)
    alone = [complete(model, tokenizer, [prefix], n=n, max_new_tokens=8)[0] for prefix in prefixes]
    assert texts(together) == texts(alone)
    assert confidences(together) == pytest.approx(confidences(alone), abs=1e-4)
    assert len({tuple(suggestions) for suggestions in texts(together)}) == len(PREFIXES)


def test_no_prefixes_give_no_completions(make):
    assert complete(*make("lstm"), []) == []


# Several suggestions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 5])
def test_beams_are_distinct_and_scored_as_forward_scores_them(make, kind, seed, n, monkeypatch):
    model, tokenizer = make(kind, seed, eos_bias=4.0)
    rows = generated_ids(model, monkeypatch)
    # All in one batch of prefixes of one length, so that rows are in the order of the suggestions.
    found = confidences(complete(model, tokenizer, ["good morning"] * 2, n=n, max_new_tokens=6))
    expected = [float(token_log_probabilities(model, tokenizer, *row).mean()) for row in rows]
    assert sorted(found) == pytest.approx(sorted(expected), abs=1e-4)
    assert max(found) <= 0
    assert len({tuple(new) for _, new in rows[:n]}) == n
    assert rows[:n] == rows[n:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_suggestions_come_best_first(make, kind, seed):
    model, tokenizer = make(kind, seed, eos_bias=4.0)
    for suggestions in complete(model, tokenizer, PREFIXES, n=5, max_new_tokens=6):
        found = [suggestion.confidence for suggestion in suggestions]
        assert len(found) == 5
        assert found == sorted(found, reverse=True)


# Prefixes


@pytest.mark.parametrize(
    "messy",
    ["  The WEATHER,\n today!! ", "@bob the weather today http://t.co/abc1", "RT @al: the &quot;weather&quot; today"],
)
def test_prefixes_are_cleaned(make, messy):
    model, tokenizer = make("lstm")
    assert complete(model, tokenizer, [messy], n=2) == complete(model, tokenizer, ["the weather today"], n=2)


@pytest.mark.parametrize("empty", ["", "  ", "?!", "@bob http://t.co/abc1"])
def test_a_prefix_without_words_is_refused_by_its_index(make, empty):
    with pytest.raises(ValueError, match=r"prefix 1 \('.*'\) has no letters or digits: give at least one word"):
        complete(*make("lstm"), ["fine", empty, "fine too"])


@pytest.mark.parametrize("n", [0, -2])
def test_fewer_than_one_suggestion_is_refused(make, n):
    with pytest.raises(ValueError, match=f"n is {n}: ask for at least one suggestion"):
        complete(*make("lstm"), ["fine"], n=n)
