"""Data preparation, stage by stage, from a zipped csv to the token ids of the training run."""

import csv
import io
import time
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from src.corpus.large_corpus import LargeCorpus
from src.corpus.load import Corpus, read_sentiment140
from src.corpus.splits import SPLITS
from src.corpus.tokenization import train_tokenizer
from src.data_utils import prepare_tweets
from src.lstm_model import LSTMConfig
from src.next_token_dataset import NextTokenDataset
from src.text.cleaning import clean_strings, normalize_tweets

NUM_ROWS = 1_600_000
NUM_LARGE_ROWS = 20_000_000
# More texts would give the same vocabulary.
TOKENIZER_TEXTS = 1_000_000
GROWTH_ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
VOCAB_SIZE = LSTMConfig.vocab_size
CHUNK = 50_000


def write_varied_csv(corpus: Corpus, path: Path, num_rows: int) -> None:
    """Write the corpus repeatedly in its original format, zipped; a repeated tweet gets two words of another one.

    So repetitions are not duplicates, and the vocabulary stays the same.
    """
    rng = np.random.default_rng(0)
    texts, users, dates = (corpus.tweets[name].to_numpy(dtype=object) for name in ("text", "user", "date"))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("tweets.csv", "w", force_zip64=True) as member,
        io.TextIOWrapper(member, encoding="latin-1", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for start in range(0, num_rows, len(texts)):
            for i in range(min(len(texts), num_rows - start)):
                text = texts[i]
                if start:
                    words = texts[rng.integers(len(texts))].split()
                    text = f"{text} {words[rng.integers(len(words))]} {words[rng.integers(len(words))]}"
                writer.writerow(["0", str(start + i), dates[i], "NO_QUERY", users[i], text])


def preparation_speed(path: Path) -> list[dict]:
    """A row for each stage, and one for all stages together."""
    rows: list[dict] = []

    def stage(name: str, num_rows: int | None, action: Callable[[], object]):
        started = time.perf_counter()
        result = action()
        seconds = time.perf_counter() - started
        count = num_rows or len(result.tweets)
        rows.append({"stage": name, "seconds": round(seconds, 1), "rows per second": round(count / seconds)})
        return result

    corpus = stage("read", None, lambda: read_sentiment140(path))
    num_rows = len(corpus.tweets)
    tweets = stage("normalise, clean, deduplicate, split", num_rows, lambda: prepare_tweets(corpus, seed=0))
    texts = {split: tweets.texts(split) for split in ("train", "val", "test")}
    tokenizer = stage("train the tokenizer", len(texts["train"]), lambda: train_tokenizer(texts["train"], VOCAB_SIZE))

    def tokenize() -> None:
        for split, split_texts in texts.items():
            folder = path.parent / split
            NextTokenDataset(split_texts, tokenizer, tokenizer.eos_token_id, context_unit="words", folder=folder)

    stage("tokenize into files", sum(map(len, texts.values())), tokenize)
    seconds = sum(row["seconds"] for row in rows)
    rows.append({"stage": "all", "seconds": round(seconds, 1), "rows per second": round(num_rows / seconds)})
    return rows


def growth(corpus: Corpus, folder: Path) -> list[dict]:
    """Seconds of cleaning and of tokenizing by number of rows, the corpus repeated."""
    texts = corpus.tweets["text"]
    cleaned = clean_strings(normalize_tweets(texts))
    cleaned = cleaned[cleaned != ""]
    tokenizer = train_tokenizer(cleaned.tolist(), VOCAB_SIZE)
    rows = []
    for num_rows in GROWTH_ROWS:
        started = time.perf_counter()
        for start in range(0, num_rows, CHUNK):
            chunk = texts.iloc[np.arange(start, min(start + CHUNK, num_rows)) % len(texts)]
            clean_strings(normalize_tweets(chunk))
        cleaning = time.perf_counter() - started
        repeated = (cleaned.iloc[i % len(cleaned)] for i in range(num_rows))
        started = time.perf_counter()
        NextTokenDataset(repeated, tokenizer, tokenizer.eos_token_id, context_unit="words", folder=folder)
        tokenizing = time.perf_counter() - started
        rows.append({"rows": num_rows, "cleaning, s": round(cleaning, 2), "tokenizing, s": round(tokenizing, 2)})
    return rows


def large_preparation(path: Path) -> list[dict]:
    """A row for each stage of preparing a corpus that is not held in memory."""
    started = time.perf_counter()
    large = LargeCorpus(path, path.parent / "cleaned", seed=0)
    cleaned = time.perf_counter()
    tokenizer = train_tokenizer(islice(large.texts("train"), TOKENIZER_TEXTS), VOCAB_SIZE)
    for split in SPLITS:
        folder = path.parent / split
        NextTokenDataset(large.texts(split), tokenizer, tokenizer.eos_token_id, context_unit="words", folder=folder)
    num_rows, num_texts = large.counts["rows_read"], sum(large.counts[split] for split in SPLITS)
    stages = {
        "read, clean, deduplicate, split": (num_rows, cleaned - started),
        "train the tokenizer, tokenize into files": (num_texts, time.perf_counter() - cleaned),
    }
    return [
        {"stage": stage, "seconds": round(seconds), "rows per second": round(count / seconds)}
        for stage, (count, seconds) in stages.items()
    ]
