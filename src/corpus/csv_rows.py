"""Parse csv row by row, so that a malformed row costs no other."""

import csv
import re
from collections.abc import Callable, Iterator
from itertools import islice

MAX_LINES_PER_ROW = 100
# First line number, fields, and why the row can't be used ("" if it can).
CsvRow = tuple[int, list[str], str]


def csv_rows(
    lines: Iterator[str],
    problem_of: Callable[[list[str]], str],
    row_start: re.Pattern | None = None,
    delimiter: str = ",",
    first_line: int = 1,
) -> Iterator[CsvRow]:
    """Parse each row with its own csv reader, and continue at the next line after a bad row.

    With a single reader, an unbalanced quote would swallow the rows after it. Rows without any text are skipped:
    editors and spreadsheets add them, and csv files written on Windows often have one after each row.

    Args:
        problem_of: tells why a row with these fields can't be used, or "".
        row_start: matches the start of a line that can only begin a row.
        first_line: number of the first of `lines`.
    """
    number, window = first_line, list(islice(lines, MAX_LINES_PER_ROW))
    while window:
        reader = csv.reader(window, strict=True, delimiter=delimiter)
        try:
            fields = next(reader)
            is_blank = not any(map(str.strip, fields))
            problem = "" if is_blank else problem_of(fields)
        except csv.Error as error:
            fields, problem, is_blank = [], f"malformed csv ({error})", False
        used = 1 if problem or is_blank else reader.line_num
        if row_start and used > 1 and any(row_start.match(line) for line in islice(window, 1, used)):
            problem, used = "unbalanced quote", 1
        if not is_blank:
            yield number, fields, problem
        number += used
        del window[:used]
        window += islice(lines, used)
