"""Keep what a model has read of a text that is being typed, so that a keystroke costs one or two steps."""

from copy import deepcopy

import torch
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from src.completion.step import read, reading_kwargs

MAX_PREFIXES = 64
# Over all prefixes. A transformer keeps tens of KB for each token.
MAX_TOKENS = 2_048


class PrefixMemory:
    """A model's outputs after the beginnings of one text, for `Completer(..., memory=...)`.

    When the text grows or is shortened, the model continues from the longest beginning that it has read.

    Args:
        model: the model that reads the text.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.outputs: dict[tuple[int, ...], dict] = {}

    @torch.inference_mode()
    def read(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> ModelOutput:
        """Read the new tokens of a text.

        Args:
            input_ids, attention_mask: int64 [1, length], without padding.

        Returns:
            the model's output: logits [1, 1, vocab] after the last token, and the cache or the state there.
        """
        wanted = tuple(input_ids[0].tolist())
        known = next((wanted[:end] for end in range(len(wanted), 0, -1) if wanted[:end] in self.outputs), ())
        # Moved to the end of the dict, so the beginning that was used last is forgotten last.
        outputs = self.outputs.pop(known, {})
        if known:
            self.outputs[known] = outputs
        if known != wanted:
            state = {name: value for name, value in outputs.items() if name != "logits"}
            num_new = len(wanted) - len(known) if state else None
            model_kwargs = reading_kwargs(self.model, attention_mask) | deepcopy(state)
            latest = read(self.model, input_ids, model_kwargs, num_new)
            outputs = {name: latest[name] for name in ("logits", "state", "past_key_values") if name in latest}
            self.outputs[wanted] = outputs
        while len(self.outputs) > MAX_PREFIXES or (len(self.outputs) > 1 and sum(map(len, self.outputs)) > MAX_TOKENS):
            del self.outputs[next(iter(self.outputs))]
        # A copy, since a transformer writes into its cache.
        return ModelOutput(deepcopy(outputs))
