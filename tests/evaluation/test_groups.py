"""Scores of groups of pairs, against the scores of the same pairs chosen by hand."""

import numpy as np
import pytest

from src.evaluation.evaluate import Evaluation
from src.evaluation.groups import (
    BY_FREQUENCY,
    BY_LENGTH,
    BY_SIMILARITY,
    group_table,
    scores_by_group,
    word_shares,
)
from src.evaluation.metrics import answer_scores, next_word_scores
from src.evaluation.systems import as_pairs

TEXTS = ["a b c d", "a b c d e f g h", "so so so x", "a b c very rare thing now ok"]
TRAINING = ["a b c d", "d d d d d d d d", "g h and d"]


def evaluation(name: str, answers: list[str]) -> Evaluation:
    targets = [pair.target for pair in as_pairs(TEXTS)]
    scores = answer_scores(answers, targets).join(next_word_scores([answer.split()[:1] for answer in answers], targets))
    return Evaluation(name, answers, np.zeros(len(answers)), scores)


def test_every_value_is_in_the_group_that_holds_its_lower_bound():
    assert BY_LENGTH.groups([4, 6, 7, 10, 11, 20, 21, 60]).tolist() == [
        "4 to 6",
        "4 to 6",
        "7 to 10",
        "7 to 10",
        "11 to 15",
        "16 to 20",
        "21 or more",
        "21 or more",
    ]
    assert BY_FREQUENCY.groups([0, 0.0001, 0.5]).tolist() == ["under 0.01%", "0.01 to 0.1%", "1% or more"]
    assert BY_SIMILARITY.groups([0, 0.3, 1]).tolist() == ["under 0.1", "0.3 to 0.5", "0.5 or more"]
    for by in (BY_LENGTH, BY_FREQUENCY, BY_SIMILARITY):
        assert len(by.names) == len(by.bounds) + 1 and list(by.bounds) == sorted(by.bounds)


def test_a_group_has_the_score_of_its_pairs_and_an_empty_group_no_row():
    right, wrong = evaluation("right", ["d", "g h", "x", "now ok"]), evaluation("wrong", ["z", "g", "x", "z"])
    table = group_table([right, wrong], BY_LENGTH, [4, 8, 4, 8], seed=0)
    assert table.index.tolist() == ["4 to 6", "7 to 10"] and table.columns.tolist() == ["right", "wrong"]
    assert [cell.value for cell in table["right"]] == [1.0, 1.0]
    assert [cell.n for cell in table["wrong"]] == [2, 2]
    assert table.loc["4 to 6", "wrong"].value == pytest.approx(0.5)
    # One word of two: 2 * 1 / 3.
    assert table.loc["7 to 10", "wrong"].value == pytest.approx(1 / 3)


def test_word_shares_are_of_all_training_words():
    assert word_shares(["d", "a", "never"], TRAINING) == pytest.approx([10 / 16, 1 / 16, 0])
    assert word_shares(["a"], []).tolist() == [0]


def test_three_groupings_by_title():
    tables = scores_by_group([evaluation("LSTM", ["d", "g h", "x", "z"])], TEXTS, TRAINING, seed=0)
    assert list(tables) == [BY_LENGTH.title, BY_FREQUENCY.title, BY_SIMILARITY.title]
    by_frequency = tables[BY_FREQUENCY.title]["LSTM"]
    # "d" and "g" are in the training texts, "x" and "now" are not.
    assert by_frequency.index.tolist() == ["under 0.01%", "1% or more"]
    assert by_frequency["1% or more"].value == 1.0 and by_frequency["under 0.01%"].value == 0.5
    similarity = tables[BY_SIMILARITY.title]["LSTM"]
    # Nothing shared; 2 of 8 pairs of words; 3 of 7; a training text itself.
    groups = ["under 0.1", "0.2 to 0.3", "0.3 to 0.5", "0.5 or more"]
    assert similarity.index.tolist() == groups and [cell.n for cell in similarity] == [1, 1, 1, 1]
