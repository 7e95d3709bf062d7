"""Both completers, torch and onnxruntime, answer the same calls in the same way."""

import inspect
import math
from copy import deepcopy
from dataclasses import asdict, replace
from shutil import copytree

import pytest

from src.completion import Completer
from src.corpus.tokenization import save_tokenizer
from src.deploy.onnx_lstm import OnnxLSTM
from src.files import write_json
from src.lstm_model import load_lstm_lm
from src.text.calibration import CALIBRATION_FILE, IDENTITY, Calibration, CalibrationError, load_calibration
from src.text.prefixes import PrefixError, TweetCompleter

PREFIXES = ["The weather TODAY!", "good morning", "we never want to go"]


def make_completer(kind, run_dir):
    if kind != "torch":
        return OnnxLSTM(run_dir, kind)
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    return Completer(model, tokenizer, calibration=load_calibration(run_dir))


KINDS = ["torch", "float32", "int8"]


@pytest.fixture(scope="module", params=KINDS)
def completer(request, run_dir):
    return make_completer(request.param, run_dir)


@pytest.fixture(scope="module", params=KINDS)
def old_completer(request, run_dir, tokenizer, tmp_path_factory):
    """A completer from a run folder of before: its tokenizer has no token that begins a text."""
    folder = copytree(run_dir, tmp_path_factory.mktemp("old"), dirs_exist_ok=True)
    without = deepcopy(tokenizer)
    without.bos_token = None
    save_tokenizer(without, folder)
    return make_completer(request.param, folder)


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


def test_while_a_text_is_typed_the_same_suggestion_may_end_sooner(completer):
    [[typed]], [[complete]] = (
        completer.complete(["good morning "], half_typed=True),
        completer.complete(["good morning"]),
    )
    assert complete.text.startswith(typed.text)
    assert typed.next_word_probability == complete.next_word_probability


@pytest.mark.parametrize(("prefix", "typed"), [("", ""), ("@ada ", ""), ("!!!", ""), ("to", "to"), ("@ada xqz", "xqz")])
def test_first_words_are_completed(completer, prefix, typed):
    assert completer.completes_first_words
    [found] = completer.complete([prefix], 3, half_typed=True)
    assert len({one.text.split()[0] for one in found}) == 3
    assert all(one.text.startswith(typed) and 0 < one.next_word_probability <= 1 for one in found)


@pytest.mark.parametrize(("prefix", "half_typed"), [("", False), ("!!!", True), ("to", True)])
def test_a_run_of_before_says_that_it_completes_no_first_words(old_completer, prefix, half_typed):
    assert not old_completer.completes_first_words
    reason = "has no complete word before the half-typed 'to', and this model was not trained to complete a first word"
    with pytest.raises(PrefixError, match=reason if prefix == "to" else "this model was not trained"):
        old_completer.complete([prefix], half_typed=half_typed)
    assert old_completer.complete(["good morning to"], half_typed=True)[0][0].text.startswith("to")


def test_a_suggestion_has_at_most_max_new_tokens(completer):
    for short, long in zip(completer.complete(PREFIXES, max_new_tokens=1), completer.complete(PREFIXES)):
        assert long[0].text.startswith(short[0].text) and " " not in short[0].text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n is 0: ask for at least one suggestion"),
        ({"prefixes": "so very"}, TypeError, "prefixes is one text, 'so very': give a list of texts"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens is 0: a suggestion has at least one token"),
        (
            {"prefixes": ["so very", "привет"]},
            PrefixError,
            r"prefix 1 \('привет'\) has no letters a to z or digits 0 to 9 outside mentions and URLs: give at least "
            "one word of them",
        ),
    ],
)
def test_both_refuse_a_bad_request_with_the_same_sentence(completer, arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        completer.complete(**{"prefixes": ["so very"], **arguments})


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_changes_the_probabilities_and_nothing_else(kind, run_dir, tmp_path):
    calibration = Calibration(slope=0.5, intercept=-0.7)
    calibrated_dir = copytree(run_dir, tmp_path / "run")
    write_json(calibrated_dir / CALIBRATION_FILE, asdict(calibration))
    completer, calibrated = make_completer(kind, run_dir), make_completer(kind, calibrated_dir)
    assert (completer.calibration, calibrated.calibration) == (IDENTITY, calibration)
    prefixes = ["", "the weather t", "good morning ", "we never w"]
    before, after = (one.complete(prefixes, 3, half_typed=True) for one in (completer, calibrated))
    for own, shown in zip(before, after, strict=True):
        assert [replace(one, next_word_probability=None) for one in shown] == [
            replace(one, next_word_probability=None) for one in own
        ]
        own, shown = ([one.next_word_probability for one in found] for found in (own, shown))
        assert shown == pytest.approx(calibration.apply(own), abs=1e-6)
        assert shown != own


def test_torch_and_onnx_are_calibrated_alike(run_dir, tmp_path):
    calibrated_dir = copytree(run_dir, tmp_path / "run")
    write_json(calibrated_dir / CALIBRATION_FILE, asdict(Calibration(1.7, 0.4)))
    torch_found, onnx_found = (
        make_completer(kind, calibrated_dir).complete(PREFIXES, 3) for kind in ("torch", "float32")
    )
    for in_torch, in_onnx in zip(torch_found, onnx_found, strict=True):
        assert [one.text for one in in_torch] == [one.text for one in in_onnx]
        expected = [one.next_word_probability for one in in_torch]
        assert [one.next_word_probability for one in in_onnx] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_calibration_is_refused(kind, run_dir, tmp_path):
    damaged_dir = copytree(run_dir, tmp_path / "run")
    (damaged_dir / CALIBRATION_FILE).write_text('{"slope": -1, "intercept": 0}')
    with pytest.raises(CalibrationError, match=r"calibration\.json does not hold a calibration"):
        make_completer(kind, damaged_dir)
