"""What a model has read of a text that is still being typed, so that each keystroke costs a step or two."""

from copy import deepcopy

import torch
from transformers import PreTrainedModel

MAX_PREFIXES = 64


class PrefixMemory:
    """A model's caches or states behind the beginnings of one text, for `complete(..., memory=...)`.

    A text that goes on, or that is shortened again, is read from the longest beginning that was read before.

    Args:
        model: the one that reads, always the same.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.read: dict[tuple[int, ...], dict] = {}

    @torch.no_grad()
    def recall(self, token_ids: list[int]) -> dict:
        """Read all tokens but the last, as far as they are new.

        Args:
            token_ids: of the text so far.

        Returns:
            what `generate` needs to go on with the last token: a `state`, or `past_key_values`.
            Empty for a single token.
        """
        wanted = tuple(token_ids[:-1])
        if not wanted:
            return {}
        known = next((wanted[:end] for end in range(len(wanted), 0, -1) if wanted[:end] in self.read), ())
        # Taken out and put in again: the one that was used last is the last to be forgotten.
        memory = self.read.pop(known, {})
        if known:
            self.read[known] = memory
        if known != wanted:
            new_ids = torch.tensor([wanted[len(known) :]], device=self.model.device)
            # A transformer writes into its cache.
            output = self.model.base_model(input_ids=new_ids, **deepcopy(memory))
            self.read[wanted] = {name: output[name] for name in ("state", "past_key_values") if name in output}
        if len(self.read) > MAX_PREFIXES:
            del self.read[next(iter(self.read))]
        return deepcopy(self.read[wanted])
