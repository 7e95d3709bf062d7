"""Is a random split too easy? The models on new users and on later tweets.

`python -m benchmarks.quality.splits` trains the LSTM, the fine-tuned transformer and the n-gram baseline under each
split of the same rows (those with a user and a date). The split by users is compared with the random one on the tweets
that both put aside for testing, and so is the split by time. So the tweets are the same, and a model differs only in
what it was trained on: under the random split it may have read other tweets of the same user or of the same day. Tweets
that match a training tweet of either split are left out, as in the final comparison.

The two neural models have the settings of the final comparison and equal budgets, see `benchmarks/quality/budgets.py`;
a GPU is used if there is one. Two runs under one split differ too, and the tests know one run of each. So each model is
also trained a second time under the random split, with another seed: differences as small as between these two runs
prove nothing. The scores and paired tests are written to `benchmarks/results/splits.json`.
"""

import argparse
from collections.abc import Mapping
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


def trained_systems(tweets: PreparedTweets, seed: int) -> list[ModelSystem]:
    """The systems, trained on the training tweets of a split."""
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=SEED)
    neural = [trained_system(name, train_texts, val_texts, seed) for name in ("lstm", "finetuned")]
    return [ngram_system(train_texts, neural[0].tokenizer), *neural]


def trained_system(name: str, train_texts: list[str], val_texts: list[str], seed: int) -> ModelSystem:
    """A contestant after `MINUTES` minutes of training on one core."""
    contestant = CONTESTANTS[name]
    tokenizer, new_model = contestant.start(train_texts, seed)
    settings = budget_settings(replace(contestant.settings, seed=seed), MINUTES, known_pace(name), len(train_texts))
    datasets, model = token_datasets(tokenizer, train_texts, val_texts[:NUM_LOSS_TEXTS]), new_model().to(pick_device())
    # Every evaluation but the last costs time and decides nothing.
    settings = replace(settings, eval_steps=settings.num_steps(len(train_texts)))
    with temporary_checkpoints() as folder:
        train(model, *datasets, settings, folder, tokenizer.pad_token_id)
    return ModelSystem(name, model, tokenizer)


def shared_test_texts(a: PreparedTweets, b: PreparedTweets) -> list[str]:
    """The test tweets of both splits that can be scored and match no training tweet of either."""
    in_both = set(a.texts("test")) & set(b.texts("test"))
    texts = [text for text in a.texts("test") if text in in_both]
    is_near = near_duplicates(texts, a.texts("train")) | near_duplicates(texts, b.texts("train"))
    others = [text for text, near in zip(texts, is_near) if not near]
    return evaluation_texts(others, len(others), SEED)


def compare_splits(
    trained: Mapping[str, list[ModelSystem]], texts: list[str], tested_on: str
) -> tuple[list[dict], list[dict]]:
    """Compare each system with itself after training under other splits.

    Args:
        trained: the systems, in the same order, by what they were trained under.
        texts: test tweets of all these splits.
        tested_on: what these tweets are, for the rows.

    Returns:
        a row for each system and split, and the paired tests of each system: an earlier split minus a later one.
    """
    rows, tests = [], []
    for systems in zip(*trained.values()):
        evaluations = []
        for trained_under, system in zip(trained, systems):
            evaluation = evaluate(system, texts)
            name = f"{system.name} trained under {trained_under}, tested on {tested_on}"
            evaluations.append(replace(evaluation, name=name))
            summary = evaluation.summary(SEED)
            row = {"system": system.name, "tested_on": tested_on, "trained_under": trained_under, "pairs": len(texts)}
            rows.append(row | as_record({name: summary[name] for name in SCORES}))
        tests += endpoint_tests(evaluations, {}, SEED)
    return rows, tests


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    corpus = with_user_and_date(load_corpus(data_dir="data"))
    random_tweets = prepare_tweets(corpus, SEED)
    data = corpus_record(corpus, random_tweets) | {"users": int(corpus.tweets["user"].nunique())}
    under_random = {
        "random, another seed": trained_systems(random_tweets, SEED + 1),
        "random": trained_systems(random_tweets, SEED),
    }
    rows, tests = [], []
    for split_by in ("user", "time"):
        tweets = prepare_tweets(corpus, SEED, split_by)
        trained = {split_by: trained_systems(tweets, SEED), **under_random}
        found = compare_splits(trained, shared_test_texts(random_tweets, tweets), f"random and {split_by}")
        rows, tests = rows + found[0], tests + found[1]
    trained_with = {name: asdict(CONTESTANTS[name].settings) for name in ("lstm", "finetuned")}
    settings = {"seed": SEED, "minutes": MINUTES, "device": pick_device().type, "training": trained_with}
    write_results("splits", data, settings, rows, "python -m benchmarks.quality.splits", tests=tests)


if __name__ == "__main__":
    main()
