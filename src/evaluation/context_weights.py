"""Fit how much an n-gram model counts in each context, and keep that only if it is clearly better than one weight."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn.functional import logsigmoid
from torch.utils.data import DataLoader

from src.evaluation.intervals import UNDEFINED, Estimate, Ratio, difference
from src.models.interpolation import InterpolatedLM
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.text.context_weight import ContextWeight
from src.training.loss import target_log_probabilities

MAX_STEPS = 100
# Fewer texts on which nothing was fitted say too little.
MIN_TEXTS = 30


@dataclass(frozen=True)
class Predictions:
    """Both models' log-probabilities of target tokens, and the inputs of `ContextWeight`; float64 tensors [targets].

    Attributes:
        text: index of the text, int64.
        log_p, ngram_log_p: log-probability of the target by the neural and by the n-gram model.
        log_largest: log-probability of the neural model's most probable token.
        context: [targets, 2 (order - 1)], what the n-gram model knows, as in `ContextWeight`.
    """

    text: torch.Tensor
    log_p: torch.Tensor
    ngram_log_p: torch.Tensor
    log_largest: torch.Tensor
    context: torch.Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: InterpolatedLM, dataset: NextTokenDataset, pad_id: int, batch_size: int) -> "Predictions":
        """Read all texts with both models; the arguments are those of `choose_context_weight`."""
        parts, num_read = [], 0
        for batch in DataLoader(dataset, batch_size, collate_fn=partial(collate_batch, pad_id=pad_id)):
            input_ids, labels = (batch[name].to(model.device) for name in ("input_ids", "labels"))
            text = (labels != IGNORE_INDEX).nonzero()[:, 0] + num_read
            log_p, log_largest = target_log_probabilities(model.neural, batch)
            ngram_log_p = model.ngram.target_log_probabilities(input_ids, labels)
            parts.append((text, log_p, ngram_log_p, log_largest, model.ngram.target_contexts(input_ids, labels)))
            num_read += len(labels)
        text, *values = (torch.cat(tensors).cpu() for tensors in zip(*parts))
        return cls(text, *(tensor.double() for tensor in values))

    def select(self, is_wanted: torch.Tensor) -> "Predictions":
        """Some of the targets; `is_wanted` is bool [targets]."""
        return Predictions(*(getattr(self, name)[is_wanted] for name in self.__dataclass_fields__))

    def log_odds(self, weight: ContextWeight) -> torch.Tensor:
        return weight.log_odds(self.log_largest, self.context)

    def nll(self, log_odds: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of each target in nats, if these are the log-odds of the n-gram model's weight."""
        neural, ngram = self.log_p + logsigmoid(-log_odds), self.ngram_log_p + logsigmoid(log_odds)
        return -torch.logaddexp(neural, ngram)

    def loss_of_texts(self, weight: ContextWeight) -> Ratio:
        """Nats per target, as a ratio over texts that have targets."""
        _, text = self.text.unique(return_inverse=True)
        nll = self.nll(self.log_odds(weight)).numpy()
        return Ratio(np.bincount(text, nll), np.bincount(text).astype(np.float64))


def choose_context_weight(
    model: InterpolatedLM, dataset: NextTokenDataset, pad_id: int, seed: int = 0, batch_size: int = 64
) -> tuple[InterpolatedLM, Estimate]:
    """Let the weight of the n-grams depend on the context, if that is clearly better than the model's fixed weight.

    The weight is fitted on every other text, and compared on the rest. If it is better there, it is fitted on all.

    Args:
        model: with a fixed weight above 0 and below 1, as from `src.evaluation.selection.choose_weight`.
        dataset: validation texts.
        pad_id: the pad token.
        seed: of the bootstrap over texts.
        batch_size: number of texts that are read together.

    Returns:
        the better model; and the loss with weights by context minus that with the fixed one, in nats per target token
        of the texts on which nothing was fitted, with its paired 95% interval; NaN if there is only one text.
    """
    if len(dataset) < 2:
        return model, UNDEFINED
    predictions = Predictions.of(model, dataset, pad_id, batch_size)
    fitted, others = (predictions.select(predictions.text % 2 == remainder) for remainder in (0, 1))
    fixed = ContextWeight.fixed(model.weight, order=len(model.ngram.config.num_ngrams))
    change = difference(others.loss_of_texts(fit(fitted, fixed)), others.loss_of_texts(fixed), seed)
    if change.high < 0 and change.n >= MIN_TEXTS:
        model = InterpolatedLM(model.neural, model.ngram, fit(predictions, fixed))
    return model, change


def fit(predictions: Predictions, start: ContextWeight) -> ContextWeight:
    """The weight by context with the smallest loss, found from `start` by L-BFGS."""
    ones = torch.ones_like(predictions.log_p)
    inputs = torch.column_stack([ones, predictions.log_largest, predictions.context])
    # L-BFGS converges faster if all inputs have the same scale.
    scale = inputs.abs().mean(dim=0).clamp(min=1e-6)
    scaled = (torch.tensor(start.coefficients, dtype=torch.float64) * scale).requires_grad_()
    optimizer = torch.optim.LBFGS([scaled], max_iter=MAX_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        mean = predictions.nll(inputs @ (scaled / scale)).mean()
        mean.backward()
        return mean

    optimizer.step(loss)
    return ContextWeight(tuple((scaled / scale).tolist()))
