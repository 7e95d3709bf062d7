"""Makes every suggestion begin with a new word, or with the rest of one that is half typed."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerBase

from src.text.word_starts import WordStarts


@lru_cache(maxsize=8)
def word_starts(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> WordStarts:
    """Of a tokenizer's vocabulary; a model's may be larger, by ids that stand for no text."""
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return WordStarts(pieces + [""] * (vocab_size - len(pieces)), tokenizer.all_special_tokens)


class NewWord:
    """Bars every token that can't begin, or go on with, the new word of its row.

    So no suggestion is empty: the end of the tweet doesn't begin a word.
    """

    def __init__(self, starts: WordStarts, typed: Sequence[str]):
        self.starts, self.typed = starts, typed
        self.num_steps = max(map(starts.num_steps, typed))

    def __call__(self, scores: torch.Tensor, new_ids: torch.Tensor, prefixes: torch.Tensor) -> torch.Tensor:
        if new_ids.shape[1] >= self.num_steps:
            return scores
        rows = zip(prefixes.tolist(), map(tuple, new_ids.tolist()))
        masks = [barred(self.starts, self.typed[prefix], ids, scores.shape[1]) for prefix, ids in rows]
        return scores.masked_fill(torch.stack(masks).to(scores.device), -torch.inf)


@lru_cache(maxsize=1024)
def barred(starts: WordStarts, typed: str, new_ids: tuple[int, ...], vocab_size: int) -> torch.Tensor:
    """[vocab] bool, true for every id that may not come next."""
    candidates = starts.candidates(typed, new_ids)
    mask = torch.full((vocab_size,), candidates is not None)
    mask[candidates or []] = False
    return mask
