"""Both completers, torch and onnxruntime, answer the same calls in the same way."""

import inspect
import math

import pytest

from src.completion import Completer
from src.deploy.onnx_lstm import OnnxLSTM
from src.lstm_model import load_lstm_lm
from src.text.prefixes import PrefixError, TweetCompleter

PREFIXES = ["The weather TODAY!", "good morning", "we never want to go"]


@pytest.fixture(scope="module", params=["torch", "float32", "int8"])
def completer(request, run_dir):
    if request.param != "torch":
        return OnnxLSTM(run_dir, request.param)
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    return Completer(model, tokenizer)


def test_the_call_has_the_parameters_of_the_protocol(completer):
    parameters, expected = (
        [(one.name, one.default) for one in inspect.signature(complete).parameters.values()]
        for complete in (type(completer).complete, TweetCompleter.complete)
    )
    assert parameters == expected


@pytest.mark.parametrize("n", [1, 3])
def test_each_prefix_gets_n_different_suggestions(completer, n):
    for suggestions in completer.complete(PREFIXES, n):
        assert len({one.text for one in suggestions}) == len(suggestions) == n
        assert all(one.text and math.isfinite(one.confidence) and one.confidence <= 0 for one in suggestions)


def test_the_defaults_are_one_suggestion_for_complete_words(completer):
    assert completer.complete(PREFIXES) == completer.complete(PREFIXES, n=1, half_typed=False, max_new_tokens=20)
    assert completer.complete([]) == []


def test_a_prefix_is_cleaned(completer):
    assert completer.complete(["The weather TODAY!"]) == completer.complete(["the weather today"])


def test_suggestions_begin_with_a_half_typed_word(completer):
    letters = ["to", "xqzjxqzj"]
    found = completer.complete([f"good morning {typed}" for typed in letters], 3, half_typed=True, max_new_tokens=1)
    for typed, suggestions in zip(letters, found):
        assert len(suggestions) == 3
        assert all(one.text.startswith(typed) for one in suggestions)
    assert completer.complete(["good morning "], half_typed=True) == completer.complete(["good morning"])


def test_a_suggestion_has_at_most_max_new_tokens(completer):
    for short, long in zip(completer.complete(PREFIXES, max_new_tokens=1), completer.complete(PREFIXES)):
        assert long[0].text.startswith(short[0].text) and " " not in short[0].text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n is 0: ask for at least one suggestion"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens is 0: a suggestion has at least one token"),
        (
            {"prefixes": ["so very", "!!!"]},
            PrefixError,
            r"prefix 1 \('!!!'\) has no letters a to z or digits 0 to 9 outside mentions and URLs: give at least one "
            "word of them",
        ),
        (
            {"prefixes": ["ver"], "half_typed": True},
            PrefixError,
            r"prefix 0 \('ver'\) has no complete word of letters a to z or digits 0 to 9 before the half-typed 'ver': "
            "give at least one",
        ),
    ],
)
def test_both_refuse_a_bad_request_with_the_same_sentence(completer, arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        completer.complete(**{"prefixes": ["so very"], **arguments})
