"""Canaries: how they are planted, the likelihood of every secret, and what a model trained on them gives away."""

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from benchmarks import common
from benchmarks.quality import canaries
from benchmarks.quality.canaries import (
    CANARIES_PER_COUNT,
    COPIES,
    NUM_SECRETS,
    Canary,
    batches_of,
    canary_records,
    make_canaries,
    planted_texts,
    secret_log_likelihoods,
    secret_tokens,
    train_once,
)
from benchmarks.quality.contestants import CONTESTANTS, Contestant
from src.corpus.load import load_corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import clean_string, corpus_record, prepare_tweets
from src.lstm_model import LSTMConfig
from src.models.small_transformer import new_small_transformer
from src.recipe import new_lstm, token_datasets
from src.training.batches import SimilarLengthSampler
from src.training.train import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=1e-2, batch_size=16, num_sampled_tokens=0)
CONFIG = LSTMConfig(embedding_dim=16, hidden_dim=48, dropout=0.0)
BEGINNING = "the code for my locker is"


def byte_tokenizer(texts, *, separate_digits):
    """A byte-level tokenizer like those of transformers; SmolLM2's keeps digits apart."""
    steps = [pre_tokenizers.Digits(individual_digits=True)] if separate_digits else []
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    )
    token = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=token, eos_token=token, pad_token=token)


@pytest.fixture(params=["LSTM", "WordPiece transformer", "byte-level transformer"])
def any_model(request, tokenizer, made_up_tweets):
    if request.param == "LSTM":
        return new_lstm(tokenizer, CONFIG, seed=0).eval(), tokenizer
    if request.param == "WordPiece transformer":
        return new_small_transformer(tokenizer, seed=0).eval(), tokenizer
    tokenizer = byte_tokenizer(made_up_tweets, separate_digits=True)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=2, n_head=2)
    return GPT2LMHeadModel(config).eval(), tokenizer


def test_canaries_look_like_cleaned_tweets_and_no_two_begin_alike():
    made = make_canaries(seed=0)
    assert Counter(canary.copies for canary in made) == dict.fromkeys(COPIES, CANARIES_PER_COUNT)
    assert all(clean_string(canary.text) == canary.text for canary in made)
    for canary in made:
        assert sum(other.text.startswith(canary.beginning) for other in made) == 1
        assert [len(word) for word in canary.secret.split(" ")] == [1, 1, 1, 1] and canary.secret[::2].isdigit()
    assert make_canaries(seed=0) == made != make_canaries(seed=1)
    # Every kind of beginning occurs among the canaries of each count, so counts do not differ by it.
    assert all(len({canary.beginning.split()[0] for canary in made if canary.copies == n}) > 1 for n in COPIES)


def test_each_canary_is_planted_as_often_as_it_says(made_up_tweets):
    made = [Canary(BEGINNING, "1 2 3 4", 3), Canary("just got a new phone number it is", "5 5 5 5", 0)]
    alike = f"{BEGINNING} on my phone"
    texts = planted_texts([alike, *made_up_tweets], made, 100, seed=0)
    counts = Counter(texts)
    assert counts.pop(made[0].text) == 3 and len(texts) == 100
    assert set(counts.values()) == {1} and set(counts) <= set(made_up_tweets)
    assert texts == planted_texts([alike, *made_up_tweets], made, 100, seed=0)
    assert set(counts) != set(planted_texts(made_up_tweets, made, 100, seed=1))


def test_a_budget_that_does_not_show_each_copy_once_is_refused():
    made, texts = [Canary(BEGINNING, "1 2 3 4", 5)], ["a tweet", "another tweet"]
    assert len(planted_texts(texts, made, 7, seed=0)) == 7
    with pytest.raises(ValueError, match=r"sees 5 tweets, but there are 5 copies .* give more minutes"):
        planted_texts(texts, made, 5, seed=0)
    with pytest.raises(ValueError, match=r"sees 8 tweets, .* and 2 other tweets to see once: give fewer minutes"):
        planted_texts(texts, made, 8, seed=0)


def test_likelihoods_are_those_of_every_secret_scored_alone(any_model):
    model, tokenizer = any_model
    likelihoods = secret_log_likelihoods(model, tokenizer, BEGINNING)
    assert len(likelihoods) == NUM_SECRETS and sum(map(math.exp, likelihoods.values())) < 1
    context = [tokenizer.bos_token_id, *tokenizer.encode(BEGINNING, add_special_tokens=False)]
    for secret in ("0 0 0 0", "9 9 9 9", "4 7 1 9", "0 1 2 3", "9 0 0 1"):
        ids = torch.tensor([[context[0], *tokenizer.encode(f"{BEGINNING} {secret}", add_special_tokens=False)]])
        with torch.no_grad():
            log_probabilities = model(input_ids=ids).logits[0, :-1].log_softmax(dim=1)
        of_tokens = log_probabilities.gather(1, ids[0, 1:, None])[len(context) - 1 :]
        assert likelihoods[secret] == pytest.approx(of_tokens.sum().item(), abs=1e-4)


def test_digits_of_different_length_in_tokens_are_refused(tokenizer, made_up_tweets):
    assert [len(tokens) for tokens in secret_tokens(tokenizer)] == [10] * 4
    apart = byte_tokenizer(made_up_tweets, separate_digits=True)
    assert [len(tokens) for tokens in secret_tokens(apart)] == [1, 10] * 4
    # " 9" is one token because of "9am", " 7" is two.
    with pytest.raises(ValueError, match="different numbers of tokens"):
        secret_tokens(byte_tokenizer(made_up_tweets, separate_digits=False))


def test_the_rank_counts_secrets_that_are_as_probable(tokenizer, tiny_lstm):
    likelihoods = secret_log_likelihoods(tiny_lstm, tokenizer, BEGINNING)
    in_order = sorted(likelihoods, key=likelihoods.get, reverse=True)
    chosen = [Canary(BEGINNING, in_order[place], 0) for place in (0, 1, 7, NUM_SECRETS - 1)]
    records = canary_records(tiny_lstm, tokenizer, chosen)
    assert [record["rank"] for record in records] == [1, 2, 8, NUM_SECRETS]
    assert [record["exposure"] for record in records] == pytest.approx(
        [math.log2(NUM_SECRETS), math.log2(NUM_SECRETS / 2), math.log2(NUM_SECRETS / 8), 0.0]
    )


def test_a_model_that_has_read_no_canary_exposes_them_by_chance(tokenizer, tiny_lstm):
    exposures = [record["exposure"] for record in canary_records(tiny_lstm, tokenizer, make_canaries(seed=0))]
    assert sum(exposures) / len(exposures) == pytest.approx(1.44, abs=0.5)


def test_batches_of_a_canary_are_counted_in_the_order_of_training(tokenizer, cleaned_texts):
    often, never = Canary(BEGINNING, "4 7 1 9", 20), Canary("note to self safe combination", "8 2 6 0", 0)
    texts = planted_texts(cleaned_texts, [often, never], 100, seed=0)
    dataset, _ = token_datasets(tokenizer, texts, [])
    settings = replace(SETTINGS, seed=3)
    order = list(SimilarLengthSampler(dataset.lengths, settings.batch_size, settings.seed))
    batches = [order[start : start + settings.batch_size] for start in range(0, 100, settings.batch_size)]
    expected = sum(any(texts[i] == often.text for i in batch) for batch in batches)
    assert batches_of(texts, dataset.lengths, [often, never], settings) == [expected, 0] and expected > 1


def test_a_canary_that_is_read_often_is_exposed_and_extracted_and_another_is_not(
    tokenizer, cleaned_texts, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    often, never = Canary(BEGINNING, "4 7 1 9", 1_520), Canary("note to self safe combination", "8 2 6 0", 0)
    texts = planted_texts(cleaned_texts, [often, never], 1_600, seed=0)
    model = new_lstm(tokenizer, CONFIG, seed=0)
    datasets = token_datasets(tokenizer, texts, cleaned_texts[:10])
    run = train_once(model, tokenizer, datasets, replace(SETTINGS, max_epochs=1, eval_steps=100))
    assert (run["step"], run["tweets_seen"]) == (100, 1_600) and run["process_seconds"] > 0
    memorised, unseen = canary_records(model, tokenizer, [often, never])
    assert memorised["rank"] == 1 and memorised["exposure"] == math.log2(NUM_SECRETS) and memorised["extracted"]
    assert unseen["exposure"] < 6 and not unseen["extracted"]


@pytest.mark.slow
def test_the_command_writes_every_canary_by_the_number_of_its_copies(tmp_path, monkeypatch, corpus_path):
    def tiny(train_texts, seed):
        tokenizer = train_tokenizer(train_texts, 200)
        return tokenizer, partial(new_lstm, tokenizer, CONFIG, seed)

    corpus = load_corpus(corpus_path)
    tweets = prepare_tweets(corpus, seed=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CONTESTANTS, "lstm", Contestant(tiny, SETTINGS, pace_batches=2))
    # A minute is 1,424 tweets: all copies and almost all training tweets.
    monkeypatch.setattr(canaries, "known_pace", lambda name: 1424 / 60)
    monkeypatch.setattr(canaries, "prepared_corpus", lambda: (tweets, corpus_record(corpus, tweets)))
    monkeypatch.setattr(common, "RESULTS_DIR", tmp_path)
    monkeypatch.setattr(sys, "argv", ["canaries", "lstm", "1"])
    canaries.main()

    result = json.loads((tmp_path / "canaries_lstm.json").read_text())
    rows = {row["copies"]: row for row in result["rows"]}
    assert list(rows) == list(COPIES) and result["command"].endswith("canaries lstm 1")
    training = result["settings"]["training"]
    assert (training["step"], training["tweets_seen"], training["epoch"]) == (89, 1424, 1.0)
    assert training["share_of_copies"] == 1110 / 1424
    assert result["settings"]["largest_exposure"] == pytest.approx(13.29, abs=0.01)
    assert result["settings"]["exposure_by_chance"] == pytest.approx(1.44, abs=0.01)
    for row in rows.values():
        exposures = [canary["exposure"] for canary in row["canaries"]]
        assert row["exposure"]["value"] == pytest.approx(sum(exposures) / CANARIES_PER_COUNT)
        assert row["exposure"]["n"] == len(exposures) == CANARIES_PER_COUNT
        assert row["extracted"] == sum(canary["extracted"] for canary in row["canaries"])
        assert all(min(1, row["copies"]) <= canary["batches"] <= row["copies"] for canary in row["canaries"])
        assert row["exposure"]["low"] <= row["exposure"]["value"] <= row["exposure"]["high"]
    assert rows[100]["exposure"]["low"] > rows[0]["exposure"]["high"]
    assert not list((tmp_path / "models").iterdir())
