"""A neural model and an n-gram model over the same tokens, their probabilities interpolated.

    p(token | context) = (1 - weight) * p_neural(token | context) + weight * p_ngram(token | context)

The two err differently: one generalises, the other remembers what it has counted (Mikolov et al., 2011).
"""

from copy import deepcopy
from math import log

import torch
from torch import nn
from transformers import Cache, GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

from src.models.kneser_ney import KneserNeyLM
from src.models.lstm_cpu import State


class HiddenStates(nn.Module):
    """The neural model's hidden states and the n-gram model's contexts, side by side."""

    def __init__(self, neural: PreTrainedModel, ngram: KneserNeyLM):
        super().__init__()
        self.neural, self.ngram = neural, ngram

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **state) -> ModelOutput:
        """Inputs as in `InterpolatedLM.forward`, from the beginnings of tweets.

        Returns:
            the neural model's output with `last_hidden_state`, float32 [batch, length, width + 2 * order].
        """
        output = self.neural.base_model(input_ids=input_ids, attention_mask=attention_mask, **state)
        contexts = self.ngram.base_model(input_ids, attention_mask).last_hidden_state
        # The number of an n-gram, int64, in the bits of two float32: float64 is not to be had everywhere.
        bits = contexts.contiguous().view(torch.float32)
        output["last_hidden_state"] = torch.cat([output.last_hidden_state.float(), bits], dim=-1)
        return output


class InterpolatedOutput(nn.Module):
    """Hidden states of both models to log-probabilities, float32 [..., vocab]."""

    def __init__(self, neural: PreTrainedModel, ngram: KneserNeyLM, weight: float):
        super().__init__()
        self.neural, self.ngram, self.weight = neural, ngram, weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        num_bits = 2 * len(self.ngram.config.num_ngrams)
        logits = self.neural.get_output_embeddings()(hidden[..., :-num_bits].to(self.neural.dtype))
        contexts = hidden[..., -num_bits:].contiguous().view(torch.int64)
        return self.interpolate(logits, self.ngram.distribution(contexts))

    def interpolate(self, logits: torch.Tensor, ngram_log_probabilities: torch.Tensor) -> torch.Tensor:
        return interpolated(logits.float().log_softmax(dim=-1), ngram_log_probabilities, self.weight)


class InterpolatedLM(PreTrainedModel, GenerationMixin):
    """A neural model that consults an n-gram model; scored and completed with like either of them.

    Args:
        neural: an `LSTMLM` or a transformer.
        ngram: over the same vocabulary; it is moved to the neural model's device.
        weight: of the n-gram model's probabilities, from 0 to 1.

    Raises:
        ValueError: the weight is out of its range, or the vocabularies differ.
    """

    base_model_prefix = "hidden_states"
    # The configuration of a transformer asks for it.
    _supports_sdpa = True

    def __init__(self, neural: PreTrainedModel, ngram: KneserNeyLM, weight: float):
        if not 0 <= weight <= 1:
            raise ValueError(f"weight is {weight}: choose a number from 0 to 1")
        sizes = neural.config.vocab_size, ngram.config.vocab_size
        if sizes[0] != sizes[1]:
            raise ValueError(f"the models know {sizes[0]} and {sizes[1]} tokens: both must be of one tokenizer")
        super().__init__(deepcopy(neural.config))
        self.generation_config = deepcopy(neural.generation_config)
        # What generate() asks a model about its memory.
        for name in ("_is_stateful", "_supports_default_dynamic_cache", "_reorder_cache"):
            if hasattr(neural, name):
                setattr(self, name, getattr(neural, name))
        self.hidden_states = HiddenStates(neural, ngram.to(neural.device))
        self.output = InterpolatedOutput(neural, ngram, weight)
        self.eval()

    @property
    def weight(self) -> float:
        return self.output.weight

    def get_output_embeddings(self) -> InterpolatedOutput:
        return self.output

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        position_ids: torch.Tensor | None = None,
        ngram_inputs: dict | None = None,
        state: State | None = None,
        past_key_values: Cache | None = None,
        **kwargs,
    ) -> ModelOutput:
        """Next-token log-probabilities, which are their own logits.

        Args:
            input_ids: int64 [batch, length].
            attention_mask: [batch, length], 1 for a token and 0 for a pad.
            logits_to_keep: number of positions wanted, the last ones; 0: all.
            ngram_inputs: what the n-gram model reads, where the neural one goes on from a state.
            position_ids, state, past_key_values: where the neural model goes on, as far as it has them.
            **kwargs: what generate() passes to every model.

        Returns:
            the neural model's output with `logits`, float32 [batch, positions, vocab].
        """
        place = {"position_ids": position_ids, "state": state, "past_key_values": past_key_values}
        kwargs |= {name: value for name, value in place.items() if value is not None}
        output = self.hidden_states.neural(
            input_ids=input_ids, attention_mask=attention_mask, logits_to_keep=logits_to_keep, **kwargs
        )
        ngram_inputs = ngram_inputs or {"input_ids": input_ids, "attention_mask": attention_mask}
        counted = self.hidden_states.ngram(**{**ngram_inputs, "logits_to_keep": logits_to_keep})
        output["logits"] = self.output.interpolate(output.logits, counted.logits)
        return output

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> dict:
        models = self.hidden_states
        inputs = models.neural.prepare_inputs_for_generation(input_ids, attention_mask=attention_mask, **kwargs)
        ngram_inputs = models.ngram.prepare_inputs_for_generation(input_ids, attention_mask)
        return {**inputs, "logits_to_keep": 1, "ngram_inputs": ngram_inputs}


def interpolated(log_p: torch.Tensor, ngram_log_p: torch.Tensor, weight: float) -> torch.Tensor:
    """Logarithm of the probabilities' weighted mean; `weight` is that of the n-gram model."""
    if weight in (0, 1):
        return ngram_log_p if weight else log_p
    return torch.logaddexp(log_p + log(1 - weight), ngram_log_p + log(weight))
