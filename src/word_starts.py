"""Which tokens may begin a suggestion: a new word, or the rest of one that is half typed."""

import string
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerBase

LAST_CHARACTER = "\U0010ffff"
TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class WordStarts:
    """Which ids begin a new word of letters or digits, or spell a word that is half typed.

    In WordPiece "##" marks a piece inside a word; in byte-level BPE "Ġ", a space, marks one that
    begins a word, and some tokenizers put a lone space before a digit.

    Letters that were typed are spelt by a piece that begins with all of them (token healing;
    Lundberg, 2023) or, where there is none, by the longest that they begin with and others behind
    it. So "to" is no candidate for "tod": it would beat "today", being a frequent word itself.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int):
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        is_byte_level = any(piece.startswith("Ġ") for piece in pieces)
        mark = "Ġ" if is_byte_level else "##"
        self.everything = torch.ones(vocab_size, dtype=torch.bool)
        self.space_id = pieces.index("Ġ") if is_byte_level and "Ġ" in pieces else None
        self.letters = [piece.removeprefix(mark).translate(TO_LOWER) for piece in pieces]
        self.letters += [""] * (vocab_size - len(pieces))
        marked, unmarked = [], []
        for i, (piece, letters) in enumerate(zip(pieces, self.letters)):
            if letters[:1].isascii() and letters[:1].isalnum() and piece not in tokenizer.all_special_tokens:
                (marked if piece.startswith(mark) else unmarked).append((letters, i))
        self.first, self.inside = map(sorted, (marked, unmarked) if is_byte_level else (unmarked, marked))
        self.mask = lru_cache(maxsize=1024)(self._mask)

    def _mask(self, typed: str, new_ids: tuple[int, ...]) -> torch.Tensor:
        """[vocab] bool, ids that may follow `new_ids` in a new word whose first letters were typed."""
        rest = typed[sum(len(self.letters[i]) for i in new_ids) :]
        if not new_ids:
            ids = self._spelling(self.first, typed)
            if self.space_id is not None and not (typed and ids):
                ids.append(self.space_id)
        elif rest:
            ids = self._spelling(self.inside, rest)
        elif new_ids == (self.space_id,):
            ids = [i for letters, i in self.inside if letters[0].isdigit()]
        else:
            return self.everything
        mask = torch.zeros_like(self.everything)
        mask[ids] = True
        return mask

    @staticmethod
    def _spelling(pieces: list[tuple[str, int]], letters: str) -> list[int]:
        """Of sorted pieces those that begin with the letters, or else the longest that these begin with."""
        for end in range(len(letters), -1, -1):
            start, stop = (bisect_left(pieces, (letters[:end] + last,)) for last in ("", LAST_CHARACTER))
            found = [i for text, i in pieces[start:stop] if end == len(letters) or text == letters[:end]]
            if found:
                return found
        return []


word_starts = lru_cache(maxsize=8)(WordStarts)


class NewWord:
    """Bars every token that can't begin, or go on with, the new word of its row.

    So no suggestion is empty: the end of the tweet doesn't begin a word.
    """

    def __init__(self, starts: WordStarts, typed: Sequence[str]):
        self.starts, self.typed = starts, typed
        # A piece spells a letter at least, but for a space before the first one.
        self.num_steps = max(1, *map(len, typed)) + (starts.space_id is not None)

    def __call__(self, scores: torch.Tensor, new_ids: torch.Tensor, prefixes: torch.Tensor) -> torch.Tensor:
        if new_ids.shape[1] >= self.num_steps:
            return scores
        rows = zip(prefixes.tolist(), map(tuple, new_ids.tolist()))
        masks = torch.stack([self.starts.mask(self.typed[prefix], ids) for prefix, ids in rows])
        return scores.masked_fill(~masks.to(scores.device), -torch.inf)
