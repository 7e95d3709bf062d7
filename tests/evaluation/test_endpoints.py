"""Tests of the endpoints of all systems, and the check of the metrics with junk words."""

import json
import math
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest

from src.evaluation.endpoints import JUNK_WORDS, chosen_tests, endpoint_tests, junk_tests, rising_metrics
from src.evaluation.evaluate import Evaluation
from src.evaluation.metrics import QUARTER, answer_scores, next_word_scores
from src.evaluation.typing import record_suggestions, type_texts, typing_ratios
from src.evaluation.verdicts import ENDPOINTS, PairedTest, paired_test, paired_tests
from src.evaluation.word_list import WordList
from src.files import json_text
from tests.report.made_comparison import evaluation

TEXTS = [" ".join(["so tired", *["now"] * i]) for i in range(12)]


@pytest.fixture(scope="module")
def suggestions() -> dict:
    """The transformer is slow: it typed only five texts."""
    known = {"word list": (["so"], TEXTS), "LSTM": (["so so tired"], TEXTS), "transformer": (["now"], TEXTS[:5])}
    return {name: record_suggestions(WordList(words), texts) for name, (words, texts) in known.items()}


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    return [
        evaluation("constant", 0.05),
        evaluation("LSTM", 0.1, bits=2.0),
        evaluation("transformer", 0.3, bits=1.5),
    ]


@pytest.fixture(scope="module")
def tests(evaluations, suggestions) -> list[dict]:
    return endpoint_tests(evaluations, suggestions, seed=0)


def test_every_two_systems_are_compared_in_every_endpoint_that_both_have(tests):
    found = {metric: {(test["a"], test["b"]) for test in tests if test["metric"] == metric} for metric in ENDPOINTS}
    assert found.pop("keys_saved") == set(combinations(["word list", "LSTM", "transformer"], 2))
    # The constant answer has no probabilities.
    assert found.pop("perplexity_per_word") == {("LSTM", "transformer")}
    assert all(pairs == set(combinations(["constant", "LSTM", "transformer"], 2)) for pairs in found.values())
    assert len(tests) == 3 + 1 + 5 * 3


def test_the_tests_of_complete_answers_are_paired_tests_of_the_pairs(tests, evaluations):
    [found] = chosen_tests(tests, [("LSTM", "transformer")], [QUARTER])
    expected = paired_test(*(one.exact_match_at(0.25) for one in evaluations[1:]), lower_is_better=False, seed=0)
    assert asdict(PairedTest.from_record(found)) == pytest.approx(asdict(expected))


def test_keys_saved_are_compared_on_the_texts_that_both_typed(tests, suggestions):
    for a, b, num_texts in (("word list", "LSTM", 12), ("LSTM", "transformer", 5)):
        [found] = chosen_tests(tests, [(a, b)], ["keys_saved"])
        ratios = [
            typing_ratios(type_texts(suggestions[name].first(num_texts), "word", 3))["keys_saved"] for name in (a, b)
        ]
        expected = asdict(paired_test(*ratios, lower_is_better=False, seed=0))
        assert asdict(PairedTest.from_record(found)) == pytest.approx(expected)
        assert found["n"] == num_texts


def test_records_of_different_texts_are_refused(evaluations, suggestions):
    other = {"other": record_suggestions(WordList(["so"]), TEXTS[1:3])}
    with pytest.raises(ValueError, match="the records are of different texts"):
        endpoint_tests(evaluations, suggestions | other, seed=0)


def test_without_typing_there_are_no_tests_of_typing(evaluations):
    assert {test["metric"] for test in endpoint_tests(evaluations, {}, seed=0)} == set(ENDPOINTS[1:])


# Chosen tests


def test_a_test_is_found_in_either_direction(tests, evaluations):
    [found] = chosen_tests(tests, [("transformer", "LSTM")], ["perplexity_per_word"])
    ratios = {one.name: [{"perplexity_per_word": one.ratios()["perplexity_per_word"]}] for one in evaluations[:0:-1]}
    [expected] = paired_tests(ratios, seed=0)
    assert (found["a"], found["b"]) == (expected["a"], expected["b"]) == ("transformer", "LSTM")
    assert asdict(PairedTest.from_record(found)) == pytest.approx(asdict(PairedTest.from_record(expected)))
    assert chosen_tests(chosen_tests(tests, [("transformer", "LSTM")]), [("LSTM", "transformer")]) == [
        pytest.approx(test) for test in chosen_tests(tests, [("LSTM", "transformer")])
    ]


def test_a_turned_test_of_equal_scores_has_no_negative_zero(evaluations):
    methods = {name: [{"rouge1": evaluations[0].ratios()["rouge1"]}] for name in "xy"}
    [turned] = chosen_tests(paired_tests(methods, seed=0), [("y", "x")])
    assert math.copysign(1, turned["value"]) == math.copysign(1, turned["low"]) == 1


def test_tests_are_chosen_by_metric_and_pair_and_unknown_ones_left_out(tests):
    stored = json.loads(json_text(tests))
    pairs = [("transformer", "constant"), ("LSTM", "nobody"), ("LSTM", "constant")]
    chosen = chosen_tests(iter(stored), pairs, ["rouge2", "perplexity_per_word", "next_word"])
    assert [(test["metric"], test["a"], test["b"]) for test in chosen] == [
        ("rouge2", "transformer", "constant"),
        ("rouge2", "LSTM", "constant"),
        ("next_word", "transformer", "constant"),
        ("next_word", "LSTM", "constant"),
    ]


def test_an_undefined_test_stays_undefined_when_it_is_turned():
    stored = {"a": "x", "b": "y", "metric": "rouge1", **dict.fromkeys(PairedTest.__dataclass_fields__)}
    stored |= {"n": 0, "lower_is_better": False, "runs_a": 1, "runs_b": 1}
    for pair in (("x", "y"), ("y", "x")):
        [found] = chosen_tests([stored], [pair])
        assert all(math.isnan(found[name]) for name in ("value", "low", "high", "p_value", "baseline"))


# Junk words


def answered(answers: list[str], targets: list[str], name: str = "system") -> Evaluation:
    scores = answer_scores(answers, targets).join(next_word_scores([[a.split(" ")[0]] for a in answers], targets))
    return Evaluation(name, answers, np.zeros(len(answers)), scores)


def test_junk_words_are_appended_to_every_answer_and_scored_again():
    targets, answers = ["go to the beach", "to bed"] * 10, ["go", ""] * 10
    one = answered(answers, targets)
    found = {test["metric"]: test for test in junk_tests([one], targets, seed=0)}
    with_junk = answered([f"go {JUNK_WORDS}", JUNK_WORDS] * 10, targets)
    for metric in ("rouge1", "rouge2", "exact_match_2", QUARTER):
        assert (found[metric]["a"], found[metric]["b"]) == ("system, “to the” appended", "system")
        assert found[metric]["baseline"] == one.ratios()[metric].value
        assert found[metric]["value"] == pytest.approx(with_junk.ratios()[metric].value - one.ratios()[metric].value)
    # The next word is asked for separately, and depends on no answer.
    assert found["next_word"]["value"] == 0
    assert rising_metrics(found.values()) == ["rouge1", "rouge2", "exact_match_2"]


def test_junk_words_change_no_perplexity_and_take_exact_matches():
    one = evaluation("LSTM", 0.5, bits=2.0)
    found = {test["metric"]: test for test in junk_tests([one], ["to bed"] * 400, seed=0)}
    assert found["perplexity_per_word"]["value"] == 0 and found[QUARTER]["value"] == -found[QUARTER]["baseline"] < 0


def test_the_junk_of_some_pairs_belongs_to_these_pairs():
    one = answered(["a b", "go"], ["a b", "go to the beach"]).of_pairs(np.array([False, True]))
    found = {test["metric"]: test for test in junk_tests([one], ["go to the beach"], seed=0)}
    assert found["rouge2"]["value"] == pytest.approx(4 / 5) and found["next_word"]["baseline"] == 1


def junk(metric: str, value: float | None, lower_is_better: bool = False) -> dict:
    return {"metric": metric, "value": value, "lower_is_better": lower_is_better}


def test_a_metric_rises_if_one_system_gets_better_or_may_get_better():
    tests = [junk("rouge1", -0.1), junk("rouge1", 0.01), junk("rouge2", 0.0), junk("perplexity_per_word", 1.0, True)]
    assert rising_metrics(tests) == ["rouge1"]
    assert rising_metrics([junk("perplexity_per_word", -1.0, True)]) == ["perplexity_per_word"]
    assert rising_metrics([junk("rouge2", math.nan), junk("next_word", None)]) == ["rouge2", "next_word"]
