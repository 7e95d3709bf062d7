"""Scores of groups of pairs, against the scores of the same pairs chosen by hand."""

import json

import numpy as np
import pytest

from src.evaluation.endpoints import answer_endpoints
from src.evaluation.evaluate import Evaluation, paired_difference
from src.evaluation.groups import (
    BY_FREQUENCY,
    BY_LENGTH,
    BY_SIMILARITY,
    STRATA,
    group_table,
    group_texts,
    scores_by_group,
    strata_record,
    word_shares,
)
from src.evaluation.metrics import answer_scores, next_word_scores
from src.evaluation.systems import as_pairs
from src.evaluation.typing import record_suggestions, typing_difference
from src.evaluation.word_list import WordList

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
    table = group_table([right, wrong], BY_LENGTH, BY_LENGTH.groups([4, 8, 4, 8]), seed=0)
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
    tables = scores_by_group([evaluation("LSTM", ["d", "g h", "x", "z"])], group_texts(TEXTS, TRAINING), seed=0)
    assert list(tables) == [
        "ROUGE-1 by words in the tweet",
        "next-word accuracy by frequency of the true next word",
        "ROUGE-1 by similarity to the nearest training tweet",
    ]
    by_frequency = tables[BY_FREQUENCY.title]["LSTM"]
    # "d" and "g" are in the training texts, "x" and "now" are not.
    assert by_frequency.index.tolist() == ["under 0.01%", "1% or more"]
    assert by_frequency["1% or more"].value == 1.0 and by_frequency["under 0.01%"].value == 0.5
    similarity = tables[BY_SIMILARITY.title]["LSTM"]
    # Nothing shared; 2 of 8 pairs of words; 3 of 7; a training text itself.
    groups = ["under 0.1", "0.2 to 0.3", "0.3 to 0.5", "0.5 or more"]
    assert similarity.index.tolist() == groups and [cell.n for cell in similarity] == [1, 1, 1, 1]


# Strata


@pytest.fixture(scope="module")
def strata() -> dict:
    """Two systems on four texts; "slow" typed only the first two."""
    fast, slow = evaluation("fast", ["d", "g h", "no", "no"]), evaluation("slow", ["d", "x x", "x", "now no"])
    known = {"list": (["so"], TEXTS), "fast": (TEXTS, TEXTS), "slow": (["h"], TEXTS[:2])}
    suggestions = {name: record_suggestions(WordList(words), texts) for name, (words, texts) in known.items()}
    pairs = [("fast", "slow"), ("fast", "list"), ("fast", "unknown")]
    return strata_record([fast, slow], suggestions, group_texts(TEXTS, TRAINING), pairs, seed=0)


def test_strata_have_every_endpoint_of_every_system_in_every_group_with_a_text(strata):
    assert list(strata) == [by.by for by in STRATA] and json.loads(json.dumps(strata)) == strata
    assert {by: list(groups) for by, groups in strata.items()} == {
        "words in the tweet": ["4 to 6", "7 to 10"],
        "similarity to the nearest training tweet": ["under 0.1", "0.2 to 0.3", "0.3 to 0.5", "0.5 or more"],
    }
    short = strata["words in the tweet"]["4 to 6"]["scores"]
    # Targets of one word have no first two words.
    assert list(short["fast"]) == ["keys_saved", "next_word", "rouge1", "rouge2", "exact_match_at_0.25"]
    assert list(short["list"]) == ["keys_saved"]
    assert (short["fast"]["keys_saved"]["n"], short["slow"]["keys_saved"]["n"]) == (2, 1)
    assert (short["fast"]["rouge1"]["value"], short["fast"]["rouge1"]["n"]) == (0.5, 2)
    long = strata["words in the tweet"]["7 to 10"]["scores"]
    assert long["fast"]["exact_match_2"]["value"] == 0.5


def test_differences_in_a_group_are_paired_and_over_the_texts_of_both(strata):
    long = strata["words in the tweet"]["7 to 10"]
    by_names = {(one["b"], one["metric"]): one for one in long["differences"]}
    assert ("list", "rouge1") not in by_names and {b for b, _ in by_names} == {"slow", "list"}
    chosen = np.array([False, True, False, True])
    fast = evaluation("fast", ["d", "g h", "no", "no"]).of_pairs(chosen)
    slow = evaluation("slow", ["d", "x x", "x", "now no"]).of_pairs(chosen)
    for metric in answer_endpoints(fast):
        expected = paired_difference(fast, slow, metric, seed=0)
        assert by_names["slow", metric]["value"] == pytest.approx(expected.value)
    typed = [record_suggestions(WordList(words), [TEXTS[1]]) for words in (TEXTS, ["h"])]
    expected = typing_difference(*typed, "word", 3, seed=0)
    assert by_names["slow", "keys_saved"]["value"] == pytest.approx(expected.value) and expected.n == 1
    assert by_names["slow", "keys_saved"]["n"] == 1 and by_names["list", "keys_saved"]["n"] == 2


def test_a_group_of_which_a_slow_system_typed_no_text_has_no_keys_saved(strata):
    groups = strata["similarity to the nearest training tweet"]
    with_keys = {
        group: {name for name, scores in stratum["scores"].items() if "keys_saved" in scores}
        for group, stratum in groups.items()
    }
    assert with_keys["0.5 or more"] == {"list", "fast", "slow"} and with_keys["under 0.1"] == {"list", "fast"}
    differences = groups["under 0.1"]["differences"]
    assert [one["b"] for one in differences if one["metric"] == "keys_saved"] == ["list"]
