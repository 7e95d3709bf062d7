"""Scores of answers against targets, answer by answer.

An answer and its target are cleaned texts: lower-case words between single spaces.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
FIRST_WORDS = (2, 3, 4, 5)
ANSWERS_PER_BLOCK = 100


def rouge(answer: str, target: str, scorer: RougeScorer) -> dict[str, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 (Lin, 2004), without a stemmer."""
    return {name: score.fmeasure for name, score in scorer.score(target, answer).items()}


def first_words_match(answer: str, target: str, num_words: int) -> float:
    """ExactMatch@N (Chen et al., 2019): 1.0 if both begin with the same N words; NaN if the target has fewer."""
    target_words = target.split(" ")
    if len(target_words) < num_words:
        return np.nan
    return float(answer.split(" ")[:num_words] == target_words[:num_words])


def saved_keystrokes(answer: str, target: str) -> int:
    """Keys that someone who writes the target saves by accepting the answer's right beginning with one key.

    The leading words that both share cost one key instead of one for each character. An upper
    bound on what people gain: reading a suggestion and refusing it cost nothing here.
    """
    shared = []
    for answer_word, target_word in zip(answer.split(" "), target.split(" ")):
        if answer_word != target_word:
            break
        shared.append(answer_word)
    return max(len(" ".join(shared)) - 1, 0)


def answer_scores(answers: Sequence[str], targets: Sequence[str]) -> pd.DataFrame:
    """Every score that one answer has.

    Returns:
        [answers] rows with the columns `rouge1`, `rouge2`, `rougeL`, `exact_match` and
        `exact_match_2` to `exact_match_5` (of the first words; NaN where the target has fewer),
        all in [0, 1], and `saved_keystrokes`, `characters` (of the target), `answer_words` and
        `target_words`.

    Raises:
        ValueError: there is not one answer for every target.
    """
    if len(answers) != len(targets):
        raise ValueError(f"{len(answers)} answers for {len(targets)} targets: every pair needs one answer")
    scorer = RougeScorer(ROUGE_TYPES)
    rows = [
        {
            **rouge(answer, target, scorer),
            "exact_match": float(answer == target),
            **{f"exact_match_{n}": first_words_match(answer, target, n) for n in FIRST_WORDS},
            "saved_keystrokes": saved_keystrokes(answer, target),
            "characters": len(target),
            "answer_words": len(answer.split()),
            "target_words": len(target.split()),
        }
        for answer, target in zip(answers, targets)
    ]
    return pd.DataFrame(rows)


def next_word_scores(next_words: Sequence[Sequence[str]], targets: Sequence[str]) -> pd.DataFrame:
    """Whether the target's first word is the most probable one, or among the three most probable.

    Args:
        next_words: candidates for the next word of every pair, most probable first.

    Returns:
        [targets] rows with the columns `next_word` and `next_word_top3`, 0.0 or 1.0.
    """
    if len(next_words) != len(targets):
        raise ValueError(f"next words of {len(next_words)} pairs for {len(targets)} targets: every pair needs its own")
    first_words = [target.split(" ")[0] for target in targets]
    return pd.DataFrame(
        {
            "next_word": [float(word in words[:1]) for word, words in zip(first_words, next_words)],
            "next_word_top3": [float(word in words[:3]) for word, words in zip(first_words, next_words)],
        }
    )


def distinct_ngrams(answers: Sequence[str], n: int) -> pd.DataFrame:
    """Different n-grams among all n-grams of every hundred answers in a row (distinct-n; Li et al., 2016).

    The share falls with the number of answers, so it is taken of blocks of one size.

    Returns:
        [blocks] rows with the columns `distinct` and `ngrams`; a last block of fewer answers is
        left out unless it is the only one.
    """
    starts = range(0, max(len(answers) - ANSWERS_PER_BLOCK, 0) + 1, ANSWERS_PER_BLOCK)
    rows = []
    for start in starts:
        ngrams = [
            tuple(words[i : i + n])
            for words in map(str.split, answers[start : start + ANSWERS_PER_BLOCK])
            for i in range(len(words) - n + 1)
        ]
        rows.append({"distinct": len(set(ngrams)), "ngrams": len(ngrams)})
    return pd.DataFrame(rows)
