"""Which tokens may begin a suggestion: a new word, or the rest of a half-typed word."""

import string
from bisect import bisect_left
from collections.abc import Collection, Sequence
from copy import copy
from functools import cached_property, lru_cache

import numpy as np

LAST_CHARACTER = "\U0010ffff"
TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class WordStarts:
    """The ids that begin a new word of letters or digits, or that spell a half-typed word.

    WordPiece marks tokens inside a word with "##". Byte-level BPE marks tokens that begin a word with "Ġ",
    a space; some tokenizers put a lone space before a digit.

    A half-typed word is spelt by a token that begins with all of its letters (token healing; Lundberg, 2023).
    If there is none, it is spelt by the longest token that its letters begin with, and further tokens
    after that. So if "today" is a token, "to" is no candidate for "tod". As a frequent word, it would win.

    Args:
        tokens: the vocabulary, in the order of ids.
        special_tokens: tokens that stand for no text.

    Attributes:
        letters: the tokens in lower case, without their marks.
        first: sorted pairs of letters and id, for the tokens that begin a word.
        inside: the same for the tokens that continue a word.
        space_id: id of the lone space, or None.
        is_byte_level: whether the tokens are those of byte-level BPE.
    """

    def __init__(self, tokens: Sequence[str], special_tokens: Collection[str]):
        self.is_byte_level = any(token.startswith("Ġ") for token in tokens)
        mark = "Ġ" if self.is_byte_level else "##"
        self.space_id = tokens.index("Ġ") if self.is_byte_level and "Ġ" in tokens else None
        self.letters = [token.removeprefix(mark).translate(TO_LOWER) for token in tokens]
        marked, unmarked = [], []
        for i, (token, letters) in enumerate(zip(tokens, self.letters)):
            if letters[:1].isascii() and letters[:1].isalnum() and token not in special_tokens:
                (marked if token.startswith(mark) else unmarked).append((letters, i))
        self.first, self.inside = map(sorted, (marked, unmarked) if self.is_byte_level else (unmarked, marked))

    @cached_property
    def at_text_start(self) -> "WordStarts":
        """The word starts for the first word of a text, which byte-level BPE writes without a space before it."""
        if not self.is_byte_level:
            return self
        starts = copy(self)
        starts.first, starts.space_id = self.inside, None
        return starts

    def spellings(self, rest: str, new_ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids that may come next in the first word of a suggestion.

        Args:
            rest: letters of the half-typed word that `new_ids` do not spell yet, or "".
            new_ids: ids of the suggestion so far.

        Returns:
            ids that spell all of the rest, int64, and ids that spell only its beginning, int64.
        """
        return self._spellings(rest, not new_ids, is_after_space=list(new_ids) == [self.space_id])

    @lru_cache(maxsize=1024)  # noqa: B019 There are at most two objects per tokenizer.
    def _spellings(self, rest: str, is_first: bool, is_after_space: bool) -> tuple[np.ndarray, np.ndarray]:
        tokens = self.first if is_first else self.inside
        found = self._beginning_with(tokens, rest)
        spelling = [i for letters, i in found if rest or letters[0].isdigit() or not is_after_space]
        shorter = [i for end in range(1, len(rest)) for i in self._equal_to(tokens, rest[:end])]
        if is_first and self.space_id is not None:
            shorter.append(self.space_id)
        return np.array(spelling, dtype=np.int64), np.array(shorter, dtype=np.int64)

    @staticmethod
    def _beginning_with(tokens: list[tuple[str, int]], letters: str) -> list[tuple[str, int]]:
        start, stop = (bisect_left(tokens, (letters + last,)) for last in ("", LAST_CHARACTER))
        return tokens[start:stop]

    @classmethod
    def _equal_to(cls, tokens: list[tuple[str, int]], letters: str) -> list[int]:
        return [i for text, i in cls._beginning_with(tokens, letters) if text == letters]

    def candidates(self, typed: str, new_ids: Sequence[int]) -> list[int] | None:
        """Return the ids that may come next in a suggestion; None if all may.

        Args:
            typed: letters of the half-typed word, or "".
            new_ids: ids of the suggestion so far.
        """
        rest = typed[sum(len(self.letters[i]) for i in new_ids) :]
        if not new_ids:
            ids = self._spelling(self.first, typed)
            lone_space = [] if self.space_id is None or (typed and ids) else [self.space_id]
            return ids + lone_space
        if rest:
            return self._spelling(self.inside, rest)
        if list(new_ids) == [self.space_id]:
            return [i for letters, i in self.inside if letters[0].isdigit()]
        return None

    def num_steps(self, typed: str) -> int:
        """Return a number of tokens after which `candidates` is always None."""
        # Each token spells at least one letter, except a lone space before the first letter.
        return max(1, len(typed)) + (self.space_id is not None)

    @staticmethod
    def _spelling(tokens: list[tuple[str, int]], letters: str) -> list[int]:
        """Return the ids of the tokens that begin with the letters.

        If there is none, return the ids of the longest tokens that the letters begin with.

        Args:
            tokens: sorted pairs of a token's letters and its id.
        """
        if found := WordStarts._beginning_with(tokens, letters):
            return [i for _, i in found]
        ends = range(len(letters) - 1, 0, -1)
        return next((found for end in ends if (found := WordStarts._equal_to(tokens, letters[:end]))), [])
