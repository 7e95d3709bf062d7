"""Assign each tweet of a corpus to the train, val or test split.

The three ways to split 80/10/10 answer three questions. How good is a model on more tweets like
these ("random"), on tweets by people it has never read ("user"), and on tweets written later than
all it has read ("time")? A random split flatters a model: tweets by one person, of one day or about
one event are in both train and test (Søgaard et al., 2021, "We need to talk about random splits").
"""

from typing import Literal, get_args

import numpy as np
import pandas as pd

SplitBy = Literal["random", "user", "time"]
SPLITS = ("train", "val", "test")
SPLITS_OF_BLOCK = np.array(["train"] * 8 + ["val", "test"])
# The formats of Sentiment140, whose dates are all in one time zone, and of the election tweets.
DATE_FORMATS = ("%a %b %d %H:%M:%S PDT %Y", "%Y-%m-%d %H:%M:%S")


def check_split_by(split_by: str) -> None:
    """Raise ValueError unless `split_by` is one of "random", "user" and "time"."""
    if split_by not in get_args(SplitBy):
        raise ValueError(f"split_by is {split_by!r}: choose one of {', '.join(get_args(SplitBy))}")


def parse_dates(dates: pd.Series) -> pd.Series:
    """Parse dates written in one of `DATE_FORMATS` as wall-clock time; any other text becomes NaT.

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
    """Return the key of each tweet: its user or its date. Tweets with the same key stay in one split.

    Args:
        tweets: the table of a `src.corpus.load.Corpus`.

    Returns:
        string or datetime64 [rows] with the index of `tweets`, missing where unknown; 0 in every row for a
        random split.
    """
    if split_by == "time":
        return parse_dates(tweets["date"])
    if split_by == "user":
        return tweets["user"].where(tweets["user"] != "")
    return pd.Series(0, index=tweets.index)


def assign_splits(num_rows: int, seed: int) -> np.ndarray:
    """Assign rows to train, val and test at random, 80/10/10.

    Every block of ten consecutive rows is shuffled on its own: eight train, one val, one test. So
    the sizes are exact to within a block, each split is spread evenly over a sorted file, and rows
    appended later do not change the splits of earlier rows.

    Returns:
        [num_rows] array of "train", "val" or "test".
    """
    num_blocks = -(-num_rows // 10)
    order = np.random.default_rng(seed).random((num_blocks, 10)).argsort(axis=1)
    return SPLITS_OF_BLOCK[order].reshape(-1)[:num_rows]


def assign_group_splits(sizes: np.ndarray) -> np.ndarray:
    """Assign groups of rows to train, val and test, 80/10/10, without dividing a group.

    The groups are laid end to end and cut at 80% and at 90% of the rows. A group that crosses a cut
    goes to the side of its middle, so each cut is off by at most half a group.

    Args:
        sizes: number of rows of each group, in the order of groups, int [groups].

    Returns:
        [groups] array of "train", "val" or "test".
    """
    # Counting in twentieths of a row keeps all numbers integers.
    middles = 10 * (2 * np.cumsum(sizes) - sizes)
    cuts = np.array([16, 18]) * np.sum(sizes)
    return np.array(SPLITS)[np.searchsorted(cuts, middles, side="right")]


def assign_splits_by(keys: pd.Series, split_by: SplitBy, seed: int) -> np.ndarray:
    """Assign rows to train, val and test so that rows of one user or one date stay together.

    Users are ordered at random by `seed`, dates from the oldest to the newest. A split may stay empty
    if one user or date has too many rows.

    Args:
        keys: keys made by `split_keys`, none missing.

    Returns:
        [rows] array of "train", "val" or "test".
    """
    if split_by == "random":
        return assign_splits(len(keys), seed)
    group_of_row, distinct = pd.factorize(keys, sort=split_by == "time")
    order = np.arange(len(distinct))
    if split_by == "user":
        order = np.random.default_rng(seed).permutation(order)
    splits = np.empty(len(distinct), dtype=SPLITS_OF_BLOCK.dtype)
    splits[order] = assign_group_splits(np.bincount(group_of_row)[order])
    return splits[group_of_row]


def row_counts(
    splits: np.ndarray, bad_rows: int, fewer_than_two_words: int, duplicates: int, **without_key: int
) -> dict[str, int]:
    """Count the rows that were read, removed at each step, and kept in each split.

    Args:
        splits: splits of the rows that were kept, made by `assign_splits_by`.
        **without_key: number of rows without a user or a date, e.g. `without_user=3`.
    """
    removed = {
        "bad_rows": bad_rows,
        "fewer_than_two_words": fewer_than_two_words,
        **without_key,
        "duplicates": duplicates,
    }
    kept = {split: int((splits == split).sum()) for split in SPLITS}
    return {"rows_read": sum(removed.values()) + len(splits), **removed, **kept}
