"""Read a person's own tweets: text files, tables and JSON with a named column, and personal archives."""

import json

import pytest

from src.corpus.large_corpus import LargeCorpus
from src.corpus.load import load_corpus, read_corpus, read_sentiment140
from src.corpus.rows import BadRow, CorpusFormatError
from src.data_utils import prepare_tweets
from tests.corpus.made_files import row, sha256, write_zip

DATE = "Wed Oct 10 20:19:24 +0000 2018"


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def texts(path, text_column=None):
    return list(load_corpus(path, text_column=text_column).tweets["text"])


# Text files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n\n"])
def test_every_line_of_a_text_file_is_a_tweet(tmp_path, encoding, line_end):
    lines = ["so \u201cfast\u201d, it\u2019s a caf\xe9", '"quoted', "[photo] of my tea", "{ braces }"]
    path = write(tmp_path / "mine.txt", line_end.join(lines), encoding)
    read = read_corpus(path)
    assert read.tweets.to_dict("list") == {"text": lines, "user": [""] * 4, "date": [""] * 4}
    assert (read.name, read.source, read.sha256) == ("own-tweets", "mine.txt", sha256(path.read_bytes()))
    assert read.bad_rows == ()


def test_a_text_file_in_the_format_of_sentiment140_is_read_as_such(tmp_path):
    path = write(tmp_path / "training.txt", row(1, "one") + row(2, "two"))
    assert (read_corpus(path).name, texts(path)) == ("sentiment140", ["one", "two"])


@pytest.mark.parametrize("text_column", [None, "tweet"])
@pytest.mark.parametrize(
    "name", ["mine.txt", "mine.csv", "mine.json", "mine.jsonl", "mine.parquet", "mine.md", "tweets.js"]
)
@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_named(tmp_path, name, content, text_column):
    with pytest.raises(CorpusFormatError, match=rf"^{name} is empty; use another file\.$"):
        load_corpus(write(tmp_path / name, content), text_column=text_column)


@pytest.mark.parametrize(
    ("header", "text_column"),
    [("id,text\n", "text"), ("id,text\n\n", "text"), ("target,ids,date,flag,user,text\n", None)],
)
def test_a_header_without_rows_is_named(tmp_path, header, text_column):
    with pytest.raises(CorpusFormatError, match=r"^mine\.csv has no rows; use another file\.$"):
        load_corpus(write(tmp_path / "mine.csv", header), text_column=text_column)


def test_own_tweets_are_not_taken_for_sentiment140(tmp_path):
    with pytest.raises(CorpusFormatError, match=r"mine\.txt is not in the format of Sentiment140"):
        read_sentiment140(write(tmp_path / "mine.txt", "so happy today\n"))


# Tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\r\n"])
def test_the_named_column_of_a_table_is_read(tmp_path, delimiter, start):
    header = delimiter.join(["id", "created_at", "body", "username"])
    rows = [delimiter.join(["1", DATE, '"hi, ""you""; there\nagain"', "ada"]), delimiter.join(["2", "", "NA", ""])]
    path = write(tmp_path / "mine.csv", start + "\r\n".join([header, "", *rows, delimiter * 3, ""]))
    read = load_corpus(path, text_column="body")
    assert read.tweets.to_dict("list") == {
        "text": ['hi, "you"; there\nagain', "NA"],
        "user": ["ada", ""],
        "date": [DATE, ""],
    }
    assert (read.name, read.bad_rows, read.left_out) == ("own-tweets", (), {})


def test_a_column_of_sentiment140_with_a_header_can_be_named(tmp_path):
    path = write(tmp_path / "kaggle.csv", "target,ids,date,flag,user,text\n" + row(1, "one"))
    assert texts(path, "text") == ["one"]


def test_rows_with_too_few_columns_are_bad_and_those_without_text_are_left_out(tmp_path):
    rows = ["1,fine", "2", "3,", "4,  ", "5,good"]
    read = load_corpus(write(tmp_path / "mine.csv", "\n".join(["id,text", *rows])), text_column="text")
    assert list(read.tweets["text"]) == ["fine", "good"]
    assert read.bad_rows == (BadRow(3, "1 columns instead of 2"),)
    assert read.record()["left_out"] == {"without_text": 2}
    assert read.unused_rows == {"bad_rows": 1, "without_text": 2}


@pytest.mark.parametrize(("header", "name"), [("id,text,text", "text"), ("user, text,user", "user")])
def test_a_column_that_is_named_twice_is_refused(tmp_path, header, name):
    path = write(tmp_path / "mine.csv", f"{header}\n1,good morning,good night\n")
    with pytest.raises(CorpusFormatError, match=rf"mine\.csv has 2 columns '{name}'; rename or delete all but one\."):
        load_corpus(path, text_column="text")


def test_other_columns_may_be_named_twice(tmp_path):
    assert texts(write(tmp_path / "mine.csv", "text,,\ngood morning,1,2\n"), "text") == ["good morning"]


def test_a_table_with_unquoted_commas_in_its_texts_is_refused(tmp_path):
    rows = ["1,fine", "2,well, then", "3,a, b, c", "4,d, e", "5,f, g"]
    with pytest.raises(CorpusFormatError, match=r"line 3: 3 columns instead of 2 \(4 of the first 5 rows are bad"):
        load_corpus(write(tmp_path / "mine.csv", "\n".join(["id,text", *rows])), text_column="text")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.csv", "id;body\n1;hi there\n"),
        ("mine.jsonl", '{"id": 1, "body": "hi there"}\n'),
        ("mine.json", '[{"id": 1, "body": "hi there"}]'),
    ],
)
def test_a_missing_column_names_those_that_exist(tmp_path, name, content):
    with pytest.raises(CorpusFormatError, match=f"{name} has no column 'text'; .*; its columns are id, body"):
        load_corpus(write(tmp_path / name, content), text_column="text")


def test_a_named_column_of_a_file_without_a_header_shows_no_tweet(tmp_path):
    for content in (row(1, "a private text"), row(1, "a private text").replace('","', '";"')):
        path = write(tmp_path / "training.csv", content)
        with pytest.raises(
            CorpusFormatError, match=r"Sentiment140's format, without a header; read it without text_column\."
        ) as refusal:
            load_corpus(path, text_column="text")
        assert "private" not in str(refusal.value)


# JSON


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.json", "mine.ndjson", "mine.txt"])
@pytest.mark.parametrize("is_list", [True, False])
def test_the_named_field_of_json_objects_is_read(tmp_path, name, is_list):
    entries = [
        {"body": "caf\xe9 \U0001f600", "user": "ada", "created_at": DATE},
        {"body": "half \ud83d", "user": {"id": 3}, "created_at": 5},
        {"body": ""},
        {"body": None},
        {"text": "no body"},
    ]
    content = json.dumps(entries, indent=1) if is_list else "\n\n".join(map(json.dumps, entries))
    read = load_corpus(write(tmp_path / name, content), text_column="body")
    assert read.tweets.to_dict("list") == {
        "text": ["caf\xe9 \U0001f600", "half ?"],
        "user": ["ada", ""],
        "date": [DATE, ""],
    }
    assert read.bad_rows == (BadRow(5 if is_list else 9, "no JSON object with the field 'body'"),)
    assert read.left_out == {"without_text": 2}


def test_a_file_without_json_objects_is_refused_without_a_column_that_nobody_named(tmp_path):
    with pytest.raises(CorpusFormatError, match=r"mine\.json, line 1: no JSON object \("):
        load_corpus(write(tmp_path / "mine.json", '{\n"a":\n1\n}\n'))


def test_lines_that_are_not_json_are_bad(tmp_path):
    content = '{"text": "one"}\n{"text": "cut off\n[1]\n{"text": 5}\n' + '{"text": "two"}\n' * 300
    read = load_corpus(write(tmp_path / "mine.jsonl", content), text_column="text")
    assert len(read.tweets) == 301
    reason = "no JSON object with the field 'text'"
    assert read.bad_rows == (BadRow(2, reason), BadRow(3, reason), BadRow(4, "the value of 'text' is not text"))


@pytest.mark.parametrize("text_column", [None, "text"])
@pytest.mark.parametrize("content", ['["a private tweet", "another"]', "[[1], [2]]", ' [ "a private tweet",\n null]'])
def test_a_list_without_objects_is_refused_and_no_tweet_is_shown(tmp_path, content, text_column):
    with pytest.raises(CorpusFormatError) as refusal:
        load_corpus(write(tmp_path / "mine.json", content), text_column=text_column)
    advice = 'each tweet must be an object such as {"text": "good morning"}'
    assert str(refusal.value) == f"mine.json is a JSON list that holds no objects; {advice}."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"mine\.json has no rows; use another file\."),
        ("{}", r"mine\.json has no columns; use another file\."),
        ("[{}]", r"mine\.json has no columns; use another file\."),
    ],
)
def test_an_empty_list_or_object_is_not_read_as_csv(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=f"^{message}$"):
        load_corpus(write(tmp_path / "mine.json", content), text_column="text")


def test_a_text_file_may_begin_like_a_list(tmp_path):
    lines = ['["quoted"] he said', "{} and [] are empty"]
    assert texts(write(tmp_path / "mine.txt", "\n".join(lines))) == lines


def test_at_most_ten_columns_are_shown_each_of_them_cut(tmp_path):
    names = ["a private tweet of more than thirty characters", *(f"column {number}" for number in range(41))]
    entries = [dict.fromkeys(names, "x")]
    for name, content in (("mine.csv", ",".join(names) + "\n"), ("mine.json", json.dumps(entries))):
        with pytest.raises(CorpusFormatError) as refusal:
            load_corpus(write(tmp_path / name, content), text_column="body")
        shown = ", ".join(["a private tweet of more than t", *(f"column {number}" for number in range(9))])
        assert str(refusal.value).endswith(f"; its columns are {shown} and 32 more.")


@pytest.mark.parametrize("content", ['[{"text": "one"}, {"text', '[{"text": "one"}]]', '[{"a":' * 100_000])
def test_a_damaged_list_is_refused(tmp_path, content):
    with pytest.raises(CorpusFormatError, match=r"mine\.json is not valid JSON .*; download or export it again"):
        load_corpus(write(tmp_path / "mine.json", content), text_column="text")


# Personal archives


def tweet(text, date=DATE, wrapped=True, field="full_text"):
    entry = {"id": "1", field: text, "created_at": date, "entities": {"urls": []}}
    return {"tweet": entry} if wrapped else entry


def archive(*entries, part=0, name="tweets"):
    return f"window.YTD.{name}.part{part} = {json.dumps(entries, indent=2)}\n"


@pytest.mark.parametrize("name", ["tweets", "tweet"])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("field", ["full_text", "text"])
def test_retweets_of_an_archive_are_left_out_and_counted(tmp_path, name, wrapped, field):
    own = ["so &amp; so https://t.co/x", "@bob yes \U0001f600", "look: RT @ada: hi"]
    entries = [tweet(text, wrapped=wrapped, field=field) for text in [own[0], "RT @ada: hi", *own[1:], "RT @bob: yes"]]
    path = write(tmp_path / f"{name}.js", archive(*entries, name=name))
    read = load_corpus(path)
    assert read.tweets.to_dict("list") == {"text": own, "user": [""] * 3, "date": [DATE] * 3}
    assert (read.name, read.bad_rows, read.left_out) == ("own-tweets", (), {"retweets": 2})


def test_all_parts_of_an_archive_are_read_in_order(tmp_path):
    for number in (0, 1, 2, 10):
        name = f"tweets-part{number}.js" if number else "tweets.js"
        write(tmp_path / name, archive(tweet(f"number {number}"), {"deleted": True}, tweet("again"), part=number))
    write(tmp_path / "tweet-headers.js", "window.YTD.tweet_headers.part0 = []")
    read = load_corpus(tmp_path / "tweets.js")
    assert list(read.tweets["text"]) == [
        *["number 0", "again", "number 1", "again"],
        *["number 2", "again", "number 10", "again"],
    ]
    assert read.source == "tweets.js and 3 more"
    assert read.bad_rows[1] == BadRow(2, "no tweet with a full_text (in tweets-part1.js)")


def test_the_zip_file_of_an_archive_is_read(tmp_path):
    members = {
        "Your archive.html": "<html></html>",
        "data/account.js": "window.YTD.account.part0 = []",
        "data/tweets-part1.js": archive(tweet("two"), part=1),
        "data/tweets.js": archive(tweet("one"), tweet("RT @ada: hi")),
        "data/tweet-headers.js": "window.YTD.tweet_headers.part0 = []",
    }
    read = load_corpus(write_zip(tmp_path / "twitter-2022.zip", **members))
    assert (list(read.tweets["text"]), read.left_out) == (["one", "two"], {"retweets": 1})
    assert read.sha256 == sha256((members["data/tweets.js"] + members["data/tweets-part1.js"]).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(tweet("one"))[:-20], "is not valid JSON"),
        ('window.YTD.tweets.part0 = {"a": 1}', "holds no JSON list of tweets"),
        (archive(), r"has no rows; use another file\."),
        (archive(tweet("RT @ada: hi")), "holds no tweet"),
        ("window.YTD.like.part0 = [ ]", "holds something else of a personal archive; use its data/tweets.js"),
    ],
)
def test_a_damaged_or_other_file_of_an_archive_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=rf"tweets\.js {message}"):
        load_corpus(write(tmp_path / "tweets.js", content))


def test_a_named_column_in_an_archive_is_refused(tmp_path):
    with pytest.raises(CorpusFormatError, match=r"tweets\.js is a personal archive; read it without text_column\."):
        load_corpus(write(tmp_path / "tweets.js", archive(tweet("one"))), text_column="body")


# The same reader and counts everywhere


def test_own_tweets_are_prepared_in_memory_and_on_disk_with_the_same_counts(tmp_path, made_up_tweets):
    entries = [tweet(text) for text in [*made_up_tweets, *made_up_tweets[:7], "hm", "", "RT @ada: hi there"]]
    path = write(tmp_path / "tweets.js", archive(*entries))
    prepared = prepare_tweets(load_corpus(path), seed=0)
    assert prepared.counts == {
        **{"rows_read": 410, "bad_rows": 0, "without_text": 1, "retweets": 1, "fewer_than_two_words": 1},
        **{"duplicates": 7, "train": 320, "val": 40, "test": 40},
    }
    large = LargeCorpus(path, tmp_path / "large", seed=0)
    assert large.counts == prepared.counts and large.sha256 == load_corpus(path).sha256
    assert list(large.texts("test")) == prepared.texts("test")


def test_own_tweets_can_be_split_by_time(tmp_path, made_up_tweets):
    entries = [
        tweet(text, f"Wed Oct 10 20:{i // 60:02}:{i % 60:02} +0000 2018") for i, text in enumerate(made_up_tweets)
    ]
    prepared = prepare_tweets(
        load_corpus(write(tmp_path / "tweets.js", archive(*reversed(entries)))), seed=0, split_by="time"
    )
    assert prepared.texts("test") == made_up_tweets[-40:]


def test_a_named_column_is_read_from_disk_too(tmp_path, made_up_tweets):
    path = write(tmp_path / "mine.csv", "\n".join(["id;body", *(f"1;{text}" for text in made_up_tweets)]))
    large = LargeCorpus(path, tmp_path / "large", seed=0, text_column="body")
    assert list(large.texts("val")) == prepare_tweets(load_corpus(path, text_column="body"), seed=0).texts("val")
