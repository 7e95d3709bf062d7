"""Is a random split too easy? The models on new tweets, on new users and on later tweets.

`python -m benchmarks.quality.splits` trains the LSTM, the fine-tuned transformer and the n-gram baseline under each
split of the same rows (those with a user and a date), and writes their scores on test pairs to
`benchmarks/results/splits.json`. The two neural models have the settings of the final comparison and equal budgets, see
`benchmarks/quality/budgets.py`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import get_args

from benchmarks.common import ngram_system, scores_of, temporary_checkpoints, write_results
from benchmarks.quality.budgets import NUM_LOSS_TEXTS, budget_settings
from benchmarks.quality.contestants import CONTESTANTS
from benchmarks.quality.paces import known_pace
from src.corpus.load import Corpus, load_corpus
from src.corpus.splits import SplitBy, split_keys
from src.data_utils import corpus_record, prepare_tweets
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import as_record
from src.evaluation.leakage import near_duplicates
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.recipe import token_datasets
from src.training.train import train

NUM_PAIRS = 2_000
# Of one core, for each neural model.
MINUTES = 5


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
    systems = [trained_system(name, train_texts, val_texts) for name in ("lstm", "finetuned")]
    for system in (ngram_system(train_texts, systems[0].tokenizer), *systems):
        scores = as_record(scores_of(system, test_texts))
        yield {"split_by": split_by, "system": system.name, **tweets.counts, "near_duplicates": leaked, **scores}


def trained_system(name: str, train_texts: list[str], val_texts: list[str]) -> ModelSystem:
    """A contestant after `MINUTES` minutes of training on one core."""
    contestant = CONTESTANTS[name]
    tokenizer, new_model = contestant.start(train_texts, 0)
    settings = budget_settings(contestant.settings, MINUTES, known_pace(name), len(train_texts))
    datasets, model = token_datasets(tokenizer, train_texts, val_texts[:NUM_LOSS_TEXTS]), new_model()
    # Every evaluation but the last costs time and decides nothing.
    settings = replace(settings, eval_steps=settings.num_steps(len(train_texts)))
    with temporary_checkpoints() as folder:
        train(model, *datasets, settings, folder, tokenizer.pad_token_id)
    return ModelSystem(name, model, tokenizer)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    corpus = with_user_and_date(load_corpus(data_dir="data"))
    data = corpus_record(corpus, prepare_tweets(corpus, seed=0))
    rows = [row for split_by in get_args(SplitBy) for row in scores_under(split_by, corpus)]
    trained = {name: asdict(CONTESTANTS[name].settings) for name in ("lstm", "finetuned")}
    settings = {"pairs": NUM_PAIRS, "seed": 0, "minutes": MINUTES, "training": trained}
    write_results("splits", data, settings, rows, command="python -m benchmarks.quality.splits")


if __name__ == "__main__":
    main()
