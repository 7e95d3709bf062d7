"""The sentences of verdicts, and the command that recomputes them from a record."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from math import nan

import numpy as np
import pytest

from src.evaluation.intervals import Ratio
from src.evaluation.verdicts import PairedTest, paired_tests, verdicts
from src.files import write_json
from src.report.verdicts import verdict_sentence, verdict_sentences

TEST = PairedTest(0.02, 0.01, 0.03, 0.012, 0.028, 0.001, 0.005, 10_000, 0.5, lower_is_better=False)


def sentence(metric="keys_saved", **changes):
    [verdict] = verdicts([{"a": "LSTM", "b": "SmolLM2", "metric": metric, **asdict(replace(TEST, **changes))}])
    return verdict_sentence(verdict)


def test_a_sentence_has_the_verdict_and_all_its_numbers():
    assert sentence() == (
        "LSTM is better than SmolLM2 in keys saved (higher is better): the difference from 0.5 is 0.02 (95% interval "
        "0.01 to 0.03, 90% interval 0.012 to 0.028, p = 0.001); the margin of equivalence, 5%, is 0.025, and the "
        "smallest difference that 10,000 texts can show is 0.014."
    )
    assert "adjusted p = 0.001)" in sentence("rouge1")


def test_each_kind_of_verdict_has_its_own_words():
    assert sentence(lower_is_better=True).startswith("LSTM is worse than SmolLM2 in keys saved (lower is better):")
    assert sentence(high_90=0.02).startswith("LSTM is better than SmolLM2, by less than 5%, in keys saved")
    assert sentence(low=-0.01, low_90=0.0, p_value=0.2).startswith("It is undecided whether LSTM or SmolLM2 is better")
    equivalent = sentence(low=-0.01, low_90=-0.01, high_90=0.02, p_value=0.2)
    assert equivalent.startswith("LSTM and SmolLM2 are equivalent in keys saved")
    assert sentence(p_value=nan) == (
        "LSTM and SmolLM2 can't be compared in keys saved (higher is better): the difference is undefined."
    )


def test_several_runs_are_named():
    assert sentence(runs_a=3, runs_b=2).startswith("LSTM (3 runs) is better than SmolLM2 (2 runs) in")


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    perplexities = [Ratio(nll, np.ones(200), np.exp) for nll in (scores + 4, scores + 4.2, np.full(200, 1e5))]
    means = [Ratio.mean(column) for column in (scores, scores + rng.normal(0, 0.3, 200), np.full(200, np.nan))]
    methods = {
        name: [{"perplexity_per_word": perplexity, "rouge1": mean}]
        for name, perplexity, mean in zip(("LSTM", "n-grams", "broken"), perplexities, means)
    }
    return paired_tests(methods, seed=0)


def test_verdicts_from_the_file_are_those_of_the_run(records, tmp_path):
    path = write_json(tmp_path / "record.json", {"tests": records, "other": 1})
    sentences = verdict_sentences(path)
    assert sentences == [verdict_sentence(verdict) for verdict in verdicts(records)]
    assert len(sentences) == 6
    assert sum("can't be compared" in sentence for sentence in sentences) == 4
    assert any("LSTM is better than n-grams in perplexity per word (lower is better)" in line for line in sentences)


@pytest.mark.slow
def test_the_command_prints_the_sentences(records, tmp_path):
    path = write_json(tmp_path / "record.json", {"tests": records})
    command = [sys.executable, "-m", "src.report.verdicts", str(path)]
    assert subprocess.check_output(command, text=True).splitlines() == verdict_sentences(path)


@pytest.mark.parametrize("content", [{"systems": {}}, [], {"tests": 1}])
def test_a_file_without_tests_is_refused(content, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="has no list `tests`: give the record of a comparison"):
        verdict_sentences(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_damaged_file_is_named(content, tmp_path):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"record\.json is not JSON in UTF-8 \(.*\): restore the file"):
        verdict_sentences(path)


@pytest.mark.parametrize("tests", [[1], [{"a": "LSTM"}], [{"metric": "keys_saved", "a": "LSTM", "b": "n-grams"}]])
def test_an_incomplete_test_is_refused(tests, tmp_path):
    path = write_json(tmp_path / "record.json", {"tests": tests})
    with pytest.raises(ValueError, match="has an incomplete test in its list `tests`: restore the file"):
        verdict_sentences(path)


@pytest.mark.slow
def test_the_command_says_in_one_line_that_there_is_no_file(tmp_path):
    command = [sys.executable, "-m", "src.report.verdicts", str(tmp_path / "record.json")]
    completed = subprocess.run(command, capture_output=True, text=True)
    assert completed.returncode == 1 and completed.stdout == ""
    [line] = completed.stderr.splitlines()
    assert line.endswith(
        "record.json can't be read (No such file or directory): give the file of a comparison's record"
    )
