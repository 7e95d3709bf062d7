"""Is a random split too easy? The models on new users and on later tweets.

`python -m benchmarks.quality.splits` trains the LSTM, the fine-tuned transformer and the n-gram baseline under each
split of the same rows (those with a user and a date). The split by users is compared with the random one on the tweets
that both put aside for testing, and so is the split by time. So the tweets are the same, and a model differs only in
what it was trained on: under the random split it may have read other tweets of the same user or of the same day. The
two neural models have the settings of the final comparison and equal budgets, see `benchmarks/quality/budgets.py`; a
GPU is used if there is one. The scores and paired tests are written to `benchmarks/results/splits.json`.
"""

import argparse
from dataclasses import asdict, replace

from benchmarks.common import SCORES, ngram_system, temporary_checkpoints, write_results
from benchmarks.quality.budgets import NUM_LOSS_TEXTS, budget_settings
from benchmarks.quality.contestants import CONTESTANTS
from benchmarks.quality.paces import known_pace
from src.corpus.load import Corpus, load_corpus
from src.corpus.splits import split_keys
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.device import pick_device
from src.evaluation.endpoints import endpoint_tests
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import as_record
from src.evaluation.leakage import near_duplicates
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.recipe import token_datasets
from src.training.train import train

SEED = 0
# Of one core, for each neural model.
MINUTES = 5


def with_user_and_date(corpus: Corpus) -> Corpus:
    """The rows that every kind of split can place."""
    known = split_keys(corpus.tweets, "user").notna() & split_keys(corpus.tweets, "time").notna()
    return replace(corpus, tweets=corpus.tweets[known].reset_index(drop=True))


def trained_systems(tweets: PreparedTweets) -> list[ModelSystem]:
    """The systems, trained on the training tweets of a split."""
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=SEED)
    neural = [trained_system(name, train_texts, val_texts) for name in ("lstm", "finetuned")]
    return [ngram_system(train_texts, neural[0].tokenizer), *neural]


def shared_test_texts(a: PreparedTweets, b: PreparedTweets) -> list[str]:
    """The test tweets of both splits that can be scored."""
    in_both = set(a.texts("test")) & set(b.texts("test"))
    texts = [text for text in a.texts("test") if text in in_both]
    return evaluation_texts(texts, len(texts), SEED)


def compare_splits(
    under_random: list[ModelSystem], random_tweets: PreparedTweets, tweets: PreparedTweets
) -> tuple[list[dict], list[dict]]:
    """Train the systems under a split and compare each with itself under the random split, on shared test tweets.

    Returns:
        a row for each system and split, and the paired tests: a split minus the random one.
    """
    texts, rows, tests = shared_test_texts(random_tweets, tweets), [], []
    splits = tweets, random_tweets
    leaked = [int(near_duplicates(texts, split.texts("train")).sum()) for split in splits]
    for pair in zip(trained_systems(tweets), under_random):
        evaluations = []
        for split, system, num_leaked in zip(splits, pair, leaked):
            evaluation = evaluate(system, texts)
            evaluations.append(replace(evaluation, name=f"{system.name}, {split.split_by}"))
            summary = evaluation.summary(SEED)
            row = {"system": system.name, "tested_on": tweets.split_by, "trained_under": split.split_by}
            row |= {"train": split.counts["train"], "near_duplicates": num_leaked}
            rows.append(row | as_record({name: summary[name] for name in SCORES}))
        tests += endpoint_tests(evaluations, {}, SEED)
    return rows, tests


def trained_system(name: str, train_texts: list[str], val_texts: list[str]) -> ModelSystem:
    """A contestant after `MINUTES` minutes of training on one core."""
    contestant = CONTESTANTS[name]
    tokenizer, new_model = contestant.start(train_texts, SEED)
    settings = budget_settings(contestant.settings, MINUTES, known_pace(name), len(train_texts))
    datasets, model = token_datasets(tokenizer, train_texts, val_texts[:NUM_LOSS_TEXTS]), new_model().to(pick_device())
    # Every evaluation but the last costs time and decides nothing.
    settings = replace(settings, eval_steps=settings.num_steps(len(train_texts)))
    with temporary_checkpoints() as folder:
        train(model, *datasets, settings, folder, tokenizer.pad_token_id)
    return ModelSystem(name, model, tokenizer)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    corpus = with_user_and_date(load_corpus(data_dir="data"))
    random_tweets = prepare_tweets(corpus, SEED)
    data = corpus_record(corpus, random_tweets) | {"users": int(corpus.tweets["user"].nunique())}
    under_random, rows, tests = trained_systems(random_tweets), [], []
    for split_by in ("user", "time"):
        found = compare_splits(under_random, random_tweets, prepare_tweets(corpus, SEED, split_by))
        rows, tests = rows + found[0], tests + found[1]
    trained = {name: asdict(CONTESTANTS[name].settings) for name in ("lstm", "finetuned")}
    settings = {"seed": SEED, "minutes": MINUTES, "device": pick_device().type, "training": trained}
    write_results("splits", data, settings, rows, "python -m benchmarks.quality.splits", tests=tests)


if __name__ == "__main__":
    main()
