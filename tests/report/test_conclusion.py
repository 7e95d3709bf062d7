"""The conclusion says what the record says."""

import json

import pytest

from src.evaluation.endpoints import endpoint_tests
from src.files import json_text
from src.report.comparison import comparison_record
from src.report.conclusion import conclusion, fastest_form
from tests.report.made_comparison import DATA, evaluation, suggestions, typed

COSTS = {
    "LSTM": {"seconds_per_suggestion": 0.05, "megabytes": 20.0, "training_minutes": 55.2, "training_tweets": 1_200_000},
    "LSTM with n-grams": {"seconds_per_suggestion": 0.1, "megabytes": 500.0},
    "LSTM with n-grams, device": {
        "seconds_per_suggestion": 0.008,
        "megabytes": 16.0,
        "form_of": "LSTM with n-grams",
    },
    "gpt": {
        "seconds_per_suggestion": 0.8,
        "megabytes": 400.0,
        "run": "gpt-1",
        "training_minutes": 16.25,
        "training_tweets": 4000,
    },
    "gpt, int8": {"seconds_per_suggestion": 0.2, "megabytes": 100.0, "form_of": "gpt"},
}


def made_record(together_bits: float = 1.4, transformer_mean: float = 0.1) -> dict:
    evaluations = [
        evaluation("Kneser-Ney n-gram", 0.05, bits=2.5),
        evaluation("LSTM", 0.1, bits=2.0),
        evaluation("LSTM with n-grams", 0.3, bits=together_bits),
        evaluation("LSTM with n-grams, device", 0.3, bits=together_bits),
        evaluation("gpt", transformer_mean, bits=1.5),
        evaluation("gpt, int8", transformer_mean, bits=1.5),
    ]
    names = ("LSTM with n-grams", "LSTM with n-grams, device", "gpt")
    record = {**comparison_record(evaluations, COSTS, DATA, 0, {}), "typing": typed(*names)}
    record["tests"] = endpoint_tests(evaluations, suggestions(*names), 0)
    return json.loads(json_text(record))


def test_five_sentences_with_the_numbers_of_the_record():
    text = conclusion(made_record())
    assert "\n" not in text
    keys, quality, cost, ngrams, training = text.replace(". ", ".\n").splitlines()
    assert keys.startswith("With three suggestions at every letter, the LSTM with n-grams saves 38.5% of the keys (")
    # Both know the same words, but two tweets are too few to call them equivalent.
    assert keys.endswith("while a word list saves 38.5%; on 2 tweets that both typed, it can't be told apart from gpt.")
    assert quality == (
        "On 400 test tweets, it is better than gpt in perplexity per word, next-word accuracy, exact match of the "
        "first 2 words, ROUGE-1, ROUGE-2 and exact match of the most confident quarter of answers."
    )
    assert cost == (
        "Its fastest form (“LSTM with n-grams, device”) has 16.0 MB, finds a suggestion in 8.0 milliseconds and saves "
        "38.5% of the keys; the fastest form of gpt takes 25 times as long and is 6.2 times as large."
    )
    assert ngrams == (
        "The LSTM and the n-grams help each other: alone they have a perplexity of 1,024 and 5,793 per word, "
        "together of 128."
    )
    assert training == (
        "The LSTM learned from 1,200,000 different tweets in 55 minutes and gpt, which had read other texts before, "
        "from 4,000 in 16.2 minutes; more training may change the order."
    )


def test_a_better_transformer_is_said_to_be_better():
    others = "next-word accuracy, exact match of the first 2 words, ROUGE-1, ROUGE-2 and exact match of the most "
    text = conclusion(made_record(together_bits=1.6, transformer_mean=0.3))
    assert f"it is worse than gpt in perplexity per word and is equivalent to gpt in {others}" in text
    text = conclusion(made_record(together_bits=1.5, transformer_mean=0.9))
    assert f"it is worse than gpt in {others}" in text and "is equivalent to gpt in perplexity per word." in text


def test_the_verdict_on_saved_keys_is_said_even_if_the_transformer_is_better():
    record = made_record()
    for test in record["tests"]:
        if (test["metric"], test["a"], test["b"]) == ("keys_saved", "LSTM with n-grams", "gpt"):
            test |= {"value": -0.1, "low": -0.15, "high": -0.05, "p_value": 0.01, "n": 1000}
    assert "; on 1,000 tweets that both typed, it is worse than gpt. " in conclusion(record)


def test_an_undefined_score_is_never_better():
    record = made_record()
    for test in record["tests"]:
        if {test["a"], test["b"]} == {"LSTM with n-grams", "gpt"}:
            test |= dict.fromkeys(("value", "low", "high", "low_90", "high_90", "p_value"))
    quality = conclusion(record).split(". ")[1]
    assert quality.startswith("On 400 test tweets, it can't be told apart from gpt in perplexity") and (
        "better" not in quality
    )


def test_n_grams_that_do_not_help_are_said_not_to():
    text = conclusion(made_record(together_bits=2.0))
    assert "together are not clearly better than each alone: alone they have a perplexity of 1,024 and 5,793" in text


def test_a_start_from_a_trained_lstm_is_said():
    record = made_record()
    record["systems"]["LSTM"]["init_from"] = "lstm_lm-1"
    assert "The LSTM, which started from a trained LSTM, learned from 1,200,000" in conclusion(record)


@pytest.mark.parametrize("name, expected", [("LSTM", "LSTM"), ("gpt", "gpt, int8")])
def test_the_fastest_form_is_of_the_same_model(name, expected):
    assert fastest_form(made_record()["systems"], name) == expected
