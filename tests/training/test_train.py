"""Training: the loss falls, the best weights are kept, equal seeds give equal weights, interrupted runs resume."""

import shutil
import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from src.lstm_model import LSTMLM, LSTMConfig
from src.models.lstm_cpu import lay_out_for_few_rows
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.training import trainer
from src.training.loss import dataset_nll, sampled_training_loss, training_loss
from src.training.train import TrainingSettings, train, training_arguments
from src.training.trainer import TrainingError
from tests.processes import ON_CPUS, TWO_PROCESSES

ROOT = Path(__file__).resolve().parents[2]
# The loss on targets alone and in float32, so that every test counts the same calls on every machine.
SETTINGS = TrainingSettings(
    learning_rate=1e-2,
    muon_learning_rate=1e-2,
    batch_size=8,
    max_epochs=4,
    eval_steps=0.25,
    all_tokens_share=0.0,
    num_sampled_tokens=0,
    bf16=False,
)


def make_lstm(vocab_size, dropout=0.1):
    torch.manual_seed(0)
    sizes = {"embedding_dim": 16, "hidden_dim": 24, "num_layers": 1}
    return LSTMLM(LSTMConfig(vocab_size=vocab_size, dropout=dropout, **sizes))


def make_gpt2(vocab_size):
    torch.manual_seed(0)
    sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, bos_token_id=2, eos_token_id=2, **sizes))


@pytest.fixture(scope="module")
def datasets(tokenizer, cleaned_texts):
    """64 training texts and 16 validation texts."""
    splits = cleaned_texts[:64], cleaned_texts[64:]
    return [NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id) for texts in splits]


def mean_val_loss(model, val_dataset):
    nll, num_targets = dataset_nll(model, val_dataset, 5, pad_id=0)
    return nll.sum() / num_targets.sum()


@pytest.mark.parametrize("make_model", [make_lstm, make_gpt2])
def test_training_lowers_the_validation_loss(make_model, datasets, tokenizer, tmp_path, capfd):
    model = make_model(len(tokenizer))
    pad_id = tokenizer.eos_token_id if make_model is make_gpt2 else tokenizer.pad_token_id
    before = mean_val_loss(model, datasets[1])
    result = train(model, *datasets, SETTINGS, tmp_path / "checkpoints", pad_id)
    assert result.best_val_loss < before - 0.3
    assert mean_val_loss(model, datasets[1]) == pytest.approx(result.best_val_loss, rel=1e-5)
    assert not model.training
    assert capfd.readouterr().out == ""


def test_the_history_has_a_row_for_every_evaluation(datasets, tokenizer, tmp_path):
    result = train(make_lstm(len(tokenizer)), *datasets, SETTINGS, tmp_path / "checkpoints", 0)
    keys = {"step", "epoch", "tweets_seen", "train_loss", "val_loss", "learning_rate", "seconds"}
    assert [set(row) for row in result.history] == [keys] * 4
    assert [row["step"] for row in result.history] == [8, 16, 24, 32]
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert [row["tweets_seen"] for row in result.history] == [64, 128, 192, 256]
    assert result.best_val_loss == min(row["val_loss"] for row in result.history)
    values = np.array([[row[key] for key in sorted(keys)] for row in result.history], dtype=float)
    assert np.isfinite(values).all()
    rates = [row["learning_rate"] for row in result.history]
    assert 1e-2 > rates[0] > rates[1] > rates[2] > rates[3] >= 0
    seconds = [row["seconds"] for row in result.history]
    assert 0 <= seconds[0] <= seconds[-1] <= result.duration + 0.1


def test_the_best_weights_are_kept_when_later_ones_are_worse(datasets, tokenizer, tmp_path):
    train_dataset, val_dataset = datasets
    # With so high a rate the model memorises the random training texts.
    settings = replace(SETTINGS, learning_rate=3e-2, max_epochs=30, eval_steps=1 / 6, patience=100)
    model = make_lstm(len(tokenizer))
    result = train(model, train_dataset, val_dataset, settings, tmp_path / "checkpoints", 0)
    assert result.history[-1]["val_loss"] > result.best_val_loss + 0.1
    assert mean_val_loss(model, val_dataset) == pytest.approx(result.best_val_loss, rel=1e-5)
    assert model.lm_head.weight is model.backbone.embedding.weight


def test_the_same_seed_gives_the_same_weights(datasets, tokenizer, tmp_path):
    def weights(seed):
        model = make_lstm(len(tokenizer))
        settings = replace(SETTINGS, max_epochs=1, eval_steps=100, seed=seed)
        train(model, *datasets, settings, tmp_path / "checkpoints", 0)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_patience_evaluations_without_a_better_loss(datasets, tokenizer, tmp_path, patience):
    settings = replace(
        SETTINGS, learning_rate=0.0, muon_learning_rate=0.0, max_epochs=10, eval_steps=0.1, patience=patience
    )
    model = make_lstm(len(tokenizer))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = train(model, *datasets, settings, tmp_path / "checkpoints", 0)
    assert len(result.history) == 1 + patience
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("limits", "num_texts", "steps"),
    [
        ({"max_epochs": 3, "max_tweets_seen": 1_000}, 50, 15),
        ({"max_epochs": 30, "max_tweets_seen": 1_000}, 50, 100),
        ({"max_epochs": 3, "max_tweets_seen": 109}, 50, 10),
        ({"max_epochs": 1, "max_tweets_seen": 1_000}, 3, 1),
        ({"max_epochs": 5, "max_tweets_seen": 7}, 50, 1),
    ],
)
def test_the_smaller_limit_sets_the_number_of_steps(limits, num_texts, steps):
    assert TrainingSettings(batch_size=10, **limits).num_steps(num_texts) == steps


@pytest.mark.parametrize("max_tweets_seen", [1, 72, 88])
def test_the_last_weights_are_always_evaluated(datasets, tokenizer, tmp_path, max_tweets_seen):
    settings = replace(SETTINGS, max_epochs=10, max_tweets_seen=max_tweets_seen)
    model = make_lstm(len(tokenizer))
    result = train(model, *datasets, settings, tmp_path / "checkpoints", 0)
    assert mean_val_loss(model, datasets[1]) == pytest.approx(result.best_val_loss, rel=1e-5)
    assert result.history[-1]["step"] == settings.num_steps(64)
    assert all(row["train_loss"] > 0 and row["learning_rate"] >= 0 for row in result.history)


@pytest.mark.parametrize(
    ("eval_steps", "evaluated"), [(3, [3, 6, 8]), (0.3, [3, 6, 8]), (4, [4, 8]), (0.5, [4, 8]), (100, [8])]
)
def test_eval_steps_is_a_number_of_steps_or_a_share_of_them(datasets, tokenizer, tmp_path, eval_steps, evaluated):
    settings = replace(SETTINGS, max_epochs=1, eval_steps=eval_steps, patience=100)
    result = train(make_lstm(len(tokenizer)), *datasets, settings, tmp_path / "checkpoints", 0)
    assert [row["step"] for row in result.history] == evaluated


@pytest.mark.slow
@pytest.mark.parametrize("make_model", [make_lstm, make_gpt2])
def test_bf16_trains_in_mixed_precision_to_nearly_the_loss_of_float32(make_model, datasets, tmp_path, monkeypatch):
    dtypes = set()

    def recording_loss(model, batch):
        dtypes.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        return training_loss(model, batch)

    monkeypatch.setattr("src.training.trainer.training_loss", recording_loss)
    losses = {}
    for bf16, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        model = make_model(vocab_size=300)
        settings = replace(SETTINGS, bf16=bf16)
        losses[bf16] = train(model, *datasets, settings, tmp_path / "checkpoints", pad_id=0).best_val_loss
        assert dtypes == {dtype}
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        # After training it computes in full precision again.
        assert model(torch.tensor([[5, 6, 7]])).logits.dtype == torch.float32
        assert "forward" not in vars(model)
        dtypes.clear()
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_the_loss_counts_the_context_in_the_first_share_of_the_steps(datasets, tokenizer, tmp_path, monkeypatch):
    shares = []

    def recording_loss(model, batch):
        is_token = torch.arange(batch["labels"].shape[1]) < batch["lengths"][:, None]
        shares.append(((batch["labels"] != -100).sum() / is_token.sum()).item())
        return training_loss(model, batch)

    monkeypatch.setattr("src.training.trainer.training_loss", recording_loss)
    settings = replace(SETTINGS, all_tokens_share=0.75)
    train(make_lstm(len(tokenizer)), *datasets, settings, tmp_path / "checkpoints", pad_id=0)
    assert shares[:24] == [1.0] * 24
    assert len(shares) == 32 and np.mean(shares[24:]) < 0.7


def test_a_sampled_softmax_trains_to_nearly_the_loss_of_the_full_vocabulary(datasets, tokenizer, tmp_path):
    losses = []
    for num_sampled_tokens in (0, 3_000):
        model = make_lstm(len(tokenizer))
        settings = replace(SETTINGS, all_tokens_share=1.0, num_sampled_tokens=num_sampled_tokens)
        losses.append(train(model, *datasets, settings, tmp_path / "checkpoints", pad_id=0).best_val_loss)
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_the_vocabulary_is_sampled_only_while_the_loss_counts_all_tokens(datasets, tokenizer, tmp_path, monkeypatch):
    called = []
    for name, loss in {"sampled": sampled_training_loss, "full": training_loss}.items():
        recording = partial(
            lambda name, loss, *args, **kwargs: called.append(name) or loss(*args, **kwargs), name, loss
        )
        monkeypatch.setattr(f"src.training.trainer.{loss.__name__}", recording)
    settings = replace(SETTINGS, all_tokens_share=0.75, num_sampled_tokens=100)
    train(make_lstm(len(tokenizer)), *datasets, settings, tmp_path / "checkpoints", pad_id=0)
    assert called == ["sampled"] * 24 + ["full"] * 8


@pytest.mark.parametrize("is_fast", [False, True])
def test_bf16_is_decided_for_the_device_where_it_is_left_open(datasets, tmp_path, monkeypatch, is_fast):
    # The package exports a function with the same name as its module.
    monkeypatch.setattr(import_module("src.training.train"), "has_fast_bf16", lambda device: is_fast)
    settings = replace(SETTINGS, max_epochs=1, bf16=None)
    left_open = train(make_lstm(300), *datasets, settings, tmp_path / "open", 0)
    stated = train(make_lstm(300), *datasets, replace(settings, bf16=is_fast), tmp_path / "stated", 0)
    assert left_open.settings == stated.settings and left_open.settings.bf16 is is_fast
    assert left_open.best_val_loss == stated.best_val_loss


def test_every_epoch_has_a_different_order(datasets, tokenizer, tmp_path, monkeypatch):
    batches = []

    def spy(batch, pad_id):
        batches.append(sorted(tuple(item["input_ids"].tolist()) for item in batch))
        return collate_batch(batch, pad_id)

    monkeypatch.setattr(trainer, "collate_batch", spy)
    train(make_lstm(len(tokenizer)), *datasets, SETTINGS, tmp_path / "checkpoints", 0)
    epochs = [batches[start : start + 8] for start in range(0, 32, 8)]
    texts_of_epochs = [sorted(text for batch in epoch for text in batch) for epoch in epochs]
    assert all(texts == texts_of_epochs[0] for texts in texts_of_epochs)
    assert len({str(epoch) for epoch in epochs}) == 4


def test_tensorboard_logs_to_the_folder_of_its_environment_variable(datasets, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="vm/requirements.txt is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    result = train(make_lstm(300), *datasets, replace(SETTINGS, report_to="tensorboard"), tmp_path / "checkpoints", 0)
    logged = EventAccumulator(str(tmp_path / "logs")).Reload().Scalars("eval/loss")
    assert [event.value for event in logged] == pytest.approx([row["val_loss"] for row in result.history])


# Resuming after an interruption


class Interrupted(Exception):
    """Stands for a power cut."""


def interrupt_after(monkeypatch, num_steps):
    """Compute the loss for this many steps, then fail."""
    steps = iter(range(num_steps))

    def failing_loss(model, batch):
        if next(steps, None) is None:
            raise Interrupted
        return training_loss(model, batch)

    monkeypatch.setattr(trainer, "training_loss", failing_loss)


def train_with_interruptions(make_model, datasets, folder, settings, monkeypatch, numbers_of_steps):
    for num_steps in numbers_of_steps:
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            interrupt_after(patch, num_steps)
            train(make_model(300), *datasets, settings, folder, 0)
    model = make_model(300)
    return model, train(model, *datasets, settings, folder, 0)


@pytest.mark.slow
@pytest.mark.parametrize("make_model", [make_lstm, make_gpt2])
@pytest.mark.parametrize("numbers_of_steps", [[3], [9], [16], [13, 2, 12]])
def test_a_resumed_run_ends_as_the_uninterrupted_one(make_model, datasets, tmp_path, monkeypatch, numbers_of_steps):
    uninterrupted = make_model(300)
    expected = train(uninterrupted, *datasets, SETTINGS, tmp_path / "uninterrupted", 0)
    model, result = train_with_interruptions(
        make_model, datasets, tmp_path / "interrupted", SETTINGS, monkeypatch, numbers_of_steps
    )
    assert all(map(torch.equal, model.state_dict().values(), uninterrupted.state_dict().values()))
    without_times = [
        [{name: value for name, value in row.items() if name != "seconds"} for row in one.history]
        for one in (result, expected)
    ]
    assert without_times[0] == without_times[1]
    assert result.best_val_loss == expected.best_val_loss
    assert result.resumed_at == {(3,): 0, (9,): 8, (16,): 16, (13, 2, 12): 16}[tuple(numbers_of_steps)]
    seconds = [row["seconds"] for row in result.history]
    assert seconds == sorted(seconds) and seconds[-1] <= result.duration + 0.1


@pytest.mark.slow
def test_a_resumed_run_stops_at_the_step_of_the_uninterrupted_one(datasets, tmp_path, monkeypatch):
    settings = replace(SETTINGS, learning_rate=0.0, patience=2)
    expected = train(make_lstm(300), *datasets, settings, tmp_path / "uninterrupted", 0)
    for num_steps in (9, 17):
        _, result = train_with_interruptions(
            make_lstm, datasets, tmp_path / f"interrupted-{num_steps}", settings, monkeypatch, [num_steps]
        )
        assert result.resumed_at > 0
        assert [row["step"] for row in result.history] == [row["step"] for row in expected.history]


@pytest.mark.slow
def test_the_layout_of_the_weights_in_memory_does_not_change_the_run(datasets, tmp_path):
    row_by_row, column_by_column = make_lstm(300), make_lstm(300)
    lay_out_for_few_rows(column_by_column)
    for model, name in ((row_by_row, "rows"), (column_by_column, "columns")):
        # Muon computes in bf16, which enlarges differences of rounding.
        train(model, *datasets, replace(SETTINGS, muon_learning_rate=0.0), tmp_path / name, 0)
    for one, other in zip(row_by_row.parameters(), column_by_column.parameters()):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_sampled_softmax_in_bf16_resumes_with_the_same_samples(datasets, tmp_path, monkeypatch):
    settings = replace(SETTINGS, num_sampled_tokens=50, all_tokens_share=0.6, bf16=True)
    uninterrupted = make_lstm(300, dropout=0.3)
    train(uninterrupted, *datasets, settings, tmp_path / "uninterrupted", 0)
    make_model = partial(make_lstm, dropout=0.3)
    model, result = train_with_interruptions(make_model, datasets, tmp_path / "interrupted", settings, monkeypatch, [8])
    assert result.resumed_at == 24
    assert all(map(torch.equal, model.state_dict().values(), uninterrupted.state_dict().values()))


def test_a_complete_run_is_returned_again_without_a_step(datasets, tmp_path, monkeypatch):
    first = make_lstm(300)
    result = train(first, *datasets, SETTINGS, tmp_path, 0)
    interrupt_after(monkeypatch, 0)
    again = make_lstm(300)
    assert train(again, *datasets, SETTINGS, tmp_path, 0) == replace(result, resumed_at=32)
    assert all(map(torch.equal, again.state_dict().values(), first.state_dict().values()))
    assert not again.training


def changed_run(change, datasets):
    """Model, datasets and settings, one of which has changed."""
    train_dataset, val_dataset = datasets
    settings = replace(SETTINGS, seed=1) if change == "settings" else SETTINGS
    model = make_lstm(300)
    if change == "weights":
        model.lm_head.bias.data[5] += 1
    if change == "frozen":
        model.lm_head.bias.requires_grad_(False)
    if change == "data":
        train_dataset = deepcopy(train_dataset)
        train_dataset.token_ids[3] += 1
    return model, train_dataset, val_dataset, settings


@pytest.mark.slow
def test_a_run_resumes_with_other_settings_that_do_not_change_the_weights(datasets, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 20)
        train(make_lstm(300), *datasets, replace(SETTINGS, num_workers=1), tmp_path, 0)
    assert train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0).resumed_at == 16


@pytest.mark.slow
@pytest.mark.parametrize("change", ["settings", "weights", "data", "resume", "frozen"])
def test_a_changed_run_starts_from_the_beginning(datasets, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 20)
        train(make_lstm(300), *datasets, SETTINGS, tmp_path / "interrupted", 0)
    model, *rest = changed_run(change, datasets)
    expected_model, *_ = changed_run(change, datasets)
    train(expected_model, *rest, tmp_path / "uninterrupted", 0)
    result = train(model, *rest, tmp_path / "interrupted", 0, resume="never" if change == "resume" else "auto")
    assert result.resumed_at == 0
    assert all(map(torch.equal, model.state_dict().values(), expected_model.state_dict().values()))


def test_an_incomplete_checkpoint_is_skipped(datasets, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 20)
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    half = tmp_path / "checkpoint-24"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half a fi")
    assert train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0).resumed_at == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *product(["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"], ["pointer", "truncated"]),
        ("optimizer.pt", "changed byte"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(datasets, tmp_path, monkeypatch, file, damage):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 10)
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    path = tmp_path / "checkpoint-8" / file
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {
        "pointer": b"version https://git-lfs.github.com/spec/v1\n",
        "truncated": content[:middle],
        "changed byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }
    path.write_bytes(damaged[damage])
    sentence = f"^{path.parent} is damaged: delete {tmp_path}, and the run starts from the beginning$"
    with pytest.raises(TrainingError, match=sentence):
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    shutil.rmtree(tmp_path)
    assert train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0).resumed_at == 0


@pytest.mark.slow
def test_a_checkpoint_with_other_objects_is_refused_without_advice_to_read_it(datasets, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 10)
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "checkpoint-8" / "scheduler.pt")
    with pytest.raises(TrainingError, match=f"checkpoint-8 can't be trusted: delete {tmp_path}") as refusal:
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    assert refusal.value.__suppress_context__


@pytest.mark.slow
def test_old_checkpoints_are_removed(datasets, tmp_path, monkeypatch):
    settings = replace(SETTINGS, learning_rate=3e-2, max_epochs=30, eval_steps=1 / 6, patience=100)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(patch, 230)
        train(make_lstm(300), *datasets, settings, tmp_path, 0)
    kept = {path.name for path in tmp_path.glob("checkpoint-*")}
    result = train(make_lstm(300), *datasets, settings, tmp_path, 0)
    best = min(result.history, key=lambda row: row["val_loss"])["step"]
    assert best < 200 and kept == {f"checkpoint-{best}", "checkpoint-200"}
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{best}"]


def run_training(folder, seconds=0.0, dropout=0.2, launcher=()):
    """Run `tests.killed_training` in a new process, or with a launcher in several."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, *launcher, "-m", "tests.killed_training", str(folder), str(seconds), str(dropout)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=ON_CPUS)


@pytest.mark.slow
def test_a_run_that_is_killed_repeatedly_ends_with_the_same_weights(tmp_path):
    assert run_training(tmp_path / "uninterrupted").returncode == 0
    # On a fast machine the last kill may come too late.
    codes = [run_training(tmp_path / "killed", seconds).returncode for seconds in (0.1, 0.4, 0.8)]
    assert codes[0] == -signal.SIGKILL
    assert run_training(tmp_path / "killed").returncode == 0
    expected, killed = (torch.load(tmp_path / name / "result.pt") for name in ("uninterrupted", "killed"))
    assert all(map(torch.equal, killed["weights"].values(), expected["weights"].values()))


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    one = run_training(tmp_path / "one", dropout=0.0)
    two = run_training(tmp_path / "two", dropout=0.0, launcher=TWO_PROCESSES)
    assert one.returncode == two.returncode == 0, two.stderr
    histories = [pd.DataFrame(torch.load(tmp_path / name / "result.pt")["history"]) for name in ("one", "two")]
    assert histories[0]["step"].tolist() == histories[1]["step"].tolist()
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(histories[0][column], histories[1][column], rtol=1e-3)
    ranks = [torch.load(tmp_path / "two" / name)["weights"] for name in ("result.pt", "result-1.pt")]
    assert all(map(torch.equal, *(weights.values() for weights in ranks)))


@pytest.mark.slow
def test_when_one_process_is_killed_the_others_end(tmp_path):
    completed = run_training(tmp_path, seconds=0.1, launcher=TWO_PROCESSES)
    assert completed.returncode != 0
    assert "SIGKILL" in completed.stderr
    assert not (tmp_path / "result.pt").exists()


def test_a_single_process_trains_on_one_of_several_gpus(datasets, tmp_path, monkeypatch):
    def with_four_gpus(*args):
        arguments = training_arguments(*args)
        assert arguments.n_gpu == 0
        arguments._n_gpu = 4
        return arguments

    plain, with_more = make_lstm(300), make_lstm(300)
    train(plain, *datasets, SETTINGS, tmp_path / "plain", 0)
    # The package exports a function with the same name as its module.
    monkeypatch.setattr(import_module("src.training.train"), "training_arguments", with_four_gpus)
    train(with_more, *datasets, SETTINGS, tmp_path / "more", 0)
    assert all(map(torch.equal, with_more.state_dict().values(), plain.state_dict().values()))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_the_run(datasets, tmp_path, monkeypatch, value):
    steps = iter(range(100))

    def failing_loss(model, batch):
        return training_loss(model, batch) + (float(value) if next(steps) == 13 else 0)

    monkeypatch.setattr(trainer, "training_loss", failing_loss)
    with pytest.raises(
        TrainingError, match=rf"the loss is {value} at step 13 with a learning rate of 0\.0.*heckpoint-8"
    ):
        train(make_lstm(300), *datasets, SETTINGS, tmp_path, 0)
    assert (tmp_path / "checkpoint-8" / "model.safetensors").exists()
