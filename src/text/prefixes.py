"""What every completer is asked, and what it answers: prefixes as somebody typed them, and suggestions."""

from dataclasses import dataclass

from src.text.cleaning import clean_string, normalize_tweet

MAX_NEW_TOKENS = 20
# Nobody is still typing a longer word.
MAX_LETTERS = 40


@dataclass(frozen=True)
class Completion:
    """A suggestion.

    Attributes:
        text: cleaned words, without the prefix but with the whole of a half-typed word.
        confidence: mean log-probability of its tokens and its end, in nats, at most 0; that of
            the first token is among those that begin a word, that of the tokens that spell a
            half-typed word among those that can.
    """

    text: str
    confidence: float


class PrefixError(ValueError):
    """Nothing can be suggested behind a prefix; the message says why and what to give."""


def split_prefix(prefix: str, index: int, half_typed: bool) -> tuple[str, str]:
    """Cleaned whole words, and the letters of a word behind them that is still being typed, or "".

    What has more than `MAX_LETTERS` letters is taken as a whole word.

    Raises:
        PrefixError: there are no letters or digits, or only a half-typed word.
    """
    cleaned = clean_string(normalize_tweet(prefix))
    if cleaned == "":
        raise PrefixError(f"prefix {index} ({prefix!r}) has no letters or digits: give at least one word")
    # What one more letter would do tells: it belongs to the last word, or it begins another one.
    if not half_typed or clean_string(normalize_tweet(prefix + "x")) != cleaned + "x":
        return cleaned, ""
    words, _, letters = cleaned.rpartition(" ")
    if len(letters) > MAX_LETTERS:
        return cleaned, ""
    if words == "":
        raise PrefixError(f"prefix {index} ({prefix!r}) is one half-typed word: give at least one whole word before it")
    return words, letters
