"""transformers' Trainer with our loss on our batches."""

import time
from functools import partial

import torch
from tqdm import tqdm
from transformers import Trainer, TrainerCallback

from src.loss import dataset_nll, sampled_training_loss, token_frequencies, training_loss
from src.next_token_dataset import SimilarLengthSampler, collate_batch, unmask_context


class TrainingError(RuntimeError):
    """A training can't go on; the message says where it stands and what to change."""


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

    def __init__(self, *args, pad_id: int, bf16: bool, all_tokens_share: float, num_sampled_tokens: int, **kwargs):
        super().__init__(*args, data_collator=partial(collate_batch, pad_id=pad_id), **kwargs)
        self.pad_id = pad_id
        self.all_tokens_share = all_tokens_share
        # The library's mixed precision is tied to model(...), which the loss never calls, and outlives the training.
        self.autocast = partial(torch.autocast, self.args.device.type, torch.bfloat16, enabled=bf16)
        self.all_tokens_loss = training_loss
        if num_sampled_tokens:
            frequencies = token_frequencies(self.train_dataset, self.model.config.vocab_size).to(self.args.device)
            self.all_tokens_loss = partial(
                sampled_training_loss, frequencies=frequencies, num_samples=num_sampled_tokens
            )
        self.started = time.perf_counter()

    def _get_train_sampler(self, train_dataset=None) -> SimilarLengthSampler:
        return SimilarLengthSampler(self.train_dataset.lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        with self.autocast():
            if self.state.global_step < self.all_tokens_share * self.state.max_steps:
                loss = self.all_tokens_loss(model, unmask_context(inputs))
            else:
                loss = training_loss(model, inputs)
        if not loss.isfinite():
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step} with a learning rate of "
                f"{self._get_learning_rate():.2g}: choose a lower one; the last good weights are in "
                f"{self.state.best_model_checkpoint or 'no checkpoint yet'}"
            )
        return loss

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
