"""Read a person's own tweets: a text file, a csv or JSON with a named column, or a personal archive of Twitter (X)."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import datetime

from src.corpus.csv_rows import csv_rows
from src.corpus.opening import Source, decode_utf8_or_windows
from src.corpus.rows import CorpusFormatError, Row, no_such_column
from src.corpus.sentiment140 import ROW_START

# What a personal archive's file of tweets begins with; `part0` differs between the files of a large archive.
ARCHIVE_START = re.compile(rb"window\.YTD\.tweets?\.part\d+\s*=")
# A JSON line holds a complete tweet with all that the site knows about it.
MAX_JSON_LINE_BYTES = 1 << 22
# Columns and fields that hold these if they exist, the first of them that does.
USER_NAMES = ("user", "username", "screen_name")
DATE_NAMES = ("date", "created_at", "timestamp")
# Why rows are left out, as keys of the counts.
RETWEETS, WITHOUT_TEXT = "retweets", "without_text"


def text_rows(source: Source) -> Iterator[Row]:
    """Read a text file with one tweet per line."""
    for number, line in enumerate(source.lines(decode_utf8_or_windows), start=1):
        if line.strip():
            yield Row(number, (line.strip(), "", ""))


def table_rows(source: Source, text_column: str) -> Iterator[Row]:
    """Read a csv with a header, separated by commas, semicolons or tabs.

    Raises:
        CorpusFormatError: the header has no column `text_column`, or two columns that are read have the same name.
    """
    lines = source.lines(decode_utf8_or_windows)
    header_line, header = next(((i, line) for i, line in enumerate(lines, start=1) if line.strip()), (0, ""))
    if ROW_START.match(header):
        raise CorpusFormatError(
            f"{source.name} is in Sentiment140's format, without a header; read it without text_column."
        )
    try:
        delimiter, columns = _split_header(header, text_column)
    except csv.Error as error:
        raise CorpusFormatError(f"{source.name}, line {header_line} is no csv header ({error}).") from error
    if text_column not in columns:
        raise no_such_column(source.name, text_column, columns)
    for name in (text_column, *USER_NAMES, *DATE_NAMES):
        if (count := columns.count(name)) > 1:
            raise CorpusFormatError(f"{source.name} has {count} columns {name!r}; rename or delete all but one.")

    def problem_of(fields: list[str]) -> str:
        return "" if len(fields) == len(columns) else f"{len(fields)} columns instead of {len(columns)}"

    for line, fields, problem in csv_rows(lines, problem_of, delimiter=delimiter, first_line=header_line + 1):
        yield Row(line, problem=problem) if problem else named_row(line, dict(zip(columns, fields)), text_column)


def json_rows(source: Source, text_column: str | None) -> Iterator[Row]:
    """Read JSON objects, one per line or in a list.

    Raises:
        CorpusFormatError: the first object has no field `text_column`, or a list is not valid JSON or has no objects.
    """
    if source.head().lstrip().startswith(b"["):
        parsed = _parsed_list(source, source.content())
        if parsed and not any(isinstance(entry, dict) for entry in parsed):
            advice = 'each tweet must be an object such as {"text": "good morning"}'
            raise CorpusFormatError(f"{source.name} is a JSON list that holds no objects; {advice}.")
        entries = enumerate(parsed, start=1)
    else:
        entries = _parsed_lines(source)
    for i, (number, entry) in enumerate(entries):
        entry = _unwrapped(entry)
        if i == 0 and isinstance(entry, dict) and text_column not in entry:
            raise no_such_column(source.name, text_column, list(entry))
        if isinstance(entry, dict) and text_column in entry:
            yield named_row(number, entry, text_column)
        else:
            field = "" if text_column is None else f" with the field {text_column!r}"
            yield Row(number, problem=f"no JSON object{field}")


def archive_rows(source: Source) -> Iterator[Row]:
    """Read `tweets.js` of a personal archive. Retweets are left out: they are other people's words.

    Raises:
        CorpusFormatError: the file is damaged.
    """
    _, _, content = source.content().partition(b"=")
    for number, entry in enumerate(_parsed_list(source, content.rstrip(b"; \r\n\t")), start=1):
        entry = _unwrapped(entry)
        text_name = next((name for name in ("full_text", "text") if name in entry), None) if entry else None
        if text_name is None:
            yield Row(number, problem="no tweet with a full_text")
            continue
        row = named_row(number, entry, text_name)
        yield row._replace(left_out=RETWEETS) if row.tweet[0].startswith("RT @") else row


def is_archive(source: Source) -> bool:
    """Tell whether the file begins like the tweets of a personal archive.

    Raises:
        CorpusFormatError: it is another file of a personal archive.
    """
    head = source.head()
    if head.startswith(b"window.YTD.") and not ARCHIVE_START.match(head):
        raise CorpusFormatError(f"{source.name} holds something else of a personal archive; use its data/tweets.js.")
    return ARCHIVE_START.match(head) is not None


def named_row(line: int, fields: dict, text_name: str) -> Row:
    """Return the row with these fields by name; the field `text_name` exists."""
    text = fields[text_name]
    if text is not None and not isinstance(text, str):
        return Row(line, problem=f"the value of {text_name!r} is not text")
    if not text or not text.strip():
        return Row(line, left_out=WITHOUT_TEXT)
    user, date = (_first_text(fields, names) for names in (USER_NAMES, DATE_NAMES))
    return Row(line, (_valid(text), _valid(user), _valid(date)))


def _split_header(header: str, text_column: str) -> tuple[str, list[str]]:
    """Return the delimiter and the columns: with the delimiter that gives `text_column`, or else the most columns."""
    by_delimiter = {delimiter: next(csv.reader([header], delimiter=delimiter), []) for delimiter in ",;\t"}
    split = {delimiter: [name.strip() for name in columns] for delimiter, columns in by_delimiter.items()}
    return max(split.items(), key=lambda item: (text_column in item[1], len(item[1])))


def _first_text(fields: dict, names: tuple[str, ...]) -> str:
    return next((str(fields[name]) for name in names if isinstance(fields.get(name), str | datetime)), "")


def _valid(text: str) -> str:
    # JSON can express half a character, which no other format can.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _unwrapped(entry: object) -> dict | None:
    """Return the tweet in an entry; newer archives wrap each in an object of its own."""
    if isinstance(entry, dict) and isinstance(entry.get("tweet"), dict):
        return entry["tweet"]
    return entry if isinstance(entry, dict) else None


def _parsed_lines(source: Source) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(source.lines(decode_utf8_or_windows, MAX_JSON_LINE_BYTES), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _parsed_list(source: Source, content: bytes) -> list:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorpusFormatError(f"{source.name} is not valid JSON ({error}); download or export it again.") from error
    if not isinstance(entries, list):
        raise CorpusFormatError(f"{source.name} holds no JSON list of tweets; download or export it again.")
    return entries
