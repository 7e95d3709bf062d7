"""From raw tweets to clean, distinct, split texts.

A raw tweet is first normalised (`normalize_tweet`: entities, URLs, mentions, broken
encodings), then reduced to lower-case words (`clean_string`). Each step has a
column-wise twin for whole corpora that shares its patterns, so both give the same text.
"""

import html
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.corpus import Corpus
from src.files import write_atomically

CONTEXT_SHARE = 0.75
SPLITS = ("train", "val", "test")
# Eight, one and one row of every ten: 80/10/10.
SPLIT_OF_TEN = np.array(["train"] * 8 + ["val", "test"])

# A two-, three- or four-byte UTF-8 sequence whose bytes were each read as one latin-1 character.
UTF8_READ_AS_LATIN1 = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
URL = re.compile(
    # Not "awww. so cute".
    r"(?:https?\b|ftp://|(?<!\w)www\.)\S*"
    # Bare addresses: any dotted name with a path, or without one if the ending can't be an English word.
    r"|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,6}/\S*"
    r"|\b[\w-]+(?:\.[\w-]+)*\.(?:(?:com|net|org|edu|gov|info|co\.[a-z]{2})(?:\.[a-z]{2})?|ly|tv|fm|gl)\b"
    r"(?:[?#]\S*|:\d\S*)?",
    re.ASCII | re.IGNORECASE,
)
# "RT @user:" marks a copy; without it the copy equals its original and is found by the deduplication.
RETWEET_MARK = re.compile(r"\brt\s*:?\s*@\w+:?", re.ASCII | re.IGNORECASE)
MENTION = re.compile(r"@\w+", re.ASCII)
NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9\s]")
WHITESPACE = re.compile(r"\s+")


def _repair_match(match: re.Match) -> str:
    try:
        return match.group().encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def _unescape_entities(text: str) -> str:
    """Unescape HTML entities until none is left: tweets were often escaped twice (`&amp;lt;`)."""
    while (unescaped := html.unescape(text)) != text:
        text = unescaped
    return text


def normalize_tweet(text: str) -> str:
    """Repair and strip what is not the writer's own words in a raw tweet.

    UTF-8 sequences that were read as latin-1 are repaired, HTML entities unescaped (also
    doubly escaped ones), and URLs, retweet marks and @mentions replaced by a space.
    """
    text = UTF8_READ_AS_LATIN1.sub(_repair_match, text)
    text = _unescape_entities(text)
    for pattern in (URL, RETWEET_MARK, MENTION):
        text = pattern.sub(" ", text)
    return text


def clean_string(text: str) -> str:
    """Lower-case `text`, remove all but a-z, digits and spaces, squeeze spaces. Idempotent."""
    text = NOT_ALPHANUMERIC.sub("", text.lower())
    return WHITESPACE.sub(" ", text).strip()


def normalize_tweets(texts: pd.Series) -> pd.Series:
    """`normalize_tweet` for a whole column; equal to it row by row."""
    # Entities and broken UTF-8 have no string method; they are in few rows, the only ones visited.
    texts = texts.astype(object).str.replace(UTF8_READ_AS_LATIN1, _repair_match, regex=True)
    escaped = texts.str.contains("&", regex=False).to_numpy(dtype=bool)
    texts[escaped] = texts[escaped].map(_unescape_entities).to_numpy()
    for pattern in (URL, RETWEET_MARK, MENTION):
        texts = texts.str.replace(pattern, " ", regex=True)
    return texts


def clean_strings(texts: pd.Series) -> pd.Series:
    """`clean_string` for a whole column; equal to it row by row."""
    texts = texts.astype(object).str.lower().str.replace(NOT_ALPHANUMERIC, "", regex=True)
    return texts.str.replace(WHITESPACE, " ", regex=True).str.strip()


def split_x_target_by_words(text: str) -> tuple[str, str]:
    """Split a cleaned text into its first 75% of words and its last 25%.

    Both parts are non-empty from two words on, and `context + " " + target == text`;
    with fewer words the target is empty.
    """
    words = text.split(" ")
    num_context = max(1, int(len(words) * CONTEXT_SHARE))
    return " ".join(words[:num_context]), " ".join(words[num_context:])


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


@dataclass(frozen=True)
class PreparedTweets:
    """Cleaned, distinct tweets and how many rows each step kept.

    Attributes:
        table: columns `text` (cleaned) and `split` ("train", "val" or "test").
        counts: rows read, removed and kept, by name.
        seed: of the split.
    """

    table: pd.DataFrame
    counts: dict[str, int]
    seed: int

    def texts(self, split: str, max_samples: int | None = None) -> list[str]:
        """Texts of one part, or a random subset of it (drawn with the split's seed)."""
        texts = self.table.loc[self.table["split"] == split, "text"].tolist()
        if max_samples is None or max_samples >= len(texts):
            return texts
        chosen = np.random.default_rng(self.seed).permutation(len(texts))[:max_samples]
        return [texts[i] for i in np.sort(chosen)]


def prepare_tweets(corpus: Corpus, seed: int, chunk_size: int = 50_000) -> PreparedTweets:
    """Normalise and clean a corpus, drop short and repeated texts, and split the rest.

    Texts with fewer than two words can't be split into context and target. Of exact
    duplicates the first one stays; they are removed before the split so that no text
    stands on both sides of it.
    """
    raw = corpus.tweets["text"]
    chunks = [
        clean_strings(normalize_tweets(raw.iloc[start : start + chunk_size]))
        for start in tqdm(range(0, len(raw), chunk_size), "cleaning", leave=False, mininterval=1)
    ]
    cleaned = pd.concat(chunks) if chunks else raw.astype(object)
    long_enough = cleaned[cleaned.str.contains(" ", regex=False)]
    distinct = long_enough.drop_duplicates().reset_index(drop=True)
    if len(distinct) < 10:
        raise ValueError(
            f"{corpus.source}: only {len(distinct)} distinct tweets of two words or more are left "
            "after cleaning, at least 10 are needed; use a larger corpus"
        )
    table = pd.DataFrame({"text": distinct, "split": assign_splits(len(distinct), seed)})
    counts = {
        "rows_read": len(raw) + len(corpus.bad_rows),
        "bad_rows": len(corpus.bad_rows),
        "fewer_than_two_words": len(cleaned) - len(long_enough),
        "duplicates": len(long_enough) - len(distinct),
        **{split: int((table["split"] == split).sum()) for split in SPLITS},
    }
    return PreparedTweets(table, counts, seed)


def write_tweets_csv(tweets: PreparedTweets, path: str | Path) -> Path:
    """Write the prepared texts and their split as a csv; a file with that name is always whole."""
    return write_atomically(path, tweets.table.to_csv(index=False))


def corpus_record(corpus: Corpus, tweets: PreparedTweets) -> dict:
    """What identifies the data of a run: the corpus, its preparation and its split, JSON-able."""
    return {**corpus.record(), "counts": tweets.counts, "split_seed": tweets.seed}


def raw_tweet_shares(texts: pd.Series) -> pd.Series:
    """Shares of raw tweets with a mention, a URL, an HTML entity or a non-ASCII character, in [0, 1]."""
    texts = texts.astype(object)
    return pd.Series(
        {
            "mention": texts.str.contains(MENTION).mean(),
            "URL": texts.str.contains(URL).mean(),
            "HTML entity": texts.str.contains(r"&(?:#\d+|\w+);").mean(),
            "non-ASCII character": texts.str.contains(r"[^\x00-\x7f]").mean(),
        }
    )
