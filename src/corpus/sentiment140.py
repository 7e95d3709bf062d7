"""Read a csv in the format of Sentiment140: latin-1, six columns, usually no header.

Copies that passed through a spreadsheet may be separated by semicolons or tabs instead of commas.
"""

import re
from collections.abc import Iterator

from src.corpus.csv_rows import csv_rows
from src.corpus.opening import Source
from src.corpus.rows import Row, no_such_column, shortened

COLUMNS = ("polarity", "id", "date", "query", "user", "text")
# A spreadsheet changes ids to numbers like 1.46781E+09 or, in many countries, 1,46781E+09.
ID = re.compile(r"\d+(?:[.,]\d*)?(?:E\+?\d+)?", re.ASCII | re.IGNORECASE)
# Five short fields, the second an id, and the beginning of a sixth: no line inside a tweet looks like this.
ROW_START = re.compile(
    rf'"?[^",;\t]{{0,20}}"?([,;\t])"?(?:{ID.pattern})"?\1(?:"[^"]*"\1|(?:(?!\1)[^"])*\1){{3}}', re.ASCII | re.IGNORECASE
)
TEXT_NAMES = {"text", "tweet", "tweet_text", "content", "sentimenttext"}
SNIFFED_LINES = 20


def sentiment140_rows(source: Source) -> Iterator[Row]:
    """Read the rows. The label and the id are not used, so any label is accepted.

    Raises:
        CorpusFormatError: the first row is a header with the columns in another order.
    """
    # In a copy in UTF-8, cleaning repairs the characters beyond ASCII.
    rows = csv_rows(source.lines(_decode), _problem, ROW_START, _delimiter(source))
    for i, (line, fields, problem) in enumerate(rows):
        if problem and i == 0 and _is_header(fields, source.name):
            continue
        if problem:
            yield Row(line, problem=problem)
        else:
            label, _, date, _, user, text = fields
            yield Row(line, (text, user, date), label=label)


def is_sentiment140(source: Source) -> bool:
    """Tell whether most of the first lines are rows in the format of Sentiment140."""
    rows = csv_rows(iter(_first_lines(source)), _problem, ROW_START, _delimiter(source))
    problems = [problem for _, _, problem in rows]
    return 2 * problems.count("") > len(problems)


def _delimiter(source: Source) -> str:
    """Return what separates the columns of the first of the first lines that begins a row."""
    return next((start[1] for line in _first_lines(source) if (start := ROW_START.match(line))), ",")


def _first_lines(source: Source) -> list[str]:
    return list(map(_decode, source.head().split(b"\n")[:SNIFFED_LINES]))


def _decode(line: bytes) -> str:
    return line.decode("latin-1")


def _problem(fields: list[str]) -> str:
    if len(fields) != len(COLUMNS):
        return f"{len(fields)} columns instead of {len(COLUMNS)}"
    if not ID.fullmatch(fields[1].strip()):
        return f"id {shortened(fields[1])!r} is not a number"
    return "" if fields[-1].strip() else "empty text"


def _is_header(fields: list[str], file_name: str) -> bool:
    names = [field.strip().lower() for field in fields]
    if len(names) != len(COLUMNS) or TEXT_NAMES.isdisjoint(names):
        return False
    if names[-1] not in TEXT_NAMES:
        raise no_such_column(file_name, None, fields)
    return True
