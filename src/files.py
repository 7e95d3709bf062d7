"""Files that are either whole or not there."""

import json
import os
from pathlib import Path


def write_atomically(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 under a temporary name, flush it to disk, then rename it to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def write_json(path: str | Path, value: object) -> Path:
    """Write `value` as readable JSON, whole or not at all."""
    return write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
