"""Write files so that each is either complete or absent."""

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from tempfile import TemporaryDirectory

FULL_DISK_ERRNOS = {ENOSPC, EDQUOT, EFBIG}


class WriteError(OSError):
    """A file can't be written, usually because the disk is full."""


@contextmanager
def explain_full_disk(path: str | Path) -> Iterator[None]:
    """Raise the same clear error for a full disk, whichever library does the writing.

    Args:
        path: the file or folder that the block writes.

    Raises:
        WriteError: the disk is full. Other errors pass unchanged.
    """
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        if not _is_full_disk(error):
            raise
        message = f"{path} can't be written, the disk is full: free some space and run again; finished files are kept"
        raise WriteError(ENOSPC, message) from error


def _is_full_disk(error: Exception) -> bool:
    # Libraries in Rust give the error number only in the message; torch gives none, in one of two messages.
    in_message = re.search(r"\(os error (\d+)\)", str(error))
    number = int(in_message[1]) if in_message else getattr(error, "errno", None)
    from_torch = re.search(r"PytorchStreamWriter failed writing|inline_container.*unexpected pos", str(error))
    return number in FULL_DISK_ERRNOS or from_torch is not None


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write bytes, or a text as UTF-8, to a temporary file, flush it to disk, then rename it to `path`.

    Raises:
        WriteError: the file can't be written. A file that was already at `path` is unchanged.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return publish(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        message = f"{path} can't be written ({error.strerror}): free some space or choose another folder"
        raise WriteError(error.errno, message) from error


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Make a folder inside `folder` for files that `publish` moves to their places, and delete it at the end.

    Its name is new each time, so that two processes may write the same files at once.

    Raises:
        WriteError: `folder` can't be written.
    """
    try:
        temporary = TemporaryDirectory(dir=folder, prefix=".", suffix=".partial")
    except OSError as error:
        message = f"{folder} can't be written ({error.strerror}): free some space or choose another folder"
        raise WriteError(error.errno, message) from error
    with temporary as name:
        yield Path(name)


def publish(partial: Path, path: Path) -> Path:
    """Flush a finished file, or every file of a finished folder, to disk; then rename it to `path`."""
    for file in partial.rglob("*") if partial.is_dir() else [partial]:
        if file.is_file():
            flush_to_disk(file)
    return partial.replace(path)


def flush_to_disk(path: Path) -> None:
    """Force the bytes of a file onto the disk, so that they survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: str | Path, value: object) -> Path:
    """Write `value` as JSON, with `write_atomically`; NaN and infinite numbers become null.

    Objects and lists that hold no others have a line each, so a table has a line for each row.
    """
    return write_atomically(path, _lines(_finite(value)) + "\n")


def json_text(value: object) -> str:
    """Return `value` as JSON in one line. NaN and infinite numbers, which JSON does not have, become null."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _lines(value: object, indent: str = "") -> str:
    is_object = isinstance(value, dict)
    items = list(value.values()) if is_object else value if isinstance(value, list) else []
    if not any(isinstance(item, dict | list) for item in items):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    # JSON's keys are strings.
    keys = [f"{json.dumps(str(key), ensure_ascii=False)}: " for key in value] if is_object else [""] * len(items)
    inner = f"{indent}  "
    lines = ",\n".join(f"{inner}{key}{_lines(item, inner)}" for key, item in zip(keys, items))
    begin, end = "{}" if is_object else "[]"
    return f"{begin}\n{lines}\n{indent}{end}"


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_between(page: str | Path, start: str, end: str, new: str) -> None:
    """Replace the text between the lines `start` and `end` of a text file.

    Raises:
        ValueError: the file lacks one of the two lines, or has it twice.
    """
    text = Path(page).read_text(encoding="utf-8")
    if start not in text or end not in text:
        raise ValueError(f"{page} has no lines {start!r} and {end!r}: add them where the new text belongs")
    for line in (start, end):
        if text.count(line) > 1:
            raise ValueError(f"{page} has the line {line!r} {text.count(line)} times: leave it only where it belongs")
    before, rest = text.split(start)
    write_atomically(page, f"{before}{start}\n{new}{end}{rest.split(end)[1]}")
