"""Prepare tweets: clean them, remove duplicates, assign them to splits, and cut each into context and target."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.corpus.load import Corpus
from src.corpus.splits import DATE_EXAMPLES, SPLITS, SplitBy, assign_splits_by, check_split_by, row_counts, split_keys
from src.files import write_atomically
from src.text.cleaning import (
    CLEANING_VERSION,
    MENTION,
    URL,
    clean_string,
    clean_strings,
    have_two_words,
    normalize_tweet,
    normalize_tweets,
)

__all__ = [
    "PreparedTweets",
    "clean_string",
    "corpus_record",
    "normalize_tweet",
    "prepare_tweets",
    "raw_tweet_shares",
    "split_cleaned",
    "split_x_target_by_words",
    "write_tweets_csv",
]

logger = logging.getLogger(__name__)

CONTEXT_SHARE = 0.75
# Rows cleaned between two steps of the progress bar.
CLEANING_CHUNK = 50_000
MIN_TWEETS = 10
KEY_COLUMNS = {"user": "user", "time": "date"}


def split_x_target_by_words(text: str) -> tuple[str, str]:
    """Split a cleaned text into context and target: its first 75% of words and its last 25%.

    With two words or more, neither is empty and `context + " " + target == text`. With one word or
    none, the target is empty.
    """
    words = text.split(" ")
    num_context = max(1, int(len(words) * CONTEXT_SHARE))
    return " ".join(words[:num_context]), " ".join(words[num_context:])


@dataclass(frozen=True)
class PreparedTweets:
    """Cleaned, distinct tweets with their splits, and the number of rows at each step.

    Attributes:
        table: columns `text` (cleaned) and `split` ("train", "val" or "test"), and between them `source` if the corpus
            has several sources.
        counts: rows that were read, removed and kept, made by `src.corpus.splits.row_counts`.
        seed: seed of the split.
        split_by: "random", "user" or "time".
    """

    table: pd.DataFrame
    counts: dict[str, int]
    seed: int
    split_by: SplitBy

    def texts(self, split: str, max_samples: int | None = None) -> list[str]:
        """Return the texts of "train", "val" or "test" in the order of the table.

        Args:
            max_samples: maximum number of texts. If there are more, a subset is drawn by `seed`.
        """
        texts = self.table.loc[self.table["split"] == split, "text"].tolist()
        if max_samples is None or max_samples >= len(texts):
            return texts
        chosen = np.random.default_rng(self.seed).permutation(len(texts))[:max_samples]
        return [texts[i] for i in np.sort(chosen)]

    def sources(self, texts: Sequence[str]) -> list[str]:
        """Return the source of each text of the table; "" if the corpus has only one source."""
        if "source" not in self.table:
            return [""] * len(texts)
        return self.table.set_index("text")["source"].loc[list(texts)].tolist()


def prepare_tweets(corpus: Corpus, seed: int, split_by: SplitBy = "random") -> PreparedTweets:
    """Normalise and clean a corpus, then apply `split_cleaned`.

    Raises:
        ValueError: as `split_cleaned`.
    """
    check_split_by(split_by)
    logger.info("Corpus: %s (%s), %s tweets", corpus.name, corpus.source, f"{len(corpus.tweets):,}")
    cleaned = corpus.tweets.assign(text=_clean(corpus.tweets["text"]))
    return split_cleaned(cleaned, corpus.unused_rows, corpus.source, seed, split_by)


def split_cleaned(
    tweets: pd.DataFrame, unused_rows: dict[str, int], source: str, seed: int, split_by: SplitBy = "random"
) -> PreparedTweets:
    """Remove short texts and duplicates, and split the rest 80/10/10.

    Texts with fewer than two words are removed because they can't be cut into context and target.
    The first of several equal texts is kept, or the oldest if `split_by` is "time". Duplicates are
    removed before the split, so no text is in two splits. Copies of a text that is kept from another source
    are counted apart, as "duplicates_across_sources".

    Args:
        tweets: columns `text` (cleaned), `user` and `date`, and `source` if there are several sources.
        unused_rows: rows that gave no tweet, see `src.corpus.load.Corpus.unused_rows`; for the counts.
        source: where the tweets come from, for error messages.
        seed: seed of the split; "time" doesn't use it.
        split_by: "random" draws rows. "user" draws users, each with all of their tweets. "time" sorts
            by date: the oldest 80% are train, the newest 10% test, and tweets of the same second stay
            together. "user" removes rows without a user; "time" removes rows without a date in a format
            of `src.corpus.splits.DATE_EXAMPLES`. They are counted as "without_user" or "without_date".

    Raises:
        ValueError: `split_by` is unknown, or too few rows, users or dates are left to fill the splits.
    """
    check_split_by(split_by)
    rows = tweets.filter(["text", "source"]).assign(key=split_keys(tweets, split_by))
    long_enough = rows[have_two_words(rows["text"])]
    known = long_enough.dropna(subset="key")
    if split_by == "time":
        known = known.sort_values("key", kind="stable")
    distinct = known.drop_duplicates("text").reset_index(drop=True)
    splits = assign_splits_by(distinct["key"], split_by, seed)
    _check_splits(distinct["key"], splits, split_by, source)
    across = _duplicates_across_sources(known, distinct)
    counts = row_counts(
        splits,
        unused_rows=unused_rows,
        fewer_than_two_words=len(rows) - len(long_enough),
        duplicates=len(known) - len(distinct) - sum(across.values()),
        **({} if split_by == "random" else {f"without_{KEY_COLUMNS[split_by]}": len(long_enough) - len(known)}),
        **across,
    )
    return PreparedTweets(distinct.drop(columns="key").assign(split=splits), counts, seed, split_by)


def _duplicates_across_sources(tweets: pd.DataFrame, distinct: pd.DataFrame) -> dict[str, int]:
    """Count the tweets whose text is kept from another source; {} if there is only one source."""
    if "source" not in tweets:
        return {}
    source_kept = tweets["text"].map(distinct.set_index("text")["source"])
    return {"duplicates_across_sources": int((tweets["source"] != source_kept).sum())}


def _clean(texts: pd.Series) -> pd.Series:
    chunks = []
    with tqdm(desc="Cleaning", total=len(texts), unit=" rows", unit_scale=True, leave=False, mininterval=1) as bar:
        for start in range(0, len(texts), CLEANING_CHUNK):
            chunks.append(clean_strings(normalize_tweets(texts.iloc[start : start + CLEANING_CHUNK])))
            bar.update(len(chunks[-1]))
    return pd.concat(chunks) if chunks else texts.astype(object)


def _check_splits(keys: pd.Series, splits: np.ndarray, split_by: SplitBy, source: str) -> None:
    with_key, remedy = "", "use a larger corpus"
    if split_by != "random":
        with_key = f" with a known {KEY_COLUMNS[split_by]}"
        remedy = 'use split_by="random" or another corpus'
    if split_by == "time":
        remedy += f" (dates are read in the formats {', '.join(DATE_EXAMPLES)})"
    if len(keys) < MIN_TWEETS:
        raise ValueError(
            f"{source}: only {len(keys)} distinct tweets of two words or more{with_key} are left "
            f"after cleaning, at least {MIN_TWEETS} are needed; {remedy}"
        )
    if empty := [split for split in SPLITS if split not in splits]:
        raise ValueError(
            f"{source}: {len(keys)} tweets of {keys.nunique()} distinct {KEY_COLUMNS[split_by]}s leave "
            f"{' and '.join(empty)} empty; {remedy}"
        )


def write_tweets_csv(tweets: PreparedTweets, path: str | Path) -> Path:
    """Write the table as a csv, with `src.files.write_atomically`."""
    return write_atomically(path, tweets.table.to_csv(index=False))


def corpus_record(corpus: Corpus, tweets: PreparedTweets) -> dict:
    """Return what identifies the data of a run, in JSON types: the corpus, the cleaning, row counts and the split."""
    split = {"counts": tweets.counts, "split_seed": tweets.seed, "split_by": tweets.split_by}
    return {**corpus.record(), "cleaning": CLEANING_VERSION, **split}


def raw_tweet_shares(texts: pd.Series) -> pd.Series:
    """Return the shares of raw tweets with a mention, a URL, an HTML entity and a non-ASCII character, from 0 to 1."""
    texts = texts.astype(object)
    return pd.Series(
        {
            "mention": texts.str.contains(MENTION).mean(),
            "URL": texts.str.contains(URL).mean(),
            "HTML entity": texts.str.contains(r"&(?:#\d+|\w+);").mean(),
            "non-ASCII character": texts.str.contains(r"[^\x00-\x7f]").mean(),
        }
    )
