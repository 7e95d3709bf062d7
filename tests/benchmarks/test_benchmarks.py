"""The benchmarks: the variants of the trials, equal losses where speeds are compared, and the repeated corpus."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.quality import ngrams
from benchmarks.quality.trials import TRIALS, Trial, learning_rate_share, spelt_alike
from benchmarks.quality.variants import SPELLINGS, smoothed_loss, trial_loss, vary, with_noise
from benchmarks.speed import gpu
from benchmarks.speed.data import write_varied_csv
from benchmarks.speed.finetuning import library_loss
from benchmarks.speed.memory import in_own_process
from benchmarks.speed.page import RESULTS_PAGE, speed_section
from benchmarks.speed.reference_loop import ReferenceDataset, reference_collate, reference_loss
from src.corpus.load import Corpus, read_sentiment140
from src.evaluation.systems import target_likelihood
from src.examples import TWEETS
from src.lstm_model import LSTMLM, LSTMConfig
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.recipe import token_datasets
from src.training.loss import token_frequencies, training_loss

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.name != "__main__.py"
)
PLAIN = Trial(embedding_dim=16, hidden_dim=24, dropout=0.0)
REGULARISED = replace(PLAIN, word_dropout=0.3, weight_dropout=0.3, input_dropout=0.3, output_dropout=0.3)


def make_model(trial, vocab_size):
    torch.manual_seed(0)
    sizes = {"embedding_dim": trial.embedding_dim, "hidden_dim": trial.hidden_dim, "dropout": trial.dropout}
    return vary(LSTMLM(LSTMConfig(vocab_size=vocab_size, **sizes)), trial).eval()


@pytest.fixture(scope="module")
def dataset(tokenizer, cleaned_texts):
    return NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id)


@pytest.fixture(scope="module")
def batch(dataset):
    return collate_batch([dataset[i] for i in range(13)])


def test_regularisers_are_off_in_evaluation_and_on_in_training(batch, tokenizer):
    plain, regularised = (make_model(trial, len(tokenizer)) for trial in (PLAIN, REGULARISED))
    expected = training_loss(plain, batch)
    torch.testing.assert_close(training_loss(regularised, batch), expected)
    losses = {training_loss(regularised.train(), batch).item() for _ in range(5)}
    assert len(losses) == 5 and all(loss > 0 for loss in losses)
    training_loss(regularised, batch).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in regularised.parameters())


def test_layer_norm_changes_the_model(batch, tokenizer):
    plain, normalised = (make_model(replace(PLAIN, layer_norm=on), len(tokenizer)) for on in (False, True))
    assert training_loss(plain, batch) != training_loss(normalised, batch)


def test_noise_replaces_a_share_of_the_input_tokens_and_nothing_else(batch, dataset, tokenizer):
    frequencies = token_frequencies(dataset, len(tokenizer))
    torch.manual_seed(0)
    noisy = with_noise(batch, frequencies, 0.3)
    assert 0.1 < (noisy["input_ids"] != batch["input_ids"]).float().mean() < 0.4
    assert torch.equal(noisy["labels"], batch["labels"]) and torch.equal(noisy["lengths"], batch["lengths"])
    assert torch.equal(with_noise(batch, frequencies, 0.0)["input_ids"], batch["input_ids"])


def test_each_spelling_changes_only_what_its_name_says():
    spelt = {name: spell("sooo good at 10 am") for name, spell in SPELLINGS.items()}
    assert spelt == {
        "as it is": "sooo good at 10 am",
        "digits as zeros": "sooo good at 00 am",
        "letters at most twice in a row": "soo good at 10 am",
    }
    assert spelt_alike("good at noon") and not spelt_alike("good at 10") and not spelt_alike("sooo good")


def test_trial_loss_is_smoothed_or_sampled_only_when_asked(batch, dataset, tokenizer):
    model, frequencies = make_model(PLAIN, len(tokenizer)), token_frequencies(dataset, len(tokenizer))
    expected = training_loss(model, batch)
    torch.testing.assert_close(trial_loss(model, batch, 0.0, 0, frequencies), expected)
    torch.testing.assert_close(smoothed_loss(model, batch, 0.0), expected)
    smoothed = trial_loss(model, batch, 0.1, 0, frequencies)
    sampled = trial_loss(model, batch, 0.0, 50, frequencies)
    assert len({expected.item(), smoothed.item(), sampled.item()}) == 3


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedules_rise_to_one_and_fall_to_zero(schedule):
    trial = Trial(schedule=schedule, warmup_share=0.2)
    shares = [learning_rate_share(step, 100, trial) for step in range(100)]
    assert max(shares) == pytest.approx(1.0) and 0 <= shares[-1] < 0.02
    assert shares[:20] == sorted(shares[:20]) and shares[20:] == sorted(shares[20:], reverse=True)


def test_trials_differ_from_each_other():
    assert len(set(TRIALS.values())) == len(TRIALS)


def test_the_usual_loop_has_the_same_loss_and_gradients_as_ours(cleaned_texts, tokenizer):
    model = make_model(PLAIN, len(tokenizer))
    texts = cleaned_texts[:13]
    items = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
    usual = reference_loss(model, reference_collate(list(ReferenceDataset(texts, tokenizer))))
    ours = training_loss(model, collate_batch(list(items)))
    torch.testing.assert_close(usual, ours, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(loss, list(model.parameters())) for loss in (usual, ours)]
    for of_usual, of_ours in zip(*gradients):
        torch.testing.assert_close(of_usual, of_ours, rtol=1e-4, atol=1e-5)


def test_the_librarys_loss_in_fine_tuning_equals_ours(batch, tokenizer):
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=2, eos_token_id=2)).eval()
    torch.testing.assert_close(library_loss(model, batch), training_loss(model, batch))


def test_all_rows_of_a_repeated_corpus_are_read_and_few_are_duplicates(tmp_path):
    tweets = pd.DataFrame({"text": TWEETS, "user": "anna", "date": "Mon Apr 06 22:19:45 PDT 2009"})
    corpus = Corpus("sentiment140", "made up", "", tweets, ())
    num_rows = 20 * len(TWEETS) + 3
    write_varied_csv(corpus, tmp_path / "tweets.csv.zip", num_rows)
    read = read_sentiment140(tmp_path / "tweets.csv.zip")
    assert len(read.tweets) == num_rows and read.bad_rows == ()
    assert read.tweets["text"].iloc[: len(TWEETS)].tolist() == list(TWEETS)
    assert read.tweets["text"].nunique() > 0.95 * num_rows


def test_sizes_of_ngrams_are_compared_on_the_texts_that_choose_no_weight(cleaned_texts, tokenizer, monkeypatch):
    monkeypatch.setattr(ngrams, "SIZES_CHOOSING", 4)
    train_texts, texts = cleaned_texts[:20], cleaned_texts[20:]
    train_dataset, dataset = token_datasets(tokenizer, train_texts, texts)
    ids = len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
    unpruned, smaller = (KneserNeyLM.from_dataset(train_dataset, *ids, order) for order in (3, 1))
    scores = ngrams.SizeScores(make_model(PLAIN, len(tokenizer)), dataset, texts, tokenizer.pad_token_id)
    alone, mixed, by_context = scores.rows(unpruned, megabytes=1)
    likelihood = target_likelihood(unpruned, tokenizer, texts)[4:]
    perplexity = np.exp(likelihood["nll"].sum() / likelihood["words"].sum())
    assert alone["perplexity_per_word"]["value"] == pytest.approx(perplexity, rel=1e-4)
    assert mixed["times_unpruned"]["value"] == 1 and np.count_nonzero(mixed["coefficients"]) == 1
    assert len(by_context["coefficients"]) == 6 and np.count_nonzero(by_context["coefficients"]) > 1
    _, mixed_smaller, _ = scores.rows(smaller, megabytes=0)
    quotient = mixed_smaller["perplexity_per_word"]["value"] / mixed["perplexity_per_word"]["value"]
    assert mixed_smaller["times_unpruned"]["value"] == pytest.approx(quotient) and mixed_smaller["ngrams"] == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name):
    import_module(name)


def test_the_tables_on_speed_are_those_of_the_recorded_results():
    assert speed_section() in RESULTS_PAGE.read_text(encoding="utf-8"), "run benchmarks.speed.page.write_page"


@pytest.mark.slow
def test_a_task_in_its_own_process_returns_its_rows_and_its_memory(tmp_path):
    tweets = pd.DataFrame({"text": TWEETS, "user": "anna", "date": "Mon Apr 06 22:19:45 PDT 2009"})
    write_varied_csv(Corpus("sentiment140", "made up", "", tweets, ()), tmp_path / "tweets.csv.zip", 300)
    rows, megabytes = in_own_process("preparation_speed", str(tmp_path / "tweets.csv.zip"))
    assert [row["stage"] for row in rows][-1] == "all" and all(row["seconds"] >= 0 for row in rows)
    assert megabytes > 50


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_trains_both_models_with_the_parameters_of_its_notebooks(
    monkeypatch, tokenizer, cleaned_texts
):
    sizes = {"vocab_size": len(tokenizer), "n_layer": 1, "n_embd": 16, "n_head": 2}
    monkeypatch.setattr(gpu, "DISTILGPT2_SIZES", sizes)
    monkeypatch.setattr(gpu, "load_pretrained", lambda: SimpleNamespace(tokenizer=tokenizer))
    monkeypatch.setattr(gpu, "TRANSFORMER_SHARE", 0.5)
    rows = gpu.gpu_speed(cleaned_texts, num_tweets=1_100)
    assert [(row["model"], row["tweets"]) for row in rows] == [("LSTM", 1_100), ("distilgpt2's sizes, random", 550)]
    assert all(row["tweets per second"] > 0 for row in rows)
