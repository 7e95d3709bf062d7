"""The metrics for Hugging Face's `evaluate`: they equal the project's own and need no network."""

import doctest
import socket

import evaluate
import pytest

from src.evaluation import hf_metrics
from src.evaluation.hf_metrics import Distinct, ExactMatch, KeystrokeSavings, LengthRatio, Rouge

ANSWERS = ["to bed at nine", "love you", "so tired of this", "the"]
TARGETS = ["to bed at ten", "love you", "tired of it all", "a"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_example_of_the_module_is_correct():
    results = doctest.testmod(hf_metrics)
    assert (results.failed, results.attempted) == (0, 5)


def test_combined_metrics_equal_scores_by_hand():
    metrics = [Rouge(), ExactMatch(), KeystrokeSavings(), LengthRatio(), Distinct()]
    found = evaluate.combine(metrics).compute(predictions=ANSWERS, references=TARGETS)
    assert found["rouge1"] == pytest.approx((0.75 + 1 + 0.5 + 0) / 4)
    assert found["exact_match"] == 0.25
    assert found["exact_match_2"] == pytest.approx(2 / 3)
    assert found["keystroke_savings"] == pytest.approx((8 + 7) / sum(map(len, TARGETS)))
    assert found["length_ratio"] == pytest.approx(1.0)
    assert found["distinct_1"] == 1.0
    assert {"rouge2", "rougeL", "exact_match_5", "distinct_2"} <= found.keys()
    assert all(type(value) is float for value in found.values())


def test_batches_add_up():
    metric = Rouge()
    for answer, target in zip(ANSWERS, TARGETS):
        metric.add(prediction=answer, reference=target)
    assert metric.compute() == pytest.approx(Rouge().compute(predictions=ANSWERS, references=TARGETS))
