"""A neural model and an n-gram model over the same tokens, their probabilities interpolated.

    p(token | context) = (1 - weight) * p_neural(token | context) + weight * p_ngram(token | context)

The two make different mistakes: one generalises, the other remembers what it has counted (Mikolov et al., 2011).
"""

from copy import deepcopy
from math import log

import torch
from transformers import Cache, PreTrainedModel
from transformers.utils import ModelOutput, can_return_tuple

from src.models.generation import CheckedGenerationMixin, next_token_loss
from src.models.inputs import UNSUPPORTED
from src.models.kneser_ney import KneserNeyLM
from src.models.lstm_cpu import State
from src.text.context_weight import ContextWeight
from src.training.loss import target_log_probabilities


class InterpolatedLM(PreTrainedModel, CheckedGenerationMixin):
    """A neural model combined with an n-gram model, with the interface of either.

    Args:
        neural: an `LSTMLM` or a transformer.
        ngram: over the same vocabulary; it is moved to the neural model's device.
        weight: weight of the n-gram model's probabilities, from 0 to 1, or one for each context.

    Raises:
        ValueError: the weight is out of its range, or the vocabularies differ.
    """

    # A transformer's configuration asks for SDPA attention, and transformers refuses a model without this flag.
    _supports_sdpa = True

    def __init__(self, neural: PreTrainedModel, ngram: KneserNeyLM, weight: float | ContextWeight):
        if not isinstance(weight, ContextWeight) and not 0 <= weight <= 1:
            raise ValueError(f"weight is {weight}: choose a number from 0 to 1")
        sizes = neural.config.vocab_size, ngram.config.vocab_size
        if sizes[0] != sizes[1]:
            raise ValueError(f"the models know {sizes[0]} and {sizes[1]} tokens: give two models of one tokenizer")
        super().__init__(deepcopy(neural.config))
        self.generation_config = deepcopy(neural.generation_config)
        # generate() reads from these how a model keeps its state or cache.
        for name in ("_is_stateful", "_supports_default_dynamic_cache", "_reorder_cache"):
            if hasattr(neural, name):
                setattr(self, name, getattr(neural, name))
        self.neural, self.ngram, self.weight = neural, ngram.to(neural.device), weight
        self.eval()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        position_ids: torch.Tensor | None = None,
        ngram_inputs: dict | None = None,
        state: State | None = None,
        past_key_values: Cache | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: int | torch.Tensor | None = None,
        **kwargs,
    ) -> ModelOutput:
        """Next-token log-probabilities, which serve as logits.

        Args:
            input_ids: int64 [batch, length].
            attention_mask: int64 [batch, length], 1 for a token and 0 for a pad.
            logits_to_keep: number of last positions to return; 0 returns all.
            position_ids, state, past_key_values: position and memory from which the neural model continues.
            ngram_inputs: arguments of the n-gram model, which has no memory; None: as for the neural model.
            labels, num_items_in_batch: as in `next_token_loss`.
            **kwargs: what the neural model takes besides.

        Returns:
            the neural model's output with `logits`, float32 [batch, positions, vocab], and the `loss` of the two
            models together.

        Raises:
            ValueError: the neural model has a memory and the n-gram model no inputs, or one of them refuses its own.
        """
        if kwargs.get("lengths") is not None:
            raise ValueError(f"lengths is not supported by this model: {UNSUPPORTED['lengths']}")
        memory = {"position_ids": position_ids, "state": state, "past_key_values": past_key_values}
        kwargs |= {name: value for name, value in memory.items() if value is not None}
        if ngram_inputs is None and (state is not None or past_key_values is not None):
            raise ValueError("the n-gram model has no memory: give all tokens, without state and past_key_values")
        ngram_inputs = ngram_inputs or {"input_ids": input_ids, "attention_mask": attention_mask}
        ngram_output = self.ngram(**{**ngram_inputs, "logits_to_keep": logits_to_keep})
        output = self.neural(
            input_ids=input_ids, attention_mask=attention_mask, logits_to_keep=logits_to_keep, **kwargs
        )
        log_p = output.logits.float().log_softmax(dim=-1)
        weight = self._weight(log_p.amax(dim=-1), ngram_output.context)
        logits = interpolated(log_p, ngram_output.logits, weight if isinstance(weight, float) else weight[..., None])
        loss = next_token_loss(logits, input_ids, labels, num_items_in_batch)
        return type(output)(**{**output, "logits": logits, "loss": loss})

    def target_log_probabilities(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Log-probability of every target token, as in `KneserNeyLM.target_log_probabilities`."""
        batch = {"input_ids": input_ids, "labels": labels}
        log_p, log_largest = target_log_probabilities(self.neural, batch)
        ngram_log_p = self.ngram.target_log_probabilities(input_ids, labels)
        weight = self._weight(log_largest, self.ngram.target_contexts(input_ids, labels))
        return interpolated(log_p, ngram_log_p, weight)

    def _weight(self, log_largest: torch.Tensor, context: torch.Tensor) -> float | torch.Tensor:
        if isinstance(self.weight, ContextWeight):
            return self.weight.log_odds(log_largest, context).sigmoid()
        return float(self.weight)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> dict:
        inputs = self.neural.prepare_inputs_for_generation(input_ids, attention_mask=attention_mask, **kwargs)
        ngram_inputs = self.ngram.prepare_inputs_for_generation(input_ids, attention_mask)
        return {**inputs, "logits_to_keep": 1, "ngram_inputs": ngram_inputs}


def interpolated(log_p: torch.Tensor, ngram_log_p: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
    """Logarithm of the weighted mean of two models' probabilities; `weight` is the n-gram model's."""
    if isinstance(weight, torch.Tensor):
        return torch.logaddexp(log_p + torch.log1p(-weight), ngram_log_p + weight.log())
    if weight in (0, 1):
        return ngram_log_p if weight else log_p
    return torch.logaddexp(log_p + log(1 - weight), ngram_log_p + log(weight))
