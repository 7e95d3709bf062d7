"""A corpus too large for memory: its cleaned texts are written to a file, and splits are read from it text by text."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from src.corpus.read import read_batches
from src.corpus.rows import Batch
from src.corpus.splits import SPLITS, assign_splits, row_counts
from src.text.cleaning import clean_strings, have_two_words, normalize_tweets

TEXT_FILE = "cleaned.txt"
DUPLICATE = -1


class LargeCorpus:
    """The random splits that `src.data_utils.prepare_tweets` makes of the same file, kept on disk.

    It needs one byte of memory for each row, and about 70 more while it looks for duplicates.
    Two texts count as equal if their 64-bit hashes are equal.

    Args:
        path: a file of tweets in one of the formats of `src.corpus.read.read_batches`.
        folder: where the cleaned texts are written.
        seed: seed of the split.
        text_column: as in `read_batches`.

    Attributes:
        split_ids: for each cleaned text its index in `SPLITS`, or `DUPLICATE`; int8 [texts].
        counts: row counts, as in `PreparedTweets`.
        sha256: SHA-256 of the uncompressed file; of several parts, of one after the other.

    Raises:
        FileNotFoundError: the file does not exist.
        CorpusFormatError: the file has another format, too many bad rows, or no tweet.
    """

    def __init__(self, path: str | Path, folder: str | Path, seed: int, text_column: str | None = None):
        self.path = Path(folder) / TEXT_FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        hashes, num_short, unused_rows = self._write_cleaned_texts(read_batches(path, digest, text_column))
        self.sha256 = digest.hexdigest()
        distinct = np.flatnonzero(~pd.Series(hashes).duplicated())
        splits = assign_splits(len(distinct), seed)
        self.split_ids = np.full(len(hashes), DUPLICATE, dtype=np.int8)
        for i, split in enumerate(SPLITS):
            self.split_ids[distinct[splits == split]] = i
        self.counts = row_counts(
            splits, unused_rows=unused_rows, fewer_than_two_words=num_short, duplicates=len(hashes) - len(distinct)
        )

    def _write_cleaned_texts(self, batches: Iterable[Batch]) -> tuple[np.ndarray, int, dict[str, int]]:
        """Write every cleaned text of two words or more as a line.

        Returns:
            hashes of the texts, uint64 [texts], the number of texts that were too short, and the number of
            rows that gave no text, as `src.corpus.load.Corpus.unused_rows`.
        """
        hashes, num_short, num_bad_rows, left_out = [np.empty(0, np.uint64)], 0, 0, Counter()
        with self.path.open("w", encoding="ascii") as file:
            for batch in batches:
                cleaned = clean_strings(normalize_tweets(batch.tweets["text"]))
                texts = cleaned[have_two_words(cleaned)]
                num_short += len(cleaned) - len(texts)
                num_bad_rows += len(batch.bad_rows)
                left_out += batch.left_out
                hashes.append(pd.util.hash_array(texts.to_numpy(), categorize=False))
                file.writelines(f"{text}\n" for text in texts)
        return np.concatenate(hashes), num_short, {"bad_rows": num_bad_rows, **left_out}

    def texts(self, split: str) -> Iterator[str]:
        """Read the texts of "train", "val" or "test" in the order of their rows."""
        wanted = self.split_ids == SPLITS.index(split)
        with self.path.open(encoding="ascii") as file:
            for text in compress(file, wanted):
                yield text.removesuffix("\n")
