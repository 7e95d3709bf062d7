"""What every reader of tweet files yields: rows that hold a tweet, are left out on purpose, or are bad."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import pandas as pd

TWEET_COLUMNS = ["text", "user", "date"]
# A file is refused if more than this share of its rows are bad, and more than FEW_BAD_ROWS of them. So one bad row
# among 50 is reported but stops nothing.
MAX_BAD_SHARE = 0.01
FEW_BAD_ROWS = 3
# The sentiments that Sentiment140 gives to its tweets. No label is used; others are counted.
USUAL_LABELS = {"0", "2", "4", ""}
ROWS_PER_BATCH = 1_000
# What to do about a file of another format, for error messages.
USE_A_KNOWN_FORMAT = (
    "use a csv with six columns (polarity, id, date, query, user, text), or set text_column if the file has another "
    "column of texts; data/README.md lists all formats"
)
MAX_SHOWN_CHARACTERS = 30
# Without a header, the columns are words of a person's tweets.
MAX_SHOWN_COLUMNS = 10


class CorpusFormatError(ValueError):
    """A file can't be read as tweets. The message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class BadRow:
    """A row without a usable tweet: the line it starts at (in a JSON list: the entry), from 1, and the reason."""

    line: int
    reason: str


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        line: as in `BadRow`.
        tweet: its text, user and date; "" where unknown.
        problem: why the row is bad, or "".
        left_out: why a readable row is no tweet of this corpus, e.g. "retweets", or "".
        label: the sentiment in the row, or "".
    """

    line: int
    tweet: tuple[str, str, str] = ("", "", "")
    problem: str = ""
    left_out: str = ""
    label: str = ""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some consecutive rows of a file.

    Attributes:
        corpus_name: short name of the kind of corpus.
        file_name: the name of the file in messages.
        tweets: string columns `TWEET_COLUMNS`.
        bad_rows: the bad rows.
        left_out: number of rows left out, by reason.
        unusual_labels: number of rows whose label is none of `USUAL_LABELS`, by label.
    """

    corpus_name: str
    file_name: str
    tweets: pd.DataFrame
    bad_rows: list[BadRow]
    left_out: Counter[str]
    unusual_labels: Counter[str]


def batches(rows: Iterator[Row], corpus_name: str, file_name: str) -> Iterator[Batch]:
    """Collect the rows of a file in batches.

    Raises:
        CorpusFormatError: the file has no rows, more than half of the rows so far are bad, or at the end
            more than `MAX_BAD_SHARE` of all rows.
    """
    num_rows, num_bad_rows, first_bad_rows = 0, 0, []
    while rows_of_batch := list(islice(rows, ROWS_PER_BATCH)):
        batch = _batch(rows_of_batch, corpus_name, file_name)
        num_rows += len(rows_of_batch)
        num_bad_rows += len(batch.bad_rows)
        first_bad_rows = (first_bad_rows + batch.bad_rows)[:3]
        if 2 * num_bad_rows > num_rows:
            counts = f"{num_bad_rows:,} of the first {num_rows:,} rows are bad"
            raise _too_many_bad_rows(file_name, first_bad_rows, counts)
        yield batch
    if not num_rows:
        raise CorpusFormatError(f"{file_name} has no rows; use another file.")
    if num_bad_rows > max(FEW_BAD_ROWS, MAX_BAD_SHARE * num_rows):
        counts = f"{num_bad_rows:,} of {num_rows:,} rows are bad, more than {MAX_BAD_SHARE:.0%}"
        raise _too_many_bad_rows(file_name, first_bad_rows, counts)


def _batch(rows: list[Row], corpus_name: str, file_name: str) -> Batch:
    return Batch(
        corpus_name,
        file_name,
        pd.DataFrame(
            [row.tweet for row in rows if not row.problem and not row.left_out], columns=TWEET_COLUMNS, dtype="str"
        ),
        [BadRow(row.line, row.problem) for row in rows if row.problem],
        Counter(row.left_out for row in rows if row.left_out),
        Counter(shortened(row.label) for row in rows if row.label not in USUAL_LABELS and not row.problem),
    )


def _too_many_bad_rows(file_name: str, first: list[BadRow], counts: str) -> CorpusFormatError:
    others = "; ".join(f"line {row.line}: {row.reason}" for row in first[1:])
    also = f"; also {others}" if others else ""
    return CorpusFormatError(
        f"{file_name}, line {first[0].line}: {first[0].reason} ({counts}{also}); {USE_A_KNOWN_FORMAT}."
    )


def shortened(text: str) -> str:
    """Return the first characters of a value for a message, without line breaks."""
    return " ".join(text[:MAX_SHOWN_CHARACTERS].split())


def no_such_column(file_name: str, text_column: str | None, columns: list[str]) -> CorpusFormatError:
    """The error for a file whose column of texts is not named, or named wrongly; it lists the first columns."""
    if not columns:
        return CorpusFormatError(f"{file_name} has no columns; use another file.")
    problem = "needs text_column, the name of its column of texts" if text_column is None else ""
    problem = problem or f"has no column {text_column!r}; set text_column to another"
    more = f" and {len(columns) - MAX_SHOWN_COLUMNS:,} more" if len(columns) > MAX_SHOWN_COLUMNS else ""
    listed = f"its columns are {', '.join(map(shortened, columns[:MAX_SHOWN_COLUMNS]))}{more}"
    return CorpusFormatError(f"{file_name} {problem}; {listed}.")
