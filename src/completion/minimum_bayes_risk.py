"""The utility function of minimum Bayes risk decoding (Kumar and Byrne, 2004; Eikema and Aziz, 2020).

This decoding chooses the sample that is most similar to all samples, here by ROUGE.
"""

from collections.abc import Sequence

import numpy as np

from src.completion.decoding import Utility


def mean_utilities(texts: Sequence[str], utility: Utility) -> np.ndarray:
    """Return the mean utility of each text against all texts: ROUGE F1 from 0 to 1, float64 [texts]."""
    return np.mean([_mean_f1(texts, order) for order in range(1, 3 if utility == "rouge1+rouge2" else 2)], axis=0)


def _mean_f1(texts: Sequence[str], order: int) -> np.ndarray:
    words = [text.split() for text in texts]
    ngrams = [list(zip(*(text[i:] for i in range(order)))) for text in words]
    column_of: dict[tuple, int] = {}
    columns = [column_of.setdefault(ngram, len(column_of)) for text in ngrams for ngram in text]
    lengths = np.array([len(text) for text in ngrams], dtype=int)
    counts = np.zeros((len(texts), len(column_of)), dtype=np.int32)
    np.add.at(counts, (np.repeat(np.arange(len(texts)), lengths), np.array(columns, dtype=int)), 1)
    overlap = np.minimum(counts[:, None], counts).sum(axis=2)
    return (2 * overlap / np.maximum(lengths[:, None] + lengths, 1)).mean(axis=1)
