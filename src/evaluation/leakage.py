"""How much of the evaluation was already in the training texts.

`near_duplicates` finds evaluation texts that closely match a training text, `nearest_similarity` says
how close the closest one is. `verbatim_share` counts answers that are copied from a training text.
Words are separated by spaces. All are exact: nothing is hashed to a fingerprint or sampled.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
import pandas as pd
from tqdm import tqdm

Shingle = tuple[str, ...]

LONGEST_ROW = 6  # tails of this many words or more share one row


def near_duplicates(texts: Sequence[str], training_texts: Sequence[str], threshold: float = 0.7) -> np.ndarray:
    """Mark the texts that closely match a training text.

    Two texts match if the Jaccard similarity of their sets of word bigrams is at least
    `threshold` (Broder, 1997, "On the resemblance and containment of documents"). A text of one
    word has that word as its only element. An empty text matches nothing.

    A match lacks at most a share of `1 - threshold` of the training text's bigrams, say m bigrams.
    Of any m + 1 bigrams it therefore holds at least one. Only texts that hold one of the m + 1
    rarest are compared (prefix filtering: Chaudhuri et al., 2006, "A primitive operator for
    similarity joins in data cleaning").

    Args:
        texts: [texts] cleaned.
        training_texts: [training texts] cleaned.
        threshold: similarity in (0, 1].

    Returns:
        bool [texts].

    Raises:
        ValueError: the threshold is outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}: give a similarity above 0, at most 1")
    text_shingles = [_shingles(text) for text in texts]
    texts_with = _texts_with(text_shingles)
    found = np.zeros(len(texts), dtype=bool)
    for training_text in tqdm(training_texts, "near-duplicates", leave=False, mininterval=1):
        shingles = _shingles(training_text)
        # Rounding may make this one too many, which costs a little time; one too few would miss matches.
        num_needed = int((1 - threshold) * len(shingles) + 1e-6) + 1
        rarest_first = sorted((texts_with.get(shingle, ()) for shingle in shingles), key=len)
        for i in set().union(*rarest_first[:num_needed]):
            if _jaccard(shingles, text_shingles[i]) >= threshold:
                found[i] = True
    return found


def nearest_similarity(texts: Sequence[str], training_texts: Sequence[str]) -> np.ndarray:
    """The Jaccard similarity of each text to the training text that is most similar to it.

    Similarity is that of `near_duplicates`. Only texts that share a bigram are compared.

    Args:
        texts: [texts] cleaned.
        training_texts: [training texts] cleaned.

    Returns:
        float64 [texts], from 0 to 1.
    """
    text_shingles = [_shingles(text) for text in texts]
    texts_with = _texts_with(text_shingles)
    nearest = np.zeros(len(texts))
    for training_text in tqdm(training_texts, "nearest tweets", leave=False, mininterval=1):
        shingles = _shingles(training_text)
        found = (texts_with[shingle] for shingle in shingles if shingle in texts_with)
        for i, num_shared in Counter(chain.from_iterable(found)).items():
            similarity = num_shared / (len(shingles) + len(text_shingles[i]) - num_shared)
            nearest[i] = max(nearest[i], similarity)
    return nearest


def _texts_with(text_shingles: Sequence[set[Shingle]]) -> dict[Shingle, list[int]]:
    """The indices of the texts that hold each shingle."""
    texts_with: dict[Shingle, list[int]] = {}
    for i, shingles in enumerate(text_shingles):
        for shingle in shingles:
            texts_with.setdefault(shingle, []).append(i)
    return texts_with


def _shingles(text: str) -> set[Shingle]:
    words = text.split()
    return {tuple(words)} if len(words) == 1 else set(pairwise(words))


def _jaccard(a: set[Shingle], b: set[Shingle]) -> float:
    num_shared = len(a & b)
    return num_shared / (len(a) + len(b) - num_shared)


def verbatim_share(tails: Sequence[str], training_texts: Sequence[str]) -> pd.DataFrame:
    """The share of tails that occur verbatim in a training text, as consecutive complete words.

    A tail is the end of a text, such as an answer or a target. Short tails occur there by
    coincidence: compare a model's tails with the true ones, row by row (McCoy et al., 2023, "How
    much do language models copy from their training data?").

    Args:
        tails: cleaned. An empty tail is never a copy; it counts only in the row "all".
        training_texts: cleaned.

    Returns:
        rows "1" to "5", "6 or more" (words of the tail) and "all", columns `tails` (their number,
        int64) and `verbatim` (share in [0, 1], NaN if there are no such tails).
    """
    copied = _copied_tails(tails, training_texts)
    lengths = np.array([len(tail.split()) for tail in tails], dtype=np.int64)
    verbatim = pd.Series([" ".join(tail.split()) in copied for tail in tails], dtype="float64")
    in_row = {str(length): lengths == length for length in range(1, LONGEST_ROW)}
    in_row |= {f"{LONGEST_ROW} or more": lengths >= LONGEST_ROW, "all": lengths >= 0}
    rows = {name: (chosen.sum(), verbatim[chosen].mean()) for name, chosen in in_row.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["tails", "verbatim"])
    return table.astype({"tails": "int64", "verbatim": "float64"}).rename_axis("words")


def _copied_tails(tails: Sequence[str], training_texts: Sequence[str]) -> set[str]:
    """The tails that occur in a training text.

    From each word of a training text on, words are joined for as long as a tail begins with them.
    """
    wanted, beginnings = set(), set()
    for words in map(str.split, tails):
        wanted.add(" ".join(words))
        beginnings.update(" ".join(words[:length]) for length in range(1, len(words) + 1))

    copied = set()
    for words in tqdm(map(str.split, training_texts), "copies", len(training_texts), leave=False, mininterval=1):
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                joined = " ".join(words[start:end])
                if joined not in beginnings:
                    break
                if joined in wanted:
                    copied.add(joined)
    return copied
