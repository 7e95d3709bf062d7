"""Read a file in the format of Sentiment140, row by row: latin-1, six columns, no header."""

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
from pathlib import Path
from typing import BinaryIO

import pandas as pd
from tqdm import tqdm

SENTIMENT140_CSV = "training.1600000.processed.noemoticon.csv"
COLUMNS = ("polarity", "id", "date", "query", "user", "text")
EXPECTED = f"six columns ({', '.join(COLUMNS)}) without a header"
ROW_START = re.compile(r'"?[024]"?,"?\d+"?,')
MAX_LINE_BYTES = 1 << 16
MAX_LINES_PER_ROW = 100
# Tweets shrink to a third of their size, a bomb to a thousandth.
MAX_COMPRESSION = 50
ROWS_PER_BATCH = 1_000
Row = tuple[int, list[str], str]  # first line number, fields, why it cannot be used ("" if it can)


class CorpusFormatError(ValueError):
    """A file is not a Sentiment140 csv; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class BadRow:
    """A row that holds no tweet: the line it starts at (counted from 1) and why."""

    line: int
    reason: str


Batch = tuple[pd.DataFrame, list[BadRow]]


def read_batches(path: str | Path, digest: "hashlib._Hash") -> Iterator[Batch]:
    """Read a csv, plain or inside a zip file, in batches of rows.

    Args:
        digest: given all bytes of the csv.

    Yields:
        the tweets among some rows, string columns text, user and date, and the rows that hold none.

    Raises:
        FileNotFoundError: there is no such file.
        CorpusFormatError: it is not in this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no tweet file {path}; check the path or leave it out.")
    with (
        _open_csv(path) as (file, size),
        tqdm(desc="Reading tweets", total=size, unit="B", unit_scale=True, leave=False, mininterval=1) as bar,
    ):
        yield from _batches(_rows(_lines(file, path.name, digest, bar)), path.name)


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
    except CorpusFormatError:
        raise
    # What zipfile raises on a damaged directory or an unknown compression is of many kinds.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
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
    if member.file_size > MAX_COMPRESSION * max(member.compress_size, MAX_LINE_BYTES):
        raise CorpusFormatError(
            f"{file_name} would unpack to {member.file_size:,} bytes from {member.compress_size:,}; no tweets do."
        )
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


def _batches(rows: Iterator[Row], file_name: str) -> Iterator[Batch]:
    """Part the tweets from the bad rows; refuse a file that starts or ends up mostly bad."""
    first_bad_row, num_rows, num_bad_rows = None, 0, 0
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        _, fields, _ = batch[0]
        if not num_rows and len(fields) == len(COLUMNS) and not re.search(r"\d", "".join(fields[:2])):
            raise CorpusFormatError(f"{file_name}, line 1 is a header; remove it: expected {EXPECTED}.")
        tweets = [(fields[5], fields[4], fields[2]) for _, fields, problem in batch if not problem]
        bad_rows = [BadRow(line, problem) for line, _, problem in batch if problem]
        first_bad_row = first_bad_row or next(iter(bad_rows), None)
        num_rows += len(batch)
        num_bad_rows += len(bad_rows)
        if 2 * num_bad_rows > num_rows:
            raise CorpusFormatError(
                f"{file_name}, line {first_bad_row.line}: {first_bad_row.reason} ({num_bad_rows:,} of the first "
                f"{num_rows:,} rows are bad); give a csv of {EXPECTED}."
            )
        yield pd.DataFrame(tweets, columns=["text", "user", "date"], dtype="str"), bad_rows
    if not num_rows:
        raise CorpusFormatError(f"{file_name} is empty, without even a line 1; give a csv of {EXPECTED}.")
