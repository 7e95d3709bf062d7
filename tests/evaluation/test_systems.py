"""The constant answer, a baseline."""

from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src.data_utils import split_x_target_by_words
from src.evaluation.systems import ConstantAnswer
from src.text.prefixes import Completion
from tests.budget import examples

# Few words, so that they repeat.
WORDS = ["a", "b", "c", "d", "e"]


def mean_rouge1(answer, texts):
    scorer = RougeScorer(["rouge1"])
    return mean(scorer.score(split_x_target_by_words(text)[1], answer)["rouge1"].fmeasure for text in texts)


@pytest.mark.parametrize(
    ("targets", "answer"),
    [
        # "x" alone scores 4/5; with "y" every target gives 2 * 1 / (2 + 1).
        ("xxxxy", "x"),
        # "x" alone scores 3/5, less than the 2/3 of both.
        ("xxxyy", "x y"),
        # One word scores 1/3, two score 4/9 and three score 1/2.
        ("xyz", "x y z"),
    ],
)
def test_the_constant_answer_grows_while_its_rouge_improves(targets, answer):
    baseline = ConstantAnswer([f"the {target}" for target in targets])
    assert baseline.answer == answer
    assert baseline.complete(["i am", "", "x y"]) == [Completion(answer, 0.0)] * 3
    assert baseline.complete([]) == []


def test_its_next_words_are_the_most_frequent_first_words_of_targets():
    # The targets are "p x" once, "q" twice, "r" three times and "s" four times.
    texts = ["a b c d p x", *["a q"] * 2, *["a r"] * 3, *["a s"] * 4]
    baseline = ConstantAnswer(texts)
    assert baseline.next_words(["i", "we"]) == [["s", "r", "q"]] * 2
    assert baseline.likelihood(texts) is None


def test_the_constant_answer_ignores_the_contexts():
    assert ConstantAnswer(["the the the the the the cat dog"] * 2).answer in ("cat dog", "dog cat")
    # "x" scores 2/3 on the five targets "x x" and 0 on "y". "x y" scores 1/2 on the five and 2/3 on "y".
    assert ConstantAnswer(["a a a a a a x x"] * 5 + ["b y"]).answer == "x"


def test_the_constant_answer_is_chosen_among_the_candidates_on_the_first_targets():
    texts = ["the x"] * 3 + ["the y"] * 2 + ["the z"] * 9
    assert ConstantAnswer(texts).answer == "z"
    assert ConstantAnswer(texts, max_targets=5).answer == "x y"
    assert ConstantAnswer(texts, num_candidates=1, max_targets=5).answer == "x"


@examples(0.6)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=2, max_size=8).map(" ".join), min_size=1, max_size=8))
def test_no_change_of_the_last_word_has_a_better_rouge(texts):
    answer = ConstantAnswer(texts).answer.split(" ")
    best = mean_rouge1(" ".join(answer), texts)
    assert len(set(answer)) == len(answer)
    assert all(mean_rouge1(word, texts) <= best + 1e-9 for word in WORDS)
    assert mean_rouge1(" ".join(answer[:-1]), texts) <= best + 1e-9
    for word in set(WORDS) - set(answer):
        assert mean_rouge1(" ".join([*answer, word]), texts) <= best + 1e-9
        assert mean_rouge1(" ".join([*answer[:-1], word]), texts) <= best + 1e-9
