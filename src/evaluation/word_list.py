"""A baseline for typing: the most frequent words that begin with the typed letters."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from heapq import nsmallest
from itertools import accumulate

from src.text.prefixes import MAX_NEW_TOKENS, Completion, check_request, split_prefix


class WordList:
    """The words of training texts by frequency: a `src.text.prefixes.TweetCompleter` that ignores the words before.

    A suggestion is one word. Its probability is the word's share of all words in the texts that begin with the typed
    letters. A word that is typed already comes last.

    Args:
        texts: cleaned training texts.
    """

    completes_first_words = True

    def __init__(self, texts: Sequence[str]):
        counts = Counter(word for text in texts for word in text.split(" "))
        self.words = sorted(counts)
        self.counts = [counts[word] for word in self.words]
        # The number of all words before each word, in alphabetical order.
        self.totals = list(accumulate(self.counts, initial=0))
        self.known: dict[tuple[str, int], list[Completion]] = {}

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with one word, in n different ways, as `TweetCompleter` says.

        Returns:
            at most n completions for each prefix, the most frequent word first; fewer if fewer words begin with the
            typed letters.

        Raises:
            ValueError: n or `max_new_tokens` is less than 1.
            PrefixError: as from `src.text.prefixes.split_prefix`.
        """
        check_request(prefixes, n, max_new_tokens)
        return [self._suggestions(split_prefix(prefix, i, half_typed, True)[1], n) for i, prefix in enumerate(prefixes)]

    def _suggestions(self, typed: str, n: int) -> list[Completion]:
        if (typed, n) not in self.known:
            # "~" comes after all letters.
            begin, end = bisect_left(self.words, typed), bisect_left(self.words, typed + "~")
            total = self.totals[end] - self.totals[begin]
            best = nsmallest(n, range(begin, end), key=lambda i: (self.words[i] == typed, -self.counts[i], i))
            shares = [self.counts[i] / total for i in best]
            self.known[typed, n] = [Completion(self.words[i], math.log(p), p) for i, p in zip(best, shares)]
        return self.known[typed, n]
