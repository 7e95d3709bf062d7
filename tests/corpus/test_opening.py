"""Files that are not what their name says: each is named for what it is, with what to do."""

import bz2
import gzip
import lzma

import pytest

from src.corpus.load import read_corpus
from src.corpus.rows import CorpusFormatError
from tests.corpus.made_files import row, write_zip

CSV = "".join(row(number) for number in range(50))
PAGE = "<!DOCTYPE html>\n<html><body>Log in to download this file</body></html>"


@pytest.mark.parametrize("name", ["tweets.csv", "tweets.csv.gz", "tweets.zip", "tweets.txt", "TWEETS.CSV", "tweets"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CSV.encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (CSV.encode("utf-16-le"), "is UTF-16 text .*; save it as UTF-8"),
        (CSV.encode("utf-16-be"), "is UTF-16 text .*; save it as UTF-8"),
        (gzip.compress(CSV.encode()), "is a gzip file; unpack it"),
        (lzma.compress(CSV.encode()), "is an xz file; unpack it"),
        (bz2.compress(CSV.encode()), "is a bzip2 file; unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive; unpack it"),
        (b"Rar!\x1a\x07\x01\0", "is a rar archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel workbook; save its table as csv"),
        (b"SQLite format 3\0", "is an SQLite database; save its table as csv"),
        (b"\xff\xff\xff\xff\x80\0\0\0", "is an Arrow file; save it as parquet or csv"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (PAGE.encode(), "is a web page, perhaps one that asks to log in"),
        (("\ufeff \n" + PAGE.upper()).encode(), "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a pointer of Git LFS; .*git lfs pull"),
        (b"PAR1" + b"\0" * 60, "is not a readable parquet file"),
    ],
)
def test_a_file_of_a_known_format_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusFormatError, match=rf"^{name} {message}") as refusal:
        read_corpus(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["tweets.xlsx", "tweets.csv"])
@pytest.mark.parametrize("member", ["xl/workbook.xml", "content.xml"])
def test_a_spreadsheet_is_named(tmp_path, name, member):
    path = write_zip(tmp_path / name, **{member: "<a/>", "[Content_Types].xml": "<a/>"})
    with pytest.raises(CorpusFormatError, match=f"{name} is a spreadsheet; save its table as csv"):
        read_corpus(path)


def test_json_in_place_of_csv_is_named_by_its_fields(tmp_path):
    for content in ('[{"id": 1, "body": "hi there"}]', '\ufeff {"id": 1, "body": "hi there"}\n'):
        (tmp_path / "tweets.csv").write_text(content, encoding="utf-8")
        with pytest.raises(CorpusFormatError, match=r"tweets\.csv needs text_column.*; its columns are id, body"):
            read_corpus(tmp_path / "tweets.csv")


def test_a_zip_file_is_recognised_by_its_content(tmp_path):
    path = write_zip(tmp_path / "tweets.csv", **{"TWEETS.CSV": CSV})
    assert len(read_corpus(path).tweets) == 50


def test_a_packed_file_inside_a_zip_file_is_named(tmp_path):
    path = write_zip(tmp_path / "tweets.zip", **{"tweets.csv": CSV.encode("utf-16")})
    with pytest.raises(CorpusFormatError, match=r"tweets\.zip is UTF-16 text"):
        read_corpus(path)


def test_a_zip_file_without_tweets_names_what_it_holds(tmp_path):
    path = write_zip(tmp_path / "photos.zip", **{"a.png": "x", "b.parquet": "x"})
    with pytest.raises(
        CorpusFormatError, match=r"photos\.zip holds 0 csv or JSON files, but a\.png, b\.parquet; unpack it and use"
    ):
        read_corpus(path)


MAC_FILES = [
    ("tweets.csv", CSV, None),
    ("tweets.csv", CSV * 100, None),
    ("tweets.csv", "target,ids,date,flag,user,text\n" + CSV, None),
    ("tweets.csv", "id,text\n1,good morning\n", "text"),
    ("tweets.txt", "good morning\nsee you\n", None),
    ("tweets.txt", "good morning\nsee you", None),
    ("tweets.jsonl", '{"text": "good morning"}\n{"text": "see you"}\n', "text"),
]


@pytest.mark.parametrize(("name", "content", "text_column"), MAC_FILES)
def test_line_ends_of_old_macintosh_programs_are_named(tmp_path, name, content, text_column):
    content = content.replace("\n", "\r")
    (tmp_path / name).write_bytes(content.encode())
    write_zip(tmp_path / "packed.zip", **{name.replace(".txt", ".csv"): content})
    for path in (tmp_path / name, tmp_path / "packed.zip"):
        with pytest.raises(CorpusFormatError, match=r"old Macintosh programs \(carriage returns alone\); save it"):
            read_corpus(path, text_column)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r\r\n", "\r\n\r\n"])
def test_a_carriage_return_inside_a_tweet_is_no_line_end(tmp_path, line_end):
    texts = [f"one\r{number}" for number in range(5_000)]
    content = "".join(row(number, text).replace("\n", line_end) for number, text in enumerate(texts))
    (tmp_path / "tweets.csv").write_bytes(content.encode())
    assert list(read_corpus(tmp_path / "tweets.csv").tweets["text"]) == texts
