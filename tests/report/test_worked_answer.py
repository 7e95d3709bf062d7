"""The worked answer, against sums by hand; and the example of typing, against the function that types."""

import math
import re
from pathlib import Path

import nbformat
import pytest

from src.evaluation.typing import type_text
from src.report.worked_answer import worked_answer_table

ROOT = Path(__file__).resolve().parents[2]
TEXT = "finally finished my essay time to go to bed"


def test_every_metric_is_worked_and_computed():
    table = worked_answer_table(TEXT, "go to sleep now", [0.2, 0.5, 0.1, 0.4])
    values = table["value"].map(float).to_dict()
    assert values == {
        "ROUGE-1": pytest.approx(4 / 7, abs=5e-4),
        "ROUGE-2": pytest.approx(2 / 5, abs=5e-4),
        "exact match": 0,
        "next-word accuracy": 1,
        "perplexity per word": pytest.approx(250**0.25, abs=5e-4),
        # Nine characters and the end.
        "bits per character": pytest.approx(0.7966, abs=5e-4),
    }
    how = table["how it is computed here"]
    assert how["ROUGE-1"] == "shared words: 2; 2 × 2 / (4 + 3)"
    assert how["ROUGE-2"] == "shared word pairs: 1; 2 × 1 / (3 + 2)"
    assert how["exact match"] == "“go to sleep now” is not “go to bed”"
    assert "0.2 × 0.5 × 0.1 × 0.4 = 0.004" in how["perplexity per word"]


def test_the_true_ending_has_full_scores():
    table = worked_answer_table(TEXT, "go to bed", [1, 1, 1, 1])
    assert table["value"].tolist() == ["1.000"] * 5 + ["0.000"]


@pytest.mark.parametrize("answer, shared", [("to to to", 1), ("bed to go", 3), ("home", 0)])
def test_a_word_is_shared_as_often_as_both_have_it(answer, shared):
    table = worked_answer_table(TEXT, answer, [0.5] * 4)
    num_words = len(answer.split())
    assert table.loc["ROUGE-1", "how it is computed here"].startswith(f"shared words: {shared};")
    assert float(table.loc["ROUGE-1", "value"]) == pytest.approx(2 * shared / (num_words + 3), abs=5e-4)


def test_a_wrong_number_of_probabilities_is_refused():
    with pytest.raises(ValueError, match="3 probabilities: give one for each of 3 words and the end"):
        worked_answer_table(TEXT, "go", [0.1, 0.2, 0.3])


@pytest.mark.parametrize("text, answer", [(TEXT, ""), (TEXT, " "), ("hello", "go")])
def test_an_answer_or_an_ending_without_words_is_refused(text, answer):
    with pytest.raises(ValueError, match="each needs one word or more"):
        worked_answer_table(text, answer, [0.5])


@pytest.mark.parametrize("probability", [0, -0.5, 1.5, math.nan])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(ValueError, match="each must be above 0 and at most 1"):
        worked_answer_table(TEXT, "go", [probability, 0.2, 0.3, 0.4])


def test_the_example_of_typing_in_the_notebook_is_what_the_function_counts():
    [source] = [
        cell.source for cell in nbformat.read(ROOT / "compare.ipynb", 4).cells if "| the person |" in cell.source
    ]
    rows = re.findall(r"^\| (?:types|takes).*?\| `(.*?)` \| (\d) \|\s*(\w*)\s*\|$", source, re.MULTILINE)
    texts, keys, suggestions = zip(*rows)
    words = texts[-1].split()
    # Before every letter of each word: does the suggestion that is shown then complete this word?
    shown = dict(zip(texts, suggestions)) | {"": ""}
    taken = []
    for i, word in enumerate(words):
        for k in range(len(word)):
            prefix = " ".join([*words[:i], word[:k]])
            taken.append(int(shown.get(prefix) == word))
    num_keys, _, _ = type_text(texts[-1], taken)
    assert num_keys == int(keys[-1]) == 7 and len(texts[-1]) == 14
    assert "7 of 14 keys are saved, 50%" in source
