"""A weight of the n-grams for each context: the same in numpy and torch, and kept only if it is better."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.context_weights import Predictions, choose_context_weight, fit
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.text.context_weight import ContextWeight, context_inputs
from tests.budget import examples

ORDER = 3
WEIGHT = ContextWeight((0.5, -0.3, -1.0, 0.4, -0.6, 0.2))
NUM_TEXTS = 400


@pytest.fixture(scope="module")
def dataset(cleaned_texts, tokenizer) -> NextTokenDataset:
    eos_id = tokenizer.eos_token_id
    return NextTokenDataset(cleaned_texts, tokenizer, eos_id, context_unit="words", bos_id=tokenizer.bos_token_id)


@pytest.fixture(scope="module")
def ngram(dataset, tokenizer) -> KneserNeyLM:
    return KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, ORDER)


@pytest.fixture
def batch(dataset, tokenizer) -> dict[str, torch.Tensor]:
    return collate_batch([dataset[i] for i in range(5)], pad_id=tokenizer.pad_token_id)


def made_predictions(ngram_is_right_if_sure: bool, seed: int = 0) -> Predictions:
    """Targets that the n-gram model predicts well where its back-off is small, or everywhere alike."""
    rng = np.random.default_rng(seed)
    text = np.repeat(np.arange(NUM_TEXTS), 3)
    backoffs = rng.uniform(0.1, 1, size=(len(text), ORDER - 1))
    log_p = rng.normal(-4, 1, size=len(text))
    better = 3 * (0.55 - backoffs[:, 0]) if ngram_is_right_if_sure else rng.normal(0, 1, size=len(text))
    context = context_inputs(backoffs, rng.integers(0, 50, size=backoffs.shape))
    values = (log_p, log_p + better, np.full(len(text), -1.0), context)
    return Predictions(torch.from_numpy(text), *(torch.tensor(value, dtype=torch.float64) for value in values))


def test_the_log_odds_are_a_linear_function_in_numpy_and_torch():
    backoffs, num_followers = np.array([[0.25, 1.0]]), np.array([[7, 0]])
    context = context_inputs(backoffs, num_followers)
    expected = 0.5 - 0.3 * math.log(0.2) - 1.0 * 0.25 + 0.4 * 1.0 - 0.6 * math.log(8)
    assert context.dtype == np.float32
    assert WEIGHT.log_odds(np.log([0.2]), context) == pytest.approx([expected])
    found = WEIGHT.log_odds(torch.tensor([0.2]).log(), torch.from_numpy(context))
    assert found.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("coefficients", [(1.0,), (1.0, math.nan), (1.0, 2.0, 3.0), (math.inf, 1.0)])
def test_coefficients_that_are_none_are_refused(coefficients):
    with pytest.raises(ValueError, match="no coefficients of a weight"):
        ContextWeight(coefficients)


@pytest.mark.parametrize("value", [None, "[]", [], [1, 2, 3], [1, "2"], [1, True], [1, 10**400], [1e308, 0], [0, 1e7]])
def test_a_list_that_holds_no_weight_is_refused(value):
    with pytest.raises(ValueError, match="no coefficients of a weight"):
        ContextWeight.from_list(value)
    assert ContextWeight.from_list(list(WEIGHT.coefficients)) == WEIGHT


@torch.no_grad()
def test_a_weight_that_is_the_same_everywhere_equals_a_number(tiny_lstm, ngram, batch):
    number = InterpolatedLM(tiny_lstm, ngram, 0.3)
    by_context = InterpolatedLM(tiny_lstm, ngram, ContextWeight.fixed(0.3, ORDER))
    torch.testing.assert_close(by_context(batch["input_ids"]).logits, number(batch["input_ids"]).logits)
    found, expected = (
        model.target_log_probabilities(batch["input_ids"], batch["labels"]) for model in (by_context, number)
    )
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_probabilities_are_mixed_with_the_weight_of_their_context_and_sum_to_one(tiny_lstm, ngram, batch):
    model, input_ids, labels = InterpolatedLM(tiny_lstm, ngram, WEIGHT), batch["input_ids"], batch["labels"]
    neural, counted = tiny_lstm(input_ids).logits.softmax(-1), ngram(input_ids)
    weight = WEIGHT.log_odds(neural.amax(-1).log(), counted.context).sigmoid()[..., None]
    assert weight.unique().numel() > 1
    logits = model(input_ids).logits
    torch.testing.assert_close(logits.exp(), (1 - weight) * neural + weight * counted.logits.exp())
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(labels.shape))
    is_target = labels != IGNORE_INDEX
    expected = logits[is_target].gather(1, labels[is_target][:, None])[:, 0]
    torch.testing.assert_close(model.target_log_probabilities(input_ids, labels), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_context_is_what_the_model_has_counted(tokenizer):
    texts = ["i love you", "i love rain", "i hate rain"]
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
    ids = tokenizer.pad_token_id, tokenizer.eos_token_id
    ngram = KneserNeyLM.from_dataset(dataset, len(tokenizer), *ids, ORDER)
    [i, love] = tokenizer.convert_tokens_to_ids(["i", "love"])
    output = ngram(torch.tensor([[i, love, i]]))
    backoffs, log_followers = output.context[0].split(ORDER - 1, dim=-1)
    num_followers = log_followers.expm1()
    # After "i" come "love" and "hate", after a text's beginning and "i" too; after "i love" two words.
    torch.testing.assert_close(num_followers[:2], torch.tensor([[2.0, 2.0], [2.0, 2.0]]))
    assert num_followers[2, 1] == 0 and backoffs[2, 1] == 1
    assert (backoffs[:2] < 1).all()


def test_a_weight_by_context_is_chosen_where_it_is_better(tiny_lstm, ngram, dataset, monkeypatch):
    fixed = InterpolatedLM(tiny_lstm, ngram, 0.5)
    for is_better in (True, False):
        monkeypatch.setattr(Predictions, "of", lambda *_, is_better=is_better: made_predictions(is_better))
        model, change = choose_context_weight(fixed, dataset, pad_id=0)
        assert change.n == NUM_TEXTS // 2
        assert isinstance(model.weight, ContextWeight) == is_better == (change.high < 0)
        if is_better:
            # The sum of the two models is best if the weight falls with the back-off.
            assert model.weight.coefficients[2] < -1
            assert (model.neural, model.ngram) == (fixed.neural, fixed.ngram)
        else:
            assert model is fixed


@torch.no_grad()
def test_the_predictions_are_those_of_the_models(tiny_lstm, ngram, dataset, tokenizer):
    model = InterpolatedLM(tiny_lstm, ngram, 0.3)
    predictions = Predictions.of(model, dataset, tokenizer.pad_token_id, batch_size=3)
    alone = Predictions.of(model, dataset, tokenizer.pad_token_id, batch_size=1)
    for name in Predictions.__dataclass_fields__:
        torch.testing.assert_close(getattr(predictions, name), getattr(alone, name), atol=1e-5, rtol=1e-5)
    odds = torch.full_like(predictions.log_p, math.log(0.3 / 0.7))
    batch = collate_batch([dataset[2]], pad_id=tokenizer.pad_token_id)
    expected = -model.target_log_probabilities(batch["input_ids"], batch["labels"]).double()
    torch.testing.assert_close(predictions.nll(odds)[predictions.text == 2], expected, atol=1e-5, rtol=1e-5)


@given(seed=st.integers(0, 1_000), weight=st.floats(0.05, 0.95))
@examples(15)
def test_fitting_never_makes_the_loss_larger(seed, weight):
    predictions = made_predictions(seed % 2 == 0, seed)
    start = ContextWeight.fixed(weight, ORDER)
    fitted = fit(predictions, start)
    losses = [predictions.nll(predictions.log_odds(one)).mean() for one in (fitted, start)]
    assert losses[0] <= losses[1] + 1e-9
    # Without the inputs that tell something, only one weight for all is left to find.
    blind = replace(predictions, context=torch.zeros_like(predictions.context))
    assert losses[0] <= blind.nll(blind.log_odds(fit(blind, start))).mean() + 1e-6
