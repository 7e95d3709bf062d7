"""One trainer for both models: transformers' own, with our loss on our batches."""

import json
import math
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from src.checkpoints import RESULT_FILE, open_checkpoints, seconds_until, training_identity
from src.files import write_json
from src.loss import dataset_nll, sampled_training_loss, token_frequencies, training_loss
from src.next_token_dataset import NextTokenDataset, SimilarLengthSampler, collate_batch, unmask_context

Resume = Literal["auto", "never"]


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
        num_evaluations: on the validation part, evenly spaced over the training.
        patience: evaluations without a better validation loss before the training stops.
        all_tokens_share: share of the steps, the first ones, in which the loss counts the tokens of
            the context too: a model that starts from nothing learns the language from them.
        num_sampled_tokens: tokens of a sampled softmax beside a batch's own, as long as the loss counts
            all tokens; 0: the whole vocabulary. Over the few tokens of the targets it always is the whole.
        bf16: mixed precision, see `src.device.has_fast_bf16`.
        num_workers: processes that prepare batches.
        seed: of the order of the texts and of the dropout.
    """

    learning_rate: float = 2e-3
    batch_size: int = 128
    max_epochs: int = 10
    max_tweets_seen: int = 450_000
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    num_evaluations: int = 8
    patience: int = 2
    all_tokens_share: float = 0.0
    num_sampled_tokens: int = 0
    bf16: bool = False
    num_workers: int = 0
    seed: int = 0

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


class ProgressBar(TrainerCallback):
    """One bar over the steps with the newest validation loss, in place of the library's printing."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        done = state.global_step
        self.bar = tqdm(total=state.max_steps, initial=done, desc="training", unit="step", mininterval=5)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update()
        # The last evaluation may come before the next log is due; the history wants both.
        control.should_log |= control.should_evaluate

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        self.bar.set_postfix(val_loss=f"{metrics['eval_loss']:.3f}", refresh=False)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()


class TargetLossTrainer(Trainer):
    """transformers' Trainer with the loss at target positions and an exact validation loss."""

    def __init__(self, *args, pad_id: int, settings: TrainingSettings, **kwargs):
        super().__init__(*args, data_collator=partial(collate_batch, pad_id=pad_id), **kwargs)
        self.pad_id = pad_id
        self.all_tokens_share = settings.all_tokens_share
        # The library's mixed precision is tied to model(...), which the loss never calls, and outlives the training.
        self.autocast = partial(torch.autocast, self.args.device.type, torch.bfloat16, enabled=settings.bf16)
        self.all_tokens_loss = training_loss
        if num_samples := settings.num_sampled_tokens:
            frequencies = token_frequencies(self.train_dataset, self.model.config.vocab_size).to(self.args.device)
            self.all_tokens_loss = partial(sampled_training_loss, frequencies=frequencies, num_samples=num_samples)
        self.started = time.perf_counter()

    def _get_train_sampler(self, train_dataset=None) -> SimilarLengthSampler:
        return SimilarLengthSampler(self.train_dataset.lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        with self.autocast():
            if self.state.global_step < self.all_tokens_share * self.state.max_steps:
                return self.all_tokens_loss(model, unmask_context(inputs))
            return training_loss(model, inputs)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Mean over all target tokens; the library's loop would average the means of the batches."""
        batch_size = self.args.per_device_eval_batch_size
        with self.autocast():
            nll, num_targets = dataset_nll(self.model, self.eval_dataset, batch_size, self.pad_id)
        metrics = {"eval_loss": nll.sum() / num_targets.sum(), "seconds": time.perf_counter() - self.started}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _issue_warnings_after_load(self, load_result) -> None:
        """Says that tied weights are missing from a checkpoint, where they are saved once: nothing to tell."""


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
    """
    checkpoint_dir = Path(checkpoint_dir)
    if resume == "never":
        shutil.rmtree(checkpoint_dir, ignore_errors=True)
    identity = training_identity(model, {"train": train_dataset, "val": val_dataset}, asdict(settings))
    checkpoint = open_checkpoints(checkpoint_dir, identity)
    num_steps = settings.num_steps(len(train_dataset))
    trainer = TargetLossTrainer(
        model=model,
        args=training_arguments(settings, num_steps, checkpoint_dir, model.device),
        train_dataset=train_dataset,
        eval_dataset=val_dataset,
        callbacks=[EarlyStoppingCallback(settings.patience), ProgressBar()],
        pad_id=pad_id,
        settings=settings,
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
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    model.eval()
    result = TrainingResult(
        resumed_at=int(checkpoint.name.split("-")[1]) if checkpoint else 0,
        history=training_history(trainer.state.log_history, settings.batch_size),
        best_val_loss=float(trainer.state.best_metric),
        duration=time.perf_counter() - trainer.started,
    )
    best_checkpoint = Path(trainer.state.best_model_checkpoint).name
    write_json(result_path, {**vars(result), "best_checkpoint": best_checkpoint})
    return result


def training_arguments(
    settings: TrainingSettings, num_steps: int, checkpoint_dir: Path, device: torch.device
) -> TrainingArguments:
    """The library's arguments for our settings."""
    steps_between = math.ceil(num_steps / settings.num_evaluations)
    return TrainingArguments(
        output_dir=str(checkpoint_dir),
        max_steps=num_steps,
        per_device_train_batch_size=settings.batch_size,
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
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        dataloader_num_workers=settings.num_workers,
        use_cpu=device.type == "cpu",
        remove_unused_columns=False,
        report_to="none",
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
