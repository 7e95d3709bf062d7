"""Read files in the format of Sentiment140: which rows become tweets, and which files are refused."""

import json
import random
from pathlib import Path

import pytest

from src.corpus.load import read_sentiment140
from src.corpus.sentiment140 import SENTIMENT140_CSV, BadRow, CorpusFormatError
from tests.corpus.made_files import row, sha256, write_csv, write_zip

SAMPLE = Path(__file__).parents[2] / "../shared/data/sentiment140-sample.csv.zip"

# Reading


def test_csv_and_zip_give_the_same_corpus(tmp_path):
    path = write_csv(tmp_path, row(1, "one"), row(2, "two", user="bob"), row(3, " "))
    plain = read_sentiment140(path)
    packed = read_sentiment140(write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": path.read_bytes()}))
    assert plain.tweets.equals(packed.tweets)
    assert plain.tweets.to_dict("list") == {
        "text": ["one", "two"],
        "user": ["ada", "bob"],
        "date": ["Mon Apr 06 22:19:45 PDT 2009"] * 2,
    }
    assert list(plain.tweets.index) == [0, 1]
    assert plain.bad_rows == packed.bad_rows == (BadRow(3, "empty text"),)
    assert plain.sha256 == packed.sha256 == sha256(path.read_bytes())
    assert (plain.name, plain.source, packed.source) == ("sentiment140", "tweets.csv", "tweets.csv.zip")


def test_line_breaks_doubled_quotes_and_latin1_bytes_are_kept(tmp_path):
    texts = ["a\nb\r\n\nc", 'she said ""hi""', "caf\xe9 \xff\x85", "commas, too", "NA", " spaces "]
    path = write_csv(tmp_path, *(row(number, text) for number, text in enumerate(texts)), row(9, polarity="1"))
    read = read_sentiment140(path)
    assert list(read.tweets["text"]) == [text.replace('""', '"') for text in texts]
    assert read.bad_rows == (BadRow(10, "polarity '1' is not 0, 2 or 4"),)


def test_windows_line_ends_unquoted_fields_and_a_missing_last_line_end_are_read(tmp_path):
    path = write_csv(tmp_path, row(1).replace("\n", "\r\n"), "4,2,,NO_QUERY,,fine thanks")
    assert list(read_sentiment140(path).tweets["text"]) == ["good morning", "fine thanks"]
    assert list(read_sentiment140(path).tweets["date"])[1] == ""


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(2, polarity="7"), "polarity '7' is not 0, 2 or 4"),
        (row("two"), "id 'two' is not a number"),
        (row("\xb2"), "id '\xb2' is not a number"),
        (row(2, "  "), "empty text"),
        ('"0","2","only three"\n', "3 columns instead of 6"),
        (row(2, 'one","two'), "7 columns instead of 6"),
        ("\n", "0 columns instead of 6"),
        (row(2, 'a "b" c'), "malformed csv"),
        (row(2)[:-2] + "\n", "malformed csv"),
        (row(2).replace('"', "").replace("good", '"good'), "malformed csv"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_all_others_are_read(tmp_path, bad, reason):
    path = write_csv(tmp_path, row(1, "two\nlines"), bad, *(row(number, "next") for number in range(3, 303)))
    read = read_sentiment140(path)
    assert [bad_row.line for bad_row in read.bad_rows] == [3]
    assert read.bad_rows[0].reason.startswith(reason)
    assert list(read.tweets["text"]) == ["two\nlines"] + ["next"] * 300


def test_a_quote_that_closes_rows_later_does_not_swallow_rows(tmp_path):
    lines = ['0,1,,q,ada,"open\n', "0,2,,q,ada,fine\n", '0,3,,q,ada,5"\n', *["4,4,,q,ada,next\n"] * 3]
    read = read_sentiment140(write_csv(tmp_path, *lines))
    assert read.bad_rows == (BadRow(1, "unbalanced quote"),)
    assert list(read.tweets["text"]) == ["fine", '5"', "next", "next", "next"]


def test_with_random_faults_every_row_is_either_a_tweet_or_bad(tmp_path):
    rng = random.Random(5)
    faults = [row("x"), row(1, ""), row(1)[:-2] + "\n", "4,1,,q,ada\n", row(1, 'so "so" so')]
    rows = [rng.choice(faults) if rng.random() < 0.2 else row(7) for _ in range(5_000)]
    read = read_sentiment140(write_csv(tmp_path, *rows))
    assert [bad_row.line for bad_row in read.bad_rows] == [n for n, r in enumerate(rows, 1) if r != row(7)]
    assert len(read.tweets) == rows.count(row(7))


def test_the_record_is_json_with_at_most_20_bad_rows(tmp_path):
    path = write_csv(tmp_path, *(row(number, "" if number % 2 else "fine") for number in range(60)))
    record = read_sentiment140(path).record()
    assert json.loads(json.dumps(record)) == record
    assert (record["rows"], record["bad_rows"], len(record["first_bad_rows"])) == (30, 30, 20)
    assert record["first_bad_rows"][0] == {"line": 2, "reason": "empty text"}
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the Sentiment140 sample is not available")
def test_the_real_sample_reads_without_a_bad_row():
    read = read_sentiment140(SAMPLE)
    assert read.sha256 == "efa23b01c84e0b39948367c95567ada91997908004259dff766e8c7d3cd3d3e4"
    assert (len(read.tweets), read.bad_rows) == (284_788, ())


# Refusing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"tweets\.csv is empty"),
        ("target,ids,date,flag,user,text\n" + row(1), r"tweets\.csv, line 1 is a header; remove it"),
        ("text,label\nhello,1\nthere,0\n", r"tweets\.csv, line 1: 2 columns instead of 6 \(3 of the first 3"),
        (row(1) + '"0","1"\n' * 2, r"tweets\.csv, line 2: 2 columns instead of 6 \(2 of the first 3"),
        (row(1) + row(2, "a\0b"), r"tweets\.csv, line 2 holds a NUL byte"),
        (row(1) + row(2, "a" * 70_000), r"tweets\.csv, line 2 has 65,536 bytes or more"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=message) as refusal:
        read_sentiment140(write_csv(tmp_path, content))
    assert "six columns (polarity, id, date, query, user, text)" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_truncated_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1) * 500})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip is not a readable zip file"):
        read_sentiment140(path)


def test_a_zip_with_damaged_content_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": "".join(row(n) for n in range(3_000))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip"):
        read_sentiment140(path)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1)})
    content = bytearray(path.read_bytes())
    # The lowest flag bit of the local and of the central header marks a member as encrypted.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CorpusFormatError, match="is encrypted; unzip it"):
        read_sentiment140(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1) * 100_000})
    with pytest.raises(
        CorpusFormatError, match=r"would grow from [\d,]+ to [\d,]+ bytes, too much for tweets; unzip it"
    ):
        read_sentiment140(path)


def test_a_member_with_a_path_outside_the_folder_is_read_but_never_written(tmp_path):
    (tmp_path / "deep").mkdir()
    path = write_zip(tmp_path / "deep" / "tweets.zip", **{"../../evil.csv": row(1, "hello there")})
    assert list(read_sentiment140(path).tweets["text"]) == ["hello there"]
    assert [each.name for each in tmp_path.rglob("*.csv")] == []


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["a.csv", "b.csv"]])
def test_a_zip_without_exactly_one_csv_is_refused(tmp_path, names):
    path = write_zip(tmp_path / "tweets.csv.zip", **dict.fromkeys(names, row(1)))
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip holds [02] csv files"):
        read_sentiment140(path)


def test_the_known_member_is_found_among_others(tmp_path):
    members = {SENTIMENT140_CSV: row(1, "train"), "testdata.manual.2009.06.14.csv": row(2, "test")}
    assert list(read_sentiment140(write_zip(tmp_path / "both.zip", **members)).tweets["text"]) == ["train"]
    members = {"tweets.csv": row(1, "mine"), "__MACOSX/._tweets.csv": "attributes"}
    assert list(read_sentiment140(write_zip(tmp_path / "mac.zip", **members)).tweets["text"]) == ["mine"]
