"""Words of a public list of offensive words, and completions without them.

The list is that of the package better-profanity (MIT licence), which is read where the package is installed. It has
swear words, insults, slurs and sexual words, and many words that hardly anyone finds offensive.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import takewhile

from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, TweetCompleter, check_request

PACKAGE = "better-profanity==0.7.0"
# Listed words that may be suggested.
HARMLESS = frozenset(
    word
    for words in (
        # Without the names of groups nobody could write about these people (Dodge et al., 2021, "Documenting Large
        # Webtext Corpora").
        "gay gays lesbians queer transsexual",
        # Everyday words.
        "cowgirl cowgirls drunk enlargement erect facial flange foobar god hemp homey kill len maxi murder napalm omg",
        "organ pastie pasty pawn pollock pot potty punky revue rum sandbar seaman seamen slave slope sniper stroke",
        "strip thrust tinkle toots undies unwed vodka vulgar wad wang weed whiz woody xx xxx",
        # Body and health.
        "herpes hiv leper loin loins menses menstruate menstruation opiate oral orally ovary ovum ovums pms tampon",
        "urinal urine uterus valium vomit womb",
    )
    for word in words.split()
)
# A completer is asked for at most so many times the suggestions that are wanted.
MAX_FACTOR = 8


class WordListError(ValueError):
    """The list of offensive words can't be read; the message says what to do."""


@cache
def offensive_words() -> frozenset[str]:
    """The listed words that are left out of suggestions, as they are spelled in cleaned texts.

    Entries of several words, entries with other characters than letters and digits, and `HARMLESS` are not among them.

    Raises:
        WordListError: the package is not installed, or has no list.
    """
    try:
        lines = (files("better_profanity") / "profanity_wordlist.txt").read_text(encoding="utf-8").splitlines()
    except (ImportError, OSError, UnicodeDecodeError):
        raise WordListError(
            f"The list of offensive words can't be read: run `pip install {PACKAGE}`, or allow such words "
            "(allow_offensive_words=True, on the command line --allow-offensive-words)"
        ) from None
    entries = {line.strip().lower() for line in lines}
    return frozenset(word for word in entries if word.isalnum() and word == clean_string(word)) - HARMLESS


class FilteredCompleter:
    """A completer that never suggests the words in `left_out`: a `TweetCompleter`.

    Args:
        completer: makes the suggestions.
        left_out: the words, such as `offensive_words()`.
    """

    def __init__(self, completer: TweetCompleter, left_out: frozenset[str]):
        self.completer, self.left_out = completer, left_out

    @property
    def completes_first_words(self) -> bool:
        return self.completer.completes_first_words

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix as `complete_without` does; the errors are those of the completer."""
        return complete_without(self.left_out, self.completer.complete, prefixes, n, half_typed, max_new_tokens)


def complete_without(
    left_out: frozenset[str],
    complete: Callable[[Sequence[str], int, bool, int], list[list[Completion]]],
    prefixes: Sequence[str],
    n: int,
    half_typed: bool,
    max_new_tokens: int,
) -> list[list[Completion]]:
    """Complete each prefix without some words. The prefixes may have them.

    A suggestion ends before the first such word. If that is its first word, the next best suggestion takes its place.
    More than n suggestions are asked for only where some were dropped, so most prefixes cost nothing more.

    Args:
        left_out: the words; if there are none, the completer's suggestions stay as they are.
        complete: the method of a `TweetCompleter`.
        prefixes, n, half_typed, max_new_tokens: its arguments.

    Returns:
        n completions for each prefix, best first. There are fewer if the completer finds no others, or too few among
        `MAX_FACTOR` times n. One that was cut keeps the confidence of the uncut one.
    """
    check_request(prefixes, n, max_new_tokens)
    if not left_out:
        return complete(prefixes, n, half_typed, max_new_tokens)
    kept: list[list[Completion]] = [[] for _ in prefixes]
    lacking, asked = list(range(len(prefixes))), n
    while lacking and asked <= MAX_FACTOR * n:
        found = complete([prefixes[i] for i in lacking], asked, half_typed, max_new_tokens)
        for i, suggestions in zip(lacking, found):
            kept[i] = without(left_out, suggestions)[:n]
        lacking = [i for i, some in zip(lacking, found) if len(kept[i]) < n and len(some) == asked]
        asked *= 2
    return kept


def without(left_out: frozenset[str], suggestions: Sequence[Completion]) -> list[Completion]:
    """Cut each suggestion before the first word that is left out; drop empty ones and repeats."""
    kept = {}
    for suggestion in suggestions:
        text = " ".join(takewhile(lambda word: word not in left_out, suggestion.text.split(" ")))
        if text:
            kept.setdefault(text, replace(suggestion, text=text))
    return list(kept.values())
