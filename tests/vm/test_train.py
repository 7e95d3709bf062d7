"""Training with several processes: the parameters and the run folder are those of the notebook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.adaptation import TRAINED_SHARES, FirstRun
from src.corpus.load import load_corpus
from src.data_utils import prepare_tweets
from src.lstm_model import load_lstm_lm, save_lstm_lm
from src.models.pretrained import load_pretrained
from src.runs import run_metadata
from src.text.calibration import CALIBRATION_FILE, load_calibration
from src.training.train import TrainingSettings
from tests.processes import ON_CPUS, TWO_PROCESSES
from vm.train import finetuning_settings, main, parameters, train_the_lstm, training_settings

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "batch_size": 16,
    "eval_steps": 0.5,
    "num_workers": 0,
    "bf16": False,
    "decoding_pairs": 3,
    "max_pairs": 5,
}
SMALL_LSTM = {**SMALL, "vocab_size": 200, "embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "typed_tweets": 4}
SMALL_LSTM["init_from"] = None
SMALL_TRANSFORMER = {**SMALL, "finetune_tweets": 64, "val_loss_tweets": 16}


def launch(notebook, models_dir, changes, corpus_path):
    changes = {**changes, "models_dir": str(models_dir), "corpus_path": str(corpus_path)}
    changed = [f"{name}={value!r}" for name, value in changes.items()]
    command = [sys.executable, *TWO_PROCESSES, "-m", "vm.train", notebook, *changed]
    return subprocess.run(command, cwd=ROOT, env=ON_CPUS, capture_output=True, text=True)


def test_the_parameters_are_those_of_the_notebook():
    values = parameters("solution_lstm", ["batch_size=64", 'split_by="user"'])
    assert values.batch_size == 64 and values.split_by == "user"
    assert values.hidden_dim == 640
    expected = TrainingSettings(
        batch_size=64,
        max_tweets_seen=13_000_000,
        eval_steps=1_000,
        num_sampled_tokens=0,
        num_workers=4,
        bf16=True,
    )
    assert training_settings(values, bf16=True) == expected


def test_fine_tuning_counts_every_token_in_one_pass():
    values = parameters("solution_pretrained", [])
    settings = finetuning_settings(values, num_tweets=50)
    assert (settings.all_tokens_share, settings.num_sampled_tokens) == (1.0, 0)
    assert (settings.max_epochs, settings.max_tweets_seen) == (1, 50)
    assert settings.learning_rate == values.learning_rate == 2e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batch_sise=64", "no parameter 'batch_sise': choose one of .*batch_size"),
        ("batch_size=sixty", "'sixty' is not a Python literal"),
        ("batch_size", "'' is not a Python literal"),
    ],
)
def test_an_unknown_or_malformed_parameter_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        parameters("solution_lstm", [change])


def test_the_command_refuses_it_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vm.train", "solution_lstm", "batch_sise=64"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and "error: solution_lstm has no parameter 'batch_sise'" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_write_one_run_folder_for_each_model(tmp_path, corpus_path, distilgpt2_path):
    for notebook, changes in (
        ("solution_lstm", SMALL_LSTM),
        ("solution_pretrained", {**SMALL_TRANSFORMER, "model_name": str(distilgpt2_path)}),
    ):
        completed = launch(notebook, tmp_path, changes, corpus_path)
        assert completed.returncode == 0, completed.stderr
    lstm_dir, transformer_dir = sorted(tmp_path.iterdir(), reverse=True)
    tokenizer, _, _, _ = load_lstm_lm(lstm_dir)
    assert len(tokenizer) == 200
    assert load_pretrained(transformer_dir).model.config.n_embd == 16
    for run_dir, tweets_seen in ((lstm_dir, 640), (transformer_dir, 64)):
        meta = json.loads((run_dir / "meta.json").read_text())
        assert meta["settings"]["batch_size"] == 16 and meta["settings"]["decoding"]
        assert json.loads((run_dir / "history.json").read_text())[-1]["tweets_seen"] == tweets_seen
        assert meta["metrics"]["pairs"] == 5
        is_calibrated = run_dir == lstm_dir
        assert ("calibration_error" in meta["metrics"]) == (run_dir / CALIBRATION_FILE).is_file() == is_calibrated
        assert load_calibration(run_dir).slope > 0


def test_with_a_first_run_the_lstm_is_adapted(tmp_path, tiny_lstm, tokenizer, corpus_path):
    save_lstm_lm(tmp_path, tiny_lstm, tokenizer, run_metadata("lstm_lm", {}, {}, {}, 1.0), [])
    changes = ["adaptation={'max_epochs': 1, 'batch_size': 16}", "num_workers=0", f"models_dir={str(tmp_path)!r}"]
    first_run = FirstRun(tmp_path, "", prepare_tweets(load_corpus(corpus_path), seed=0))
    trained = train_the_lstm(
        parameters("solution_lstm", changes), first_run, first_run.tweets.texts("val"), torch.device("cpu")
    )
    assert trained.system.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert trained.system.model.config.dropout == 0.3
    assert trained.result.settings.batch_size == 16
    assert trained.train_texts == first_run.tweets.texts("train") and trained.trained_share in TRAINED_SHARES
