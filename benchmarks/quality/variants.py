"""Variants of the LSTM and of its loss that the trials compare. Those that did not help are not in `src/`."""

import re

import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from src.lstm_model import LSTMLM, LSTMBackbone
from src.training.loss import sampled_training_loss, target_states, training_loss

SPELLINGS = {
    "as it is": lambda text: text,
    "digits as zeros": lambda text: re.sub(r"\d", "0", text),
    "letters at most twice in a row": lambda text: re.sub(r"([a-z])\1{2,}", r"\1\1", text),
}


class LockedDropout(nn.Module):
    """The same dropout mask at all positions of a row (Gal and Ghahramani, 2016)."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * dropout(torch.ones_like(hidden[:, :1]), self.probability, self.training)


class WordDropoutEmbedding(nn.Embedding):
    """Rows of the embedding are dropped, so a token is dropped at all its positions (Merity et al., 2018)."""

    probability: float

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        keep = dropout(torch.ones_like(self.weight[:, :1]), self.probability, self.training)
        return super().forward(input_ids) * keep[input_ids]


class WeightDropLSTM(nn.LSTM):
    """DropConnect on the hidden-to-hidden weights (Merity et al., 2018)."""

    probability: float

    def forward(self, inputs, state=None):
        weights = self._flat_weights
        self._flat_weights = [
            dropout(weight, self.probability, self.training) if "weight_hh" in name else weight
            for name, weight in zip(self._flat_weights_names, weights)
        ]
        try:
            return super().forward(inputs, state)
        finally:
            self._flat_weights = weights


class NormalizedEmbedding(nn.Module):
    """Layer norm on the output of a module (Ba et al., 2016)."""

    def __init__(self, module: nn.Module, width: int):
        super().__init__()
        self.module = module
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.norm(self.module(inputs))


class SplitDropout(nn.Module):
    """Two dropouts in turn: the backbone calls one module for its input and then for its output."""

    def __init__(self, on_input: nn.Module, on_output: nn.Module):
        super().__init__()
        self.turns = nn.ModuleList([on_input, on_output])
        self.calls = 0

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        module = self.turns[self.calls % 2]
        self.calls += 1
        return module(hidden)


def vary(model: LSTMLM, trial) -> LSTMLM:
    """Add a trial's regularisers and norms to a new model, in place."""
    backbone: LSTMBackbone = model.backbone
    if trial.recurrent_projection:
        # The recurrence reads the projected output (LSTMP; Sak et al., 2014).
        sizes = trial.embedding_dim, trial.hidden_dim, trial.num_layers
        backbone.lstm = nn.LSTM(*sizes, batch_first=True, proj_size=trial.embedding_dim)
        backbone.projection = nn.Identity()
        backbone._init_weights(backbone.lstm)
    if trial.word_dropout:
        backbone.embedding.__class__ = WordDropoutEmbedding
        backbone.embedding.probability = trial.word_dropout
    if trial.weight_dropout:
        backbone.lstm.__class__ = WeightDropLSTM
        backbone.lstm.probability = trial.weight_dropout
    if trial.input_dropout or trial.output_dropout:
        backbone.dropout = SplitDropout(LockedDropout(trial.input_dropout), LockedDropout(trial.output_dropout))
    if trial.layer_norm:
        backbone.projection = NormalizedEmbedding(backbone.projection, trial.embedding_dim)
    return model


def with_noise(batch: dict[str, torch.Tensor], frequencies: torch.Tensor, share: float) -> dict[str, torch.Tensor]:
    """The batch with a share of its input tokens replaced by random ones, drawn by frequency (Xie et al., 2017)."""
    input_ids = batch["input_ids"]
    drawn = torch.multinomial(frequencies, input_ids.numel(), replacement=True).view_as(input_ids)
    return {**batch, "input_ids": torch.where(torch.rand(input_ids.shape) < share, drawn, input_ids)}


def smoothed_loss(model: LSTMLM, batch: dict[str, torch.Tensor], label_smoothing: float) -> torch.Tensor:
    """Cross-entropy with label smoothing (Szegedy et al., 2016)."""
    hidden, labels, _ = target_states(model, batch)
    return cross_entropy(model.lm_head(hidden).float(), labels, label_smoothing=label_smoothing)


def trial_loss(
    model: LSTMLM,
    batch: dict[str, torch.Tensor],
    label_smoothing: float,
    num_samples: int,
    frequencies: torch.Tensor,
) -> torch.Tensor:
    """The loss with label smoothing, else with a sampled softmax, else over the full vocabulary; 0 is off."""
    if label_smoothing:
        return smoothed_loss(model, batch, label_smoothing)
    if num_samples:
        return sampled_training_loss(model, batch, frequencies, num_samples)
    return training_loss(model, batch)
