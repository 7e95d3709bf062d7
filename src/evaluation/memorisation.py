"""How much a completer recites: texts that it continues word for word from their first half, or their first words."""

from collections.abc import Sequence

import numpy as np

from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import Estimate, Ratio, Summary, as_record, estimate
from src.text.prefixes import TweetCompleter

# Models often guess the second half of a shorter text, also if they have never read it.
MIN_WORDS = 6
# A share of fewer texts says too little.
MIN_TEXTS = 5
# Lengths of the prefixes from which the next `RECITED_WORDS` words are to be recited.
PREFIX_WORDS = (3, 5, 8, 12)
RECITED_WORDS = 4


def recitable(texts: Sequence[str]) -> list[str]:
    """The texts that are long enough to be recited."""
    return [text for text in texts if text.count(" ") + 1 >= MIN_WORDS]


def recited_share(completer: TweetCompleter, texts: Sequence[str], seed: int) -> Estimate:
    """The share of texts that a completer recites.

    A text is recited if the completer, given the first half of its words, writes exactly the rest and ends there. This
    is the definition of Carlini et al. (2023), "Quantifying memorization across neural language models", with half of
    the text as the prompt. Some texts are recited because they are easy to guess. Compare the share of training texts
    with that of texts that the model has never read.

    Args:
        completer: one that always continues with the most probable word or token: a `Completer` with greedy decoding,
            or an exported model.
        texts: cleaned texts; only those of `recitable` count.
        seed: seed of the bootstrap.

    Returns:
        the share, from 0 to 1, with its interval over texts; its `n` is the number of texts that count.

    Raises:
        ValueError: no text is long enough.
    """
    halves = [_halves(text) for text in recitable(texts)]
    if not halves:
        raise ValueError(f"none of {len(texts)} texts has {MIN_WORDS} words: give longer texts")
    is_recited = [answer == rest for answer, (_, rest) in zip(_answers(completer, halves), halves, strict=True)]
    return estimate(Ratio.mean(np.array(is_recited, dtype=np.float64)), seed)


def recited_shares(
    completers: dict[str, TweetCompleter], texts: dict[str, Sequence[str]], max_texts: int, seed: int
) -> dict[str, dict[str, dict]]:
    """The share of texts that each completer recites, in JSON types, by split and completer.

    Args:
        completers: by name, as in `recited_share`.
        texts: cleaned texts by split; a split with fewer than five texts that count is left out.
        max_texts: number of texts that are drawn at random from each split.
        seed: seed of the draw and of the bootstrap.
    """
    found = {}
    for split, all_texts in texts.items():
        if len(recitable(all_texts)) >= MIN_TEXTS:
            sample = evaluation_texts(all_texts, max_texts, seed, MIN_WORDS)
            shares: Summary = {name: recited_share(one, sample, seed) for name, one in completers.items()}
            found[split] = as_record(shares)
    return found


def recited_by_prefix(
    completers: dict[str, TweetCompleter], texts: dict[str, Sequence[str]], max_texts: int, seed: int
) -> dict[str, dict[str, dict[str, dict]]]:
    """The share of texts of which each completer recites the next words, by the number of words that it is given.

    From the first `PREFIX_WORDS` words of a text, the next `RECITED_WORDS` words are recited if the answer begins with
    exactly these. The number of words to recite is fixed so that lengths can be compared, as in Carlini et al. (2023);
    all lengths are tried on the same texts, those with enough words for the longest prefix.

    Args:
        completers, texts, max_texts, seed: as in `recited_shares`.

    Returns:
        the shares, from 0 to 1, with their intervals, in JSON types: by split, completer and number of words, the
        number as a string.
    """
    min_words, found = max(PREFIX_WORDS) + RECITED_WORDS, {}
    for split, all_texts in texts.items():
        if sum(text.count(" ") + 1 >= min_words for text in all_texts) >= MIN_TEXTS:
            words = [text.split(" ") for text in evaluation_texts(all_texts, max_texts, seed, min_words)]
            found[split] = {name: as_record(_shares_by_prefix(one, words, seed)) for name, one in completers.items()}
    return found


def _shares_by_prefix(completer: TweetCompleter, texts: Sequence[list[str]], seed: int) -> Summary:
    shares: Summary = {}
    for length in PREFIX_WORDS:
        pairs = [(" ".join(words[:length]), " ".join(words[length : length + RECITED_WORDS])) for words in texts]
        is_recited = [
            f"{answer} ".startswith(f"{rest} ") for answer, (_, rest) in zip(_answers(completer, pairs), pairs)
        ]
        shares[str(length)] = estimate(Ratio.mean(np.array(is_recited, dtype=np.float64)), seed)
    return shares


def _answers(completer: TweetCompleter, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The best answer to each prefix, long enough for the text that follows it in its pair."""
    # A token has at least one character. The space before the first word and the end may be tokens too.
    max_new_tokens = max(len(rest) for _, rest in pairs) + 2
    answers = completer.complete([prefix for prefix, _ in pairs], max_new_tokens=max_new_tokens)
    return [best.text for [best] in answers]


def _halves(text: str) -> tuple[str, str]:
    words = text.split(" ")
    middle = len(words) // 2
    return " ".join(words[:middle]), " ".join(words[middle:])
