"""Read a csv in the format of Sentiment140 (latin-1, six columns, no header) and report its bad rows."""

import csv
import hashlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import pandas as pd
from tqdm import tqdm

SENTIMENT140_CSV = "training.1600000.processed.noemoticon.csv"
COLUMNS = ("polarity", "id", "date", "query", "user", "text")
TWEET_COLUMNS = ["text", "user", "date"]
EXPECTED = f"six columns ({', '.join(COLUMNS)}) without a header"
ROW_START = re.compile(r'"?[024]"?,"?\d+"?,')
MAX_LINE_BYTES = 1 << 16
MAX_LINES_PER_ROW = 100
# A zip file of tweets has a third of their size, a zip bomb a thousandth.
MAX_COMPRESSION = 50
ROWS_PER_BATCH = 1_000
# What zipfile raises for a damaged directory or an unknown compression.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
# First line number, fields, and why the row can't be used ("" if it can).
Row = tuple[int, list[str], str]


class CorpusFormatError(ValueError):
    """A file does not have the format of Sentiment140. The message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class BadRow:
    """A row without a usable tweet: the line it starts at, counted from 1, and the reason."""

    line: int
    reason: str


Batch = tuple[pd.DataFrame, list[BadRow]]


def read_batches(path: str | Path, digest: "hashlib._Hash") -> Iterator[Batch]:
    """Read a csv, plain or inside a zip file, in batches of rows.

    Args:
        digest: a hash from `hashlib`, which is updated with all bytes of the csv.

    Yields:
        the tweets of a batch (string columns `TWEET_COLUMNS`) and its bad rows.

    Raises:
        FileNotFoundError: the file does not exist.
        CorpusFormatError: the file has another format, or most of its rows are bad.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no tweet file {path}; check the path, or give none to use the best corpus.")
    with (
        _open_csv(path) as (file, size),
        tqdm(desc="Reading tweets", total=size, unit="B", unit_scale=True, leave=False, mininterval=1) as bar,
    ):
        yield from _batches(_rows(_lines(file, path.name, digest, bar)), path.name)


@contextmanager
def _open_csv(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open the csv at `path` or inside the zip file at `path`; yield it and its size in bytes."""
    if path.suffix.lower() != ".zip":
        with open(path, "rb") as file:
            yield file, path.stat().st_size
        return
    try:
        with zipfile.ZipFile(path) as archive:
            member = _csv_member(archive, path.name)
            # Without a buffer, reading lines from a zip member is slow.
            with io.BufferedReader(archive.open(member), 1 << 20) as file:
                yield file, member.file_size
    except CorpusFormatError:
        raise
    except ZIP_ERRORS as error:
        raise CorpusFormatError(f"{path.name} is not a readable zip file ({error}); download it again.") from error


def _csv_member(archive: zipfile.ZipFile, file_name: str) -> zipfile.ZipInfo:
    # macOS adds a file ._name.csv for each name.csv.
    csv_name = re.compile(r"(^|.*/)(?!\._)[^/]*\.csv", re.IGNORECASE)
    names = [name for name in archive.namelist() if csv_name.fullmatch(name)]
    if SENTIMENT140_CSV in names:
        names = [SENTIMENT140_CSV]
    if len(names) != 1:
        raise CorpusFormatError(f"{file_name} holds {len(names)} csv files; zip only the csv with the tweets.")
    member = archive.getinfo(names[0])
    if member.flag_bits & 0x1:
        raise CorpusFormatError(f"{file_name} is encrypted; unzip it and use the csv.")
    if member.file_size > MAX_COMPRESSION * max(member.compress_size, MAX_LINE_BYTES):
        raise CorpusFormatError(
            f"{file_name} would grow from {member.compress_size:,} to {member.file_size:,} bytes, too much for tweets; "
            "unzip it if you trust it, and use the csv."
        )
    return member


def _lines(file: BinaryIO, file_name: str, digest, bar: tqdm) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if b"\0" in line or len(line) == MAX_LINE_BYTES:
            problem = "holds a NUL byte" if b"\0" in line else f"has {MAX_LINE_BYTES:,} bytes or more"
            raise CorpusFormatError(f"{file_name}, line {number} {problem}; use a csv with {EXPECTED}.")
        digest.update(line)
        bar.update(len(line))
        yield line.decode("latin-1")


def _rows(lines: Iterator[str]) -> Iterator[Row]:
    """Parse each row with its own csv reader, and continue at the next line after a bad row.

    With a single reader, an unbalanced quote would swallow the rows after it.
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


def _batches(rows: Iterator[Row], file_name: str) -> Iterator[Batch]:
    """Separate tweets from bad rows; refuse a file as soon as more than half of the rows so far are bad."""
    tweet_fields = itemgetter(*map(COLUMNS.index, TWEET_COLUMNS))
    first_bad_row, num_rows, num_bad_rows = None, 0, 0
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        _, fields, _ = batch[0]
        if not num_rows and len(fields) == len(COLUMNS) and not re.search(r"\d", "".join(fields[:2])):
            raise CorpusFormatError(f"{file_name}, line 1 is a header; remove it: the file must have {EXPECTED}.")
        tweets = [tweet_fields(fields) for _, fields, problem in batch if not problem]
        bad_rows = [BadRow(line, problem) for line, _, problem in batch if problem]
        first_bad_row = first_bad_row or next(iter(bad_rows), None)
        num_rows += len(batch)
        num_bad_rows += len(bad_rows)
        if 2 * num_bad_rows > num_rows:
            raise CorpusFormatError(
                f"{file_name}, line {first_bad_row.line}: {first_bad_row.reason} ({num_bad_rows:,} of the first "
                f"{num_rows:,} rows are bad); use a csv with {EXPECTED}."
            )
        yield pd.DataFrame(tweets, columns=TWEET_COLUMNS, dtype="str"), bad_rows
    if not num_rows:
        raise CorpusFormatError(f"{file_name} is empty; use a csv with {EXPECTED}.")
