"""One step of a model: read new tokens after those that it has already read."""

import inspect
from collections.abc import Collection
from functools import lru_cache

import torch
from transformers import Cache, PreTrainedModel
from transformers.utils import ModelOutput


def reading_kwargs(model: PreTrainedModel, attention_mask: torch.Tensor) -> dict:
    """Return the arguments, besides token ids, with which a model reads prompts.

    Args:
        attention_mask: int64 [batch, length], for prompts padded on the left.
    """
    model_kwargs = {"attention_mask": attention_mask, "use_cache": True, "logits_to_keep": 1}
    if "position_ids" in _forward_arguments(type(model)):
        model_kwargs["position_ids"] = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    return model_kwargs


def read(
    model: PreTrainedModel, input_ids: torch.Tensor, model_kwargs: dict, next_sequence_length: int | None = None
) -> ModelOutput:
    """Return the model's output after the last token of each row.

    Args:
        input_ids: int64 [batch, length], all tokens so far, padded on the left.
        model_kwargs: from `reading_kwargs`, with the cache or the state after the tokens that have been read.
        next_sequence_length: number of tokens to read now; None reads all.
    """
    model_inputs = model.prepare_inputs_for_generation(
        input_ids,
        next_sequence_length=next_sequence_length,
        is_first_iteration=next_sequence_length is None,
        **model_kwargs,
    )
    return model(**model_inputs, return_dict=True)


def read_prompts(model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> ModelOutput:
    """Return the model's output after prompts, int64 [batch, length], padded on the left."""
    return read(model, input_ids, reading_kwargs(model, attention_mask))


def take_rows(model_kwargs: dict, rows: torch.Tensor) -> dict:
    """Return mask, positions and cache or state of the given rows, int64 [rows]. A cache is changed in place."""
    taken = {name: value[rows] if isinstance(value, torch.Tensor) else value for name, value in model_kwargs.items()}
    if isinstance(cache := taken.get("past_key_values"), Cache):
        cache.reorder_cache(rows)
    if (state := taken.get("state")) is not None:
        taken["state"] = tuple(tensor[:, rows] for tensor in state)
    return taken


@lru_cache
def _forward_arguments(model_class: type[PreTrainedModel]) -> Collection[str]:
    return inspect.signature(model_class.forward).parameters
