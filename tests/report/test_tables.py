"""Records, tables and sentences made of scores."""

import json

import numpy as np
import pandas as pd
import pytest

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate, as_record
from src.evaluation.metrics import answer_scores, next_word_scores
from src.report.readme import METRICS, markdown_table
from src.report.tables import (
    COVERAGES,
    METRIC_TITLES,
    comparison_record,
    conclusion,
    cost_table,
    coverage_table,
    difference_sentence,
    floor_sentence,
    recorded_summaries,
    score_table,
    seed_table,
    trainings,
)

SEEDS = {"LSTM": 0.1, "LSTM, plain recipe": 0.05, "LSTM, seed 1": 0.2, "LSTM, seed 2": 0.3}
DATA = {"name": "made-up", "source": "made-up.csv", "counts": {"train": 1200}}


def evaluation(name: str, mean: float, bits: float | None = None, n: int = 400) -> Evaluation:
    """A system that is wholly right in a share `mean` of the pairs, spread evenly, and wholly wrong elsewhere."""
    right = np.arange(n) * 7919 % n < mean * n
    answers, targets = np.where(right, "to bed", "x y").tolist(), ["to bed"] * n
    scores = answer_scores(answers, targets).join(next_word_scores([[a.split()[0]] for a in answers], targets))
    likelihood = None
    if bits is not None:
        likelihood = pd.DataFrame({"nll": np.full(n, bits * 10 * np.log(2)), "words": 2, "characters": 10})
    return Evaluation(name, answers, np.linspace(-5, -1, n), scores, likelihood)


@pytest.fixture
def record() -> dict:
    evaluations = [
        evaluation("floor", 0.05),
        evaluation("LSTM", 0.1, bits=2.0),
        evaluation("transformer", 0.3, bits=1.5),
    ]
    costs = {
        "floor": {"seconds_per_suggestion": 0.001},
        "LSTM": {"seconds_per_suggestion": 0.01, "parameters": 5_000_000, "megabytes": 20.0, "run": "lstm_lm-1"},
        "transformer": {"seconds_per_suggestion": 0.5, "parameters": 130_000_000, "megabytes": 500.0, "run": "t-1"},
    }
    return comparison_record(evaluations, costs, DATA, 0, {"max_pairs": 400})


def test_record_survives_json_and_names_what_it_measured(record):
    assert json.loads(json.dumps(record)) == record
    assert record["num_pairs"] == 400
    assert record["data"] == DATA
    assert record["systems"]["LSTM"]["metrics"]["bits_per_character"]["value"] == pytest.approx(2.0)
    assert "bits_per_character" not in record["systems"]["floor"]["metrics"]


def test_tables_have_a_row_per_system_and_a_dash_for_what_is_unknown(record):
    scores, costs = score_table(recorded_summaries(record)), cost_table(record)
    assert list(scores.index) == list(costs.index) == ["floor", "LSTM", "transformer"]
    assert list(scores.columns) == list(METRIC_TITLES.values())
    assert scores.loc["floor", "bits per character"] == "–"
    assert scores.loc["LSTM", "ROUGE-1"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["rouge1"]))
    assert costs.loc["LSTM"].tolist() == ["0.01", "5,000,000", "20"]
    assert costs.loc["floor"].tolist() == ["0.001", "–", "–"]


def test_the_readme_table_has_a_row_per_system_and_names_data_size_and_seed(record):
    lines = markdown_table(record).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in rows} == {len(METRICS) + 3 + 2}
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| floor", "| LSTM", "| transformer"]
    assert lines[-1].startswith(
        "400 test pairs of `made-up.csv` (made-up, 1,200 training tweets after cleaning), seed 0"
    )


def test_the_readme_table_has_one_row_for_all_seeds():
    evaluations = [evaluation(name, mean, bits=2.0) for name, mean in SEEDS.items()]
    lines = markdown_table(comparison_record(evaluations, {}, DATA, 0, {})).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| LSTM",
        "| LSTM, plain recipe",
        "| LSTM, mean of 3 seeds ± standard deviation",
    ]
    assert lines[4].split(" | ")[1] == "0.2 ± 0.1"


def test_a_system_is_told_from_others_whose_names_begin_alike():
    summaries = {name: evaluation(name, mean).summary(seed=0) for name, mean in SEEDS.items()}
    assert [summary["rouge1"].value for summary in trainings(summaries, "LSTM")] == pytest.approx([0.1, 0.2, 0.3])


def test_a_summary_survives_the_record():
    summary = evaluation("LSTM", 0.25, bits=2.0).summary(seed=0)
    record = json.loads(json.dumps({"systems": {"LSTM": {"metrics": as_record(summary)}}}))
    assert recorded_summaries(record) == {"LSTM": summary}


def test_the_coverage_table_has_a_column_per_coverage(record):
    table = coverage_table(record)
    assert list(table.columns) == ["5%", "10%", "25%", "50%", "100%"] and len(COVERAGES) == 5
    assert list(table.index) == ["floor", "LSTM", "transformer"]
    assert table.loc["LSTM", "100%"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["exact_match"]))


def test_the_seed_table_spreads_over_trainings():
    summaries = [evaluation("LSTM", mean).summary(seed=0) for mean in (0.1, 0.2, 0.3)]
    row = seed_table(summaries).loc["ROUGE-1"]
    assert row.tolist() == pytest.approx([0.2, 0.1, 0.1, 0.3])


def test_difference_sentence_names_the_better_one_only_beyond_chance():
    low, high = evaluation("low", 0.1), evaluation("high", 0.4)
    for pair in ((low, high), (high, low)):
        assert difference_sentence(*pair, "rouge1", 0).startswith("In ROUGE-1, high is better than low: difference")
    assert "can't be told apart" in difference_sentence(low, evaluation("same", 0.1), "next_word", 0)
    # Of perplexity less is better.
    good, bad = evaluation("good", 0.1, bits=1.0), evaluation("bad", 0.1, bits=2.0)
    for pair in ((good, bad), (bad, good)):
        sentence = difference_sentence(*pair, "perplexity_per_word", 0)
        assert sentence.startswith("In perplexity per word, good is better than bad")


def test_floor_sentence_wants_intervals_that_do_not_overlap():
    evaluations = [evaluation("floor", 0.1), evaluation("model", 0.3, bits=1.0), evaluation("n-gram", 0.28, bits=2.0)]
    summaries = {one.name: one.summary(seed=0) for one in evaluations}
    assert floor_sentence("model", ["floor"], summaries).endswith(
        "in ROUGE-1, ROUGE-2, next word right, perplexity per word."
    )
    assert floor_sentence("model", ["floor", "n-gram"], summaries) == (
        "model is clear of every floor, by intervals that do not overlap, in perplexity per word; "
        "not in ROUGE-1, ROUGE-2, next word right."
    )


def test_conclusion_says_who_is_better_and_at_what_price(record):
    text = conclusion(record, [evaluation("LSTM", 0.1, bits=2.0)], evaluation("transformer", 0.3, bits=1.5), ["floor"])
    assert "On 400 test pairs of made-up.csv" in text
    for title in ("ROUGE-1", "ROUGE-2", "next word right", "perplexity per word"):
        assert f"In {title}, transformer is better than LSTM" in text
    assert "transformer is clear of every floor" in text
    assert "LSTM is clear of every floor" in text
    assert "transformer 50 times as long as LSTM" in text
    assert "25 times as large" in text
