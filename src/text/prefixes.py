"""The interface of every completer: it takes prefixes as people type them and returns suggestions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from src.text.cleaning import clean_string, normalize_tweet

MAX_NEW_TOKENS = 20
# A longer last word counts as complete.
MAX_LETTERS = 40
NO_FIRST_WORDS = "this model was not trained to complete a first word: give a complete word, or train a new run"


@dataclass(frozen=True)
class Completion:
    """A suggestion.

    Attributes:
        text: cleaned words to put after the complete words of the prefix. If the prefix ends in a half-typed
            word, the first of them begins with its letters.
        confidence: mean log-probability of the tokens in nats, at most 0, including the end of the tweet.
            Each probability is normalised over the tokens that may come next (see `WordStarts`).
        next_word_probability: probability, from 0 to 1, that the first of these words is the next word, given
            the typed letters, calibrated if the run has a `src.text.calibration.Calibration`; None where the decoding
            does not compute it.
    """

    text: str
    confidence: float
    next_word_probability: float | None = None


class PrefixError(ValueError):
    """A prefix can't be completed; the message says why and what to give."""


class TweetCompleter(Protocol):
    """Completes tweets: a torch model (`Completer`) or an exported one (`OnnxLSTM`).

    Attributes:
        completes_first_words: it can complete an empty prefix and a half-typed first word.
    """

    completes_first_words: bool

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with new words, in n different ways.

        A suggestion has at least one word. It ends where the model ends the tweet, or after
        `max_new_tokens` tokens. Prefixes are cleaned like the training texts.

        Args:
            prefixes: beginnings of tweets.
            n: number of suggestions for each prefix.
            half_typed: the last word of a prefix is still being typed, unless a space follows it. The model
                reads the words before it, and each suggestion begins with a word that starts with the typed
                letters (token healing).
            max_new_tokens: maximum number of tokens in a suggestion. A half-typed word raises it, if necessary,
                to one more than its letters.

        Returns:
            n completions for each prefix, best first; fewer only if the search finds no others.

        Raises:
            TypeError: `prefixes` is one text instead of a list.
            ValueError: n or `max_new_tokens` is less than 1.
            PrefixError: as from `split_prefix`.
        """
        ...


def check_request(prefixes: Sequence[str], n: int, max_new_tokens: int) -> None:
    """Check that a completer can give n suggestions of at most `max_new_tokens` tokens for each prefix.

    Raises:
        TypeError: `prefixes` is one text. Each of its letters would be completed.
        ValueError: a number is below 1.
    """
    if isinstance(prefixes, str):
        raise TypeError(f"prefixes is one text, {prefixes[:40]!r}: give a list of texts")
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one suggestion")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: a suggestion has at least one token")


def token_limit(max_new_tokens: int, typed: str) -> int:
    """Return `max_new_tokens`, or one more than the letters of a half-typed word if that is larger."""
    return max(max_new_tokens, len(typed) + 1)


def split_prefix(prefix: str, index: int, half_typed: bool, first_words: bool) -> tuple[str, str]:
    """Split a prefix into its complete words, cleaned, and the letters of a half-typed last word, or "".

    A last word of more than `MAX_LETTERS` letters counts as complete.

    Args:
        prefix: the text as it was typed.
        index: its position among the prefixes, for the error message.
        half_typed: whether the last word may be half-typed.
        first_words: whether there may be no complete word.

    Raises:
        PrefixError: the prefix has only letters other than a to z, or no complete word where one is needed.
    """
    normalized = normalize_tweet(prefix)
    cleaned = clean_string(normalized)
    if cleaned == "" and any(map(str.isalnum, normalized)):
        raise PrefixError(
            f"prefix {index} ({prefix!r}) has no letters a to z or digits 0 to 9 outside mentions and URLs: "
            "give at least one word of them"
        )
    if cleaned == "" and not first_words:
        raise PrefixError(f"prefix {index} ({prefix!r}) has no word, and {NO_FIRST_WORDS}")
    # If the last word is still open, one more letter extends it. Otherwise the letter begins another word or vanishes.
    if not half_typed or cleaned == "" or clean_string(normalize_tweet(prefix + "x")) != cleaned + "x":
        return cleaned, ""
    words, _, letters = cleaned.rpartition(" ")
    if len(letters) > MAX_LETTERS:
        return cleaned, ""
    if words == "" and not first_words:
        raise PrefixError(
            f"prefix {index} ({prefix!r}) has no complete word before the half-typed {letters!r}, and {NO_FIRST_WORDS}"
        )
    return words, letters
