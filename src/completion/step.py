"""One step of a model: read new tokens after those that it has already read."""

import inspect
from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import torch
from transformers import Cache, PreTrainedModel
from transformers.utils import ModelOutput

from src.text.word_search import TokenPath


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


class RowReader:
    """Reads prompts and then one token at a time after any of them: a `src.text.word_search.Reader`.

    Args:
        input_ids, attention_mask: int64 [batch, length], prompts padded on the left.
        outputs: the model's outputs after the prompts, as from `read_prompts`.
    """

    def __init__(
        self, model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, outputs: ModelOutput
    ):
        self.model, self.input_ids = model, input_ids
        model_kwargs = reading_kwargs(model, attention_mask)
        self.model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
        self.prompt_rows = next_probabilities(outputs)
        # The rows of the last batch, by prompt and tokens after it.
        self.rows = {(prompt,): prompt for prompt in range(len(input_ids))}

    def knows(self, path: TokenPath) -> bool:
        return not path.token_ids

    def read(self, paths: Sequence[TokenPath]) -> list[np.ndarray]:
        if not paths[0].token_ids:
            return [self.prompt_rows[path.prompt] for path in paths]
        parents = [self.rows[path.prompt, *path.token_ids[:-1]] for path in paths]
        self.rows = {(path.prompt, *path.token_ids): row for row, path in enumerate(paths)}
        rows, tokens = (
            torch.tensor(numbers, device=self.input_ids.device)
            for numbers in (parents, [path.token_ids[-1] for path in paths])
        )
        self.input_ids = torch.cat([self.input_ids[rows], tokens[:, None]], dim=1)
        model_kwargs = take_rows(self.model_kwargs, rows)
        outputs = read(self.model, self.input_ids, model_kwargs, next_sequence_length=1)
        self.model_kwargs = self.model._update_model_kwargs_for_generation(outputs, model_kwargs)
        return list(next_probabilities(outputs))


def next_probabilities(outputs: ModelOutput) -> np.ndarray:
    """Probabilities of the token after each row, float32 [batch, vocab]."""
    return outputs.logits[:, -1].float().softmax(dim=-1).cpu().numpy()


@lru_cache
def _forward_arguments(model_class: type[PreTrainedModel]) -> Collection[str]:
    return inspect.signature(model_class.forward).parameters
