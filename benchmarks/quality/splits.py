"""Is a random split too kind? The LSTM on new tweets, on new people and on what was written last.

`python -m benchmarks.quality.splits` trains the LSTM and the n-gram floor under each split, of the same rows (those
with a user and a date), and writes their scores on test pairs to `benchmarks/results/splits.json`.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import get_args

from benchmarks.common import ngram_system, train_lstm, write_results
from benchmarks.quality.curves import LSTM_SIZES, METRICS, lstm_settings
from src.corpus.load import Corpus, load_corpus
from src.corpus.splits import SplitBy, split_keys
from src.data_utils import corpus_record, prepare_tweets
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.leakage import near_duplicates
from src.evaluation.systems import ModelSystem

NUM_PAIRS = 2_000


def with_user_and_date(corpus: Corpus) -> Corpus:
    """The rows that every split can place."""
    known = split_keys(corpus.tweets, "user").notna() & split_keys(corpus.tweets, "time").notna()
    return replace(corpus, tweets=corpus.tweets[known].reset_index(drop=True))


def scores_under(split_by: SplitBy, corpus: Corpus) -> Iterator[dict]:
    """A row for each system, trained and scored under one split."""
    tweets = prepare_tweets(corpus, seed=0, split_by=split_by)
    train_texts = tweets.texts("train")
    val_texts = evaluation_texts(tweets.texts("val"), max_texts=5_000, seed=0)
    test_texts = evaluation_texts(tweets.texts("test"), NUM_PAIRS, seed=0)
    leaked = int(near_duplicates(test_texts, train_texts).sum())
    tokenizer, lstm, _ = train_lstm(train_texts, val_texts, LSTM_SIZES, lstm_settings())
    for system in (ngram_system(train_texts, tokenizer), ModelSystem("LSTM", lstm, tokenizer)):
        summary = evaluate(system, test_texts).summary(seed=0)
        scores = {metric: asdict(summary[metric]) for metric in METRICS}
        yield {"split_by": split_by, "system": system.name, **tweets.counts, "near_duplicates": leaked, **scores}


def main() -> None:
    corpus = with_user_and_date(load_corpus(data_dir="data"))
    data = corpus_record(corpus, prepare_tweets(corpus, seed=0))
    rows = [row for split_by in get_args(SplitBy) for row in scores_under(split_by, corpus)]
    settings = {"pairs": NUM_PAIRS, "seed": 0, **asdict(lstm_settings()), **LSTM_SIZES}
    write_results("splits", data, settings, rows, command="python -m benchmarks.quality.splits")


if __name__ == "__main__":
    main()
