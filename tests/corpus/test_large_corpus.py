"""A corpus on disk has the same splits as one prepared in memory."""

import pytest

from src.corpus.large_corpus import LargeCorpus
from src.corpus.load import read_sentiment140
from src.corpus.rows import CorpusFormatError
from src.corpus.splits import SPLITS
from src.data_utils import prepare_tweets
from src.examples import MESSY_TWEETS
from src.next_token_dataset import NextTokenDataset


@pytest.fixture(scope="module")
def path(made_up_tweets, tmp_path_factory):
    """A file of about 3,000 rows; some are duplicates, messy, short or bad."""
    texts = [f"{text} {i // 400}" for i, text in enumerate(made_up_tweets * 6)]
    texts += [*made_up_tweets, *made_up_tweets[:150], *MESSY_TWEETS, "hm", "?!"]
    rows = [f'"0","{i}","","NO_QUERY","someone","{text}"' for i, text in enumerate(t.replace('"', "") for t in texts)]
    path = tmp_path_factory.mktemp("large") / "tweets.csv"
    path.write_bytes("\n".join([*rows[:700], '"7","one","","","","bad"', *rows[700:]]).encode("latin-1", "ignore"))
    return path


def test_its_splits_are_those_prepared_in_memory(path, tmp_path):
    expected = prepare_tweets(read_sentiment140(path), seed=5)
    large = LargeCorpus(path, tmp_path, seed=5)
    assert {split: list(large.texts(split)) for split in SPLITS} == {split: expected.texts(split) for split in SPLITS}
    assert large.counts == expected.counts
    assert large.counts["bad_rows"] == 1 and large.counts["duplicates"] >= 150
    assert large.sha256 == read_sentiment140(path).sha256


def test_its_streamed_texts_give_the_same_token_ids(path, tmp_path, tokenizer):
    large = LargeCorpus(path, tmp_path, seed=5)
    streamed = NextTokenDataset(large.texts("train"), tokenizer, tokenizer.eos_token_id, folder=tmp_path / "train")
    in_memory = NextTokenDataset(list(large.texts("train")), tokenizer, tokenizer.eos_token_id)
    assert (streamed.token_ids == in_memory.token_ids).all() and (streamed.offsets == in_memory.offsets).all()


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "notes.csv").write_text("shopping list\nbread\n")
    with pytest.raises(CorpusFormatError, match=r"notes\.csv, line 1"):
        LargeCorpus(tmp_path / "notes.csv", tmp_path / "cleaned", seed=0)
