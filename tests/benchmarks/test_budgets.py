"""Equal budgets: the number of tweets, the batches of the pace, the clock, and a run that is interrupted."""

import json
from dataclasses import replace
from functools import partial
from math import log
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.quality import budgets, paces
from benchmarks.quality.budgets import TrainingClock, budget_settings, run_budget
from benchmarks.quality.contestants import CONTESTANTS, TUNING, Contestant
from benchmarks.quality.paces import POOL_BATCHES, batches_like_a_pool, measure_paces, tweets_per_second
from src.corpus.load import load_corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import corpus_record, prepare_tweets
from src.evaluation.evaluate import evaluate
from src.evaluation.metrics import bits_per_character
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem, target_likelihood
from src.lstm_model import LSTMConfig, load_lstm_lm
from src.models.pretrained import load_pretrained
from src.models.small_transformer import new_small_transformer
from src.recipe import new_lstm
from src.training.batches import SimilarLengthSampler
from src.training.train import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=1e-2, batch_size=16, num_sampled_tokens=50)
# With this pace, tweets of 20 steps are a budget of a minute.
PACE = 20 * 16 / 60


def tiny_lstm(train_texts, seed):
    tokenizer = train_tokenizer(train_texts, 200)
    config = LSTMConfig(embedding_dim=16, hidden_dim=24, dropout=0.2)
    return tokenizer, partial(new_lstm, tokenizer, config, seed)


@pytest.fixture(scope="module")
def corpus(corpus_path):
    corpus = load_corpus(corpus_path)
    tweets = prepare_tweets(corpus, seed=0)
    return tweets, corpus_record(corpus, tweets)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(CONTESTANTS, "lstm", Contestant(tiny_lstm, SETTINGS, pace_batches=2))


def test_minutes_and_pace_give_the_number_of_tweets():
    settings = budget_settings(SETTINGS, minutes=90, pace=400.0, num_texts=1_000_000)
    assert settings.max_tweets_seen == 90 * 60 * 400 and settings.max_epochs == 3
    assert settings.num_steps(1_000_000) == 90 * 60 * 400 / 16
    assert budget_settings(SETTINGS, 45, 400.0, 1_000_000).max_tweets_seen == settings.max_tweets_seen / 2
    assert budget_settings(SETTINGS, 1, 0.001, 100).num_steps(100) == 1
    assert replace(settings, max_tweets_seen=1, max_epochs=1, eval_steps=1, patience=1) == replace(
        SETTINGS, max_tweets_seen=1, max_epochs=1, eval_steps=1, patience=1
    )


@pytest.mark.parametrize("num_batches", [10, POOL_BATCHES])
def test_the_timed_batches_are_as_long_as_those_of_training(num_batches):
    lengths = np.random.default_rng(0).integers(5, 40, 20_000)

    def mean_longest(chosen):
        return lengths[chosen].reshape(num_batches, 16).max(axis=1).mean()

    sampled = np.array(list(SimilarLengthSampler(lengths, 16, seed=0)))
    expected = lengths[sampled[: 1_200 * 16]].reshape(-1, 16).max(axis=1).mean()
    chosen = batches_like_a_pool(lengths, 16, num_batches)
    assert len(set(chosen)) == num_batches * 16
    assert mean_longest(chosen) == pytest.approx(expected, rel=0.02)


def test_batches_can_be_timed_on_few_texts():
    chosen = batches_like_a_pool(np.array([3, 9, 5]), batch_size=4, num_batches=3)
    assert len(chosen) == 12 and set(chosen) <= {0, 1, 2}


def test_the_pace_is_positive_and_leaves_no_files(tmp_path, monkeypatch, made_up_tweets):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tokenizer, new_model = tiny_lstm(made_up_tweets, seed=0)
    assert tweets_per_second(new_model(), made_up_tweets[:48], tokenizer, SETTINGS) > 0
    assert not list(tmp_path.iterdir())


def test_the_paces_of_a_machine_are_medians_of_turns(monkeypatch, made_up_tweets):
    measured = iter([1.0, 10.0, 2.0, 20.0, 9.0, 90.0])
    monkeypatch.setattr(paces, "CONTESTANTS", {name: Contestant(tiny_lstm, SETTINGS, 2) for name in ("a", "b")})
    monkeypatch.setattr(paces, "tweets_per_second", lambda *args: next(measured))
    assert measure_paces(made_up_tweets) == [
        {"name": "a", "tweets_per_second": 2.0, "turns": [1.0, 2.0, 9.0]},
        {"name": "b", "tweets_per_second": 20.0, "turns": [10.0, 20.0, 90.0]},
    ]


def test_the_clock_counts_steps_and_batches_but_no_evaluation_checkpoint_or_resuming(tmp_path, monkeypatch):
    times, state = iter([0.0, 1, 3, 10, 50, 54, 60, 100, 102, 103]), SimpleNamespace(global_step=0)
    monkeypatch.setattr(budgets, "now", lambda: np.full(2, next(times)))
    clock = TrainingClock(tmp_path / "clock.json")
    clock.on_train_begin(None, state, None)
    for _ in range(2):
        clock.on_step_begin(None, state, None)
        clock.on_step_end(None, state, None)  # The first step from 0 to 1, the second until 3.
    state.global_step = 2
    clock.on_evaluate(None, state, None)  # until 10
    clock.on_save(None, state, None)  # until 50
    clock.on_step_begin(None, state, None)
    clock.on_step_end(None, state, None)  # until 54
    state.global_step = 3
    clock.on_evaluate(None, state, None)
    assert [row["process_seconds"] for row in clock.rows] == [3, 7]

    state.global_step, resumed = 2, TrainingClock(tmp_path / "clock.json")
    resumed.on_train_begin(None, state, None)
    resumed.on_step_begin(None, state, None)
    resumed.on_step_end(None, state, None)
    state.global_step = 3
    resumed.on_evaluate(None, state, None)
    assert [(row["step"], row["process_seconds"]) for row in resumed.rows] == [(2, 3), (3, 5)]
    assert json.loads((tmp_path / "clock.json").read_text()) == resumed.rows


def without_times(row):
    times = {"process_seconds", "wall_seconds", "load_average"}
    curve = [{name: value for name, value in point.items() if name not in times} for point in row["curve"]]
    left = {name: value for name, value in row.items() if name not in ("run", "process_minutes", "wall_minutes")}
    return {**left, "curve": curve}


def test_an_interrupted_run_ends_as_the_uninterrupted_one(tiny, corpus, tmp_path, monkeypatch):
    expected = run_budget("lstm", 1, PACE, *corpus, tmp_path / "uninterrupted")

    class Interruption(Exception):
        pass

    class InterruptedClock(TrainingClock):
        def on_step_end(self, args, state, control, **kwargs):
            super().on_step_end(args, state, control, **kwargs)
            if state.global_step == 9:
                raise Interruption

    folder = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        patch.setattr(budgets, "TrainingClock", InterruptedClock)
        with pytest.raises(Interruption):
            run_budget("lstm", 1, PACE, *corpus, folder)
    [work_dir] = folder.iterdir()
    stopped = json.loads((work_dir / "checkpoints" / budgets.CLOCK_FILE).read_text())
    assert [row["step"] for row in stopped] == [2, 4, 6, 8]

    resumed = run_budget("lstm", 1, PACE, *corpus, folder)
    assert without_times(resumed) == without_times(expected)
    weights = [
        load_lstm_lm(path, "cpu")[1].state_dict()
        for path in (folder / resumed["run"], tmp_path / "uninterrupted" / expected["run"])
    ]
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))
    # The time before the interruption counts.
    assert [point["process_seconds"] for point in resumed["curve"][:4]] == [row["process_seconds"] for row in stopped]
    for row in (resumed, expected):
        seconds = [point["process_seconds"] for point in row["curve"]]
        assert seconds == sorted(seconds) and seconds[0] > 0
    assert [path.name for path in folder.iterdir()] == [resumed["run"]]


def test_a_row_agrees_with_the_run_that_it_names(tiny, corpus, tmp_path):
    row = run_budget("lstm", 1, PACE, *corpus, tmp_path)
    assert [point["step"] for point in row["curve"]] == list(range(2, 21, 2)) and row["tweets_seen"] == 320
    assert row["training"]["max_tweets_seen"] == 320 and row["budget_minutes"] == 1
    assert row["process_minutes"] == round(row["curve"][-1]["process_seconds"] / 60, 2)
    tokenizer, model, _, _ = load_lstm_lm(tmp_path / row["run"], "cpu")
    texts = validation_texts(corpus[0], seed=0)
    best = min(point["bits_per_character"] for point in row["curve"])
    # The losses of training are measured in mixed precision.
    assert best == pytest.approx(bits_per_character(target_likelihood(model, tokenizer, texts)).value, rel=0.01)
    assert [point["bits_per_character"] / point["val_loss"] for point in row["curve"]] == pytest.approx(
        [best / min(point["val_loss"] for point in row["curve"])] * 10
    )
    summary = evaluate(ModelSystem("it", model, tokenizer), texts).summary(seed=0)
    assert row["rouge1"]["value"] == pytest.approx(summary["rouge1"].value)
    assert row["perplexity_per_word"]["value"] == pytest.approx(summary["perplexity_per_word"].value)
    history = json.loads((tmp_path / row["run"] / "history.json").read_text())
    assert [one["process_seconds"] for one in history] == [point["process_seconds"] for point in row["curve"]]


def test_the_small_transformer_is_saved_as_a_run_that_can_be_loaded(corpus, tmp_path, monkeypatch):
    def start(train_texts, seed):
        tokenizer = train_tokenizer(train_texts, 200)
        return tokenizer, partial(new_small_transformer, tokenizer, seed)

    monkeypatch.setitem(CONTESTANTS, "small_transformer", Contestant(start, SETTINGS, pace_batches=1))
    row = run_budget("small_transformer", 1, 4 * 16 / 60, *corpus, tmp_path, seed=1)
    assert row["run"].startswith("budget_small_transformer_seed1-") and row["training"]["seed"] == 1
    assert row["architecture"] == "llama" and len(row["curve"]) == 4
    lm = load_pretrained(tmp_path / row["run"], device="cpu")
    texts = validation_texts(corpus[0], seed=0)
    perplexity = ModelSystem("it", lm.model, lm.tokenizer).likelihood(texts)
    expected = log(row["perplexity_per_word"]["value"])
    assert perplexity["nll"].sum() / perplexity["words"].sum() == pytest.approx(expected, rel=1e-4)


def test_every_contestant_has_a_list_of_its_trials():
    assert TUNING.keys() == CONTESTANTS.keys()
    for name in CONTESTANTS:
        assert CONTESTANTS[name].pace_batches <= POOL_BATCHES
        # One pace is only right if the loss stays the same.
        assert CONTESTANTS[name].settings.all_tokens_share == 1
