"""Which part of a corpus, train, val or test, each of its tweets belongs to.

Three ways to cut 80/10/10, for three questions: how good is a model on more tweets like these
("random"), by people it has never read ("user"), or written after all it has read ("time")?
A random split answers the first one only: tweets of one person, one day or one event stand on
both its sides, which flatters a model (Søgaard et al., 2021, "We need to talk about random splits").
"""

from typing import Literal, get_args

import numpy as np
import pandas as pd

SplitBy = Literal["random", "user", "time"]
SPLITS = ("train", "val", "test")
# Eight, one and one row of every ten: 80/10/10.
SPLIT_OF_TEN = np.array(["train"] * 8 + ["val", "test"])
# Of Sentiment140, all of it in one zone, and of the election tweets.
DATE_FORMATS = ("%a %b %d %H:%M:%S PDT %Y", "%Y-%m-%d %H:%M:%S")


def check_split_by(split_by: str) -> None:
    if split_by not in get_args(SplitBy):
        raise ValueError(f"split_by is {split_by!r}: choose one of {', '.join(get_args(SplitBy))}")


def parse_dates(dates: pd.Series) -> pd.Series:
    """Dates in one of `DATE_FORMATS`, as wall-clock time; NaT for any other text.

    Args:
        dates: string [rows].

    Returns:
        datetime64 [rows] with the index of `dates`.
    """
    parsed = pd.Series(pd.NaT, index=dates.index, dtype="datetime64[s]")
    for date_format in DATE_FORMATS:
        parsed = parsed.fillna(pd.to_datetime(dates, format=date_format, errors="coerce"))
    return parsed


def split_keys(tweets: pd.DataFrame, split_by: SplitBy) -> pd.Series:
    """What tweets must share to stay in one part: their user or their date; missing where unknown.

    Args:
        tweets: of `src.corpus.load.Corpus`.

    Returns:
        [rows] with the index of `tweets`; 0 in every row for a random split.
    """
    if split_by == "time":
        return parse_dates(tweets["date"])
    if split_by == "user":
        return tweets["user"].where(tweets["user"] != "")
    return pd.Series(0, index=tweets.index)


def assign_splits(num_rows: int, seed: int) -> np.ndarray:
    """Assign rows to train, val and test, 80/10/10, by seed.

    Every block of ten consecutive rows is permuted on its own, so the parts are exact to
    within a block, evenly spread over a sorted file, and rows added at the end change
    nothing for the rows before them.

    Returns:
        [num_rows] array of "train", "val" or "test".
    """
    num_blocks = -(-num_rows // 10)
    order = np.random.default_rng(seed).random((num_blocks, 10)).argsort(axis=1)
    return SPLIT_OF_TEN[order].reshape(-1)[:num_rows]


def assign_group_splits(sizes: np.ndarray) -> np.ndarray:
    """Assign whole groups of rows, laid end to end, to train, val and test.

    The rows are cut at 80% and 90%; a group that a cut goes through belongs where its middle
    lies, so each cut is off by at most half a group.

    Args:
        sizes: rows of each group in their order, int [groups].

    Returns:
        [groups] array of "train", "val" or "test".
    """
    # Twentieths of a row, so that all numbers are whole.
    middles = 10 * (2 * np.cumsum(sizes) - sizes)
    cuts = np.array([16, 18]) * np.sum(sizes)
    return np.array(SPLITS)[np.searchsorted(cuts, middles, side="right")]


def assign_splits_by(keys: pd.Series, split_by: SplitBy, seed: int) -> np.ndarray:
    """Assign rows to train, val and test so that rows of the same user or date stay together.

    Users come in an order drawn by seed, dates from the oldest to the newest. A part stays
    empty where single groups are too large for it.

    Args:
        keys: of `split_keys`, none missing.

    Returns:
        [rows] array of "train", "val" or "test".
    """
    if split_by == "random":
        return assign_splits(len(keys), seed)
    group_of_row, distinct = pd.factorize(keys, sort=split_by == "time")
    order = np.arange(len(distinct))
    if split_by == "user":
        order = np.random.default_rng(seed).permutation(order)
    splits = np.empty(len(distinct), dtype=SPLIT_OF_TEN.dtype)
    splits[order] = assign_group_splits(np.bincount(group_of_row)[order])
    return splits[group_of_row]
