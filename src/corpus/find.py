"""Look for the best corpus in a folder, and tell why each other file was not taken."""

import hashlib
import re
import zipfile
from contextlib import closing
from pathlib import Path

from src.corpus.opening import SENTIMENT140_CSV, training_members
from src.corpus.packaged import PACKAGES
from src.corpus.read import OWN_TWEETS, SENTIMENT140, parts_of, read_batches
from src.corpus.rows import CorpusFormatError

# Subfolders are searched to this depth.
MAX_DEPTH = 6
# What this project or a download writes into the folder is never a raw corpus and is not named.
OWN_FILES = {"readme.md", "tweets_cleaned.csv", *(Path(package.member).name.lower() for package in PACKAGES)}
OWN_SUFFIXES = {".gguf", ".part", ".partial", ".lock"}
# Files with another ending, such as pictures, are not opened.
SUFFIXES = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".js", ".zip", ".parquet"}
SUFFIXES |= {".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".xlsx", ".xls", ".arrow", ".sqlite", ".db"}
TEST_SPLIT = re.compile(r"(?:test|val|validation)\b", re.IGNORECASE)


def find_corpus(folder: Path, text_column: str | None = None) -> tuple[Path | None, tuple[str, ...]]:
    """Return the best corpus in `folder` and its subfolders, and for each other file the reason why it isn't taken.

    The best is Sentiment140 under its own name, then a zip file that holds it, then its parquet files from the model
    hub, then any other file in its format, then the tweets of a personal archive. Of several, the largest is taken.
    With `text_column`, only files that have this column are taken.
    """
    corpora, not_taken = _inspect_all(_files(folder, MAX_DEPTH), text_column)
    best = next(iter(corpora), None)
    not_taken += [(path, f"{path.name} is not as good or as large as {best.name}") for path in list(corpora)[1:]]
    return best, tuple(_with_folder(path.parent.relative_to(folder), reason) for path, reason in not_taken)


def find_sentiment140(folder: Path) -> Path | None:
    """Return the best corpus in Sentiment140's format in `folder`, without its subfolders.

    For a folder with a person's other files: none of them is taken or named.
    """
    corpora, _ = _inspect_all(_files(folder, depth=1), None)
    return next((path for path, corpus_name in corpora.items() if corpus_name == SENTIMENT140), None)


def _inspect_all(paths: list[Path], text_column: str | None) -> tuple[dict[Path, str], list[tuple[Path, str]]]:
    """Return the name of each corpus among these files by its first part, best first, and the others with reasons."""
    found, not_taken, seen = [], [], set()
    for path in paths:
        if path in seen:
            continue
        try:
            parts, corpus_name = _inspect(path, text_column)
        except CorpusFormatError as error:
            not_taken.append((path, str(error)))
        except OSError as error:
            not_taken.append((path, f"{path.name} can't be read ({error.strerror})"))
        else:
            seen.update(parts)
            size = sum(part.stat().st_size for part in parts)
            found.append((_rank(path, corpus_name), -size, path, corpus_name))
    return {path: corpus_name for _, _, path, corpus_name in sorted(found)}, not_taken


def _files(folder: Path, depth: int) -> list[Path]:
    """Return the files that may be raw corpora, down to this depth, in the order of their paths."""
    patterns = ["/".join("*" * level) for level in range(1, depth + 1)]
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return sorted(
        path
        for path in paths
        if path.is_file()
        and path.name.lower() not in OWN_FILES
        and path.suffix.lower() not in OWN_SUFFIXES
        and not any(name.startswith((".", "__MACOSX")) for name in path.relative_to(folder).parts)
    )


def _inspect(path: Path, text_column: str | None) -> tuple[list[Path], str]:
    """Return the parts of the corpus at `path` and its name, after a look at its first rows.

    Raises:
        CorpusFormatError: the file is not a corpus, or it is used only if `corpus_path` names it.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CorpusFormatError(f"{path.name} has an ending that is not supported")
    if suffix == ".parquet" and (TEST_SPLIT.match(path.name) or TEST_SPLIT.fullmatch(path.parent.name)):
        raise CorpusFormatError(f"{path.name} is a test or validation split; only training splits are used")
    with closing(read_batches(path, hashlib.sha256(), text_column)) as batches:
        corpus_name = next(batches).corpus_name
    if suffix == ".txt" and corpus_name == OWN_TWEETS and text_column is None:
        advice = "to read each line as a tweet, give the path of this file, not of its folder"
        raise CorpusFormatError(f"{path.name} may be any text; {advice}")
    return parts_of(path), corpus_name


def _rank(path: Path, corpus_name: str) -> int:
    """Return the place in the order that `find_corpus` explains, 0 for the best."""
    name = path.name.lower()
    is_zip_of_training = False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_zip_of_training = bool(training_members(archive))
    order = [
        name == SENTIMENT140_CSV,
        name == f"{SENTIMENT140_CSV}.zip",
        is_zip_of_training,
        corpus_name == SENTIMENT140 and name.endswith(".parquet"),
        corpus_name == SENTIMENT140,
        True,
    ]
    return order.index(True)


def _with_folder(folder: Path, reason: str) -> str:
    return reason if folder == Path() else f"in {folder.as_posix()}, {reason}"
