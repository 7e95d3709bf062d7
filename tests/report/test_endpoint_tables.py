"""The tables of verdicts, of groups of tweets in which they hold, and of the metrics that junk words raise."""

import math

import pytest

from src.evaluation.verdicts import verdicts
from src.report.endpoint_tables import agreement_by_group, junk_table, rising_sentence, strata_table, verdict_table

CLEAR = {
    "low": 0.01,
    "high": 0.03,
    "low_90": 0.012,
    "high_90": 0.028,
    "p_value": 0.001,
    "standard_error": 0.005,
    "n": 10_000,
    "baseline": 0.4,
    "lower_is_better": False,
    "runs_a": 1,
    "runs_b": 1,
}
UNDEFINED = dict.fromkeys(("value", "low", "high", "low_90", "high_90", "p_value", "standard_error"))


def made_test(metric: str, a: str = "LSTM", b: str = "gpt", value: float | None = 0.02, **changes) -> dict:
    return {"a": a, "b": b, "metric": metric, "value": value, **CLEAR, **changes}


def test_the_verdict_table_has_a_row_per_endpoint_and_pair_with_its_numbers():
    tests = [
        made_test("rouge1", baseline=1.0),
        made_test("keys_saved", n=50),
        made_test("next_word", **UNDEFINED),
        made_test("length_ratio"),
    ]
    table = verdict_table(tests, [("LSTM", "gpt"), ("LSTM", "nobody")])
    assert list(table.index) == [
        ("keys saved", "LSTM", "gpt"),
        ("next-word accuracy", "LSTM", "gpt"),
        ("ROUGE-1", "LSTM", "gpt"),
    ]
    assert table.loc["keys saved"].iloc[0].to_dict() == {
        "verdict": "better",
        "difference": "0.02 (0.01 to 0.03)",
        "smallest difference": "0.014",
        "tweets": "50",
    }
    assert table["verdict"].tolist() == ["better", "undecided", "better, by less than 5%"]
    assert table["difference"].tolist()[1] == table["smallest difference"].tolist()[1] == "undefined"


def test_the_verdicts_of_the_table_are_those_of_the_tests_whatever_the_direction():
    tests = [made_test("rouge1"), made_test("perplexity_per_word", lower_is_better=True)]
    assert verdict_table(tests, [("LSTM", "gpt")])["verdict"].tolist() == ["worse", "better"]
    assert verdict_table(tests, [("gpt", "LSTM")])["verdict"].tolist() == ["better", "worse"]
    assert [one.kind for one in verdicts(tests)] == ["better", "worse"]


def test_a_table_of_nothing_is_empty():
    assert verdict_table([], [("LSTM", "gpt")]).empty
    assert strata_table({"tests": [], "strata": {}}, [("LSTM", "gpt")]).empty


def record(*values: float | None, overall: float = 0.02, score: float = 0.4, **changes) -> dict:
    """A record of two systems whose differences in the groups are `values`, with the score of the second one there."""
    scores = {"gpt": {"rouge1": {"value": score}}}
    groups = {
        f"group {i}": {"scores": scores, "differences": [{"a": "LSTM", "b": "gpt", "metric": "rouge1", "value": value}]}
        for i, value in enumerate(values)
    }
    groups["empty"] = {"scores": {}, "differences": []}
    return {"tests": [made_test("rouge1", value=overall, **changes)], "strata": {"words": groups}}


def agreement(found: dict) -> list[bool | None]:
    [verdict] = verdicts(found["tests"])
    by_group = agreement_by_group(found, verdict)
    assert list(by_group) == [("words", f"group {i}") for i in range(len(by_group))]
    return list(by_group.values())


def test_better_holds_where_the_difference_has_the_same_sign():
    assert agreement(record(0.5, -0.5, 0.0, None, math.nan)) == [True, False, None, None, None]
    assert agreement(record(0.5, -0.5, overall=-0.02, low=-0.03, high=-0.01)) == [False, True]


EQUIVALENT = {"low": -0.01, "high": 0.01, "low_90": -0.008, "high_90": 0.008, "p_value": 1.0}


def test_equivalent_holds_where_the_difference_is_within_the_margin_of_the_score_of_the_group():
    values = (0.019, -0.019, 0.021, -0.021, 0.0, None)
    assert agreement(record(*values, **EQUIVALENT)) == [True, True, False, False, True, None]
    assert agreement(record(*values, score=1.0, **EQUIVALENT)) == [True, True, True, True, True, None]


@pytest.mark.parametrize(("b", "metric"), [("nobody", "rouge1"), ("gpt", "rouge2")])
def test_systems_that_were_not_compared_in_groups_agree_nowhere(b, metric):
    [verdict] = verdicts([made_test(metric, b=b)])
    assert agreement_by_group(record(0.5), verdict) == {}


def test_the_table_of_groups_shows_where_each_verdict_holds():
    found = record(0.5, -0.5, 0.1, None)
    found["tests"].append(made_test("rouge2", p_value=0.5))
    [row] = strata_table(found, [("LSTM", "gpt")]).reset_index().to_dict("records")
    assert row == {
        "endpoint": "ROUGE-1",
        "system": "LSTM",
        "compared with": "gpt",
        "verdict": "better",
        "holds in": "2 of 4 groups",
        "does not hold in": "words: group 1",
    }
    assert strata_table(record(0.5), [("LSTM", "gpt")])["does not hold in"].tolist() == ["–"]
    [row] = strata_table(record(0.5, 0.0, **EQUIVALENT), [("LSTM", "gpt")]).to_dict("records")
    assert row == {"verdict": "equivalent", "holds in": "1 of 2 groups", "does not hold in": "words: group 0"}


def test_an_undecided_verdict_has_no_row():
    undecided = record(0.5, low=-0.1, high=0.1, low_90=-0.1, high_90=0.1, p_value=0.5)
    assert strata_table(undecided, [("LSTM", "gpt")]).empty


def test_the_junk_table_shows_both_scores_and_what_rises():
    tests = [
        made_test("rouge1", "LSTM, “to the” appended", "LSTM", value=0.01),
        made_test("rouge2", "LSTM, “to the” appended", "LSTM", value=-0.1),
        made_test("rouge1", "constant, “to the” appended", "constant", value=-0.2),
        made_test("perplexity_per_word", "LSTM, “to the” appended", "LSTM", value=0.0, lower_is_better=True),
    ]
    table = junk_table(tests)
    assert list(table.columns) == ["perplexity per word", "ROUGE-1", "ROUGE-2"]
    assert table.loc["LSTM"].tolist() == ["0.4 → 0.4", "0.4 → 0.41", "0.4 → 0.3"]
    assert table.loc["constant"].tolist() == ["–", "0.4 → 0.2", "–"]
    assert table.iloc[-1].tolist() == ["no", "yes", "no"]
    assert rising_sentence(tests) == (
        "Better with “to the” after the answers of one system or more, so no headline: ROUGE-1."
    )
    assert rising_sentence(tests[1:]) == "No metric gets better with “to the” after every answer."
