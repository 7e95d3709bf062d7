"""Is a random split too easy? The LSTM on new tweets, on new users and on later tweets.

`python -m benchmarks.quality.splits` trains the LSTM and the n-gram baseline under each split of the same rows (those
with a user and a date), and writes their scores on test pairs to `benchmarks/results/splits.json`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import get_args

from benchmarks.common import SHORT_RUN, ngram_system, scores_of, temporary_checkpoints, write_results
from src.corpus.load import Corpus, load_corpus
from src.corpus.splits import SplitBy, split_keys
from src.data_utils import corpus_record, prepare_tweets
from src.device import pick_device
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import as_record
from src.evaluation.leakage import near_duplicates
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import LSTMConfig
from src.recipe import train_lstm

NUM_PAIRS = 2_000


def with_user_and_date(corpus: Corpus) -> Corpus:
    """The rows that every kind of split can place."""
    known = split_keys(corpus.tweets, "user").notna() & split_keys(corpus.tweets, "time").notna()
    return replace(corpus, tweets=corpus.tweets[known].reset_index(drop=True))


def scores_under(split_by: SplitBy, corpus: Corpus) -> Iterator[dict]:
    """A row for each system, trained and scored under one split."""
    tweets = prepare_tweets(corpus, seed=0, split_by=split_by)
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=0)
    test_texts = evaluation_texts(tweets.texts("test"), NUM_PAIRS, seed=0)
    leaked = int(near_duplicates(test_texts, train_texts).sum())
    with temporary_checkpoints() as folder:
        tokenizer, lstm, _ = train_lstm(train_texts, val_texts, LSTMConfig(), SHORT_RUN, folder)
    for system in (ngram_system(train_texts, tokenizer), ModelSystem("LSTM", lstm, tokenizer)):
        scores = as_record(scores_of(system, test_texts))
        yield {"split_by": split_by, "system": system.name, **tweets.counts, "near_duplicates": leaked, **scores}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    corpus = with_user_and_date(load_corpus(data_dir="data"))
    data = corpus_record(corpus, prepare_tweets(corpus, seed=0))
    rows = [row for split_by in get_args(SplitBy) for row in scores_under(split_by, corpus)]
    settings = {"pairs": NUM_PAIRS, "seed": 0, **asdict(SHORT_RUN.on(pick_device()))}
    write_results("splits", data, settings, rows, command="python -m benchmarks.quality.splits")


if __name__ == "__main__":
    main()
