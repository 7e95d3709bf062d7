"""Type entire tweets key by key with a completer's suggestions, and count the keys that they save.

Before every letter of every word, the person sees n suggestions. If one of them is right, one key takes it and types
the space after it too. The words before are always the true ones, so what is suggested at a key does not depend on
what was taken before. `record_suggestions` therefore asks the completer once at every key; `type_texts` then types
the texts under any policy from that record, in less than a second.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, takewhile
from operator import eq
from typing import Literal, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.evaluation.intervals import Estimate, Ratio, Summary, as_record, difference, estimate
from src.evaluation.metrics import Metric
from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, TweetCompleter, check_request

# "word": a key takes the first word of a suggestion. "phrase": a key takes as many of its words as are right.
Policy = Literal["word", "phrase"]
TYPING_METRICS = {
    metric.id: metric
    for metric in (
        Metric("keys_saved", "keys saved"),
        Metric("suggestions_shown", "suggestions shown per tweet", lower_is_better=True),
        Metric("suggestions_right", "share of shown that are right"),
        Metric("words_before_first_letter", "words completed before their first letter"),
        Metric("keys_per_word", "keys per word", lower_is_better=True),
    )
}
NUM_SUGGESTIONS = (1, 3)
# Shares of all suggestions that the thresholds of a curve hide.
HIDDEN_SHARES = (*np.arange(0.05, 1, 0.05), 0.975, 0.99)


@dataclass(frozen=True, eq=False)
class SuggestionRecord:
    """What a completer suggests before every letter of texts. Digits count as letters, spaces don't.

    Attributes:
        texts: the cleaned texts.
        right_words: int64 [letters of all texts, n], how many of the suggestion's words are the next words of the
            text, counted from the first; -1 if there are fewer than n suggestions.
        probabilities: float64 [letters of all texts, n], `next_word_probability` of the suggestions; NaN if there is no
            suggestion or the completer does not compute it.
    """

    texts: list[str]
    right_words: np.ndarray
    probabilities: np.ndarray

    def first(self, num_texts: int) -> "SuggestionRecord":
        """The record of the first texts."""
        texts = self.texts[:num_texts]
        num_letters = sum(map(count_letters, texts))
        return SuggestionRecord(texts, self.right_words[:num_letters], self.probabilities[:num_letters])

    def shown_probabilities(self, n: int) -> np.ndarray:
        """The probabilities of all suggestions, the first n before each letter; float64 [suggestions]."""
        return self.probabilities[:, :n][self.right_words[:, :n] >= 0]

    def shown_right(self, n: int) -> np.ndarray:
        """Whether the first word of each of these suggestions is right; bool [suggestions]."""
        return self.right_words[:, :n][self.right_words[:, :n] >= 0] > 0


def record_suggestions(
    completer: TweetCompleter, texts: Sequence[str], n: int = max(NUM_SUGGESTIONS), max_new_tokens: int = MAX_NEW_TOKENS
) -> SuggestionRecord:
    """Ask a completer for suggestions before every letter of texts.

    A completer that can't complete first words has no suggestions for the first word of a text.

    Args:
        completer: it is asked for all prefixes of a text at once, so it has no `PrefixMemory`.
        texts: cleaned texts, such as those of `evaluation_texts`.
        n: number of suggestions.
        max_new_tokens: maximum number of tokens in a suggestion.

    Raises:
        TypeError: `texts` is one text instead of a list.
        ValueError: there are no texts; a text is empty or not cleaned; n or `max_new_tokens` is less than 1.
    """
    check_request(texts, n, max_new_tokens)
    _check_texts(texts)
    right_words = np.full((sum(map(count_letters, texts)), n), -1)
    probabilities = np.full(right_words.shape, np.nan)
    row = 0
    for text in tqdm(texts, "typing", leave=False, mininterval=1, disable=len(texts) < 2):
        words = text.split(" ")
        # The word of each letter, and how many letters of the word are typed.
        letters = [(i, k) for i, word in enumerate(words) for k in range(len(word))]
        if not completer.completes_first_words:
            row, letters = row + len(words[0]), letters[len(words[0]) :]
        prefixes = [" ".join([*words[:i], words[i][:k]]) for i, k in letters]
        found = completer.complete(prefixes, n, half_typed=True, max_new_tokens=max_new_tokens)
        for (i, _), suggestions in zip(letters, found, strict=True):
            for rank, suggestion in enumerate(suggestions):
                right_words[row, rank] = count_right_words(suggestion, words[i:])
                # numpy stores None as NaN.
                probabilities[row, rank] = suggestion.next_word_probability
            row += 1
    return SuggestionRecord(list(texts), right_words, probabilities)


def _check_texts(texts: Sequence[str]) -> None:
    if len(texts) == 0:
        raise ValueError("no texts to type: give at least one")
    for i, text in enumerate(texts):
        if not text or clean_string(text) != text:
            raise ValueError(f"text {i} ({text!r}) is empty or not cleaned: clean it with clean_string")


def count_letters(text: str) -> int:
    return len(text) - text.count(" ")


def count_right_words(suggestion: Completion, words: Sequence[str]) -> int:
    """The number of a suggestion's first words that are also the first of `words`."""
    return len(list(takewhile(bool, map(eq, suggestion.text.split(" "), words))))


def type_texts(record: SuggestionRecord, policy: Policy, n: int, threshold: float = 0.0) -> pd.DataFrame:
    """Type texts with recorded suggestions.

    The person takes a suggestion as soon as that saves keys: one key takes it and types the space after it. No space
    follows the last word, so if only the last letter of a text is left, it is typed.

    Args:
        policy: what one key takes.
        n: number of suggestions, the first ones of the record.
        threshold: suggestions with a lower `next_word_probability` are not shown.

    Returns:
        [texts] rows, int64: `characters` and `words` of the text; `keys` pressed; suggestions `shown`, and how many of
        them were `right` in their first word; words that were completed `before_first_letter`.

    Raises:
        ValueError: the policy is unknown; fewer than n suggestions were recorded; the threshold is not in [0, 1], or
            above 0 for suggestions without probabilities.
    """
    _check(record, policy, n, threshold)
    shown = record.right_words[:, :n] >= 0
    if threshold > 0:
        shown &= record.probabilities[:, :n] >= threshold
    right_words = np.where(shown, record.right_words[:, :n], 0)
    right = right_words > 0
    taken = right_words.max(axis=1) if policy == "phrase" else right.any(axis=1).astype(int)
    taken, num_shown, num_right = taken.tolist(), shown.sum(axis=1), right.sum(axis=1)
    rows, begin = [], 0
    for text in record.texts:
        end = begin + count_letters(text)
        keys, seen, before_first_letter = type_text(text, taken[begin:end])
        counts = num_shown[begin:end][seen].sum(), num_right[begin:end][seen].sum(), before_first_letter
        rows.append((len(text), text.count(" ") + 1, keys, *counts))
        begin = end
    return pd.DataFrame(rows, columns=["characters", "words", "keys", "shown", "right", "before_first_letter"])


def _check(record: SuggestionRecord, policy: str, n: int, threshold: float) -> None:
    if policy not in get_args(Policy):
        raise ValueError(f"policy is {policy!r}: choose one of {get_args(Policy)}")
    if not 1 <= n <= record.right_words.shape[1]:
        raise ValueError(f"n is {n}: choose a number from 1 to {record.right_words.shape[1]}, as many as were recorded")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}: choose a probability from 0 to 1")
    if threshold > 0 and np.isnan(record.shown_probabilities(n)).any():
        raise ValueError("these suggestions have no probabilities: the threshold must be 0")


def type_text(text: str, num_taken: Sequence[int]) -> tuple[int, list[int], int]:
    """Type one text.

    Args:
        num_taken: before each letter of the text, the number of words that one key takes; 0 if no suggestion is right.

    Returns:
        the number of keys, the indices of the letters before which suggestions were seen, and the number of words that
        were completed before their first letter.
    """
    words = text.split(" ")
    # Where each word begins, and where the text ends.
    begins = [*accumulate((len(word) + 1 for word in words[:-1]), initial=0), len(text)]
    keys, seen, before_first_letter, i = 0, [], 0, 0
    while i < len(words):
        for k in range(len(words[i])):
            # i spaces come before the letter.
            letter = begins[i] - i + k
            seen.append(letter)
            taken = num_taken[letter]
            if taken and begins[i + taken] - begins[i] - k > 1:
                keys += k + 1
                before_first_letter += taken if k == 0 else taken - 1
                i += taken
                break
        else:
            keys += begins[i + 1] - begins[i]
            i += 1
    return keys, seen, before_first_letter


def typing_ratios(typed: pd.DataFrame) -> dict[str, Ratio]:
    """Every metric of `TYPING_METRICS` as a ratio of sums over texts, by metric id.

    Args:
        typed: the table of `type_texts`.
    """
    columns = {name: column.to_numpy(dtype=np.float64) for name, column in typed.items()}
    return {
        "keys_saved": Ratio(columns["characters"] - columns["keys"], columns["characters"]),
        "suggestions_shown": Ratio.mean(columns["shown"]),
        "suggestions_right": Ratio(columns["right"], columns["shown"]),
        "words_before_first_letter": Ratio(columns["before_first_letter"], columns["words"]),
        "keys_per_word": Ratio(columns["keys"], columns["words"]),
    }


def typing_summary(typed: pd.DataFrame, seed: int) -> Summary:
    """Every metric with its 95% bootstrap interval over texts, by metric id."""
    return {name: estimate(ratio, seed) for name, ratio in typing_ratios(typed).items()}


def typing_difference(
    a: SuggestionRecord, b: SuggestionRecord, policy: Policy, n: int, seed: int, metric: str = "keys_saved"
) -> Estimate:
    """The score of `a` minus the score of `b`, with its paired bootstrap interval over texts.

    If one record has more texts, only those that both have are counted.

    Raises:
        ValueError: the first texts of the two records differ.
    """
    num_texts = min(len(a.texts), len(b.texts))
    if a.texts[:num_texts] != b.texts[:num_texts]:
        raise ValueError("the records are of different texts: compare completers on the same ones")
    ratios = [typing_ratios(type_texts(record.first(num_texts), policy, n))[metric] for record in (a, b)]
    return difference(*ratios, seed)


def typing_curve(record: SuggestionRecord, policy: Policy, n: int) -> pd.DataFrame:
    """Keys saved against suggestions shown, as the threshold of the probability rises.

    Returns:
        a row for each threshold, the lowest first: `threshold`, `suggestions_shown` per text and `keys_saved`. Without
        probabilities, there is only the threshold 0.
    """
    probabilities = record.shown_probabilities(n)
    thresholds = [0.0]
    if not np.isnan(probabilities).any() and len(probabilities):
        thresholds += np.unique(np.quantile(probabilities, HIDDEN_SHARES, method="lower")).tolist()
    rows = []
    for threshold in thresholds:
        ratios = typing_ratios(type_texts(record, policy, n, threshold))
        shares = {name: ratios[name].value for name in ("suggestions_shown", "keys_saved")}
        rows.append({"threshold": threshold, **shares})
    return pd.DataFrame(rows)


def typing_record(records: dict[str, SuggestionRecord], baseline: str, seed: int) -> dict:
    """Collect the results of all completers in a dict that JSON can hold.

    Args:
        records: the record of each completer by its name, each with at least 3 suggestions. They are of the same
            texts, or of the first of them.
        baseline: the name of the completer that the others are compared with.
        seed: the seed that draws the bootstrap's resamples.
    """
    return {
        "interval": "95% bootstrap over tweets",
        "baseline": baseline,
        "systems": {name: _entry(record, records[baseline], seed) for name, record in records.items()},
    }


def _entry(record: SuggestionRecord, baseline: SuggestionRecord, seed: int) -> dict:
    """What a completer reaches under each policy with each number of suggestions."""
    results = {
        policy: {
            str(n): {
                "metrics": as_record(typing_summary(type_texts(record, policy, n), seed)),
                "more_keys_saved": asdict(typing_difference(record, baseline, policy, n, seed)),
            }
            for n in NUM_SUGGESTIONS
        }
        for policy in get_args(Policy)
    }
    curves = {str(n): typing_curve(record, "word", n).to_dict("records") for n in NUM_SUGGESTIONS}
    return {"tweets": len(record.texts), **results, "curves": curves}
