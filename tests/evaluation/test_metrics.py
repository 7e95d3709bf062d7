"""Scores of answers: by hand, against the package that computes them, and properties of any answer."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src.evaluation.evaluate import Evaluation
from src.evaluation.metrics import (
    METRICS,
    ROUGE_TYPES,
    answer_scores,
    bits_per_character,
    distinct_ngrams,
    next_word_scores,
    perplexity_per_word,
    saved_keystrokes,
    score_ratios,
)
from tests.budget import examples

SENTENCES = st.lists(st.sampled_from(["a", "b", "cats", "cat", "2moro"]), min_size=1, max_size=7).map(" ".join)
EXACT_MATCHES = ["exact_match", *(f"exact_match_{n}" for n in (2, 3, 4, 5))]


@given(SENTENCES)
def test_a_perfect_answer_scores_one_and_an_empty_one_zero(target):
    num_words = len(target.split())
    perfect, empty = answer_scores([target, ""], [target, target]).to_dict("records")
    assert [perfect[name] for name in ROUGE_TYPES] == [1, float(num_words > 1), 1]
    assert [empty[name] for name in ROUGE_TYPES] == [0, 0, 0]
    for n, name in enumerate(EXACT_MATCHES, start=1):
        if num_words < n:
            assert math.isnan(perfect[name]) and math.isnan(empty[name])
        else:
            assert (perfect[name], empty[name]) == (1, 0)
    assert (perfect["saved_keystrokes"], empty["saved_keystrokes"]) == (len(target) - 1, 0)
    assert (perfect["answer_words"], empty["answer_words"]) == (num_words, 0)
    assert perfect["target_words"] == num_words and perfect["characters"] == len(target)


@examples(0.6)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_rouge_equals_the_package_row_by_row(answers_and_targets):
    scores = answer_scores(*zip(*answers_and_targets))
    for i, (answer, target) in enumerate(answers_and_targets):
        expected = RougeScorer(ROUGE_TYPES, use_stemmer=False).score(target, answer)
        assert [scores.loc[i, name] for name in ROUGE_TYPES] == [expected[name].fmeasure for name in ROUGE_TYPES]


def test_rouge_by_hand():
    # One of the two answered words is in the target of three words: precision 1/2, recall 1/3.
    scores = answer_scores(["love cats", "dog", "dogs my love"], ["love my dogs"] * 3)[list(ROUGE_TYPES)]
    # Without a stemmer, "dog" is not "dogs". Reversed words have a longest common subsequence of one.
    assert scores.to_numpy() == pytest.approx(np.array([[0.4, 0, 0.4], [0, 0, 0], [1, 0, 1 / 3]]))


@pytest.mark.parametrize(
    ("answer", "matches", "saved"),
    [
        ("to bed at nine", [1, 1, 1, 1], 13),
        ("to bed at ten", [0, 1, 1, 0], 8),
        ("to bed at nine sharp", [0, 1, 1, 1], 13),
        ("to bed", [0, 1, 0, 0], 5),
        ("to", [0, 0, 0, 0], 1),
        ("bed to", [0, 0, 0, 0], 0),
        ("", [0, 0, 0, 0], 0),
    ],
)
def test_exact_match_of_the_first_words_and_saved_keys_by_hand(answer, matches, saved):
    [scores] = answer_scores([answer], ["to bed at nine"]).to_dict("records")
    assert [scores[name] for name in EXACT_MATCHES[:4]] == matches
    assert math.isnan(scores["exact_match_5"])
    assert scores["saved_keystrokes"] == saved


@given(SENTENCES, SENTENCES)
def test_more_first_words_are_never_easier_and_savings_never_exceed_the_target(answer, target):
    [scores] = answer_scores([answer], [target]).to_dict("records")
    matches = [scores[name] for name in EXACT_MATCHES[1:] if not math.isnan(scores[name])]
    assert matches == sorted(matches, reverse=True)
    assert 0 <= saved_keystrokes(answer, target) <= len(target) - 1


def test_a_word_of_one_letter_saves_nothing():
    assert saved_keystrokes("i", "i am") == 0


@pytest.mark.parametrize("num_answers", [0, 1, 3])
def test_every_pair_needs_one_answer(num_answers):
    with pytest.raises(ValueError, match=f"{num_answers} answers for 2 targets: every pair needs one answer"):
        answer_scores(["x"] * num_answers, ["b", "d"])
    with pytest.raises(ValueError, match=f"next words of {num_answers} pairs for 2 targets"):
        next_word_scores([["x"]] * num_answers, ["b", "d"])


def test_no_answers_have_the_columns_of_answers():
    for none, one in (
        (answer_scores([], []), answer_scores(["to bed"], ["to bed"])),
        (next_word_scores([], []), next_word_scores([["to"]], ["to bed"])),
    ):
        assert len(none) == 0 and none.dtypes.equals(one.dtypes)
    assert all(math.isnan(ratio.value) for ratio in score_ratios(answer_scores([], [])).values())


def test_next_words_count_for_the_first_three_only():
    candidates = [["to", "a", "b"], ["a", "to", "b"], ["a", "b", "to"], ["a", "b", "c", "to"], []]
    scores = next_word_scores(candidates, ["to bed"] * 5)
    assert scores["next_word"].tolist() == [1, 0, 0, 0, 0]
    assert scores["next_word_top3"].tolist() == [1, 1, 1, 0, 0]


def test_distinct_ngrams_by_hand():
    [row] = distinct_ngrams(["i am so so tired", "i am", "tired"], 1).to_dict("records")
    assert row == {"distinct": 4, "ngrams": 8}
    [row] = distinct_ngrams(["i am so so tired", "i am", "tired"], 2).to_dict("records")
    assert row == {"distinct": 4, "ngrams": 5}


@pytest.mark.parametrize(("num_answers", "num_blocks"), [(1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (350, 3)])
def test_distinct_ngrams_are_counted_in_blocks_of_a_hundred_answers(num_answers, num_blocks):
    blocks = distinct_ngrams([f"word{i} the" for i in range(num_answers)], 1)
    answers_per_block = min(num_answers, 100)
    assert blocks["distinct"].tolist() == [answers_per_block + 1] * num_blocks
    assert blocks["ngrams"].tolist() == [2 * answers_per_block] * num_blocks


# The registry


def test_the_registry_has_every_metric_of_an_evaluation_and_no_other():
    scores = answer_scores(["to bed"], ["to bed"]).join(next_word_scores([["to"]], ["to bed"]))
    likelihood = pd.DataFrame({"nll": [1.0], "words": [3], "characters": [7]})
    evaluation = Evaluation("system", ["to bed"], np.zeros(1), scores, likelihood)
    assert evaluation.ratios().keys() == METRICS.keys()
    assert all(metric.id == key for key, metric in METRICS.items())
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


def test_perplexity_and_bits_divide_all_nats_by_all_units():
    likelihood = pd.DataFrame({"nll": [2.0, 4.0], "words": [2, 3], "characters": [6, 10]})
    assert perplexity_per_word(likelihood).value == pytest.approx(math.exp(6 / 5))
    assert bits_per_character(likelihood).value == pytest.approx(6 / 16 / math.log(2))
