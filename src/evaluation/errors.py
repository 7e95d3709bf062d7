"""How an answer is wrong. Every answer is of exactly one kind, from exactly right to no right word."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from src.evaluation.systems import Pair

EXACT = "exactly right"
STOPS_EARLY = "right, but stops early"
GOES_ON = "right, but goes on"
RIGHT_START = "starts right, then differs"
RIGHT_WORD = "a right word in another place"
REPEATS = "repeats itself"
NO_RIGHT_WORD = "no right word"
NO_ANSWER = "no answer"
# From best to worst.
KINDS = (EXACT, STOPS_EARLY, GOES_ON, RIGHT_START, RIGHT_WORD, REPEATS, NO_RIGHT_WORD, NO_ANSWER)


def kind_of_error(answer: str, target: str) -> str:
    """The kind of an answer, one of `KINDS`: the first one in their order that fits.

    An answer repeats itself if a word follows itself or a pair of neighbouring words occurs twice.

    Args:
        answer, target: cleaned texts; the answer may be empty.
    """
    words, true_words = answer.split(), target.split()
    if words == true_words:
        return EXACT
    if not words:
        return NO_ANSWER
    if words == true_words[: len(words)]:
        return STOPS_EARLY
    if true_words == words[: len(true_words)]:
        return GOES_ON
    if words[0] == true_words[0]:
        return RIGHT_START
    if set(words) & set(true_words):
        return RIGHT_WORD
    return REPEATS if _repeats_itself(words) else NO_RIGHT_WORD


def _repeats_itself(words: Sequence[str]) -> bool:
    pairs = list(pairwise(words))
    return len(set(pairs)) < len(pairs) or any(first == second for first, second in pairs)


def count_errors(answers: Sequence[str], targets: Sequence[str]) -> dict[str, int]:
    """The number of answers of each kind, in the order of `KINDS`.

    Raises:
        ValueError: the numbers of answers and targets differ.
    """
    if len(answers) != len(targets):
        raise ValueError(f"{len(answers)} answers for {len(targets)} targets: every pair needs one answer")
    counts = Counter(map(kind_of_error, answers, targets))
    return {kind: counts[kind] for kind in KINDS}


def error_examples(answers: Mapping[str, Sequence[str]], pairs: Sequence[Pair], most: int = 10) -> pd.DataFrame:
    """Choose answers of as many kinds as possible.

    From every kind that occurs the first answer is taken, then the second, and so on. The answers of the first pair
    come first, in the order of the systems.

    Args:
        answers: one answer per pair, by the name of the system.
        pairs: what was asked, and the true endings.
        most: number of answers.

    Returns:
        at most `most` rows in the order of `KINDS`, columns `kind`, `context`, `true ending`, `answer`, `system`.
    """
    rows = pd.DataFrame(
        [
            (kind_of_error(texts[i], pair.target), pair.context, pair.target, texts[i], system)
            for i, pair in enumerate(pairs)
            for system, texts in answers.items()
        ],
        columns=["kind", "context", "true ending", "answer", "system"],
    )
    first_of_each_kind_first = rows.groupby("kind").cumcount().sort_values(kind="stable").index
    chosen = rows.loc[first_of_each_kind_first[:most]].sort_index()
    return chosen.sort_values("kind", key=lambda kinds: kinds.map(KINDS.index), kind="stable").reset_index(drop=True)
