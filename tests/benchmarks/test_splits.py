"""The tweets on which two splits are compared."""

import pandas as pd

from benchmarks.common import ngram_system
from benchmarks.quality.splits import compare_splits, shared_test_texts
from src.data_utils import PreparedTweets


def prepared(test_texts, split_by):
    table = pd.DataFrame({"text": test_texts, "split": "test"})
    table.loc[len(table)] = ["trained on by both of these once", "train"]
    return PreparedTweets(table, {"train": 1}, seed=0, split_by=split_by)


def test_splits_are_compared_on_what_both_put_aside_and_neither_trained_on_nearly():
    both = ["good morning to all of you", "what a day it was", "short", "trained on by both of these twice"]
    a = prepared([*both, "only in the first split here"], "random")
    b = prepared(["only in the second split here", *both[::-1]], "user")
    assert sorted(shared_test_texts(a, b)) == sorted(both[:2])


def test_a_system_is_compared_with_itself_under_another_split(tokenizer, cleaned_texts):
    trained = {
        "user": [ngram_system(cleaned_texts[:50], tokenizer)],
        "random": [ngram_system(cleaned_texts, tokenizer)],
    }
    rows, tests = compare_splits(trained, cleaned_texts[-40:], "random and user")
    user, random = rows
    assert (user["trained_under"], random["trained_under"], user["pairs"]) == ("user", "random", 40)
    [perplexity] = [test for test in tests if test["metric"] == "perplexity_per_word"]
    expected = user["perplexity_per_word"]["value"] - random["perplexity_per_word"]["value"]
    assert perplexity["value"] == expected > 0
    assert perplexity["a"] == "Kneser-Ney n-gram trained under user, tested on random and user"
