"""How much of what should be new was already in the training texts.

`near_duplicates` finds evaluation texts that training nearly gave away, `verbatim_share` how
many completions are copies. Words are what stands between spaces. Both are exact: words become
whole numbers, and pairs and runs of them unique numbers in turn, so nothing is hashed or sampled.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np
import pandas as pd
from tqdm import tqdm

TEXTS_PER_CHUNK = 1_000
LONGEST_ROW = 6  # number of words from which on tails share one row


def near_duplicates(texts: Sequence[str], training_texts: Sequence[str], threshold: float = 0.7) -> np.ndarray:
    """Whether a training text is nearly the same as a text.

    That is so if their resemblance is at least `threshold`: the Jaccard similarity of their
    sets of word bigrams (Broder, 1997, "On the resemblance and containment of documents").
    A text of one word has that word instead, a text of none is similar to nothing.

    Two sets with similarity t or more share one of the |A| - ceil(t |A|) + 1 rarest elements
    of each (prefix filter: Chaudhuri et al., 2006; Bayardo et al., 2007, "Scaling up all pairs
    similarity search"), so only pairs of texts that do are compared.

    Args:
        texts: [texts] cleaned.
        training_texts: [training texts] cleaned.
        threshold: in (0, 1].

    Returns:
        bool [texts].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}: give a similarity above 0, at most 1")
    num_training = len(training_texts)
    sets = ShingleSets([*training_texts, *texts])
    prefix_owners, prefix = sets.prefixes(threshold)
    in_training = prefix_owners < num_training
    postings = prefix_owners[in_training][np.argsort(prefix[in_training], kind="stable")]
    num_postings = np.bincount(prefix[in_training], minlength=sets.num_shingles)
    first_posting = np.cumsum(num_postings) - num_postings

    found = np.zeros(len(texts), dtype=bool)
    chunk_starts = range(num_training, num_training + len(texts), TEXTS_PER_CHUNK)
    for start in tqdm(chunk_starts, "near-duplicates", leave=False, mininterval=1):
        rows = slice(*np.searchsorted(prefix_owners, [start, start + TEXTS_PER_CHUNK]))
        lengths = num_postings[prefix[rows]]
        candidates = postings[_ranges(first_posting[prefix[rows]], lengths)]
        pairs = np.unique(np.repeat(prefix_owners[rows], lengths) * num_training + candidates)
        owners, candidates = pairs // num_training, pairs % num_training
        found[owners[sets.similar(owners, candidates, threshold)] - num_training] = True
    return found


class ShingleSets:
    """The set of word bigrams of every text, one set behind the other, each sorted from rare to common.

    Attributes:
        owners: int64 [elements], the text that each element belongs to, ascending.
        shingles: int64 [elements], the number of each bigram, counted from the rarest one.
        elements: int64 [elements], owner and shingle as one number, ascending.
        sizes, starts: int64 [texts], the size of each set and where it starts.
        num_shingles: distinct ones.
    """

    def __init__(self, texts: Sequence[str]):
        owners, bigrams = _bigrams(*_number_words(texts, defaultdict(count().__next__)))
        distinct, shingles = np.unique(bigrams, return_inverse=True)
        self.num_shingles = len(distinct)
        # Each bigram once per text, then by the number of texts that hold it.
        owners, shingles = np.divmod(np.unique(owners * self.num_shingles + shingles), max(1, self.num_shingles))
        from_rarest = np.argsort(np.bincount(shingles, minlength=self.num_shingles), kind="stable")
        rank = np.empty_like(from_rarest)
        rank[from_rarest] = np.arange(self.num_shingles)
        self.owners = owners
        self.elements = np.sort(owners * self.num_shingles + rank[shingles])
        self.shingles = self.elements - owners * self.num_shingles
        self.sizes = np.bincount(owners, minlength=len(texts))
        self.starts = np.cumsum(self.sizes) - self.sizes

    def prefixes(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Owners and shingles of the rarest elements of each set, one of which any similar set shares."""
        # A prefix that rounding makes too long costs a little time, one too short would miss pairs.
        num_kept = self.sizes - np.ceil(threshold * self.sizes - 1e-6).astype(np.int64) + 1
        kept = np.arange(len(self.owners)) - self.starts[self.owners] < num_kept[self.owners]
        return self.owners[kept], self.shingles[kept]

    def similar(self, a: np.ndarray, b: np.ndarray, threshold: float) -> np.ndarray:
        """Whether the sets of the texts `a` and `b`, int64 [pairs], are similar; bool [pairs]."""
        smaller, larger = np.minimum(self.sizes[a], self.sizes[b]), np.maximum(self.sizes[a], self.sizes[b])
        similar = smaller / larger >= threshold
        a, b = a[similar], b[similar]
        pair = np.repeat(np.arange(len(a)), self.sizes[a])
        wanted = b[pair] * self.num_shingles + self.shingles[_ranges(self.starts[a], self.sizes[a])]
        position = np.searchsorted(self.elements, wanted).clip(max=len(self.elements) - 1)
        shared = np.bincount(pair, self.elements[position] == wanted, minlength=len(a))
        similar[similar] = shared / (self.sizes[a] + self.sizes[b] - shared) >= threshold
        return similar


def verbatim_share(tails: Sequence[str], training_texts: Sequence[str]) -> pd.DataFrame:
    """Which share of tails stands verbatim, as an unbroken run of whole words, in a training text.

    Short tails do so by chance: compare a model's tails with the true ones, row by row (McCoy
    et al., 2023, "How much do language models copy from their training data?").

    Args:
        tails: cleaned words. An empty one copies nothing: it counts, but only under "all".
        training_texts: cleaned.

    Returns:
        rows "1" to "5", "6 or more" (words of the tail) and "all", columns `tails` (how many,
        int64) and `verbatim` (share of them in [0, 1], NaN of none).
    """
    lengths = np.array([len(tail.split()) for tail in tails], dtype=np.int64)
    verbatim = _stands_verbatim(tails, training_texts)
    chosen = {str(length): lengths == length for length in range(1, LONGEST_ROW)}
    chosen |= {f"{LONGEST_ROW} or more": lengths >= LONGEST_ROW, "all": np.full(len(tails), True)}
    rows = {name: (where.sum(), pd.Series(verbatim[where]).mean()) for name, where in chosen.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["tails", "verbatim"])
    return table.astype({"tails": "int64", "verbatim": "float64"}).rename_axis("words")


def _stands_verbatim(tails: Sequence[str], training_texts: Sequence[str]) -> np.ndarray:
    """Follow all tails through the training texts at once, one word further in each step; bool [tails]."""
    number_of = defaultdict(count(1).__next__)
    # 0 ends a text, so that no run goes on into the next one.
    training_words, training_lengths = _number_words(training_texts, number_of)
    training_words = np.insert(training_words, np.cumsum(training_lengths), 0)
    tail_words, lengths = _number_words(tails, number_of)
    starts = np.cumsum(lengths) - lengths

    verbatim = np.zeros(len(tails), dtype=bool)
    # The number of the run read so far: of every tail, and before every next word that one of them may go on with.
    tail_runs = np.zeros(len(tails), dtype=np.int64)
    next_words = np.arange(len(training_words))
    runs = np.zeros(len(training_words), dtype=np.int64)
    for step in range(lengths.max(initial=0)):
        longer = np.flatnonzero(lengths > step)
        wanted = tail_runs[longer] * (len(number_of) + 1) + tail_words[starts[longer] + step]
        distinct, tail_runs[longer] = np.unique(wanted, return_inverse=True)
        extended = runs * (len(number_of) + 1) + training_words[next_words]
        position = np.searchsorted(distinct, extended).clip(max=len(distinct) - 1)
        matches = distinct[position] == extended
        runs, next_words = position[matches], next_words[matches] + 1
        ended = np.flatnonzero(lengths == step + 1)
        verbatim[ended] = np.isin(tail_runs[ended], runs)
    return verbatim


def _number_words(texts: Iterable[str], number_of: defaultdict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all words of all texts, int64 [words], and the words in each text, int64 [texts]."""
    words = [[number_of[word] for word in text.split()] for text in texts]
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    return np.fromiter((word for text in words for word in text), dtype=np.int64, count=lengths.sum()), lengths


def _bigrams(words: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The word bigrams within texts, or the word of a text of one, as numbers; and the text of each."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    within = owners[:-1] == owners[1:]
    alone = lengths[owners] == 1
    # No word has the number base - 1, so that a single word equals no bigram.
    base = words.max(initial=0) + 2
    bigrams = words[:-1] * base + words[1:]
    return (
        np.concatenate([owners[:-1][within], owners[alone]]),
        np.concatenate([bigrams[within], words[alone] * base + base - 1]),
    )


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each start, `length` numbers each, one behind the other."""
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())
