"""Read a file of tweets in any of the known formats."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from src.corpus.opening import ARCHIVE_FILE, ZIPPED_SUFFIXES, OnRead, Source, archive_parts, open_sources
from src.corpus.own_tweets import archive_rows, is_archive, json_rows, table_rows, text_rows
from src.corpus.parquet import has_hub_columns, is_parquet, parquet_file, parquet_rows
from src.corpus.rows import BadRow, Batch, CorpusFormatError, Row, batches
from src.corpus.sentiment140 import is_sentiment140, sentiment140_rows

SENTIMENT140, OWN_TWEETS = "sentiment140", "own-tweets"
# A shard of a data set on the model hub: train-00000-of-00002.parquet, some with a hash at the end.
SHARD = re.compile(r"(.*?)\d+-of-(\d+)(?:-\w+)?\.parquet", re.IGNORECASE)
NUMBERED = re.compile(r"\d+\.parquet", re.IGNORECASE)
# Text that begins with a word in brackets is not JSON.
JSON_START = re.compile(rb'\s*(?:\[\s*)?\{\s*"')
# An empty object, or a list that is empty or begins with a string or a list. A tweet in a text file may begin so too.
JSON_WITHOUT_FIELDS = re.compile(rb'\s*(?:(?:\[\s*)?\{\s*\}|\[\s*["\[\]])')


def parts_of(path: Path) -> list[Path]:
    """Return the files that make up one corpus with the file at `path`, in order; most often only this one.

    Raises:
        CorpusFormatError: some of its shards are missing.
    """
    if path.suffix.lower() not in (".js", ".parquet"):
        return [path]
    siblings = {sibling.name: sibling for sibling in path.parent.iterdir() if sibling.is_file()}
    if shard := SHARD.fullmatch(path.name):
        same = [name for name in siblings if (other := SHARD.fullmatch(name)) and other.groups() == shard.groups()]
        if len(same) != int(shard[2]):
            raise CorpusFormatError(
                f"{path.name}: {len(same)} of {int(shard[2])} shards are in this folder; put all of them there."
            )
        return [siblings[name] for name in sorted(same)]
    if NUMBERED.fullmatch(path.name):
        return [siblings[name] for name in sorted(siblings) if NUMBERED.fullmatch(name)]
    if ARCHIVE_FILE.fullmatch(path.name):
        return [siblings[name] for name in archive_parts(siblings)]
    return [path]


def read_batches(path: str | Path, digest: "hashlib._Hash", text_column: str | None = None) -> Iterator[Batch]:
    """Read a file of tweets, with all of its parts, in batches of rows.

    Args:
        digest: a hash from `hashlib`, which is updated with all bytes of the uncompressed files.
        text_column: the column of the texts of a csv, JSON or parquet file that is not in the format of Sentiment140.

    Yields:
        the batches, see `Batch`. Blank lines are skipped.

    Raises:
        FileNotFoundError: the file does not exist.
        CorpusFormatError: the file has another format, too many bad rows, or no tweet.
    """
    path = Path(path)
    if not path.is_file():
        if path.exists():
            raise CorpusFormatError(f"{path} is no regular file; save the tweets as a file and use that.")
        raise FileNotFoundError(f"There is no tweet file {path}; check the path, or give none to use the best corpus.")
    parts, num_tweets = parts_of(path), 0
    for part in parts:
        with tqdm(desc="Reading tweets", unit="B", unit_scale=True, leave=False, mininterval=1) as bar:

            def on_read(chunk: bytes, bar: tqdm = bar) -> None:
                digest.update(chunk)
                bar.update(len(chunk))

            for batch in _part_batches(part, on_read, bar, text_column):
                num_tweets += len(batch.tweets)
                yield batch if len(parts) == 1 else with_file_name(batch)
    if not num_tweets:
        raise CorpusFormatError(f"{path.name} holds no tweet; use another file.")


def _part_batches(path: Path, on_read: OnRead, bar: tqdm, text_column: str | None) -> Iterator[Batch]:
    if is_parquet(path):
        bar.total = path.stat().st_size
        is_hub = text_column is None and has_hub_columns(parquet_file(path))
        name = SENTIMENT140 if is_hub else OWN_TWEETS
        yield from batches(parquet_rows(path, on_read, text_column), name, path.name)
        return
    with open_sources(path, on_read) as sources:
        bar.total = sum(source.size for source in sources)
        for source in sources:
            name, rows = _rows(source, path.suffix.lower(), text_column)
            found = batches(rows, name, source.name)
            yield from found if len(sources) == 1 else map(with_file_name, found)


def with_file_name(batch: Batch) -> Batch:
    """Add the file to the reason of each bad row; without it, a line number in one of several files says little."""
    return replace(batch, bad_rows=[BadRow(row.line, f"{row.reason} (in {batch.file_name})") for row in batch.bad_rows])


def _rows(source: Source, suffix: str, text_column: str | None) -> tuple[str, Iterator[Row]]:
    """Choose the reader by the beginning of the file; any other text file is read line by line if it is a .txt.

    Raises:
        CorpusFormatError: the text column does not fit the format, or the ending does not tell what the file is.
    """
    if is_archive(source):
        if text_column is not None:
            raise CorpusFormatError(f"{source.name} is a personal archive; read it without text_column.")
        return OWN_TWEETS, archive_rows(source)
    head = source.head()
    if JSON_START.match(head) or (suffix != ".txt" and JSON_WITHOUT_FIELDS.match(head)):
        return OWN_TWEETS, json_rows(source, text_column)
    if text_column is not None:
        return OWN_TWEETS, table_rows(source, text_column)
    if suffix == ".txt" and not is_sentiment140(source):
        return OWN_TWEETS, text_rows(source)
    if suffix not in (".zip", ".js", *ZIPPED_SUFFIXES) and not is_sentiment140(source):
        advice = "if each line is a tweet, give the file the ending .txt; if it is a table, set text_column"
        raise CorpusFormatError(f"{source.name} may be any text; {advice} to its column of texts.")
    return SENTIMENT140, sentiment140_rows(source)
