"""Cleaning with a cluster gives the same result as on one machine, also when a worker dies."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from src.corpus.load import read_sentiment140
from src.corpus.rows import CorpusFormatError
from src.data_utils import prepare_tweets
from src.examples import MESSY_TWEETS

pytest.importorskip("distributed", reason="vm/requirements.txt is not installed")

from distributed import Client, LocalCluster

from vm import clean_with_dask as script

pytestmark = pytest.mark.slow

NUM_FILES = 8


@pytest.fixture(scope="module")
def client():
    """A client of a cluster of two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def lines(made_up_tweets) -> list[str]:
    """Rows of many users; some are repeated, messy, short or bad."""
    texts = [*made_up_tweets, *made_up_tweets[:30], *MESSY_TWEETS, "hm", "?!"]
    rows = [
        f'"0","{i}","Mon Apr 06 22:{i // 60 % 60:02}:{i % 60:02} PDT 2009","NO_QUERY","user{i % 50}","{text}"'
        for i, text in enumerate(text.replace('"', "") for text in texts)
    ]
    return [*rows, '"7","one","","NO_QUERY","someone","no id"', *rows[:5]]


@pytest.fixture(scope="module")
def paths(lines, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    size = -(-len(lines) // NUM_FILES)
    paths = [folder / f"tweets-{i}.csv" for i in range(NUM_FILES)]
    for i, path in enumerate(paths):
        path.write_text("\n".join(lines[i * size : (i + 1) * size]) + "\n", encoding="latin-1", errors="ignore")
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def corpus(paths, tmp_path_factory):
    """The corpus of all rows in one file."""
    path = tmp_path_factory.mktemp("corpus") / "tweets.csv"
    path.write_bytes(b"".join(Path(file).read_bytes() for file in paths))
    return read_sentiment140(path)


def assert_same(prepared, expected):
    pd.testing.assert_frame_equal(prepared.table, expected.table, check_dtype=False)
    assert prepared.counts == expected.counts


@pytest.mark.parametrize("split_by", ["random", "user", "time"])
def test_a_cluster_prepares_the_same_tweets_as_one_machine(client, paths, corpus, split_by):
    expected = prepare_tweets(corpus, seed=3, split_by=split_by)
    assert expected.counts["bad_rows"] == 1 and expected.counts["duplicates"] >= 30
    assert_same(script.clean_with_dask(paths, seed=3, split_by=split_by), expected)


def read_and_die(path, marker, read=script.read_tweets):
    """Read a file; the first worker that reads the file named in `marker` is killed."""
    dying, remembered = marker
    if path == dying and not os.path.exists(remembered):
        Path(remembered).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path)


def test_nothing_is_lost_when_a_worker_is_killed(client, paths, corpus, tmp_path, monkeypatch):
    remembered = tmp_path / "killed"
    monkeypatch.setattr(
        script, "read_tweets", lambda path, text_column: read_and_die(path, (paths[3], str(remembered)))
    )
    assert_same(script.clean_with_dask(paths, seed=0), prepare_tweets(corpus, seed=0))
    assert remembered.exists()


def test_a_file_in_another_format_is_named(client, paths, tmp_path):
    bad = tmp_path / "notes.csv"
    bad.write_text("shopping list\nbread\n")
    with pytest.raises(CorpusFormatError, match=r"notes\.csv"):
        script.clean_with_dask([*paths, str(bad)])
