"""The floors of every table: completers that a language model has to beat.

Both answer like the models, `complete(prefixes) -> answers`, and know the training texts only.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.completion import MAX_NEW_TOKENS
from src.data_utils import clean_string, normalize_tweet, split_x_target_by_words

END = ""


class ConstantAnswer:
    """The same few words for every prefix, chosen for the best mean ROUGE-1 on training targets.

    Args:
        texts: cleaned training texts of two words or more.
        num_candidates: frequent target words to choose from.
        max_targets: training targets to choose on, the first ones.
    """

    def __init__(self, texts: Sequence[str], num_candidates: int = 200, max_targets: int = 20_000):
        targets = [split_x_target_by_words(text)[1].split(" ") for text in texts[:max_targets]]
        frequency = Counter(word for target in targets for word in target)
        candidates = [word for word, _ in frequency.most_common(num_candidates)]
        contains = np.array([[word in target for word in candidates] for target in map(set, targets)])
        target_lengths = np.array([len(target) for target in targets])
        chosen: list[int] = []
        best = 0.0
        while len(chosen) < len(candidates):
            # For distinct words this is ROUGE-1's F1: twice the overlap by the sum of both lengths.
            overlap = contains[:, chosen].sum(axis=1)[:, None] + contains
            mean_f1 = (2 * overlap / (len(chosen) + 1 + target_lengths)[:, None]).mean(axis=0)
            mean_f1[chosen] = -1.0
            if mean_f1.max() <= best:
                break
            best = mean_f1.max()
            chosen.append(int(mean_f1.argmax()))
        self.answer = " ".join(candidates[i] for i in chosen)

    def complete(self, prefixes: Sequence[str]) -> list[str]:
        return [self.answer for _ in prefixes]


class TrigramBackoff:
    """Greedy word trigrams, backing off to bigrams and single words (Brants et al., 2007).

    After two words the most frequent third one is taken; if the two were never seen
    together, the most frequent one after the last word; else the most frequent word. The
    end of a tweet counts as a word, but is never the first one of an answer.
    """

    def __init__(self, texts: Sequence[str]):
        words = [word for text in texts for word in (*text.split(" "), END)]
        codes, self.vocabulary = pd.factorize(np.array(words, dtype=object))
        self.code_of = {word: code for code, word in enumerate(self.vocabulary)}
        self.end = self.code_of[END]
        self.followers = [self._most_frequent(codes, order) for order in (3, 2, 1)]
        self.first_followers = [self._most_frequent(codes, order, allow_end=False) for order in (3, 2, 1)]

    def _most_frequent(self, codes: np.ndarray, order: int, allow_end: bool = True) -> dict[tuple, int]:
        """The most frequent next word for every context of order - 1 words within a tweet."""
        columns = [codes[i : len(codes) - order + 1 + i] for i in range(order)]
        ngrams = pd.DataFrame(np.stack(columns, axis=1))
        inside_one_tweet = (ngrams.iloc[:, :-1] != self.end).all(axis=1)
        ngrams = ngrams[inside_one_tweet if allow_end else inside_one_tweet & (ngrams.iloc[:, -1] != self.end)]
        counts = ngrams.value_counts().reset_index()
        context = list(range(order - 1))
        best = counts.drop_duplicates(context) if context else counts.head(1)
        return dict(zip(zip(*(best[i] for i in context)) if context else [()], best[order - 1]))

    def _next(self, history: list[int | None], followers: list[dict[tuple, int]]) -> int:
        for length, table in zip((2, 1, 0), followers):
            context = tuple(history[len(history) - length :])
            if len(context) == length and context in table:
                return table[context]
        raise AssertionError("the table of single words has one entry")

    def complete(self, prefixes: Sequence[str]) -> list[str]:
        return [self._complete_one(clean_string(normalize_tweet(prefix))) for prefix in prefixes]

    def _complete_one(self, prefix: str) -> str:
        history = [self.code_of.get(word) for word in prefix.split(" ")]
        answer = [self._next(history, self.first_followers)]
        while len(answer) < MAX_NEW_TOKENS:
            code = self._next(history + answer, self.followers)
            if code == self.end:
                break
            answer.append(code)
        return " ".join(self.vocabulary[code] for code in answer)
