"""Suggest different next words, the most probable ones, and continue each of them.

The probability of a word counts all of its tokens and its end: after the token "to", the word may still become
"tomorrow". It is a sum over the ways to spell the word, given the letters that are already typed. A beam search over
tokens finds the words. All texts that the model reads together have the same number of tokens after their prompts, so
a transformer can keep one cache for them.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from src.text.calibration import Calibration
from src.text.cleaning import clean_string
from src.text.prefixes import Completion
from src.text.word_starts import WordStarts

# The search keeps this many beginnings of words for each suggestion, and as many that spell only some of the typed
# letters. Most of the latter are probable because of other words.
BEAMS_PER_SUGGESTION = 2
# Chosen on validation tweets by `src.evaluation.selection.choose_min_probability`, in
# `python -m benchmarks.quality.typing_steps`.
MIN_PROBABILITY = 0.05


@dataclass(eq=False)
class TokenPath:
    """Tokens after a prompt.

    Attributes:
        prompt: index of the prompt.
        token_ids: the tokens.
        log_probability: sum over the tokens, in nats.
        letters: what the tokens spell, for the beginning of a word.
        next_probabilities: those of the next token, float32 [vocab], once the model has read the tokens.
    """

    prompt: int
    token_ids: list[int]
    log_probability: float = 0.0
    letters: str = ""
    next_probabilities: np.ndarray | None = None

    def followed_by(self, token_id: int, letters: str = "") -> "TokenPath":
        """The path with one token more, which spells the letters."""
        log_probability = self.log_probability + log(self.next_probabilities[token_id])
        return TokenPath(self.prompt, [*self.token_ids, token_id], log_probability, self.letters + letters)


class Reader(Protocol):
    """A model that reads prompts and tokens after them."""

    def knows(self, path: TokenPath) -> bool:
        """Say whether the path has been read before, so that reading it again costs nothing."""

    def read(self, paths: Sequence[TokenPath]) -> list[np.ndarray]:
        """Return the probabilities of the next token after each path, float32 [vocab].

        All paths have the same number of tokens. Without their last tokens, they have been read before.
        """


@dataclass(eq=False)
class Suggestion:
    """A word and its continuation.

    Attributes:
        word: the word.
        word_log_probability: log-probability of the word in nats, over all of its spellings.
        token_ids: tokens of its most probable spelling and of the continuation, perhaps with the end of the tweet.
        log_probability: sum over these tokens, in nats.
    """

    word: str
    word_log_probability: float
    token_ids: list[int] = field(default_factory=list)
    log_probability: float = -math.inf
    # Log-probability of the most probable spelling, without the continuation.
    best_spelling: float = -math.inf
    # The word and its continuation so far, whose last word may not be complete yet; None if it has ended.
    path: TokenPath | None = None
    is_continued: bool = False

    def completion(self, decode: Callable[[list[int]], str], calibration: Calibration) -> Completion:
        """Return the suggestion as text with its calibrated probability.

        Args:
            decode: the tokenizer's, without special tokens.
            calibration: that of the model.
        """
        confidence = self.log_probability / len(self.token_ids)
        probability = float(calibration.apply(math.exp(self.word_log_probability)))
        return Completion(clean_string(decode(self.token_ids)), confidence, probability)


class WordSearch:
    """The search for one tokenizer.

    Args:
        starts: the vocabulary's word starts.
        eos_id: the token that ends a tweet.
    """

    def __init__(self, starts: WordStarts, eos_id: int):
        self.starts, self.eos_id = starts, eos_id
        self.inside = np.array([i for _, i in starts.inside], dtype=np.int64)
        self.is_inside = np.zeros(len(starts.letters), dtype=bool)
        self.is_inside[self.inside] = True

    def suggest(
        self,
        reader: Reader,
        typed: Sequence[str],
        n: int,
        max_new_tokens: int,
        min_probability: float = 0.0,
        at_text_start: Collection[int] = (),
    ) -> list[list[Suggestion]]:
        """Suggest n words for each prompt, with their continuations.

        Args:
            reader: reads the prompts and what comes after them.
            typed: letters of the half-typed word of each prompt, or "".
            n: number of suggestions for each prompt.
            max_new_tokens: maximum number of tokens of a suggestion.
            min_probability: a suggestion continues after its first word as long as the continuation is as probable.
            at_text_start: indices of the prompts whose next word is the first of its text. WordPiece needs none.

        Returns:
            at most n suggestions for each prompt, best first; their log-probabilities are given the typed letters.
        """
        limits = n, max_new_tokens, min_probability
        searches = [
            PromptSearch(self, self.starts.at_text_start if i in at_text_start else self.starts, i, letters, *limits)
            for i, letters in enumerate(typed)
        ]
        for _ in range(max_new_tokens + 1):
            unread = [path for search in searches for path in search.unread()]
            if not unread:
                break
            read_together(reader, [path for path in unread if reader.knows(path)])
            for search in searches:
                search.collect_words()
            # After that, some of the other paths can't become one of the best suggestions any more.
            read_together(reader, [path for search in searches for path in search.unread()])
            for search in searches:
                search.collect_words()
                search.add_tokens()
        return [search.result() for search in searches]


def read_together(reader: Reader, paths: Sequence[TokenPath]) -> None:
    """Read the paths, and keep in each what comes next."""
    if paths:
        for path, probabilities in zip(paths, reader.read(paths)):
            path.next_probabilities = probabilities


class PromptSearch:
    """The search for one prompt's next words."""

    def __init__(
        self,
        search: WordSearch,
        starts: WordStarts,
        prompt: int,
        typed: str,
        n: int,
        max_new_tokens: int,
        min_probability: float,
    ):
        self.search, self.starts, self.typed = search, starts, typed
        self.n, self.max_new_tokens, self.min_probability = n, max_new_tokens, min_probability
        # Beginnings of words with the present number of tokens: those still to be read, and those that have been.
        self.beginnings, self.read_beginnings = [TokenPath(prompt, [])], []
        self.found: dict[str, Suggestion] = {}
        self.typed_log_probability = -math.inf

    def unread(self) -> list[TokenPath]:
        """The paths that the model must read next."""
        least = self._least()
        paths = [path for path in self.beginnings if path.log_probability > least]
        paths += [one.path for one in self.best() if one.path is not None]
        return [path for path in paths if path.next_probabilities is None]

    def collect_words(self) -> None:
        """Take the words that end after the beginnings that have been read."""
        read = [path for path in self.beginnings if path.next_probabilities is not None]
        self.beginnings = [path for path in self.beginnings if path.next_probabilities is None]
        for path in read:
            if path.letters and len(path.letters) >= len(self.typed):
                self._add_word(path)
        self.read_beginnings += read

    def add_tokens(self) -> None:
        """Continue the best beginnings, and add a token to the best suggestions."""
        least = self._least()
        longer = [path for beginning in self.read_beginnings for path in self._longer(beginning, least)]
        longer.sort(key=lambda path: -path.log_probability)
        spelling = [path for path in longer if len(path.letters) >= len(self.typed)]
        shorter = [path for path in longer if len(path.letters) < len(self.typed)]
        width = BEAMS_PER_SUGGESTION * self.n
        self.beginnings, self.read_beginnings = spelling[:width] + shorter[:width], []
        best = self.best()
        for suggestion in self.found.values():
            if suggestion.path is not None:
                self._continue(suggestion, is_wanted=suggestion in best)

    def _least(self) -> float:
        """The least log-probability of the n best words; what is less probable can't become one of them."""
        best = self.best()
        if len(best) < self.n or best[-1].word == self.typed:
            return -math.inf
        return best[-1].word_log_probability

    def best(self) -> list[Suggestion]:
        """The n best suggestions so far. A word that is typed already comes last."""
        return sorted(self.found.values(), key=self._rank)[: self.n]

    def result(self) -> list[Suggestion]:
        """The suggestions with log-probabilities given that the next word begins with the typed letters."""
        best = self.best()
        for one in best:
            one.word_log_probability = min(one.word_log_probability - self.typed_log_probability, 0.0)
            one.log_probability = min(one.log_probability - self.typed_log_probability, 0.0)
        return best

    def _rank(self, suggestion: Suggestion) -> float:
        return math.inf if suggestion.word == self.typed else -suggestion.word_log_probability

    def _add_word(self, path: TokenPath) -> None:
        """Count a spelling of a word that ends here."""
        continues = float(path.next_probabilities[self.search.inside].sum())
        log_probability = path.log_probability + log(max(1 - continues, 1e-6))
        word = clean_string(path.letters)
        suggestion = self.found.setdefault(word, Suggestion(word, -math.inf))
        suggestion.word_log_probability = float(np.logaddexp(suggestion.word_log_probability, log_probability))
        if log_probability > suggestion.best_spelling:
            suggestion.best_spelling = suggestion.log_probability = log_probability
            suggestion.token_ids = path.token_ids
            suggestion.path, suggestion.is_continued = path, False

    def _longer(self, path: TokenPath, least: float) -> list[TokenPath]:
        """The most probable paths above `least` with one token more that can spell the typed letters."""
        rest = self.typed[len(path.letters) :]
        spelling, shorter = self.starts.spellings(rest, tuple(path.token_ids))
        if rest or not path.letters:
            covered = path.log_probability + log(path.next_probabilities[spelling].sum())
            self.typed_log_probability = float(np.logaddexp(self.typed_log_probability, covered))
        if len(path.token_ids) == self.max_new_tokens or path.log_probability <= least:
            return []
        letters, width, longer = self.starts.letters, BEAMS_PER_SUGGESTION * self.n, []
        for ids in (spelling, shorter):
            ids = ids[path.next_probabilities[ids] > math.exp(least - path.log_probability)]
            if len(ids) > width:
                ids = ids[np.argpartition(-path.next_probabilities[ids], width)[:width]]
            longer += [path.followed_by(i, letters[i]) for i in ids.tolist()]
        return longer

    def _continue(self, suggestion: Suggestion, is_wanted: bool) -> None:
        """Add the most probable token to a suggestion, or end it."""
        path, suggestion.path = suggestion.path, None
        if path.next_probabilities is None:
            # Better words have been found meanwhile.
            return
        if len(path.token_ids) == self.max_new_tokens:
            suggestion.token_ids, suggestion.log_probability = path.token_ids, path.log_probability
            return
        after = path.next_probabilities
        is_first = not suggestion.is_continued
        token = int((np.where(self.search.is_inside, 0, after) if is_first else after).argmax())
        longer = path.followed_by(token)
        if not is_first and not self.search.is_inside[token]:
            suggestion.token_ids, suggestion.log_probability = path.token_ids, path.log_probability
        suggestion.is_continued = True
        if not is_wanted or math.exp(longer.log_probability - suggestion.best_spelling) < self.min_probability:
            return
        if token == self.search.eos_id:
            suggestion.token_ids, suggestion.log_probability = longer.token_ids, longer.log_probability
            return
        suggestion.path = longer


def log(probability: float) -> float:
    """Natural logarithm; minus infinity for 0, which a rare token's probability may be rounded to."""
    return math.log(probability) if probability > 0 else -math.inf


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, float32 [rows, vocab]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
