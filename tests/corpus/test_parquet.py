"""Read parquet files: Sentiment140 as the model hub has it, and others with a named column."""

from datetime import UTC, datetime

import pyarrow
import pytest

from src.corpus.load import load_corpus, read_sentiment140
from src.corpus.rows import CorpusFormatError
from tests.corpus.made_files import DATE, sha256, write_parquet, write_shard


def test_one_shard_is_read(tmp_path):
    path = write_shard(tmp_path / "0000.parquet", "one", "caf\xe9", None, sentiment=1)
    read = read_sentiment140(path)
    assert read.tweets.to_dict("list") == {"text": ["one", "caf\xe9"], "user": ["ada"] * 2, "date": [DATE] * 2}
    assert (read.name, read.source, read.sha256) == ("sentiment140", "0000.parquet", sha256(path.read_bytes()))
    assert (read.unusual_labels, read.left_out, read.bad_rows) == ({"1": 3}, {"without_text": 1}, ())


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        ["train-00000-of-00002-abc123.parquet", "train-00001-of-00002-def456.parquet"],
        ["0000.parquet", "0001.parquet"],
    ],
)
def test_all_shards_are_read_whichever_is_named(tmp_path, names):
    for name, text in zip(names, ["one", "two"]):
        write_shard(tmp_path / name, text)
    write_shard(tmp_path / "test-00000-of-00001.parquet", "of the test split")
    for name in names:
        read = load_corpus(tmp_path / name)
        assert (list(read.tweets["text"]), read.source) == (["one", "two"], f"{name} and 1 more")


def test_a_missing_shard_is_named(tmp_path):
    path = write_shard(tmp_path / "train-00001-of-00003.parquet", "one")
    with pytest.raises(CorpusFormatError, match=r"train-00001-of-00003\.parquet: 1 of 3 shards are in this folder"):
        load_corpus(path)


def test_a_named_column_is_read(tmp_path):
    moment = datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)
    path = write_parquet(tmp_path / "mine.parquet", ["ignored"], body=["hi there"], created_at=[moment])
    read = load_corpus(path, text_column="body")
    assert read.tweets.to_dict("list") == {"text": ["hi there"], "user": [""], "date": ["2018-10-10 20:19:24+00:00"]}
    assert read.name == "own-tweets"


@pytest.mark.parametrize(("text_column", "problem"), [(None, "needs text_column"), ("body", "has no column 'body'")])
def test_a_missing_column_names_those_that_exist(tmp_path, text_column, problem):
    path = write_parquet(tmp_path / "mine.parquet", ["hi there"], label=[1])
    with pytest.raises(CorpusFormatError, match=rf"mine\.parquet {problem}.*; its columns are text, label"):
        load_corpus(path, text_column=text_column)


def test_a_table_without_rows_is_named(tmp_path):
    path = write_parquet(tmp_path / "mine.parquet", pyarrow.array([], pyarrow.string()))
    with pytest.raises(CorpusFormatError, match=r"^mine\.parquet has no rows; use another file\.$"):
        load_corpus(path, text_column="text")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = write_shard(tmp_path / "mine.parquet", *map(str, range(500)))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(CorpusFormatError, match=r"mine\.parquet is not a readable parquet file .*; download it again"):
        load_corpus(path)


def test_damaged_rows_are_refused(tmp_path):
    path = write_shard(tmp_path / "mine.parquet", *(f"text {number}" for number in range(500)))
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(200) + content[204:])
    with pytest.raises(CorpusFormatError, match=r"mine\.parquet is not a readable parquet file .*; download it again"):
        load_corpus(path)
