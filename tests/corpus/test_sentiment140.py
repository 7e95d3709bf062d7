"""Read files in the format of Sentiment140: which rows become tweets, and which files are refused."""

import csv
import io
import json
import random
from pathlib import Path

import pytest

from src.corpus.load import read_sentiment140
from src.corpus.opening import SENTIMENT140_CSV
from src.corpus.rows import BadRow, CorpusFormatError
from src.text.cleaning import normalize_tweet
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
    path = write_csv(tmp_path, *(row(number, text) for number, text in enumerate(texts)), row("nine"))
    read = read_sentiment140(path)
    assert list(read.tweets["text"]) == [text.replace('""', '"') for text in texts]
    assert read.bad_rows == (BadRow(10, "id 'nine' is not a number"),)


def test_windows_line_ends_unquoted_fields_and_a_missing_last_line_end_are_read(tmp_path):
    path = write_csv(tmp_path, row(1).replace("\n", "\r\n"), "4,2,,NO_QUERY,,fine thanks")
    assert list(read_sentiment140(path).tweets["text"]) == ["good morning", "fine thanks"]
    assert list(read_sentiment140(path).tweets["date"])[1] == ""


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("two"), "id 'two' is not a number"),
        (row("\xb2"), "id '\xb2' is not a number"),
        (row(2, "  "), "empty text"),
        ('"0","2","only three"\n', "3 columns instead of 6"),
        (row(2, 'one","two'), "7 columns instead of 6"),
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
    rows = [rng.choice(faults) if rng.random() < 0.008 else row(7) for _ in range(5_000)]
    read = read_sentiment140(write_csv(tmp_path, *rows))
    assert [bad_row.line for bad_row in read.bad_rows] == [n for n, r in enumerate(rows, 1) if r != row(7)]
    assert len(read.tweets) == rows.count(row(7))


def test_the_record_is_json_with_at_most_20_bad_rows(tmp_path):
    path = write_csv(tmp_path, *(row(number, "" if number % 101 == 1 else "fine") for number in range(3_000)))
    record = read_sentiment140(path).record()
    assert json.loads(json.dumps(record)) == record
    assert (record["rows"], record["bad_rows"], len(record["first_bad_rows"])) == (2_970, 30, 20)
    assert record["first_bad_rows"][0] == {"line": 2, "reason": "empty text"}
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_file(), reason="the Sentiment140 sample is not available")
def test_the_real_sample_reads_without_a_bad_row():
    read = read_sentiment140(SAMPLE)
    assert read.sha256 == "efa23b01c84e0b39948367c95567ada91997908004259dff766e8c7d3cd3d3e4"
    assert (len(read.tweets), read.bad_rows) == (284_788, ())


# Labels, blank lines, marks, headers


def sorted_rows(labels, count=300):
    """Rows with these labels, sorted as the original is, with texts that tell them apart."""
    return [row(number, f"text {label} {number}", label) for label in labels for number in range(count)]


@pytest.mark.parametrize(
    ("labels", "unusual"),
    [
        (["0", "4"], {}),
        (["0", "1"], {"1": 300}),
        (["-1", "0", "1"], {"-1": 300, "1": 300}),
        (["negative", "positive"], {"negative": 300, "positive": 300}),
        (["0.0", "4.0"], {"0.0": 300, "4.0": 300}),
        (["", "4"], {}),
    ],
)
def test_any_label_is_accepted_and_unusual_ones_are_counted(tmp_path, labels, unusual):
    rows = sorted_rows(labels)
    read = read_sentiment140(write_csv(tmp_path, *rows))
    assert list(read.tweets["text"]) == [f"text {label} {number}" for label in labels for number in range(300)]
    assert (read.unusual_labels, read.bad_rows) == (unusual, ())
    assert read.record().get("unusual_labels", {}) == unusual


@pytest.mark.parametrize("number", ["1467810369", "1467810369.0", "1.46781E+09", "1,46781E+09", " 7 "])
def test_ids_that_passed_through_a_spreadsheet_are_accepted(tmp_path, number):
    assert read_sentiment140(write_csv(tmp_path, row(number))).bad_rows == ()


@pytest.mark.parametrize(
    ("num_good", "num_bad"), [(49, 1), (10, 3), (400, 4), (9_900, 100)], ids=["of 50", "of 13", "1%", "1% of 10,000"]
)
def test_few_bad_rows_are_reported_and_stop_nothing(tmp_path, num_good, num_bad):
    read = read_sentiment140(write_csv(tmp_path, *[row(1)] * num_good, *['"0","1"\n'] * num_bad))
    assert (len(read.tweets), len(read.bad_rows)) == (num_good, num_bad)


@pytest.mark.parametrize(("num_good", "num_bad"), [(3_000, 3_000), (95, 5), (9_890, 110), (5_000, 51)])
@pytest.mark.parametrize("bad_rows_first", [False, True])
def test_a_file_with_more_bad_rows_than_a_few_is_refused(tmp_path, num_good, num_bad, bad_rows_first):
    good, bad = [row(1)] * num_good, ['"0","1"\n', row("x"), *[row(2, " ")] * (num_bad - 2)]
    path = write_csv(tmp_path, *(bad + good if bad_rows_first else good + bad))
    with pytest.raises(CorpusFormatError, match=r"line \d+: 2 columns instead of 6 \([\d,]+ of .* are bad") as refusal:
        read_sentiment140(path)
    first = 1 if bad_rows_first else num_good + 1
    assert f"also line {first + 1}: id 'x' is not a number; line {first + 2}: empty text" in str(refusal.value)


@pytest.mark.parametrize("blank", ["\n", "\r\n", "  \t \n", ",,,,,\n", '"","","","","",""\n'])
@pytest.mark.parametrize("count", [1, 3])
def test_blank_lines_are_skipped_and_not_counted(tmp_path, blank, count):
    rows = [blank * count + row(number, f"text {number}") for number in range(50)]
    read = read_sentiment140(write_csv(tmp_path, *rows, blank, row("x")))
    assert list(read.tweets["text"]) == [f"text {number}" for number in range(50)]
    assert read.bad_rows == (BadRow(50 * (count + 1) + 2, "id 'x' is not a number"),)


def test_a_csv_that_windows_wrote_with_doubled_line_ends_is_read(tmp_path):
    texts = [f"text {number}" for number in range(50)]
    for line_end in ("\r\r\n", "\r\n\r\n", "\n\r\n"):
        path = write_csv(tmp_path, *(row(1, text).replace("\n", line_end) for text in texts))
        read = read_sentiment140(path)
        assert (list(read.tweets["text"]), read.bad_rows) == (texts, ())


@pytest.mark.parametrize("odd", ["sep=,\n", "# tweets of 2009\n", "a,b,c,d,e,f\n"])
def test_an_odd_first_line_is_one_bad_row(tmp_path, odd):
    read = read_sentiment140(write_csv(tmp_path, odd, row(1, "one"), row(2, "two")))
    assert (list(read.tweets["text"]), [bad.line for bad in read.bad_rows]) == (["one", "two"], [1])


@pytest.mark.parametrize("header", ["target,ids,date,flag,user,text", '"polarity","id","date","query","user","Tweet"'])
@pytest.mark.parametrize("before", ["", "\n", "\xef\xbb\xbf"])
def test_a_header_is_read_past(tmp_path, header, before):
    read = read_sentiment140(write_csv(tmp_path, before, header + "\n", row(1, "one")))
    assert (list(read.tweets["text"]), read.bad_rows) == (["one"], ())


def test_a_header_with_the_columns_in_another_order_is_refused(tmp_path):
    path = write_csv(tmp_path, "text,id,date,flag,user,target\n", '"hi there","1","","","ada","0"\n')
    with pytest.raises(CorpusFormatError, match=r"text_column.*; its columns are text, id, date, flag, user, target"):
        read_sentiment140(path)


def test_a_byte_order_mark_costs_no_row(tmp_path):
    mark = "\xef\xbb\xbf"
    path = write_csv(tmp_path, mark + row(1, "one"), row(2, "two"), mark + row(3, "from a second file"))
    read = read_sentiment140(path)
    assert (list(read.tweets["text"]), read.bad_rows) == (["one", "two", "from a second file"], ())
    assert read.sha256 == sha256(path.read_bytes())


def test_a_copy_in_utf8_gives_the_same_texts_once_normalised(tmp_path):
    text = "na\xefve caf\xe9 at 8\xbd"
    latin1 = read_sentiment140(write_csv(tmp_path, row(1, text), name="latin1.csv"))
    (tmp_path / "utf8.csv").write_text(row(1, text), encoding="utf-8")
    utf8 = read_sentiment140(tmp_path / "utf8.csv")
    assert normalize_tweet(utf8.tweets["text"][0]) == normalize_tweet(latin1.tweets["text"][0])


# Other delimiters


def separated(delimiter, quoting, texts):
    """Rows as a spreadsheet writes them, with an id such as 1,46781E+09 or 1.46781E+09."""
    content = io.StringIO()
    number = "1.46781E+09" if delimiter == "," else "1,46781E+09"
    rows = [["0", number, "Mon, 06 Apr 2009 22:19:45 +0000", "NO_QUERY", "ada", text] for text in texts]
    csv.writer(content, delimiter=delimiter, quoting=quoting).writerows(rows)
    return content.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("before", ["", "\xef\xbb\xbf", "\r\n", "target;ids;date;flag;user;text\r\n"])
@pytest.mark.parametrize("name", ["tweets.csv", "tweets.tsv", "tweets.txt"])
def test_columns_may_be_separated_by_semicolons_or_tabs(tmp_path, delimiter, quoting, before, name):
    texts = ["hello; my, friend", "two\nlines", 'a "quoted"\tword', *["next"] * 20]
    path = write_csv(tmp_path, before.replace(";", delimiter) + separated(delimiter, quoting, texts), name=name)
    read = read_sentiment140(path)
    assert (list(read.tweets["text"]), read.bad_rows) == (texts, ())
    assert set(read.tweets["date"]) == {"Mon, 06 Apr 2009 22:19:45 +0000"}
    assert set(read.tweets["user"]) == {"ada"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_an_unbalanced_quote_between_other_delimiters_costs_one_row(tmp_path, delimiter):
    good = separated(delimiter, csv.QUOTE_ALL, ["fine", 'the "end"'])
    read = read_sentiment140(write_csv(tmp_path, separated(delimiter, csv.QUOTE_ALL, ["open"])[:-3] + "\n", good))
    assert [bad.line for bad in read.bad_rows] == [1]
    assert list(read.tweets["text"]) == ["fine", 'the "end"']


# Refusing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nhello,1\nthere,0\n", r"tweets\.csv, line 1: 2 columns instead of 6 \(3 of the first 3"),
        (row(1) + '"0","1"\n' * 2, r"tweets\.csv, line 2: 2 columns instead of 6 \(2 of the first 3"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=message) as refusal:
        read_sentiment140(write_csv(tmp_path, content))
    assert "six columns (polarity, id, date, query, user, text)" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"tweets\.csv is empty; use another file\."),
        (row(1) + row(2, "a\0b"), r"tweets\.csv, line 2 holds a NUL byte; export the file again as text in UTF-8\."),
        (
            row(1) + row(2, "a" * 70_000),
            r"tweets\.csv, line 2 has 65,536 bytes or more; use a file with at most one tweet per line\.",
        ),
    ],
)
def test_a_file_with_a_known_fault_is_refused_with_advice_that_fits(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=f"^{message}$"):
        read_sentiment140(write_csv(tmp_path, content))


@pytest.mark.parametrize("name", ["tweets", "tweets.md", "tweets.text"])
def test_a_text_with_another_ending_needs_only_the_ending_of_text_files(tmp_path, name):
    advice = (
        r"if each line is a tweet, give the file the ending \.txt; if it is a table, set text_column to its column of"
    )
    with pytest.raises(CorpusFormatError, match=rf"^{name} may be any text; {advice} texts\.$"):
        read_sentiment140(write_csv(tmp_path, "so happy today, really\nand tomorrow\n", name=name))
    assert len(read_sentiment140(write_csv(tmp_path, row(1), name=name)).tweets) == 1


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
    advice = (
        "zip only the one with the tweets, or unpack it" if len(names) == 2 else "unpack it and use the file inside"
    )
    with pytest.raises(CorpusFormatError, match=rf"tweets\.csv\.zip holds [02] csv or JSON files.*; {advice}"):
        read_sentiment140(path)


def test_the_known_member_is_found_among_others(tmp_path):
    members = {SENTIMENT140_CSV: row(1, "train"), "testdata.manual.2009.06.14.csv": row(2, "test")}
    assert list(read_sentiment140(write_zip(tmp_path / "both.zip", **members)).tweets["text"]) == ["train"]
    members = {"tweets.csv": row(1, "mine"), "__MACOSX/._tweets.csv": "attributes"}
    assert list(read_sentiment140(write_zip(tmp_path / "mac.zip", **members)).tweets["text"]) == ["mine"]
