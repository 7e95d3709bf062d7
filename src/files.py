"""Files that are either whole or not there."""

import json
import os
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 under a temporary name, flush it to disk, then rename it to `path`.

    Raises:
        OSError: it can't be written; a file that was at `path` before is still there, and whole.
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
        raise OSError(
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
