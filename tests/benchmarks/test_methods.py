"""The scores of the final comparison's methods: kept and read again, and compared over runs."""

import json

import numpy as np
import pytest

from benchmarks.quality import method_scores, methods
from benchmarks.quality.method_scores import load_ratios, save_ratios, scores_path
from benchmarks.quality.methods import runs_of
from src.evaluation.intervals import Ratio
from src.evaluation.verdicts import PRIMARY


def made_ratios(seed: int, shift: float = 0.0, num_typed: int = 40, words: float = 2.0) -> dict[str, Ratio]:
    rng = np.random.default_rng(seed)
    return {
        PRIMARY: Ratio(rng.random(num_typed) + shift, np.full(num_typed, 2.0)),
        "next_word": Ratio.mean((rng.random(60) < 0.3 + shift).astype(float)),
        "perplexity_per_word": Ratio(rng.random(60) * 5, np.full(60, words), np.exp),
    }


@pytest.fixture
def scores_dir(tmp_path, monkeypatch):
    for module in (method_scores, methods):
        monkeypatch.setattr(module, "SCORES_DIR", tmp_path / "methods")
    return tmp_path / "methods"


def test_scores_are_read_as_they_were_saved(tmp_path):
    ratios = made_ratios(0)
    save_ratios(tmp_path / "new" / "scores.npz", ratios)
    read = load_ratios(tmp_path / "new" / "scores.npz")
    assert list(read) == list(ratios)
    for metric, one in ratios.items():
        assert np.array_equal(read[metric].numerator, one.numerator)
        assert np.array_equal(read[metric].denominator, one.denominator)
        assert read[metric].value == one.value


def test_runs_are_found_by_method_and_minutes(scores_dir):
    for name, minutes, seed in (
        ("lstm", 15, 0),
        ("lstm", 15, 1),
        ("finetuned", 15, 0),
        ("finetuned", 15, 1),
        ("lstm", 1.5, 0),
        ("lstm", 90, 0),
    ):
        save_ratios(scores_path(name, minutes, seed), made_ratios(seed))
    found = runs_of(15)
    assert {name: len(runs) for name, runs in found.items()} == {"finetuned, 15 minutes": 2, "lstm, 15 minutes": 2}
    assert found["lstm, 15 minutes"][1][PRIMARY].value == made_ratios(1)[PRIMARY].value


def test_methods_are_compared_over_their_runs_on_the_texts_that_all_typed(scores_dir, tmp_path, monkeypatch):
    made = {
        ("slow", 0): made_ratios(0, 0.5, num_typed=30),
        ("slow", 1): made_ratios(3, 0.5, num_typed=30),
        ("fast", 0): made_ratios(1),
        ("fast", 1): made_ratios(2),
    }
    for (name, seed), ratios in made.items():
        save_ratios(scores_path(name, 15, seed), ratios)
    monkeypatch.setattr("sys.argv", ["methods", "15"])
    monkeypatch.setattr(methods, "VERDICTS", tmp_path / "methods.json")
    methods.main()
    record = json.loads((tmp_path / "methods.json").read_text())
    tests = {test["metric"]: test for test in record["tests"]}
    assert tests.keys() == {PRIMARY, "next_word", "perplexity_per_word"}
    assert tests[PRIMARY]["n"] == 30 and tests["next_word"]["n"] == 60
    assert (tests[PRIMARY]["a"], tests[PRIMARY]["runs_a"], tests[PRIMARY]["runs_b"]) == ("fast, 15 minutes", 2, 2)
    on_common = {
        name: [ratios[PRIMARY].first(30).value for key, ratios in made.items() if key[0] == name]
        for name in ("fast", "slow")
    }
    for name, values in on_common.items():
        assert record["scores_of_runs"][f"{name}, 15 minutes"][PRIMARY] == pytest.approx(values)
    assert record["typed_by_minutes"] == {"15": 30}
    expected = np.mean(on_common["fast"]) - np.mean(on_common["slow"])
    assert tests[PRIMARY]["value"] == pytest.approx(expected) and tests[PRIMARY]["high"] < 0


def test_one_method_alone_is_refused(scores_dir, monkeypatch, capsys):
    save_ratios(scores_path("lstm", 15, 0), made_ratios(0))
    monkeypatch.setattr("sys.argv", ["methods", "15"])
    with pytest.raises(SystemExit):
        methods.main()
    assert "fewer than two methods have runs of 15 minutes" in capsys.readouterr().err


def test_single_runs_are_called_so(scores_dir):
    for name in ("lstm", "finetuned"):
        save_ratios(scores_path(name, 15, 0), made_ratios(0))
    assert list(runs_of(15)) == ["finetuned, 15 minutes, one run", "lstm, 15 minutes, one run"]


@pytest.mark.parametrize(
    "runs, message",
    [
        ([("lstm", 0, {}), ("lstm", 1, {"num_typed": 20}), ("finetuned", 0, {})], r"lstm typed \[20, 40\] texts"),
        ([("lstm", 0, {}), ("lstm", 1, {}), ("finetuned", 0, {})], "finetuned 1, lstm 2"),
        ([("lstm", 0, {}), ("finetuned", 0, {"words": 3.0})], "perplexity_per_word was scored on different texts"),
    ],
)
def test_runs_that_can_not_be_compared_are_refused(scores_dir, runs, message):
    for name, seed, changes in runs:
        save_ratios(scores_path(name, 15, seed), made_ratios(seed, **changes))
    with pytest.raises(ValueError, match=message):
        runs_of(15)
