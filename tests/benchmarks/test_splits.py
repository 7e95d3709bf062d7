"""The tweets on which two splits are compared."""

import pandas as pd

from benchmarks.quality.splits import shared_test_texts
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
