"""The record of a comparison, and what it holds beside the scores."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pandas as pd
import pytest

from src.completion.decoding import GREEDY, WORDS
from src.evaluation.intervals import Estimate
from src.evaluation.systems import ModelSystem
from src.files import write_json
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.recipe import token_datasets
from src.report.comparison import (
    ExportedForm,
    comparison_record,
    group_record,
    lstm_runs,
    system_details,
)
from tests.report.made_comparison import DATA, evaluation, latency


def test_record_survives_json_and_names_what_it_measured():
    evaluations = [evaluation("baseline", 0.05), evaluation("LSTM", 0.1, bits=2.0)]
    record = comparison_record(evaluations, {"LSTM": {"megabytes": 20.0}}, DATA, 0, {"max_pairs": 400})
    assert json.loads(json.dumps(record)) == record
    assert record["num_pairs"] == 400
    assert record["data"] == DATA
    assert record["systems"]["LSTM"]["metrics"]["bits_per_character"]["value"] == pytest.approx(2.0)
    assert record["systems"]["LSTM"]["megabytes"] == 20.0
    assert "bits_per_character" not in record["systems"]["baseline"]["metrics"]


def test_tables_of_groups_become_json():
    table = pd.DataFrame({"LSTM": {"short": Estimate(0.5, 0.4, 0.6, 7), "long": Estimate(0.1, 0.0, 0.2, 3)}})
    assert json.loads(json.dumps(group_record({"by length": table}))) == {
        "by length": {
            "short": {"LSTM": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 7}},
            "long": {"LSTM": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 3}},
        }
    }


@pytest.fixture
def save_run(tmp_path):
    """A function that makes a run folder, without a model."""

    def save(name: str, **meta) -> None:
        meta = {"data": DATA, "settings": {"seed": 3, "max_tweets_seen": 5000}, "duration_seconds": 90.0} | meta
        write_json(tmp_path / name / "meta.json", meta)
        return tmp_path / name

    return save


def test_other_lstms_of_the_same_data_join_in(tmp_path, save_run):
    for name in ("lstm_seed1-20260101-000000", "lstm_scratch-20260101-000000", "lstm_scratch-20260102-000000"):
        save_run(name)
    save_run("lstm_recipe-20260101-000000", data={**DATA, "sha256": "other"})
    newest = save_run("lstm_lm-20260101-000000")
    runs = lstm_runs(newest, tmp_path, DATA)
    assert {name: path.name for name, path in runs.items()} == {
        "LSTM": "lstm_lm-20260101-000000",
        "LSTM, from scratch": "lstm_scratch-20260102-000000",
        "LSTM, seed 3": "lstm_seed1-20260101-000000",
    }


def test_details_say_what_each_system_costs_and_where_it_comes_from(save_run, tiny_lstm, tokenizer, cleaned_texts):
    run_dir = save_run("lstm_lm-20260101-000000", init_from={"run": "first"})
    dataset, _ = token_datasets(tokenizer, cleaned_texts, cleaned_texts)
    ngram = KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, 2)
    models = {
        "LSTM": tiny_lstm,
        "Kneser-Ney n-gram": ngram,
        "LSTM with n-grams": InterpolatedLM(tiny_lstm, ngram, 0.25),
    }
    systems = [ModelSystem(name, model, tokenizer) for name, model in models.items()]
    small = ModelSystem("small", tiny_lstm, tokenizer, WORDS)
    constant = SimpleNamespace(name="constant answer")
    form = ExportedForm(small, form_of="LSTM", parameters=7, megabytes=0.5)
    details = system_details([constant, *systems, small], {"LSTM": latency(0.25)}, {"LSTM": run_dir}, [form])
    run_megabytes = (run_dir / "meta.json").stat().st_size / 1e6
    assert details["constant answer"] == {}
    assert details["LSTM"] == {
        "seconds_per_suggestion": 0.25,
        "latency": asdict(latency(0.25)),
        "decoding": str(GREEDY),
        "run": run_dir.name,
        "megabytes": run_megabytes,
        "training_minutes": 1.5,
        "training_tweets": 1200,
        "init_from": "first",
        "parameters": tiny_lstm.num_parameters(),
    }
    ngram_megabytes = details["Kneser-Ney n-gram"]["megabytes"]
    assert ngram_megabytes == ngram.get_memory_footprint() / 1e6 > 0
    assert details["LSTM with n-grams"]["megabytes"] == run_megabytes + ngram_megabytes
    assert details["LSTM with n-grams"]["ngram_weight"] == 0.25
    assert details["small"] == {"decoding": str(WORDS), "parameters": 7, "megabytes": 0.5, "form_of": "LSTM"}
