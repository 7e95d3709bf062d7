"""Which tokens may begin a suggestion: a new word, or the rest of one that is half typed."""

import string
from bisect import bisect_left
from collections.abc import Collection, Sequence

LAST_CHARACTER = "\U0010ffff"
TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class WordStarts:
    """Which ids begin a new word of letters or digits, or spell a word that is half typed.

    In WordPiece "##" marks a piece inside a word; in byte-level BPE "Ġ", a space, marks one that
    begins a word, and some tokenizers put a lone space before a digit.

    Letters that were typed are spelt by a piece that begins with all of them (token healing;
    Lundberg, 2023) or, where there is none, by the longest that they begin with and others behind
    it. So "to" is no candidate for "tod": it would beat "today", being a frequent word itself.

    Args:
        pieces: of a vocabulary, by id.
        special_tokens: those of the pieces that are no text.
    """

    def __init__(self, pieces: Sequence[str], special_tokens: Collection[str]):
        is_byte_level = any(piece.startswith("Ġ") for piece in pieces)
        mark = "Ġ" if is_byte_level else "##"
        self.space_id = pieces.index("Ġ") if is_byte_level and "Ġ" in pieces else None
        self.letters = [piece.removeprefix(mark).translate(TO_LOWER) for piece in pieces]
        marked, unmarked = [], []
        for i, (piece, letters) in enumerate(zip(pieces, self.letters)):
            if letters[:1].isascii() and letters[:1].isalnum() and piece not in special_tokens:
                (marked if piece.startswith(mark) else unmarked).append((letters, i))
        self.first, self.inside = map(sorted, (marked, unmarked) if is_byte_level else (unmarked, marked))

    def candidates(self, typed: str, new_ids: Sequence[int]) -> list[int] | None:
        """Ids that may follow `new_ids` in a new word whose first letters were typed; None: all."""
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
        """Tokens that a new word with these first letters may need until all tokens may follow."""
        # A piece spells a letter at least, but for a space before the first one.
        return max(1, len(typed)) + (self.space_id is not None)

    @staticmethod
    def _spelling(pieces: list[tuple[str, int]], letters: str) -> list[int]:
        """Of sorted pieces those that begin with the letters, or else the longest that these begin with."""
        for end in range(len(letters), -1, -1):
            start, stop = (bisect_left(pieces, (letters[:end] + last,)) for last in ("", LAST_CHARACTER))
            found = [i for text, i in pieces[start:stop] if end == len(letters) or text == letters[:end]]
            if found:
                return found
        return []
