"""Training for every model: the settings, the result, and resuming an interrupted run."""

import json
import math
import pickle
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)

from src.device import has_fast_bf16
from src.files import explain_full_disk, write_json
from src.next_token_dataset import NextTokenDataset
from src.training.checkpoints import (
    RESULT_FILE,
    damaged_checkpoint,
    open_checkpoints,
    seconds_until,
    training_identity,
)
from src.training.trainer import ProgressBar, TargetLossTrainer, TrainingError

Resume = Literal["auto", "never"]
# These settings don't change the weights, so a run may be resumed with other values.
WITHOUT_EFFECT = ("num_workers", "report_to")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training run. The defaults are those of the committed LSTM.

    Attributes:
        learning_rate: peak of a schedule with linear warm-up and linear decay to zero.
        muon_learning_rate: the same for the matrices of hidden layers, which Muon then trains, see
            `src.training.muon`; 0: AdamW trains them too, at `learning_rate`.
        batch_size: tweets per step.
        max_epochs: maximum number of passes over the training texts.
        max_tweets_seen: maximum number of tweets seen, counted again in every pass; the smaller limit holds.
        warmup_share: share of the steps spent warming up.
        weight_decay: weight decay of AdamW (Loshchilov and Hutter, 2019) and of Muon.
        max_grad_norm: gradients with a larger norm are scaled down to it.
        eval_steps: steps between evaluations on the validation texts; below 1: as a share of all steps. The last
            weights are always evaluated.
        patience: the run stops after this many evaluations without a better validation loss.
        all_tokens_share: share of the steps, at the start, in which the loss also counts the tokens of the
            context. A model with random weights learns the language from them.
        num_sampled_tokens: number of tokens drawn for the sampled softmax while the loss counts all tokens;
            0: the full vocabulary. The loss on targets alone always uses the full vocabulary.
        bf16: mixed precision; None: where the device computes faster with it, see `src.device.has_fast_bf16`.
        num_workers: number of processes that prepare batches.
        seed: seed of the order of the texts and of the dropout.
        report_to: "none", or an installed tool that transformers can log to, such as "tensorboard".
    """

    learning_rate: float = 8e-3
    muon_learning_rate: float = 0.04
    batch_size: int = 256
    max_epochs: int = 10
    max_tweets_seen: int = 2_200_000
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    eval_steps: float = 0.125
    patience: int = 2
    all_tokens_share: float = 1.0
    num_sampled_tokens: int = 2_000
    bf16: bool | None = None
    num_workers: int = 0
    seed: int = 0
    report_to: str = "none"

    def num_steps(self, num_texts: int) -> int:
        """Number of steps of a run on `num_texts` texts, at least one."""
        return max(1, min(self.max_epochs * num_texts, self.max_tweets_seen) // self.batch_size)

    def on(self, device: torch.device) -> "TrainingSettings":
        """These settings with `bf16` decided for a device."""
        return replace(self, bf16=has_fast_bf16(device)) if self.bf16 is None else self


@dataclass(frozen=True)
class TrainingResult:
    """What a training run returns; the model itself holds its best weights.

    Attributes:
        settings: the settings used, with `bf16` decided.
        history: one dict per evaluation: step, epoch, tweets_seen, train_loss and val_loss
            (nats per target token), learning_rate, seconds.
        best_val_loss: nats per target token.
        duration: seconds, including evaluations and, if the run was resumed, the time before it was interrupted.
        resumed_at: step from which the run was resumed; 0: it started from the beginning.
    """

    settings: TrainingSettings
    history: list[dict]
    best_val_loss: float
    duration: float
    resumed_at: int = 0


def train(
    model: PreTrainedModel,
    train_dataset: NextTokenDataset,
    val_dataset: NextTokenDataset,
    settings: TrainingSettings,
    checkpoint_dir: str | Path,
    pad_id: int,
    resume: Resume = "auto",
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainingResult:
    """Train a model in place and leave it with the weights of its best evaluation.

    Args:
        model: the model, on the device to train on.
        train_dataset: its mask over the context applies after the first `settings.all_tokens_share` of the steps.
        val_dataset: scored at every evaluation; decides on the best weights and on when to stop.
        checkpoint_dir: folder for the last and the best checkpoint, which stay when the run is complete:
            remove it once the model is saved.
        pad_id: pad id of the model's tokenizer.
        resume: "auto" resumes from the last checkpoint if `checkpoint_dir` holds one of the same settings,
            data and initial weights, and returns a complete run without a step; "never" starts from the beginning.
        callbacks: told of every step, evaluation and checkpoint, such as a clock.

    Raises:
        ValueError: the model scales its logits, or the processes can't divide a batch evenly.
        TrainingError: the loss is not a finite number, or a checkpoint is damaged.
        WriteError: the disk is full.
    """
    checkpoint_dir, settings = Path(checkpoint_dir), settings.on(model.device)
    checkpoint = find_checkpoint(model, train_dataset, val_dataset, settings, checkpoint_dir, resume)
    trainer = make_trainer(model, train_dataset, val_dataset, settings, checkpoint_dir, pad_id, callbacks)
    if (checkpoint_dir / RESULT_FILE).exists():
        return complete_result(trainer, settings, checkpoint_dir)
    if checkpoint is not None:
        trainer.started -= seconds_until(checkpoint)
    try:
        with explain_full_disk(checkpoint_dir):
            trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    except pickle.UnpicklingError:
        # torch's message advises to read the file without its check, which would run code from it.
        raise TrainingError(f"{checkpoint} can't be trusted: delete {checkpoint_dir} to start again") from None
    model.eval()
    record = {
        "history": training_history(trainer.state.log_history, settings.batch_size),
        "best_val_loss": float(trainer.state.best_metric),
        "duration": time.perf_counter() - trainer.started,
    }
    if trainer.is_world_process_zero():
        best_checkpoint = Path(trainer.state.best_model_checkpoint).name
        write_json(checkpoint_dir / RESULT_FILE, {**record, "best_checkpoint": best_checkpoint})
    return TrainingResult(settings, **record, resumed_at=int(checkpoint.name.split("-")[1]) if checkpoint else 0)


def find_checkpoint(
    model: PreTrainedModel,
    train_dataset: NextTokenDataset,
    val_dataset: NextTokenDataset,
    settings: TrainingSettings,
    checkpoint_dir: Path,
    resume: Resume,
) -> Path | None:
    """The checkpoint to resume from; None: start from the beginning, in an empty folder.

    Raises:
        TrainingError: a checkpoint is damaged.
    """
    decisive = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
    identity = training_identity(model, {"train": train_dataset, "val": val_dataset}, decisive)
    processes = PartialState(cpu=model.device.type == "cpu")
    if resume == "never" and processes.is_main_process:
        shutil.rmtree(checkpoint_dir, ignore_errors=True)
    with processes.main_process_first():
        checkpoint = open_checkpoints(checkpoint_dir, identity)
    if damaged := damaged_checkpoint(checkpoint_dir):
        raise TrainingError(f"{damaged} is damaged: delete {checkpoint_dir}, and the run starts from the beginning")
    return checkpoint


def make_trainer(
    model: PreTrainedModel,
    train_dataset: NextTokenDataset,
    val_dataset: NextTokenDataset,
    settings: TrainingSettings,
    checkpoint_dir: Path,
    pad_id: int,
    callbacks: Sequence[TrainerCallback] = (),
) -> TargetLossTrainer:
    """The trainer for our settings, with early stopping and one progress bar."""
    trainer = TargetLossTrainer(
        model=model,
        args=training_arguments(settings, settings.num_steps(len(train_dataset)), checkpoint_dir, model.device),
        train_dataset=train_dataset,
        eval_dataset=val_dataset,
        callbacks=[EarlyStoppingCallback(settings.patience), ProgressBar(), *callbacks],
        pad_id=pad_id,
        bf16=settings.bf16,
        all_tokens_share=settings.all_tokens_share,
        num_sampled_tokens=settings.num_sampled_tokens,
        muon_learning_rate=settings.muon_learning_rate,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def complete_result(trainer: TargetLossTrainer, settings: TrainingSettings, checkpoint_dir: Path) -> TrainingResult:
    """The result of a run that is already complete; its best weights are loaded into the model."""
    record = json.loads((checkpoint_dir / RESULT_FILE).read_text(encoding="utf-8"))
    trainer.state.best_model_checkpoint = str(checkpoint_dir / record.pop("best_checkpoint"))
    trainer._load_best_model()
    trainer.model.eval()
    return TrainingResult(settings, **record, resumed_at=record["history"][-1]["step"])


def training_arguments(
    settings: TrainingSettings, num_steps: int, checkpoint_dir: Path, device: torch.device
) -> TrainingArguments:
    """The arguments of transformers' Trainer for our settings.

    Raises:
        ValueError: the processes can't divide a batch evenly.
    """
    num_processes = PartialState(cpu=device.type == "cpu").num_processes
    if settings.batch_size % num_processes:
        raise ValueError(f"batch_size is {settings.batch_size}: choose a multiple of the {num_processes} processes")
    steps_between = math.ceil(settings.eval_steps * (num_steps if settings.eval_steps < 1 else 1))
    return TrainingArguments(
        output_dir=str(checkpoint_dir),
        max_steps=num_steps,
        per_device_train_batch_size=settings.batch_size // num_processes,
        per_device_eval_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(num_steps * settings.warmup_share),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        eval_strategy="steps",
        eval_steps=steps_between,
        logging_steps=steps_between,
        save_strategy="steps",
        save_steps=steps_between,
        save_total_limit=1,
        load_best_model_at_end=True,
        # Early stopping keeps its count of evaluations without improvement in the checkpoint.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        dataloader_num_workers=settings.num_workers,
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and num_processes > 1 else None,
        remove_unused_columns=False,
        report_to=settings.report_to,
        disable_tqdm=True,
        seed=settings.seed,
    )


def training_history(log_history: list[dict], batch_size: int) -> list[dict]:
    """One row per evaluation, from the Trainer's log, which keeps training losses and validation losses apart."""
    train_losses = {entry["step"]: entry for entry in log_history if "loss" in entry}
    rows = []
    for entry in log_history:
        if "eval_loss" not in entry:
            continue
        training = train_losses.get(entry["step"], {})
        rows.append(
            {
                "step": entry["step"],
                "epoch": round(entry["epoch"], 3),
                "tweets_seen": entry["step"] * batch_size,
                "train_loss": training.get("loss"),
                "val_loss": float(entry["eval_loss"]),
                "learning_rate": training.get("learning_rate"),
                "seconds": round(entry["seconds"], 1),
            }
        )
    return rows
