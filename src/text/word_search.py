"""Suggest different next words, the most probable ones, and continue each of them.

The probability of a word counts all of its tokens and its end: after the token "to", the word may still become
"tomorrow". It is a sum over the ways to spell the word, given the letters that are already typed. A beam search over
tokens finds the words. All rows of the model's batch have the same number of tokens, so a transformer can keep one
cache for them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.text.calibration import Calibration
from src.text.cleaning import clean_string
from src.text.prefixes import Completion
from src.text.word_starts import WordStarts

# Reads one token more in rows of the last batch, the first of which are the prompts: `read(rows, token_ids)` returns
# the logits after these tokens, float32 [len(rows), vocab].
Read = Callable[[list[int], list[int]], np.ndarray]

# The search keeps this many beginnings of words for each suggestion.
BEAMS_PER_SUGGESTION = 3
# Chosen on validation tweets by `src.evaluation.selection.choose_min_probability`, in
# `python -m benchmarks.quality.typing_steps`.
MIN_PROBABILITY = 0.05


@dataclass
class Path:
    """Tokens after a prompt.

    Attributes:
        row: row of the model's last batch, which has read these tokens.
        token_ids: the tokens.
        log_probability: sum over the tokens, in nats.
        letters: what the tokens spell, for the beginning of a word.
    """

    row: int
    token_ids: list[int]
    log_probability: float
    letters: str = ""


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
    # The continuation and its last word, which may not be complete yet; None if there is none.
    path: Path | None = None
    last_word_log_probability: float | None = None

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
        logits: np.ndarray,
        typed: Sequence[str],
        read: Read,
        n: int,
        max_new_tokens: int,
        min_probability: float = 0.0,
    ) -> list[list[Suggestion]]:
        """Suggest n words for each prompt, with their continuations.

        Args:
            logits: float32 [prompts, vocab], after the prompts.
            typed: letters of the half-typed word of each prompt, or "".
            read: reads the tokens of all prompts together.
            n: number of suggestions for each prompt.
            max_new_tokens: maximum number of tokens of a suggestion.
            min_probability: a suggestion continues after its first word as long as each word has this probability.

        Returns:
            at most n suggestions for each prompt, best first; their log-probabilities are given the typed letters.
        """
        limits = n, max_new_tokens, min_probability
        searches = [PromptSearch(self, row, letters, *limits) for row, letters in enumerate(typed)]
        for _ in range(max_new_tokens + 1):
            log_probabilities = log_softmax(logits)
            paths = [path for search in searches for path in search.advance(log_probabilities)]
            if not paths:
                break
            logits = read([path.row for path in paths], [path.token_ids[-1] for path in paths])
            for row, path in enumerate(paths):
                path.row = row
        return [search.result() for search in searches]


class PromptSearch:
    """The search for one prompt's next words."""

    def __init__(self, search: WordSearch, row: int, typed: str, n: int, max_new_tokens: int, min_probability: float):
        self.search, self.typed = search, typed
        self.n, self.max_new_tokens, self.min_probability = n, max_new_tokens, min_probability
        self.beginnings = [Path(row, [], 0.0)]
        self.found: dict[str, Suggestion] = {}
        self.typed_log_probability = -math.inf

    def advance(self, log_probabilities: np.ndarray) -> list[Path]:
        """Add a token to every path, and return the paths that must be read next.

        Args:
            log_probabilities: float32 [rows, vocab], after each path.
        """
        longer = []
        for beginning in self.beginnings:
            after = log_probabilities[beginning.row]
            if beginning.letters and len(beginning.letters) >= len(self.typed):
                self._add_word(beginning, after)
            if len(beginning.token_ids) < self.max_new_tokens:
                longer += self._longer(beginning, after)
        best = self.best()
        least = min(one.word_log_probability for one in best) if len(best) == self.n else -math.inf
        longer = sorted(longer, key=lambda path: -path.log_probability)[: BEAMS_PER_SUGGESTION * self.n]
        self.beginnings = [path for path in longer if path.log_probability > least]
        for suggestion in self.found.values():
            if suggestion.path is not None:
                self._continue(suggestion, log_probabilities[suggestion.path.row], is_wanted=suggestion in best)
        return self.beginnings + [one.path for one in best if one.path is not None]

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

    def _add_word(self, path: Path, after: np.ndarray) -> None:
        """Count a spelling of a word that ends here."""
        continues = float(np.exp(after[self.search.inside]).sum())
        log_probability = path.log_probability + math.log(max(1 - continues, 1e-6))
        word = clean_string(path.letters)
        suggestion = self.found.setdefault(word, Suggestion(word, -math.inf))
        suggestion.word_log_probability = float(np.logaddexp(suggestion.word_log_probability, log_probability))
        if log_probability > suggestion.best_spelling:
            suggestion.best_spelling = suggestion.log_probability = log_probability
            suggestion.token_ids = path.token_ids
            suggestion.path, suggestion.last_word_log_probability = path, None

    def _longer(self, path: Path, after: np.ndarray) -> list[Path]:
        """The most probable paths with one token more that can spell the typed letters."""
        rest = self.typed[len(path.letters) :]
        spelling, shorter = self.search.starts.spellings(rest, tuple(path.token_ids))
        if rest or not path.letters:
            covered = path.log_probability + logsumexp(after[spelling])
            self.typed_log_probability = float(np.logaddexp(self.typed_log_probability, covered))
        ids = np.concatenate([spelling, shorter])
        values = after[ids]
        width = BEAMS_PER_SUGGESTION * self.n
        top = np.argpartition(-values, width)[:width] if len(ids) > width else np.arange(len(ids))
        letters = self.search.starts.letters
        return [
            Path(path.row, [*path.token_ids, i], path.log_probability + p, path.letters + letters[i])
            for i, p in zip(ids[top].tolist(), values[top].tolist())
        ]

    def _continue(self, suggestion: Suggestion, after: np.ndarray, is_wanted: bool) -> None:
        """Add the most probable token to a suggestion, or end it."""
        path, suggestion.path = suggestion.path, None
        if len(path.token_ids) == self.max_new_tokens:
            suggestion.token_ids, suggestion.log_probability = path.token_ids, path.log_probability
            return
        is_first = suggestion.last_word_log_probability is None
        token = int((np.where(self.search.is_inside, -np.inf, after) if is_first else after).argmax())
        word = float(after[token])
        if is_first:
            # The word is known to end here.
            word -= suggestion.log_probability - path.log_probability
        elif self.search.is_inside[token]:
            word += suggestion.last_word_log_probability
        else:
            suggestion.token_ids, suggestion.log_probability = path.token_ids, path.log_probability
        if not is_wanted or math.exp(word) < self.min_probability:
            return
        longer = Path(path.row, [*path.token_ids, token], path.log_probability + float(after[token]))
        if token == self.search.eos_id:
            suggestion.token_ids, suggestion.log_probability = longer.token_ids, longer.log_probability
            return
        suggestion.path, suggestion.last_word_log_probability = longer, word


def logsumexp(values: np.ndarray) -> float:
    if len(values) == 0:
        return -math.inf
    largest = values.max()
    return float(largest + np.log(np.exp(values - largest).sum()))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of logits, float32 [rows, vocab]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
