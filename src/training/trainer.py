"""transformers' Trainer with this project's loss and batches."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from src.next_token_dataset import IGNORE_INDEX, collate_batch
from src.training.batches import SimilarLengthSampler, unmask_context
from src.training.loss import dataset_nll, sampled_training_loss, token_frequencies, training_loss
from src.training.muon import WithMuon, hidden_matrices


class TrainingError(RuntimeError):
    """A training run can't continue; the message says at which step and what to change."""


class ProgressBar(TrainerCallback):
    """One bar over the steps with the latest validation loss, instead of the library's printed lines."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc="training",
            unit="step",
            mininterval=5,
            disable=not state.is_world_process_zero,
        )

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update()
        # The history needs a training loss for every evaluation, even when no log is due.
        control.should_log |= control.should_evaluate

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        self.bar.set_postfix(val_loss=f"{metrics['eval_loss']:.3f}", refresh=False)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()


class EpochOrder(TrainerCallback):
    """Tells a sampler the number of the epoch; with several processes the library doesn't."""

    def __init__(self, sampler: SimilarLengthSampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.sampler.set_epoch(int(state.epoch))


class WithLoss(nn.Module):
    """A model and its losses as one module, so that gradients are averaged between processes."""

    def __init__(self, model: PreTrainedModel, all_tokens_loss: Callable):
        super().__init__()
        self.model, self.all_tokens_loss = model, all_tokens_loss

    def forward(self, batch: dict[str, torch.Tensor], all_tokens: bool) -> torch.Tensor:
        return self.all_tokens_loss(self.model, batch) if all_tokens else training_loss(self.model, batch)


class TargetLossTrainer(Trainer):
    """transformers' Trainer with the loss at target positions and an exact validation loss."""

    def __init__(
        self,
        args: TrainingArguments,
        pad_id: int,
        bf16: bool,
        all_tokens_share: float,
        num_sampled_tokens: int,
        muon_learning_rate: float,
        **kwargs,
    ):
        # Without a launcher, use one GPU: with more the library would enlarge the batch and split it in model(...),
        # which the loss never calls.
        args._n_gpu = min(args.n_gpu, 1)
        super().__init__(args=args, data_collator=partial(collate_batch, pad_id=pad_id), **kwargs)
        self.pad_id = pad_id
        self.all_tokens_share, self.muon_learning_rate = all_tokens_share, muon_learning_rate
        # The library's mixed precision works only in model(...), which the loss never calls, and stays on afterwards.
        self.autocast = partial(torch.autocast, self.args.device.type, torch.bfloat16, enabled=bf16)
        all_tokens_loss = training_loss
        if num_sampled_tokens:
            frequencies = token_frequencies(self.train_dataset, self.model.config.vocab_size).to(self.args.device)
            all_tokens_loss = partial(sampled_training_loss, frequencies=frequencies, num_samples=num_sampled_tokens)
        self.with_loss = WithLoss(self.model, all_tokens_loss)
        self.started = time.perf_counter()

    def _get_train_sampler(self, train_dataset=None) -> SimilarLengthSampler:
        # One sampler for all processes: each takes its share of every batch.
        batch_size = self.args.train_batch_size * self.args.world_size
        sampler = SimilarLengthSampler(self.train_dataset.lengths, batch_size, self.args.seed)
        self.add_callback(EpochOrder(sampler))
        return sampler

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            super().create_optimizer(model)
            if self.muon_learning_rate:
                rates = self.muon_learning_rate, self.args.weight_decay
                self.optimizer = WithMuon(self.optimizer, hidden_matrices(self.model), *rates)
        return self.optimizer

    def _wrap_model(self, model, training=True, dataloader=None) -> nn.Module:
        """With several processes, wrap the module that computes the loss instead of the model."""
        if training and self.args.world_size > 1:
            return DistributedDataParallel(self.with_loss)
        return super()._wrap_model(model, training, dataloader)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        all_tokens = self.state.global_step < self.all_tokens_share * self.state.max_steps
        batch = unmask_context(inputs) if all_tokens else inputs
        with self.autocast():
            loss = (model if self.args.world_size > 1 else self.with_loss)(batch, all_tokens)
        if not loss.isfinite():
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step} with a learning rate of "
                f"{self._get_learning_rate():.2g}: choose a lower one; the last good weights are in "
                f"{self.state.best_model_checkpoint or 'no checkpoint yet'}"
            )
        return loss * self._share_of_targets(batch)

    def _share_of_targets(self, batch: dict[str, torch.Tensor]) -> torch.Tensor | float:
        """This process's number of targets over the processes' mean: its weight when they average their losses."""
        if self.args.world_size == 1:
            return 1.0
        num_targets = (batch["labels"] != IGNORE_INDEX).sum()
        return num_targets / self.accelerator.reduce(num_targets.float(), "mean")

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Mean loss over all target tokens; the library's loop would average the means of the batches."""
        batch_size = self.args.per_device_eval_batch_size
        with self.autocast():
            nll, num_targets = dataset_nll(self.model, self.eval_dataset, batch_size, self.pad_id)
        metrics = {"eval_loss": nll.sum() / num_targets.sum(), "seconds": time.perf_counter() - self.started}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _issue_warnings_after_load(self, load_result) -> None:
        """No warning: tied weights are saved once, and the library would report the second copy as missing."""
