"""One training for both models: its settings, its result, and how it goes on after an interruption."""

import json
import math
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    TrainingArguments,
)

from src.files import explain_full_disk, write_json
from src.next_token_dataset import NextTokenDataset
from src.training.checkpoints import RESULT_FILE, open_checkpoints, seconds_until, training_identity
from src.training.trainer import ProgressBar, TargetLossTrainer

Resume = Literal["auto", "never"]
# Settings that leave the weights as they are: a training may go on with others.
WITHOUT_EFFECT = ("num_workers", "report_to")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training.

    Attributes:
        learning_rate: peak of a schedule with linear warm-up and linear decay to zero.
        batch_size: tweets per step.
        max_epochs: passes over the training texts at most.
        max_tweets_seen: tweets seen at most, repeated ones counted again; the smaller limit holds.
        warmup_share: share of the steps spent warming up.
        weight_decay: of AdamW (Loshchilov and Hutter, 2019).
        max_grad_norm: gradients are scaled down to this norm.
        eval_steps: steps between evaluations on the validation part; below 1: a share of all steps. The last
            weights are evaluated in any case.
        patience: evaluations without a better validation loss before the training stops.
        all_tokens_share: share of the steps, the first ones, in which the loss counts the tokens of
            the context too: a model that starts from nothing learns the language from them.
        num_sampled_tokens: tokens of a sampled softmax beside a batch's own, as long as the loss counts
            all tokens; 0: the whole vocabulary. Over the few tokens of the targets it always is the whole.
        bf16: mixed precision, see `src.device.has_fast_bf16`.
        num_workers: processes that prepare batches.
        seed: of the order of the texts and of the dropout.
        report_to: "none", or an installed tool that the library logs to, such as "tensorboard".
    """

    learning_rate: float = 2e-3
    batch_size: int = 128
    max_epochs: int = 10
    max_tweets_seen: int = 450_000
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    eval_steps: float = 0.125
    patience: int = 2
    all_tokens_share: float = 0.0
    num_sampled_tokens: int = 0
    bf16: bool = False
    num_workers: int = 0
    seed: int = 0
    report_to: str = "none"

    def num_steps(self, num_texts: int) -> int:
        """Steps of a training on `num_texts` texts, at least one."""
        return max(1, min(self.max_epochs * num_texts, self.max_tweets_seen) // self.batch_size)


@dataclass(frozen=True)
class TrainingResult:
    """What a training returns; the model itself holds its best weights.

    Attributes:
        history: one dict per evaluation: step, epoch, tweets_seen, train_loss and val_loss
            (nats per target token), learning_rate, seconds.
        best_val_loss: nats per target token.
        duration: seconds, with the evaluations; of a resumed training also those before it was cut off.
        resumed_at: step that the training went on from; 0: it started anew.
    """

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
) -> TrainingResult:
    """Train a model in place and leave it with the weights of its best evaluation.

    Args:
        model: on the device to train on.
        train_dataset: its masked labels count from `settings.all_tokens_share` of the steps on.
        val_dataset: scored at every evaluation; decides on the best weights and on stopping.
        checkpoint_dir: holds the training as it was at its last and at its best evaluation, also when it is
            complete: remove it once the model is saved.
        pad_id: of the model's tokenizer.
        resume: "auto" goes on from the last checkpoint if `checkpoint_dir` holds one of the same settings,
            data and first weights, and gives a complete training as it is; "never" starts anew.

    Raises:
        TrainingError: the loss is no number.
        WriteError: the disk is full.
    """
    checkpoint_dir = Path(checkpoint_dir)
    decisive = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
    identity = training_identity(model, {"train": train_dataset, "val": val_dataset}, decisive)
    processes = PartialState(cpu=model.device.type == "cpu")
    if resume == "never" and processes.is_main_process:
        shutil.rmtree(checkpoint_dir, ignore_errors=True)
    with processes.main_process_first():
        checkpoint = open_checkpoints(checkpoint_dir, identity)
    num_steps = settings.num_steps(len(train_dataset))
    trainer = TargetLossTrainer(
        model=model,
        args=training_arguments(settings, num_steps, checkpoint_dir, model.device),
        train_dataset=train_dataset,
        eval_dataset=val_dataset,
        callbacks=[EarlyStoppingCallback(settings.patience), ProgressBar()],
        pad_id=pad_id,
        bf16=settings.bf16,
        all_tokens_share=settings.all_tokens_share,
        num_sampled_tokens=settings.num_sampled_tokens,
    )
    trainer.remove_callback(PrinterCallback)
    result_path = checkpoint_dir / RESULT_FILE
    if result_path.exists():
        record = json.loads(result_path.read_text(encoding="utf-8"))
        trainer.state.best_model_checkpoint = str(checkpoint_dir / record.pop("best_checkpoint"))
        trainer._load_best_model()
        model.eval()
        return TrainingResult(**{**record, "resumed_at": record["history"][-1]["step"]})
    if checkpoint is not None:
        trainer.started -= seconds_until(checkpoint)
    with explain_full_disk(checkpoint_dir):
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    model.eval()
    result = TrainingResult(
        resumed_at=int(checkpoint.name.split("-")[1]) if checkpoint else 0,
        history=training_history(trainer.state.log_history, settings.batch_size),
        best_val_loss=float(trainer.state.best_metric),
        duration=time.perf_counter() - trainer.started,
    )
    best_checkpoint = Path(trainer.state.best_model_checkpoint).name
    if trainer.is_world_process_zero():
        write_json(result_path, {**vars(result), "best_checkpoint": best_checkpoint})
    return result


def training_arguments(
    settings: TrainingSettings, num_steps: int, checkpoint_dir: Path, device: torch.device
) -> TrainingArguments:
    """The library's arguments for our settings."""
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
        # Early stopping has counted evaluations without improvement.
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
    """One row per evaluation out of the Trainer's log, where losses and scores are apart."""
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
