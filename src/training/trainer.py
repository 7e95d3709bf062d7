"""transformers' Trainer with our loss on our batches."""

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


class TrainingError(RuntimeError):
    """A training can't go on; the message says where it stands and what to change."""


class ProgressBar(TrainerCallback):
    """One bar over the steps with the newest validation loss, in place of the library's printing."""

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
        # The last evaluation may come before the next log is due; the history wants both.
        control.should_log |= control.should_evaluate

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        self.bar.set_postfix(val_loss=f"{metrics['eval_loss']:.3f}", refresh=False)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()


class EpochOrder(TrainerCallback):
    """Tells a sampler which epoch it is; the library tells only those of a single process."""

    def __init__(self, sampler: SimilarLengthSampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.sampler.set_epoch(int(state.epoch))


class WithLoss(nn.Module):
    """A model and its losses as one module, so that gradients are averaged between processes wherever it is used."""

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
        **kwargs,
    ):
        # Without a launcher one process means one GPU: the library would make the batch larger for the others,
        # and split it among them in a call that the loss never makes.
        args._n_gpu = min(args.n_gpu, 1)
        super().__init__(args=args, data_collator=partial(collate_batch, pad_id=pad_id), **kwargs)
        self.pad_id = pad_id
        self.all_tokens_share = all_tokens_share
        # The library's mixed precision is tied to model(...), which the loss never calls, and outlives the training.
        self.autocast = partial(torch.autocast, self.args.device.type, torch.bfloat16, enabled=bf16)
        all_tokens_loss = training_loss
        if num_sampled_tokens:
            frequencies = token_frequencies(self.train_dataset, self.model.config.vocab_size).to(self.args.device)
            all_tokens_loss = partial(sampled_training_loss, frequencies=frequencies, num_samples=num_sampled_tokens)
        self.with_loss = WithLoss(self.model, all_tokens_loss)
        self.started = time.perf_counter()

    def _get_train_sampler(self, train_dataset=None) -> SimilarLengthSampler:
        # That of all processes together: each takes its share of every batch.
        batch_size = self.args.train_batch_size * self.args.world_size
        sampler = SimilarLengthSampler(self.train_dataset.lengths, batch_size, self.args.seed)
        self.add_callback(EpochOrder(sampler))
        return sampler

    def _wrap_model(self, model, training=True, dataloader=None) -> nn.Module:
        """Between processes the module that is called is the one with the loss, which the library knows nothing of."""
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
        """This process's targets by the mean of all: the mean of processes' losses is then that over all targets."""
        if self.args.world_size == 1:
            return 1.0
        num_targets = (batch["labels"] != IGNORE_INDEX).sum()
        return num_targets / self.accelerator.reduce(num_targets.float(), "mean")

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
