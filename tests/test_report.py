"""Records, tables and sentences made of scores."""

import json

import numpy as np
import pandas as pd
import pytest

from src.evaluation import Estimate, Evaluation
from src.report import comparison_record, conclusion, cost_table, difference_sentence, markdown_table, score_table

DATA = {"name": "made-up", "source": "made-up.csv", "counts": {"train": 1200}}


def evaluation(name: str, mean: float, bits: float | None = None, n: int = 400) -> Evaluation:
    """A system whose every score is 1 in a share `mean` of the pairs, spread evenly."""
    ones = (np.arange(n) * 7919 % n < mean * n).astype(float)
    scores = pd.DataFrame({name: ones for name in ("rouge1", "rouge2", "rougeL", "exact_match", "next_word")})
    if bits is None:
        return Evaluation(name, ["answer"] * n, scores)
    nll = np.full(n, bits * 10 * np.log(2))
    return Evaluation(name, ["answer"] * n, scores, pd.DataFrame({"nll": nll, "words": 2, "characters": 10}))


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
    scores, costs = score_table(record), cost_table(record)
    assert list(scores.index) == list(costs.index) == ["floor", "LSTM", "transformer"]
    assert scores.loc["floor", "bits per character"] == "–"
    assert scores.loc["LSTM", "ROUGE-1"] == str(Estimate(**record["systems"]["LSTM"]["metrics"]["rouge1"]))
    assert costs.loc["LSTM"].tolist() == ["0.01", "5,000,000", "20"]
    assert costs.loc["floor"].tolist() == ["0.001", "–", "–"]


def test_markdown_table_is_rectangular_and_names_data_size_and_seed(record):
    lines = markdown_table(record).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
    assert len(rows) == 2 + 7 + 3
    assert lines[-1].startswith(
        "400 test pairs of `made-up.csv` (made-up, 1,200 training tweets after cleaning), seed 0"
    )


def test_difference_sentence_names_the_better_one_only_beyond_chance():
    low, high = evaluation("low", 0.1), evaluation("high", 0.4)
    for pair in ((low, high), (high, low)):
        assert difference_sentence(*pair, "rouge1", 0).startswith("In ROUGE-1, high is better than low: difference")
    assert "can't be told apart" in difference_sentence(low, evaluation("same", 0.1), "next_word", 0)


def test_conclusion_says_who_is_better_and_at_what_price(record):
    text = conclusion(
        record,
        evaluation("LSTM", 0.1),
        evaluation("transformer", 0.3),
        [evaluation("floor", 0.05), evaluation("x", 0.0)],
    )
    assert "On 400 test pairs of made-up.csv" in text
    assert "In ROUGE-1, transformer is better than LSTM" in text
    assert "In ROUGE-1, LSTM is better than floor" in text
    assert "transformer 50 times as long as LSTM" in text
    assert "25 times as large" in text
