"""A corpus that memory can't hold: cleaned into a file, its parts read from there text by text."""

import hashlib
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from src.corpus.sentiment140 import read_batches
from src.corpus.splits import SPLITS, assign_splits
from src.text.cleaning import clean_strings, normalize_tweets

TEXT_FILE = "cleaned.txt"
DUPLICATE = -1


class LargeCorpus:
    """The parts that `src.data_utils.prepare_tweets` makes of the same rows, split at random, from a file.

    In memory there is one byte for each row, and some seventy more while duplicates are searched.
    Two texts count as the same if their 64-bit hashes are.

    Args:
        path: in the format of Sentiment140, plain or inside a zip file.
        folder: where the cleaned texts are written.
        seed: of the split.

    Attributes:
        counts: as those of `PreparedTweets`.
        sha256: of the uncompressed csv.

    Raises:
        FileNotFoundError: there is no such file.
        CorpusFormatError: it is not in this format.
    """

    def __init__(self, path: str | Path, folder: str | Path, seed: int):
        self.path = Path(folder) / TEXT_FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        digest, hashes = hashlib.sha256(), [np.empty(0, np.uint64)]
        num_rows = num_bad_rows = 0
        with self.path.open("w", encoding="ascii") as file:
            for tweets, bad_rows in read_batches(path, digest):
                num_rows += len(tweets) + len(bad_rows)
                num_bad_rows += len(bad_rows)
                texts = clean_strings(normalize_tweets(tweets["text"]))
                texts = texts[texts.str.contains(" ", regex=False)]
                hashes.append(pd.util.hash_array(texts.to_numpy(), categorize=False))
                file.writelines(f"{text}\n" for text in texts)
        is_duplicate = pd.Series(np.concatenate(hashes)).duplicated().to_numpy()
        self.parts = np.full(len(is_duplicate), DUPLICATE, dtype=np.int8)
        distinct = np.flatnonzero(~is_duplicate)
        splits = assign_splits(len(distinct), seed)
        for i, split in enumerate(SPLITS):
            self.parts[distinct[splits == split]] = i
        self.sha256 = digest.hexdigest()
        self.counts = {
            "rows_read": num_rows,
            "bad_rows": num_bad_rows,
            "fewer_than_two_words": num_rows - num_bad_rows - len(is_duplicate),
            "duplicates": int(is_duplicate.sum()),
            **{split: int((self.parts == i).sum()) for i, split in enumerate(SPLITS)},
        }

    def texts(self, split: str) -> Iterator[str]:
        """Texts of one part, in the order of their rows."""
        wanted = self.parts == SPLITS.index(split)
        with self.path.open(encoding="ascii") as file:
            for text in compress(file, wanted):
                yield text.removesuffix("\n")
