"""Constrain suggestions to begin with a new word, or with a half-typed word."""

from collections.abc import Collection, Sequence
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerBase

from src.completion.decoding import LogitsProcessor
from src.text.word_starts import WordStarts


@lru_cache(maxsize=8)
def word_starts(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> WordStarts:
    """Return the word starts of a tokenizer's vocabulary.

    Args:
        vocab_size: size of the model's vocabulary. Ids that the tokenizer lacks stand for no text.
    """
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return WordStarts(tokens + [""] * (vocab_size - len(tokens)), tokenizer.all_special_tokens)


class WordConstraint(LogitsProcessor):
    """Bars every token that can neither begin nor continue the first word of a row's continuation.

    So no suggestion begins with the end of the tweet.

    Args:
        starts: the vocabulary's word starts.
        typed: letters of the half-typed word of each prompt, or "".
        at_text_start: indices of the prompts whose next word is the first of its text.
    """

    def __init__(self, starts: WordStarts, typed: Sequence[str], at_text_start: Collection[int]):
        self.starts = [starts.at_text_start if i in at_text_start else starts for i in range(len(typed))]
        self.typed = typed
        self.num_steps = max(map(starts.num_steps, typed))

    def __call__(self, logits: torch.Tensor, new_ids: torch.Tensor, prompt_index: torch.Tensor) -> torch.Tensor:
        if new_ids.shape[1] >= self.num_steps:
            return logits
        rows = zip(prompt_index.tolist(), map(tuple, new_ids.tolist()))
        masks = [barred(self.starts[prompt], self.typed[prompt], ids, logits.shape[1]) for prompt, ids in rows]
        return logits.masked_fill(torch.stack(masks).to(logits.device), -torch.inf)


@lru_cache(maxsize=1024)
def barred(starts: WordStarts, typed: str, new_ids: tuple[int, ...], vocab_size: int) -> torch.Tensor:
    """Return a mask of the ids that may not come next, bool [vocab]."""
    candidates = starts.candidates(typed, new_ids)
    mask = torch.full((vocab_size,), candidates is not None)
    mask[candidates or []] = False
    return mask
