"""Open a file of tweets, plain or inside a zip file, and name the formats that can't be read."""

import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from src.corpus.rows import CorpusFormatError, shortened

SENTIMENT140_CSV = "training.1600000.processed.noemoticon.csv"
SENTIMENT140_TEST_CSV = "testdata.manual.2009.06.14.csv"
# The tweets of a personal archive of Twitter (X); a large archive has several parts.
ARCHIVE_FILE = re.compile(r"tweets?(?:-part(\d+))?\.js", re.IGNORECASE)
# Any zip file may hold a readme.txt, so text files are not looked for inside.
ZIPPED_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 16
# A zip file of tweets has a third of their size, one of JSON a tenth, a zip bomb a thousandth.
MAX_COMPRESSION = 50
# What zipfile raises for a damaged directory or an unknown compression.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
UNPACK = "unpack it and use the file inside"
SAVE_AS_CSV = "save its table as csv (UTF-8) and use that"
# What a file is, by its first bytes, and what to do.
SIGNATURES = (
    (b"\x1f\x8b", "a gzip file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"BZh", "a bzip2 file", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a", "a rar archive", UNPACK),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", SAVE_AS_CSV),
    (b"SQLite format 3", "an SQLite database", SAVE_AS_CSV),
    (b"ARROW1\0", "an Arrow file", "save it as parquet or csv and use that"),
    (b"\xff\xff\xff\xff", "an Arrow file", "save it as parquet or csv and use that"),
    (b"%PDF", "a PDF document", "use the csv with the tweets"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
)
OnRead = Callable[[bytes], None]


@dataclass
class Source:
    """A file open for reading, on disk or inside a zip file.

    Attributes:
        name: its name in messages.
        file: the open file, at its first byte.
        size: its number of bytes.
        on_read: is called with all bytes, in order, as they are read.
    """

    name: str
    file: io.BufferedReader
    size: int
    on_read: OnRead

    def head(self) -> bytes:
        """Return the first bytes, without a byte-order mark; they will be read again."""
        return self.file.peek(HEAD_BYTES)[:HEAD_BYTES].removeprefix(BYTE_ORDER_MARK)

    def content(self) -> bytes:
        """Return all bytes, without a byte-order mark."""
        content = self.file.read()
        self.on_read(content)
        return content.removeprefix(BYTE_ORDER_MARK)

    def lines(self, decode: Callable[[bytes], str], max_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
        """Read the file line by line, with line ends.

        Raises:
            CorpusFormatError: a line holds a NUL byte or has `max_bytes` or more, or the lines end in carriage returns
                alone.
        """
        head, number = self.head(), 0
        if b"\r" in head.rstrip(b"\r") and b"\n" not in head:
            raise CorpusFormatError(
                f"{self.name} has the line ends of old Macintosh programs (carriage returns alone); save it with line "
                "feeds, for example with: tr '\\r' '\\n' < FILE > NEW_FILE"
            )
        while line := self.file.readline(max_bytes):
            number += 1
            if b"\0" in line or len(line) == max_bytes:
                problem = f"has {max_bytes:,} bytes or more; use a file with at most one tweet per line"
                if b"\0" in line:
                    problem = "holds a NUL byte; export the file again as text in UTF-8"
                raise CorpusFormatError(f"{self.name}, line {number} {problem}.")
            self.on_read(line)
            # A mark also stands inside a file that was put together from several.
            yield decode(line.removeprefix(BYTE_ORDER_MARK))


def decode_utf8_or_windows(line: bytes) -> str:
    """Decode UTF-8 or, if that fails, the encoding of Western European Windows."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


@contextmanager
def open_sources(path: Path, on_read: OnRead) -> Iterator[list[Source]]:
    """Open the file at `path`, or the files of tweets inside the zip file at `path`.

    Args:
        on_read: see `Source`.

    Raises:
        CorpusFormatError: it has a format that can't be read, or the zip file doesn't hold one set of tweets.
    """
    with open(path, "rb", buffering=HEAD_BYTES) as file:
        head = file.peek(HEAD_BYTES)
        refuse_known_formats(path.name, head)
        if head.startswith(ZIP_SIGNATURES) or path.suffix.lower() == ".zip":
            with _open_members(path.name, file, on_read) as sources:
                yield sources
        else:
            yield [Source(path.name, file, path.stat().st_size, on_read)]


@contextmanager
def _open_members(name: str, file: BinaryIO, on_read: OnRead) -> Iterator[list[Source]]:
    try:
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(file))
            sources, members = [], _members(archive, name)
            for member in members:
                # Without a buffer, reading lines from a zip member is slow.
                unpacked = stack.enter_context(io.BufferedReader(archive.open(member), 1 << 20))
                member_name = name if len(members) == 1 else f"{name}, {member.filename}"
                refuse_known_formats(member_name, unpacked.peek(HEAD_BYTES))
                sources.append(Source(member_name, unpacked, member.file_size, on_read))
            yield sources
    except CorpusFormatError:
        raise
    except ZIP_ERRORS as error:
        raise CorpusFormatError(f"{name} is not a readable zip file ({error}); download it again.") from error


def refuse_known_formats(name: str, head: bytes) -> None:
    """Raise CorpusFormatError if `head` begins a file of a known format that can't be read as tweets, or is empty."""
    if not head.removeprefix(BYTE_ORDER_MARK).strip():
        raise CorpusFormatError(f"{name} is empty; use another file.")
    for signature, kind, remedy in SIGNATURES:
        if head.startswith(signature):
            raise CorpusFormatError(f"{name} is {kind}; {remedy}.")
    if b"\0" in head[:4]:
        raise CorpusFormatError(f"{name} is UTF-16 text or no text at all; save it as UTF-8.")
    if head.removeprefix(BYTE_ORDER_MARK).lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise CorpusFormatError(f"{name} is a web page, perhaps one that asks to log in; download the file itself.")


def training_members(archive: zipfile.ZipFile) -> list[str]:
    """Return the members of a zip file that have the name of Sentiment140's training csv."""
    return [name for name in archive.namelist() if Path(name).name.lower() == SENTIMENT140_CSV]


def archive_parts(names: Iterable[str]) -> list[str]:
    """Return the paths that have a name of a personal archive's tweets, by the number of the part."""
    found = [(ARCHIVE_FILE.fullmatch(name.rpartition("/")[2]), name) for name in names]
    return [name for _, name in sorted((int(match[1] or 0), name) for match, name in found if match)]


def _members(archive: zipfile.ZipFile, file_name: str) -> list[zipfile.ZipInfo]:
    # macOS adds a file ._name.csv for each name.csv.
    names = [name for name in archive.namelist() if not name.rpartition("/")[2].startswith("._")]
    if {"xl/workbook.xml", "content.xml"} & set(names):
        raise CorpusFormatError(f"{file_name} is a spreadsheet; {SAVE_AS_CSV}.")
    csvs = [name for name in names if name.lower().endswith(".csv")]
    not_test = [name for name in csvs if not name.lower().endswith(SENTIMENT140_TEST_CSV)]
    others = [name for name in names if name.lower().endswith(ZIPPED_SUFFIXES)]
    parts = archive_parts(names)
    chosen = training_members(archive) or parts or not_test or others
    if len(chosen) != 1 and chosen is not parts:
        held = f", but {', '.join(map(shortened, names[:3]))}" if names and not chosen else ""
        advice = "zip only the one with the tweets, or unpack it" if chosen else UNPACK
        raise CorpusFormatError(f"{file_name} holds {len(chosen)} csv or JSON files{held}; {advice}.")
    members = [archive.getinfo(name) for name in chosen]
    for member in members:
        _refuse_dangerous(member, file_name)
    return members


def _refuse_dangerous(member: zipfile.ZipInfo, file_name: str) -> None:
    if member.flag_bits & 0x1:
        raise CorpusFormatError(f"{file_name} is encrypted; unzip it and use the csv.")
    if member.file_size > MAX_COMPRESSION * max(member.compress_size, MAX_LINE_BYTES):
        raise CorpusFormatError(
            f"{file_name} would grow from {member.compress_size:,} to {member.file_size:,} bytes, too much for tweets; "
            "unzip it if you trust it, and use the csv."
        )
