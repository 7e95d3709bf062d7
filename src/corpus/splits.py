"""Assign each tweet of a corpus to the train, val or test split.

The three ways to split 80/10/10 answer three questions. How good is a model on more tweets like
these ("random"), on tweets by people it has never read ("user"), and on tweets written later than
all it has read ("time")? A random split flatters a model: tweets by one person, of one day or about
one event are in both train and test (Søgaard et al., 2021, "We need to talk about random splits").
"""

import re
from typing import Literal, get_args

import numpy as np
import pandas as pd

SplitBy = Literal["random", "user", "time"]
SPLITS = ("train", "val", "test")
SPLITS_OF_BLOCK = np.array(["train"] * 8 + ["val", "test"])
# An example of each format that `parse_dates` reads.
DATE_EXAMPLES = (
    "Mon Apr 06 22:19:45 PDT 2009",
    "Mon Apr 06 22:19:45 +0000 2009",
    "Mon, 06 Apr 2009 22:19:45 +0000",
    "2009-04-06 22:19:45",
    "2009-04-06T22:19:45Z",
    "2009-04-06",
)
# All dates of Sentiment140 are in this time zone, so it is read as part of the format.
SENTIMENT140_DATE = "%a %b %d %H:%M:%S PDT %Y"
ZONED_DATES = ("%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z")
UTC_NAMES = re.compile(r" ?(?:UTC|GMT)\b")
# Without this check a bare year would be read as its first of January.
ISO_DATE = r"\d{4}-\d\d-\d\d"


def check_split_by(split_by: str) -> None:
    """Raise ValueError unless `split_by` is one of "random", "user" and "time"."""
    if split_by not in get_args(SplitBy):
        raise ValueError(f"split_by is {split_by!r}: choose one of {', '.join(get_args(SplitBy))}")


def parse_dates(dates: pd.Series) -> pd.Series:
    """Parse dates in one of the formats of `DATE_EXAMPLES`, to the second; any other text becomes NaT.

    A date with a time zone (an offset, Z, UTC or GMT) is converted to UTC. A date without one, and one
    with Sentiment140's PDT, keeps the time that is written.

    Args:
        dates: string [rows].

    Returns:
        datetime64[s] [rows] with the index of `dates`.
    """
    texts = dates.reset_index(drop=True)
    parsed = pd.to_datetime(texts, format=SENTIMENT140_DATE, errors="coerce").astype("datetime64[s]")
    texts = texts[parsed.isna()].str.strip().str.replace(UTC_NAMES, " +0000", regex=True)
    iso = texts.str.match(ISO_DATE).fillna(False).astype(bool)
    for date_format, candidates in [*((form, texts[~iso]) for form in ZONED_DATES), ("ISO8601", texts[iso])]:
        found = pd.to_datetime(candidates, format=date_format, errors="coerce", utc=True)
        parsed = parsed.fillna(found.dt.tz_localize(None).astype("datetime64[s]"))
    return parsed.set_axis(dates.index)


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
    splits: np.ndarray, unused_rows: dict[str, int], fewer_than_two_words: int, duplicates: int, **others: int
) -> dict[str, int]:
    """Count the rows that were read, removed at each step, and kept in each split.

    Args:
        splits: splits of the rows that were kept, made by `assign_splits_by`.
        unused_rows: rows that gave no tweet, see `src.corpus.load.Corpus.unused_rows`.
        **others: number of rows removed at a step that not every corpus has, e.g. `without_user=3`.
    """
    removed = {
        **unused_rows,
        "fewer_than_two_words": fewer_than_two_words,
        **others,
        "duplicates": duplicates,
    }
    kept = {split: int((splits == split).sum()) for split in SPLITS}
    return {"rows_read": sum(removed.values()) + len(splits), **removed, **kept}
