"""Files that are either whole or not there."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

FULL_DISK = {ENOSPC, EDQUOT, EFBIG}


class WriteError(OSError):
    """Something can't be written, most of all because the disk is full."""


@contextmanager
def explain_full_disk(path: str | Path) -> Iterator[None]:
    """Say in one sentence that the disk is full, whatever the library that writes says.

    Args:
        path: the file or folder that the block writes.

    Raises:
        WriteError: the disk is full. Other errors pass.
    """
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        if not _is_full_disk(error):
            raise
        message = (
            f"{path} can't be written, the disk is full: make room and run again; what was finished is still there"
        )
        raise WriteError(ENOSPC, message) from error


def _is_full_disk(error: Exception) -> bool:
    # Libraries in Rust put the number into their text, torch leaves it out.
    in_text = re.search(r"\(os error (\d+)\)", str(error))
    number = int(in_text[1]) if in_text else getattr(error, "errno", None)
    return number in FULL_DISK or "PytorchStreamWriter failed writing" in str(error)


def write_atomically(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 under a temporary name, flush it to disk, then rename it to `path`.

    Raises:
        WriteError: it can't be written; a file that was at `path` before is still there, and whole.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8", newline="")
        flush_to_disk(partial)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WriteError(
            error.errno, f"{path} can't be written ({error.strerror}): make room or choose another folder"
        ) from error
    return path


def flush_to_disk(path: Path) -> None:
    """Return only when the bytes of a file would survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: str | Path, value: object) -> Path:
    """Write `value` as readable JSON, whole or not at all."""
    return write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def replace_between(page: str | Path, start: str, end: str, new: str) -> None:
    """Replace what stands between two lines of a page.

    Raises:
        ValueError: the page has no such lines.
    """
    text = Path(page).read_text(encoding="utf-8")
    if start not in text or end not in text:
        raise ValueError(f"{page} has no lines {start!r} and {end!r} to put a table between")
    before, rest = text.split(start)
    write_atomically(page, f"{before}{start}\n{new}{end}{rest.split(end)[1]}")
