"""Read parquet files: the copy of Sentiment140 on the model hub, or any file with a named column of texts."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
from pyarrow.parquet import ParquetFile

from src.corpus.opening import OnRead
from src.corpus.own_tweets import DATE_NAMES, USER_NAMES, named_row
from src.corpus.rows import ROWS_PER_BATCH, CorpusFormatError, Row, no_such_column

SIGNATURE = b"PAR1"
HUB_COLUMNS = {"text", "date", "user", "sentiment", "query"}
CHUNK_BYTES = 1 << 20


def is_parquet(path: Path) -> bool:
    """Tell whether the file begins like a parquet file."""
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def parquet_file(path: Path) -> ParquetFile:
    """Open a parquet file.

    Raises:
        CorpusFormatError: the file is damaged.
    """
    try:
        return ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def has_hub_columns(file: ParquetFile) -> bool:
    """Tell whether the file has the columns of Sentiment140 on the model hub."""
    return set(file.schema_arrow.names) >= HUB_COLUMNS


def parquet_rows(path: Path, on_read: OnRead, text_column: str | None) -> Iterator[Row]:
    """Read the rows. Without `text_column`, the file must have the columns of Sentiment140 on the model hub.

    Args:
        on_read: is called with all bytes of the file, in order.

    Raises:
        CorpusFormatError: the file is damaged or lacks a column.
    """
    file = parquet_file(path)
    names = file.schema_arrow.names
    text_name = text_column or ("text" if has_hub_columns(file) else None)
    if text_name not in names:
        raise no_such_column(path.name, text_name, names)
    with open(path, "rb") as raw:
        while chunk := raw.read(CHUNK_BYTES):
            on_read(chunk)
    wanted = [name for name in (text_name, *USER_NAMES, *DATE_NAMES, "sentiment") if name in names]
    number = 0
    try:
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=wanted):
            for fields in batch.to_pylist():
                number += 1
                label = fields.get("sentiment") if has_hub_columns(file) else None
                yield named_row(number, fields, text_name)._replace(label="" if label is None else str(label))
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorpusFormatError:
    reason = " ".join(str(error).split())
    return CorpusFormatError(f"{path.name} is not a readable parquet file ({reason}); download it again.")
