"""The tables that are made from the record of a comparison."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from src.evaluation.intervals import Estimate, as_record
from src.evaluation.metrics import METRICS
from src.evaluation.typing import record_suggestions, typing_record
from src.evaluation.verdicts import SECONDARY
from src.evaluation.word_list import WordList
from src.files import write_json
from src.report.comparison import COVERAGES, comparison_record, summaries_by_source
from src.report.readme import full_results_section, results_section
from src.report.tables import (
    cost_table,
    coverage_table,
    difference_sentence,
    error_table,
    main_systems,
    main_table,
    markdown_table,
    plain_table,
    recited_by_prefix_table,
    recited_table,
    recorded_summaries,
    score_table,
    seed_table,
    source_table,
    summaries_of_seeds,
    typing_table,
)
from tests.report.made_comparison import DATA, evaluation, latency, typed

SEEDS = {"LSTM": 0.1, "LSTM, plain recipe": 0.05, "LSTM, seed 1": 0.2, "LSTM, seed 2": 0.3}


@pytest.fixture
def record() -> dict:
    evaluations = [
        evaluation("baseline", 0.05),
        evaluation("LSTM", 0.1, bits=2.0),
        evaluation("transformer", 0.3, bits=1.5),
    ]
    costs = {
        "baseline": {"seconds_per_suggestion": 0.001},
        "LSTM": {"seconds_per_suggestion": 0.01, "parameters": 5_000_000, "megabytes": 20.0, "run": "lstm_lm-1"},
        "transformer": {"seconds_per_suggestion": 0.5, "parameters": 130_000_000, "megabytes": 500.0, "run": "t-1"},
    }
    return {**comparison_record(evaluations, costs, DATA, 0, {"max_pairs": 400}), "typing": typed("transformer")}


def test_tables_have_a_row_per_system_and_a_dash_for_what_is_unknown(record):
    scores, costs = score_table(recorded_summaries(record)), cost_table(record)
    assert list(scores.index) == list(costs.index) == ["baseline", "LSTM", "transformer"]
    assert list(scores.columns) == [metric.title for metric in METRICS.values()]
    assert scores.loc["baseline", "bits per character"] == "–"
    assert scores.loc["LSTM", "ROUGE-1"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["rouge1"]))
    assert costs.loc["LSTM"].tolist() == ["10", "5,000,000", "20"]
    assert costs.loc["baseline"].tolist() == ["1", "–", "–"]


def test_a_measured_latency_is_shown_with_its_intervals_and_its_processor_time(record):
    record["systems"]["LSTM"]["latency"] = asdict(latency(0.01))
    costs = cost_table(record)
    titles = ["ms per suggestion", "90th percentile, ms", "processor time, ms", "parameters", "MB"]
    assert list(costs.columns) == titles
    assert costs.loc["LSTM"].tolist() == ["10 (9 to 11)", "20 (18 to 22)", "15", "5,000,000", "20"]
    assert costs.loc["transformer"].tolist() == ["500", "–", "–", "130,000,000", "500"]
    assert main_table(record).loc["LSTM", "ms per suggestion"] == "10"


def test_every_table_says_that_the_machine_was_busy(record):
    record["systems"]["LSTM"]["latency"] = asdict(latency(0.01, busy_machine=True))
    for table in (cost_table(record), main_table(record)):
        assert "ms per suggestion, busy machine" in table and "ms per suggestion" not in table
    lines = plain_table(record).splitlines()
    assert [line.split()[-2:] for line in lines[:3]] == [
        ["ms", "per"],
        ["perplexity", "suggestion,"],
        ["machine", "MB"],
    ]
    assert all(len(line) < 80 for line in lines)


def test_the_plain_table_fits_a_terminal(record):
    record["systems"]["LSTM, seed 1"] = record["systems"]["LSTM"]
    assert plain_table(record).splitlines() == [
        "                                  next-word  perplexity      ms per",
        "             keys saved  ROUGE-1   accuracy    per word  suggestion   MB",
        "baseline              –    0.050      0.050           –           1    –",
        "LSTM              69.2%    0.100      0.100        1024          10   20",
        "transformer       38.5%    0.300      0.300         181         500  500",
    ]


def test_the_main_systems_are_at_most_six_in_a_fixed_order(record):
    assert main_systems(record) == ["word list", "LSTM", "transformer"]
    for name in (
        "LSTM, seed 1",
        "LSTM with n-grams",
        "LSTM, ONNX int8",
        "LSTM with n-grams, device",
        "Kneser-Ney n-gram",
    ):
        record["systems"][name] = record["systems"]["baseline"]
    expected = [
        "word list",
        "Kneser-Ney n-gram",
        "LSTM",
        "LSTM with n-grams",
        "LSTM with n-grams, device",
        "transformer",
    ]
    assert main_systems(record) == expected == main_table(record).index.tolist()


def test_the_main_table_has_six_columns_with_intervals_and_costs(record):
    record["typing"]["systems"]["transformer"]["tweets"] = 1
    table = main_table(record)
    assert list(table.columns) == [
        "keys saved, 3 suggestions",
        "perplexity per word",
        "next-word accuracy",
        "ROUGE-1",
        "ms per suggestion",
        "MB",
    ]
    saved = record["typing"]["systems"]["LSTM"]["word"]["3"]["metrics"]["keys_saved"]
    next_word = record["systems"]["LSTM"]["metrics"]["next_word"]
    for cell, share in zip(table.loc["LSTM"].iloc[[0, 2]], (saved, next_word)):
        value, low, high = (100 * share[name] for name in ("value", "low", "high"))
        assert cell == f"{value:.1f}% ({low:.1f} to {high:.1f})"
    assert table.loc["LSTM"].iloc[[1, 4, 5]].tolist() == ["1024 (1024 to 1024)", "10", "20"]
    assert table.loc["transformer", "keys saved, 3 suggestions"].endswith(", 1 tweet")
    assert table.loc["word list"].tolist()[1:] == ["–"] * 5


def test_the_main_table_of_chosen_systems(record):
    table = main_table(record, ["transformer", "baseline"])
    assert table.index.tolist() == ["transformer", "baseline"]
    assert table.loc["baseline"].iloc[[0, 1, 4, 5]].tolist() == ["–", "–", "1", "–"]


def test_the_table_of_errors_has_percents_and_no_row_of_zeros():
    errors = {"LSTM": {"right": 1, "wrong": 3, "none": 0}, "transformer": {"right": 0, "wrong": 4, "none": 0}}
    table = error_table(errors)
    assert table.to_dict("index") == {
        "right": {"LSTM": "25.0%", "transformer": "0.0%"},
        "wrong": {"LSTM": "75.0%", "transformer": "100.0%"},
    }


def test_the_table_of_recited_tweets_has_a_column_per_split():
    share = {"value": 0.01, "low": 0.005, "high": 0.02, "n": 200}
    table = recited_table({"training": {"LSTM": share}, "test": {"LSTM": {**share, "value": 0.0, "low": 0.0}}})
    assert table.to_dict("index") == {
        "LSTM": {"training tweets recited": "1.0% (0.5 to 2.0)", "test tweets recited": "0.0% (0.0 to 2.0)"}
    }
    assert recited_table({}).empty


def test_the_table_by_prefix_puts_the_splits_of_a_system_beside_each_other():
    def shares(value):
        return {length: {"value": value, "low": 0.0, "high": 2 * value, "n": 200} for length in ("3", "12")}

    splits = {"training": 0.01, "test": 0.0}
    table = recited_by_prefix_table({split: {"LSTM": shares(v), "n-gram": shares(v)} for split, v in splits.items()})
    assert table.columns.tolist() == [
        ("LSTM", "training tweets"),
        ("LSTM", "test tweets"),
        ("n-gram", "training tweets"),
        ("n-gram", "test tweets"),
    ]
    assert table["LSTM", "training tweets"].to_dict() == dict.fromkeys(
        ("after 3 words", "after 12 words"), "1.0% (0.0 to 2.0)"
    )
    assert recited_by_prefix_table({}).empty


def test_the_readme_shows_the_main_table_and_names_data_size_and_seed(record):
    lines = results_section(record).splitlines()
    assert (
        lines[:5]
        == markdown_table([{"": name, **row} for name, row in main_table(record).to_dict("index").items()]).splitlines()
    )
    assert lines[5] == "" and lines[6].startswith(
        "400 test pairs of `made-up.csv` (made-up, 1,200 training tweets after cleaning), seed 0"
    )


def test_the_full_tables_have_a_row_per_system(record):
    lines = full_results_section(record).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    saved, scores = rows[:5], rows[5:]
    assert all(f" {METRICS[endpoint].title} |" in scores[0] for endpoint in SECONDARY)
    assert {line.count("|") for line in scores} == {len(SECONDARY) + 1 + 3 + 2}
    assert [row.split(" | ")[0] for row in scores[2:]] == ["| baseline", "| LSTM", "| transformer"]
    assert [row.split(" | ")[0] for row in saved[2:]] == ["| word list", "| LSTM", "| transformer"]
    assert [row.split(" | ")[1] for row in saved] == ["tweets typed", "---", "2", "2", "2"]
    assert lines[-1] == results_section(record).splitlines()[-1]


def test_the_full_tables_have_one_row_for_all_seeds():
    evaluations = [evaluation(name, mean, bits=2.0) for name, mean in SEEDS.items()]
    lines = full_results_section({**comparison_record(evaluations, {}, DATA, 0, {}), "typing": typed()}).splitlines()
    lines = lines[lines.index("") + 1 :]
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| LSTM",
        "| LSTM, plain recipe",
        "| LSTM, mean of 3 seeds ± standard deviation",
    ]
    columns = [line.split(" | ") for line in lines]
    assert columns[4][columns[0].index("ROUGE-1")] == "0.2 ± 0.1"


def test_runs_of_other_seeds_are_found_by_name():
    summaries = {name: evaluation(name, mean).summary(seed=0) for name, mean in SEEDS.items()}
    assert [summary["rouge1"].value for summary in summaries_of_seeds(summaries, "LSTM")] == pytest.approx(
        [0.1, 0.2, 0.3]
    )


def test_a_markdown_table_has_the_keys_as_header():
    assert markdown_table([{"": "a", "MB": 1}, {"": "b", "MB": 2.5}]) == (
        "|  | MB |\n| --- | --- |\n| a | 1 |\n| b | 2.5 |"
    )


def test_a_summary_survives_the_record():
    summary = evaluation("LSTM", 0.25, bits=2.0).summary(seed=0)
    record = json.loads(json.dumps({"systems": {"LSTM": {"metrics": as_record(summary)}}}))
    assert recorded_summaries(record) == {"LSTM": summary}


def test_an_undefined_score_survives_the_record_and_is_shown_as_such(tmp_path):
    undefined = Estimate(math.nan, math.nan, math.nan, 0)
    record = {"systems": {"LSTM": {"metrics": as_record({"distinct_2": undefined})}}}
    written = write_json(tmp_path / "comparison.json", record).read_text()
    assert "NaN" not in written
    found = recorded_summaries(json.loads(written))
    assert str(found["LSTM"]["distinct_2"]) == "undefined" and math.isnan(found["LSTM"]["distinct_2"].high)
    assert score_table(found).loc["LSTM", METRICS["distinct_2"].title] == "undefined"


def test_the_coverage_table_has_a_column_per_coverage(record):
    table = coverage_table(record)
    assert list(table.columns) == ["5%", "10%", "25%", "50%", "100%"] and len(COVERAGES) == 5
    assert list(table.index) == ["baseline", "LSTM", "transformer"]
    assert table.loc["LSTM", "100%"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["exact_match"]))


def test_the_typing_table_shows_keys_saved_by_policy_and_what_they_cost():
    texts = ["so tired", "so so"]
    suggestions = {
        name: record_suggestions(WordList(words), texts) for name, words in {"a": ["so"], "b": texts}.items()
    }
    table = typing_table(typing_record(suggestions, "a", seed=0))
    saved = [f"keys saved: {policy}, {n}" for policy in ("word", "phrase") for n in ("1 suggestion", "3 suggestions")]
    of_three = [
        "saved beyond the a",
        "suggestions shown per tweet",
        "share of shown that are right",
        "words completed before their first letter",
        "keys per word",
    ]
    assert list(table) == ["tweets", *saved, *(f"word, 3 suggestions: {title}" for title in of_three)]
    assert list(table.index) == ["a", "b"] and list(table["tweets"]) == ["2", "2"]
    # "so tired" takes 1 + 5 keys and "so so" 1 + 1: 8 instead of 13.
    assert table.loc["a", saved[0]].startswith("0.385")
    assert table.loc["a", "word, 3 suggestions: keys per word"].startswith("2.000")
    assert table.loc["a", "word, 3 suggestions: saved beyond the a"] == "0.000 (0.000 to 0.000)"


def test_the_seed_table_describes_the_spread_over_runs():
    summaries = [evaluation("LSTM", mean).summary(seed=0) for mean in (0.1, 0.2, 0.3)]
    row = seed_table(summaries).loc["ROUGE-1"]
    assert row.tolist() == pytest.approx([0.2, 0.1, 0.1, 0.3])


def test_difference_sentence_names_a_better_system_only_if_the_interval_excludes_zero():
    low, high = evaluation("low", 0.1), evaluation("high", 0.4)
    for pair in ((low, high), (high, low)):
        assert difference_sentence(*pair, "rouge1", 0).startswith("In ROUGE-1, high is better than low: difference")
    assert "can't be told apart" in difference_sentence(low, evaluation("same", 0.1), "next_word", 0)
    # A lower perplexity is better.
    good, bad = evaluation("good", 0.1, bits=1.0), evaluation("bad", 0.1, bits=2.0)
    for pair in ((good, bad), (bad, good)):
        sentence = difference_sentence(*pair, "perplexity_per_word", 0)
        assert sentence.startswith("In perplexity per word, good is better than bad")


def test_scores_by_source_are_those_of_the_pairs_of_each_source():
    models = [evaluation("LSTM", 0.1, bits=2.0), evaluation("constant answer", 0.3)]
    sources = ["a"] * 100 + ["b"] * 300
    record = summaries_by_source(models, sources, seed=0)
    assert list(record) == ["a", "b"] and json.loads(json.dumps(record)) == record
    for source, start, end in (("a", 0, 100), ("b", 100, 400)):
        chosen = (np.arange(400) >= start) & (np.arange(400) < end)
        rouge1 = record[source]["constant answer"]["rouge1"]
        assert rouge1["n"] == end - start
        assert rouge1["value"] == pytest.approx(models[1].scores["rouge1"][chosen].mean())
    table = source_table(record)
    assert list(table.index) == [(source, model.name) for source in "ab" for model in models]
    assert table.loc[("b", "constant answer"), "perplexity per word"] == "–"
    assert table.loc[("b", "LSTM"), "pairs"] == "300"


def test_with_one_source_there_are_no_scores_by_source():
    assert summaries_by_source([evaluation("LSTM", 0.1)], [""] * 400, seed=0) == {}
    assert source_table({}).empty
