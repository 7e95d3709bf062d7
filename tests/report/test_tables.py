"""The record of a comparison, and the tables and sentences made from it."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate, as_record
from src.evaluation.metrics import METRICS, answer_scores, next_word_scores
from src.evaluation.typing import record_suggestions, typing_record
from src.evaluation.word_list import WordList
from src.files import write_json
from src.report.readme import results_section
from src.report.tables import (
    COVERAGES,
    baseline_sentence,
    comparison_record,
    conclusion,
    cost_table,
    coverage_table,
    difference_sentence,
    fastest_form,
    markdown_table,
    plain_table,
    recorded_summaries,
    score_table,
    seed_table,
    source_table,
    summaries_by_source,
    summaries_of_seeds,
    typing_table,
)

SEEDS = {"LSTM": 0.1, "LSTM, plain recipe": 0.05, "LSTM, seed 1": 0.2, "LSTM, seed 2": 0.3}
DATA = {"name": "made-up", "source": "made-up.csv", "counts": {"train": 1200}}


def evaluation(name: str, mean: float, bits: float | None = None, n: int = 400) -> Evaluation:
    """A system with the correct answer to a share `mean` of the pairs, spread evenly, and a wrong one to the others."""
    is_right = np.arange(n) * 7919 % n < mean * n
    answers, targets = np.where(is_right, "to bed", "x y").tolist(), ["to bed"] * n
    scores = answer_scores(answers, targets).join(next_word_scores([[a.split()[0]] for a in answers], targets))
    likelihood = None
    if bits is not None:
        likelihood = pd.DataFrame({"nll": np.full(n, bits * 10 * np.log(2)), "words": 2, "characters": 10})
    return Evaluation(name, answers, np.linspace(-5, -1, n), scores, likelihood)


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


def typed(*more: str) -> dict:
    """The record of completers that type "so tired" and "so so"; the LSTM knows both words, the others only one."""
    known = {"word list": "so", "LSTM": "so so tired", **dict.fromkeys(more, "so")}
    texts = ["so tired", "so so"]
    records = {name: record_suggestions(WordList([words]), texts) for name, words in known.items()}
    return typing_record(records, "word list", seed=0)


def test_record_survives_json_and_names_what_it_measured(record):
    assert json.loads(json.dumps(record)) == record
    assert record["num_pairs"] == 400
    assert record["data"] == DATA
    assert record["systems"]["LSTM"]["metrics"]["bits_per_character"]["value"] == pytest.approx(2.0)
    assert "bits_per_character" not in record["systems"]["baseline"]["metrics"]


def test_tables_have_a_row_per_system_and_a_dash_for_what_is_unknown(record):
    scores, costs = score_table(recorded_summaries(record)), cost_table(record)
    assert list(scores.index) == list(costs.index) == ["baseline", "LSTM", "transformer"]
    assert list(scores.columns) == [metric.title for metric in METRICS.values()]
    assert scores.loc["baseline", "bits per character"] == "–"
    assert scores.loc["LSTM", "ROUGE-1"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["rouge1"]))
    assert costs.loc["LSTM"].tolist() == ["0.01", "5,000,000", "20"]
    assert costs.loc["baseline"].tolist() == ["0.001", "–", "–"]


def test_the_plain_table_fits_a_terminal(record):
    record["systems"]["LSTM, seed 1"] = record["systems"]["LSTM"]
    assert plain_table(record).splitlines() == [
        "                                  next-word  perplexity  seconds per",
        "             keys saved  ROUGE-1   accuracy    per word   suggestion   MB",
        "baseline              –    0.050      0.050           –        0.001    –",
        "LSTM              69.2%    0.100      0.100        1024         0.01   20",
        "transformer       38.5%    0.300      0.300         181          0.5  500",
    ]


def test_the_readme_table_has_a_row_per_system_and_names_data_size_and_seed(record):
    lines = results_section(record).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    saved, scores = rows[:5], rows[5:]
    assert {line.count("|") for line in scores} == {sum(metric.in_readme for metric in METRICS.values()) + 3 + 2}
    assert [row.split(" | ")[0] for row in scores[2:]] == ["| baseline", "| LSTM", "| transformer"]
    assert [row.split(" | ")[0] for row in saved[2:]] == ["| word list", "| LSTM", "| transformer"]
    assert [row.split(" | ")[1] for row in saved] == ["tweets typed", "---", "2", "2", "2"]
    assert lines[-1].startswith(
        "400 test pairs of `made-up.csv` (made-up, 1,200 training tweets after cleaning), seed 0"
    )


def test_the_readme_table_has_one_row_for_all_seeds():
    evaluations = [evaluation(name, mean, bits=2.0) for name, mean in SEEDS.items()]
    lines = results_section({**comparison_record(evaluations, {}, DATA, 0, {}), "typing": typed()}).splitlines()
    lines = lines[lines.index("") + 1 :]
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| LSTM",
        "| LSTM, plain recipe",
        "| LSTM, mean of 3 seeds ± standard deviation",
    ]
    assert lines[4].split(" | ")[1] == "0.2 ± 0.1"


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


def test_baseline_sentence_takes_paired_differences():
    model, baseline, n_gram = (
        evaluation("model", 0.3, bits=1.0),
        evaluation("baseline", 0.1),
        # Right on the same pairs.
        evaluation("n-gram", 0.3, bits=2.0),
    )
    assert baseline_sentence(model, [baseline], 0) == (
        "model beats every baseline, by paired differences, in ROUGE-1, ROUGE-2, next-word accuracy, "
        "perplexity per word."
    )
    assert baseline_sentence(model, [baseline, n_gram], 0) == (
        "model beats every baseline, by paired differences, in perplexity per word; "
        "not in ROUGE-1, ROUGE-2, next-word accuracy."
    )
    # Their intervals overlap, but the model is right wherever the other is.
    close = evaluation("close", 0.27, bits=1.0)
    assert "in ROUGE-1, ROUGE-2, next-word accuracy; not in perplexity" in baseline_sentence(model, [close], 0)


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


def test_conclusion_says_which_system_is_better_and_what_it_costs(record):
    text = conclusion(
        record,
        [evaluation("LSTM", 0.1, bits=2.0)],
        evaluation("transformer", 0.3, bits=1.5),
        [evaluation("baseline", 0.05)],
    )
    assert "On 400 test pairs of made-up.csv" in text
    assert re.search(r"three suggestions at every letter: LSTM 0\.\d+ .* \(2 tweets\), transformer .*, word list", text)
    for title in ("ROUGE-1", "ROUGE-2", "next-word accuracy", "perplexity per word"):
        assert f"In {title}, transformer is better than LSTM" in text
    assert "transformer beats every baseline" in text
    assert "LSTM beats every baseline" in text
    assert text.endswith(
        "- In the fastest form of both, transformer (“transformer”) takes 50 times as long as LSTM (“LSTM”) for one "
        "suggestion and is 25 times as large."
    )


def test_costs_are_compared_between_the_fastest_forms_of_both(record):
    forms = {
        "LSTM, float32": {"seconds_per_suggestion": 0.02, "megabytes": 1.0, "form_of": "LSTM"},
        "LSTM, int8": {"seconds_per_suggestion": 0.004, "megabytes": 5.0, "form_of": "LSTM"},
        "transformer, int8": {"seconds_per_suggestion": 0.2, "megabytes": 150.0, "form_of": "transformer"},
        # Another model, and no form of the LSTM.
        "LSTM, seed 1": {"seconds_per_suggestion": 0.001, "megabytes": 20.0},
    }
    for name, costs in forms.items():
        record["systems"][name] = {**record["systems"]["LSTM"], **costs}
    assert fastest_form(record["systems"], "LSTM") == "LSTM, int8"
    models = evaluation("LSTM", 0.1, bits=2.0), evaluation("transformer", 0.3, bits=1.5)
    assert conclusion(record, [models[0]], models[1], [evaluation("baseline", 0.05)]).endswith(
        "transformer (“transformer, int8”) takes 50 times as long as LSTM (“LSTM, int8”) for one suggestion and is "
        "30 times as large."
    )
